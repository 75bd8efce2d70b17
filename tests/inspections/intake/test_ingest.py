"""What an accepted picture leaves behind, in what order, and what a refused one does not."""

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest
from django.db.backends.base.base import BaseDatabaseWrapper

from inspections.intake import ingest
from inspections.media import storage
from inspections.media.errors import (
    BrokenPicture,
    EmptyBody,
    IdempotencyConflict,
    NotAPicture,
    Overloaded,
    PictureTooLarge,
    StorageFull,
)
from inspections.models import Event, Frame, IdempotencyKey, Inspection, Step
from tests.cast import Cast, add_frame, picture
from tests.threads import together

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True)]


def files(settings: Any) -> list[Path]:
    return [path for path in settings.MEDIA_DIR.rglob("*") if path.is_file()]


def nothing_stored(settings: Any) -> bool:
    tables = (Frame, Step, Event, IdempotencyKey, Inspection)
    return not files(settings) and not any(table.objects.exists() for table in tables)


def test_a_frame_its_step_and_its_event_come_together_with_the_file(cast: Cast, settings: Any) -> None:
    data = picture(5)
    frame = ingest.add_frame(station=cast.station, data=data, sender="camera", part_id="P-1").frame
    frame.refresh_from_db()
    assert (frame.width, frame.height, frame.media_type, frame.bytes) == (64, 48, "image/jpeg", len(data))
    assert storage.picture_path(frame).read_bytes() == data
    assert files(settings) == [storage.picture_path(frame)]
    step = Step.objects.get(frame=frame)
    assert (step.kind, step.state, step.deadline_at) == ("detect", "waiting", frame.deadline_at)
    event = Event.objects.get()
    assert (event.line_id, event.seq, event.type, event.frame_id) == (cast.line.pk, 1, "frame.added", frame.pk)
    assert frame.inspection.part_id == "P-1"


def test_frames_of_one_part_share_an_inspection(cast: Cast) -> None:
    one, two = (add_frame(cast.station, seed, part_id="P-1") for seed in (1, 2))
    assert one.inspection_id == two.inspection_id
    assert add_frame(cast.second_station, 3, part_id="P-1").inspection_id != one.inspection_id


def test_the_file_is_durable_before_the_rows_are_committed(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    """fsync of the file, rename, fsync of its folder, and only then COMMIT."""
    order: list[str] = []
    real_fsync, real_rename, real_commit = os.fsync, os.rename, BaseDatabaseWrapper._commit  # type: ignore[attr-defined]

    def fsync(descriptor: int) -> None:
        order.append(f"fsync {os.readlink(f'/proc/self/fd/{descriptor}')}")
        real_fsync(descriptor)

    def rename(source: Any, target: Any) -> None:
        order.append(f"rename {source} {target}")
        real_rename(source, target)

    def commit(self: BaseDatabaseWrapper) -> None:
        order.append("commit")
        real_commit(self)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "rename", rename)
    monkeypatch.setattr(BaseDatabaseWrapper, "_commit", commit)
    frame = add_frame(cast.station)
    path = storage.picture_path(frame)
    renamed = next(index for index, step in enumerate(order) if step.startswith("rename"))
    source = order[renamed].split()[1]
    assert order[renamed] == f"rename {source} {path}"
    assert f"fsync {source}" in order[:renamed]
    assert f"fsync {path.parent}" in order[renamed : order.index("commit")]
    assert order.count("commit") == 1


def test_the_name_of_a_new_folder_is_synced_too(cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(storage, "_sync", synced.append)
    path = storage.picture_path(add_frame(cast.station))
    for folder in (path.parent, path.parent.parent, path.parent.parent.parent, settings.MEDIA_DIR):
        assert folder in synced


def test_a_second_upload_of_the_same_bytes_waits_for_the_folder_too(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first one may be another process that has renamed the file and not yet synced the folder."""
    frame = add_frame(cast.station, 1)
    synced: list[Path] = []
    monkeypatch.setattr(storage, "_sync", synced.append)
    add_frame(cast.second_station, 1)
    assert synced == [storage.picture_path(frame).parent]
    assert Frame.objects.count() == 2


def test_one_key_sent_fifty_times_at_once_is_one_frame(cast: Cast) -> None:
    data = picture(1)

    def send(_: int) -> Any:
        return ingest.add_frame(station=cast.station, data=data, sender="camera", idempotency_key="k1")

    answers = together(50, send)
    assert {str(answer.frame.pk) for answer in answers} == {str(Frame.objects.get().pk)}
    assert [answer.created for answer in answers].count(True) == 1
    assert Step.objects.count() == Event.objects.count() == 1


def test_a_key_belongs_to_its_sender_and_station(cast: Cast) -> None:
    for station, sender in ((cast.station, "a"), (cast.station, "b"), (cast.second_station, "a")):
        ingest.add_frame(station=station, data=picture(1), sender=sender, idempotency_key="k1")
    assert Frame.objects.count() == 3


def test_a_key_with_another_picture_is_refused_and_leaves_no_file(cast: Cast, settings: Any) -> None:
    add_frame(cast.station, 1, idempotency_key="k1")
    with pytest.raises(IdempotencyConflict, match="'k1' was used for another picture"):
        add_frame(cast.station, 2, idempotency_key="k1")
    assert Frame.objects.count() == len(files(settings)) == 1


def test_a_key_is_free_again_after_a_failure(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(upload: storage.Received) -> Path:
        raise StorageFull("full")

    with monkeypatch.context() as patch:
        patch.setattr(storage, "keep", breaks)
        with pytest.raises(StorageFull):
            add_frame(cast.station, 1, idempotency_key="k1")
    assert ingest.add_frame(station=cast.station, data=picture(2), sender="test", idempotency_key="k1").created


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", EmptyBody),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", NotAPicture),
        (b"GIF89a" + bytes(100), NotAPicture),
        (picture(1)[:200], BrokenPicture),
        (picture(1, size_wh=(400, 400))[:-900], BrokenPicture),
        (picture(1, format="PNG")[:-30], BrokenPicture),
    ],
    ids=["empty", "svg", "gif", "headers only", "cut jpeg", "cut png"],
)
def test_a_refused_picture_leaves_nothing(cast: Cast, settings: Any, data: bytes, error: type) -> None:
    with pytest.raises(error):
        ingest.add_frame(station=cast.station, data=data, sender="camera", idempotency_key="k")
    assert nothing_stored(settings)


def test_a_picture_over_the_cap_is_refused_while_it_arrives(cast: Cast, settings: Any) -> None:
    settings.MAX_UPLOAD_BYTES = 1000
    source = io.BytesIO(bytes(10 * storage.CHUNK))
    with pytest.raises(PictureTooLarge, match="more than 1,000 bytes"):
        ingest.add_frame(station=cast.station, data=source, sender="camera")
    assert source.tell() == storage.CHUNK
    assert nothing_stored(settings)


def test_while_too_many_wait_nothing_more_is_taken(cast: Cast, settings: Any) -> None:
    settings.MAX_WAITING_STEPS = 2
    for seed in range(2):
        add_frame(cast.station, seed)
    add_frame(cast.station, 3)  # the cap is exceeded by this one and seen by the next
    with pytest.raises(Overloaded) as refused:
        add_frame(cast.station, 4)
    assert refused.value.retry_after_s
    assert Frame.objects.count() == len(files(settings)) == 3


@pytest.mark.parametrize("call", ["rename", "fsync"])
def test_a_full_disk_is_said_and_leaves_nothing(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, call, full)
        with pytest.raises(StorageFull) as refused:
            add_frame(cast.station, 1)
    assert refused.value.status == 503
    assert nothing_stored(settings)
    assert add_frame(cast.station, 1).pk == Frame.objects.get().pk
