"""Take in a picture: when this returns, Frame, first Step and event are committed and the file is on disk."""

import math
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import BinaryIO

from django.conf import settings
from django.db import connection, transaction

from aivd_web.kernel.database import database_now
from inspections.events import numbering
from inspections.media import pictures, storage
from inspections.media.errors import IdempotencyConflict, Overloaded
from inspections.media.pictures import Picture
from inspections.models import Frame, IdempotencyKey, Inspection, Station, Step
from inspections.pipeline import decide, steps, wake
from inspections.pipeline.stages import STAGES
from scheduling.services import fleet

from . import captured

LONGEST_RETRY_S = 600


@dataclass(frozen=True)
class Ingested:
    """`created` is false where an earlier request with the same key had made the Frame."""

    frame: Frame
    created: bool


def add_frame(
    *,
    station: Station,
    data: BinaryIO | bytes,
    sender: str,
    name: str = "",
    part_id: str = "",
    captured_at: datetime | None = None,
    idempotency_key: str = "",
) -> Ingested:
    """Store one picture as a Frame of `station`.

    `sender` names who sent it (user or token): an Idempotency-Key is theirs alone. Raises IngestError.
    """
    captured.check(captured_at)
    refuse_when_full()  # before the work that a picture makes
    refuse_when_late(station)
    _let_go_of_the_database()
    with (
        storage.received(data, max_bytes=settings.MAX_UPLOAD_BYTES) as upload,
        pictures.checked(upload.path, bit_depth=station.bit_depth) as (picture, rendition),
        transaction.atomic(),
    ):
        key = _take_key(sender, station, idempotency_key, upload.sha256)
        if key is not None and key.answer is not None:
            return Ingested(Frame.objects.get(pk=key.answer["frame"]), created=False)
        storage.keep(upload)  # after the key, so that a refused picture leaves no file; before any row
        frame = _write_frame(station, upload, picture, name, part_id, captured_at)
        if key is not None:
            IdempotencyKey.objects.filter(pk=key.pk).update(answer={"frame": str(frame.pk)})
        pictures.keep_rendition(frame, picture, rendition)
        _begin(frame, picture)
    return Ingested(frame, created=True)


def _let_go_of_the_database() -> None:
    """A body that comes slowly and a picture that is long to decode keep no connection from others."""
    if not connection.in_atomic_block:
        connection.close()


def _begin(frame: Frame, picture: Picture) -> None:
    """Have it inspected; where its values cannot be scaled with certainty no model sees it, and it is held."""
    data = {"station": frame.station_id, "width": frame.width, "height": frame.height}
    changes = [numbering.Change("frame.added", frame.pk, data)]
    if picture.trouble:
        decision, now = decide.cannot_scale(picture.trouble), database_now()
        decide.write(frame=frame, decision=decision, now=now)
        changes.append(decide.change(frame.pk, decision))
        if steps.complete_if_no_step_open(frame=frame, now=now):
            changes.append(numbering.Change("frame.complete", frame.pk))
    else:
        Step.objects.create(frame=frame, kind=STAGES.first.kind, deadline_at=frame.deadline_at)
        transaction.on_commit(wake.workers, robust=True)
    numbering.record_all(line_id=frame.line_id, changes=changes)


def refuse_when_full() -> None:
    """Raise Overloaded while more Steps wait than the workers can be expected to catch up with."""
    waiting = Step.objects.filter(state=Step.State.WAITING, kind=STAGES.first.kind)
    if waiting.values("pk")[settings.MAX_WAITING_STEPS : settings.MAX_WAITING_STEPS + 1]:
        raise Overloaded(f"More than {settings.MAX_WAITING_STEPS:,} frames are waiting.", retry_after_s=5)


def refuse_when_late(station: Station) -> None:
    """Raise Overloaded where the Station asks for it and a frame that came now would be decided after its deadline.

    Where no worker tells what it foresees, the frame is taken in: what cannot be told is no reason to refuse.
    """
    if not station.admission:
        return
    model = STAGES.first.contract.model
    ahead = Step.objects.filter(state=Step.State.WAITING, kind=STAGES.first.kind).count()
    answer_s = fleet.answer_s(model, ahead=ahead)
    late_s = 0.0 if answer_s is None else answer_s - station.deadline_ms / 1000
    if late_s > 0:
        raise Overloaded(
            f"A frame that came now would be decided {late_s:,.1f} s after its deadline.",
            retry_after_s=min(LONGEST_RETRY_S, math.ceil(late_s)),
        )


def _take_key(sender: str, station: Station, key: str, sha256: str) -> IdempotencyKey | None:
    """The key's row, made now or by an earlier request.

    Where an equal request is being written right now, the insert waits for its COMMIT, so both give one answer.
    """
    if not key:
        return None
    scope = f"{sender}@{station.pk}"
    IdempotencyKey.objects.bulk_create(
        [IdempotencyKey(scope=scope, key=key, payload_sha256=sha256)], ignore_conflicts=True
    )
    row = IdempotencyKey.objects.get(scope=scope, key=key)
    if row.payload_sha256 != sha256:
        raise IdempotencyConflict(f"The Idempotency-Key '{key}' was used for another picture.")
    return row


def _write_frame(
    station: Station,
    upload: storage.Received,
    picture: Picture,
    name: str,
    part_id: str,
    captured_at: datetime | None,
) -> Frame:
    if part_id:
        inspection, _ = Inspection.objects.get_or_create(station=station, part_id=part_id[:100])
    else:
        inspection = Inspection.objects.create(station=station)
    now = database_now()
    return Frame.objects.create(
        inspection=inspection,
        station=station,
        line_id=station.line_id,
        name=name[:200],
        sha256=upload.sha256,
        media_type=picture.media_type,
        width=picture.width,
        height=picture.height,
        bit_depth=picture.bit_depth,
        has_rendition=picture.has_rendition,
        bytes=upload.bytes,
        captured_at=captured_at,
        received_at=now,
        deadline_at=now + timedelta(milliseconds=station.deadline_ms),
    )
