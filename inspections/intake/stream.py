"""One picture of a stream: the same door as an upload, with the words of a websocket."""

from uuid import UUID

from django.conf import settings

from inspections import rules
from inspections.media import texts
from inspections.media.errors import PictureTooLarge
from inspections.models import Station

from . import captured, uploads
from .uploads import Origin

__all__ = ["MAX_PICTURE_BYTES", "Station", "station_for", "take_in", "too_large"]

# A window of these is the most that one stream can hold in memory; larger pictures go by REST.
MAX_PICTURE_BYTES = min(16 * 1024 * 1024, settings.MAX_UPLOAD_BYTES)


def station_for(who: rules.Principal, station_id: int) -> Station | None:
    """The station, with its line, if `who` may send to it."""
    found: Station | None = rules.stations(who, rules.Action.UPLOAD).filter(pk=station_id).first()
    return found


def take_in(
    *, station: Station, sender: str, data: bytes, key: str = "", part_id: str = "", captured_at: str = ""
) -> UUID:
    """Store one picture and return its Frame's id once it is committed. Raises AivdError."""
    origin = Origin(
        station=station,
        sender=sender,
        part_id=texts.part_id(part_id),
        captured_at=captured.moment(captured_at),
    )
    frame_id: UUID = uploads.take_in(origin=origin, data=data, key=key).frame.pk
    return frame_id


def too_large() -> PictureTooLarge:
    return PictureTooLarge(
        f"A picture of a stream has at most {MAX_PICTURE_BYTES:,} bytes.",
        hint="Send it by REST, or smaller.",
    )
