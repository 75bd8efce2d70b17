"""One picture of a stream: the same door as an upload, with the words of a websocket."""

import logging
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError

from aivd_web.kernel.database import is_away
from aivd_web.kernel.errors import Unavailable
from inspections import rules
from inspections.models import Station

from . import ingest, uploads
from .captured import BadMoment, moment
from .errors import IngestError

__all__ = ["MAX_PICTURE_BYTES", "BadMoment", "Station", "moment", "station_for", "take_in"]

log = logging.getLogger(__name__)

MAX_PART_ID_LENGTH = 100
# A window of these is the most that one stream can hold in memory; larger pictures go by REST.
MAX_PICTURE_BYTES = min(16 * 1024 * 1024, settings.MAX_UPLOAD_BYTES)


class BadPart(IngestError):
    code = "bad_part_id"
    hint = f"A part id has at most {MAX_PART_ID_LENGTH} characters."


def station_for(who: rules.Principal, station_id: int) -> Station | None:
    """The station, with its line, if `who` may send to it."""
    found: Station | None = rules.stations(who, rules.Action.UPLOAD).filter(pk=station_id).first()
    return found


def take_in(
    *, station: Station, sender: str, data: bytes, key: str = "", part_id: str = "", captured_at: str = ""
) -> UUID:
    """Store one picture and return its Frame's id once it is committed. Raises AivdError."""
    uploads.check_key(key)
    check_part_id(part_id)
    try:
        ingested = ingest.add_frame(
            station=station,
            data=data,
            sender=sender,
            part_id=part_id,
            captured_at=moment(captured_at),
            idempotency_key=key,
        )
    except DatabaseError as error:
        if not is_away(error):
            raise
        log.warning("A streamed picture was not stored: %s", type(error).__name__)
        raise Unavailable("The database is not reachable.", hint="Send it again.", retry_after_s=2) from None
    frame_id: UUID = ingested.frame.pk
    return frame_id


def check_part_id(part_id: str) -> None:
    if len(part_id) > MAX_PART_ID_LENGTH or "\x00" in part_id:
        raise BadPart("This part id cannot be used.")
