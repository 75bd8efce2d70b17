"""One picture for everybody: node, describer, thumbnail, viewer and template see the same upright 8 bits."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rest_framework.test import APIClient

from aivd_web.kernel.errors import Unavailable
from aivd_web.kernel.parts import parts
from inspections.intake import ingest
from inspections.media import pictures, renditions, storage
from inspections.media.decoding.decoder import Decoder
from inspections.media.errors import DecoderBusy, Overloaded, SeveralPictures, UnscaledPicture
from inspections.media.renditions import BadMedia
from inspections.models import Decision, Event, Frame, Station, Step
from scheduling.client.answers import DetectAnswer
from tests import boards
from tests.boards import MARK_XYXY, board, deep, deep_tiff, file_of, on_the_mark, pages, png_of, stored_rows
from tests.cast import Cast, picture
from tests.inspections.fake_nodes import FakeNode
from tests.inspections.pipeline.test_worker import all_complete, polled, working
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]

TURNED = {
    f"{format} {orientation}": (format, orientation)
    for format in ("JPEG", "PNG", "WEBP", "TIFF")
    for orientation in range(1, 9)
}


def take(station: Station, data: bytes, **more: Any) -> Frame:
    return ingest.add_frame(station=station, data=data, sender="camera", **more).frame


def grey(data: bytes) -> Any:
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("L"))


class Seeing(FakeNode):
    """Keeps what it was sent."""

    def detect(self, frame: bytes, *, template: bytes = b"", **more: Any) -> DetectAnswer:
        self.frame, self.template = frame, template
        return super().detect(frame, template=template, **more)


# -- one frame of reference ---------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", TURNED)
def test_a_box_lies_on_its_defect_in_everything_that_is_made(cast: Cast, kind: str) -> None:
    format, orientation = TURNED[kind]
    frame = take(cast.station, file_of(stored_rows(board(3), orientation), format, orientation=orientation))
    assert (frame.width, frame.height) == (boards.WIDTH, boards.HEIGHT)
    assert on_the_mark(grey(renditions.shown_bytes(frame)))
    assert on_the_mark(grey(renditions.thumbnail_path(frame).read_bytes()))
    (crop,) = (grey(data) for data in renditions.context_crops(frame, [MARK_XYXY]))
    middle = tuple(side // 2 for side in crop.shape)
    assert crop[middle] > 200
    assert crop[0, 0] < 80


def test_the_templates_cut_is_the_same_window_as_the_crop(cast: Cast) -> None:
    data = file_of(board(3), "PNG")
    frame = take(cast.station, data)
    assert renditions.template_crops(frame, [MARK_XYXY]) == [b""]
    with storage.received(data, max_bytes=10**6) as upload:
        cast.station.template_sha256 = upload.sha256
        storage.keep(upload)
    cast.station.save()
    frame.refresh_from_db()
    assert renditions.template_crops(frame, [MARK_XYXY]) == renditions.context_crops(frame, [MARK_XYXY])


def test_the_node_is_sent_what_people_see(cast: Cast) -> None:
    golden = deep_tiff(deep(np.full_like(board(), boards.GROUND), 16))
    with storage.received(golden, max_bytes=10**6) as upload:
        cast.station.template_sha256 = upload.sha256
        storage.keep(upload)
    cast.station.bit_depth = "16"
    cast.station.save()
    take(cast.station, deep_tiff(stored_rows(deep(board(), 16), 6), orientation=6))
    node = Seeing("edge-1")
    with working(node) as worker, polled(worker):
        eventually(all_complete)
    assert on_the_mark(grey(node.frame))
    assert grey(node.template).max() == boards.GROUND
    assert node.frame.startswith(b"\x89PNG")
    assert node.template.startswith(b"\x89PNG")


@pytest.mark.parametrize("format", ["JPEG", "PNG"])
def test_what_is_upright_already_is_sent_as_it_came(cast: Cast, format: str) -> None:
    data = file_of(board(3), format)
    frame = take(cast.station, data)
    assert not frame.has_rendition
    assert renditions.shown_bytes(frame) == data


def test_a_rendition_is_made_again_as_it_was_whatever_the_station_says_today(cast: Cast) -> None:
    cast.station.bit_depth = "12"
    cast.station.save()
    frame = take(cast.station, png_of(deep(board(), 12)))
    first = renditions.shown_bytes(frame)
    renditions.shown_path(frame).unlink()
    Station.objects.filter(pk=cast.station.pk).update(bit_depth="16")
    assert renditions.shown_bytes(Frame.objects.get(pk=frame.pk)) == first
    assert on_the_mark(grey(first))


def test_a_frame_that_came_before_there_were_renditions_is_never_clipped(cast: Cast) -> None:
    frame = take(cast.station, png_of(deep(board(), 16)))
    renditions.shown_path(frame).unlink()
    Frame.objects.filter(pk=frame.pk).update(bit_depth=8)
    with pytest.raises(BadMedia, match="not what it was"):
        renditions.shown_bytes(Frame.objects.get(pk=frame.pk))


# -- depth ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bits", [10, 12, 14])
@pytest.mark.parametrize("writer", [png_of, deep_tiff])
def test_grey_that_cannot_be_scaled_is_held_with_its_numbers_and_can_be_seen(
    cast: Cast, writer: Callable[[Any], bytes], bits: int
) -> None:
    frame = take(cast.station, writer(deep(board(), bits)), idempotency_key="k")
    decision = Decision.objects.get(frame=frame)
    assert (decision.outcome, decision.code) == ("hold", "unscaled")
    assert f"up to {int(deep(board(), bits).max()):,}" in decision.reason
    frame.refresh_from_db()
    assert frame.decided_at
    assert frame.completed_at
    assert not Step.objects.exists()
    kinds = list(Event.objects.order_by("seq").values_list("type", flat=True))
    assert kinds == ["frame.added", "frame.decided", "frame.complete"]
    assert on_the_mark(grey(renditions.shown_bytes(frame)))
    assert on_the_mark(grey(renditions.thumbnail_path(frame).read_bytes()))
    assert take(cast.station, writer(deep(board(), bits)), idempotency_key="k") == frame


@pytest.mark.parametrize("setting", ["10", "12", "14", "16"])
def test_the_stations_depth_is_used(cast: Cast, setting: str) -> None:
    cast.station.bit_depth = setting
    cast.station.save()
    frame = take(cast.station, png_of(deep(board(), int(setting))))
    assert frame.bit_depth == int(setting)
    assert Step.objects.get().kind == "detect"
    assert abs(grey(renditions.shown_bytes(frame)).astype(int) - board()).max() <= 1


def test_two_stations_of_other_depths_see_the_same_bytes_each_in_its_way(cast: Cast) -> None:
    data = png_of(deep(board(), 12))
    Station.objects.filter(pk=cast.second_station.pk).update(bit_depth="12")
    cast.second_station.refresh_from_db()
    unscaled, scaled = take(cast.station, data), take(cast.second_station, data)
    assert renditions.shown_path(unscaled) != renditions.shown_path(scaled)
    assert renditions.thumbnail_path(unscaled) != renditions.thumbnail_path(scaled)


# -- the template -----------------------------------------------------------------------------------------


def set_template(station: Station, data: bytes) -> None:
    with storage.received(data, max_bytes=10**6) as upload:
        station.template_sha256 = upload.sha256
        storage.keep(upload)


@pytest.mark.parametrize("kind", TURNED)
def test_a_template_goes_the_way_of_a_frame(cast: Cast, kind: str) -> None:
    format, orientation = TURNED[kind]
    set_template(cast.station, file_of(stored_rows(board(3), orientation), format, orientation=orientation))
    assert on_the_mark(grey(renditions.template_bytes(cast.station)))


def test_a_template_that_cannot_be_scaled_or_is_gone_is_not_left_out(cast: Cast) -> None:
    assert renditions.template_bytes(cast.station) == b""
    set_template(cast.station, png_of(deep(board(), 12)))
    with pytest.raises(BadMedia, match="cannot be scaled"):
        renditions.template_bytes(cast.station)
    cast.station.bit_depth = "12"
    assert on_the_mark(grey(renditions.template_bytes(cast.station)))
    cast.station.template_sha256 = "0" * 64
    with pytest.raises(BadMedia):
        renditions.template_bytes(cast.station)


@pytest.mark.parametrize(("setting", "taken"), [("auto", False), ("10", False), ("12", True)])
def test_a_template_is_checked_by_the_depth_of_its_station(tmp_path: Path, setting: str, taken: bool) -> None:
    path = tmp_path / "golden"
    path.write_bytes(png_of(deep(board(), 12)))
    if taken:
        assert pictures.check_template(path, bit_depth=setting).bit_depth == 12
        return
    with pytest.raises(UnscaledPicture, match="3,533") as refused:
        pictures.check_template(path, bit_depth=setting)
    assert refused.value.as_dict()["code"] == "unscaled"


# -- the door ---------------------------------------------------------------------------------------------


def files(settings: Any) -> list[str]:
    return [path.name for path in settings.MEDIA_DIR.rglob("*") if path.is_file() and not path.name.startswith(".")]


@pytest.mark.parametrize("format", ["TIFF", "WEBP", "PNG"])
def test_several_pictures_in_one_file_leave_nothing_behind(cast: Cast, settings: Any, format: str) -> None:
    with pytest.raises(SeveralPictures, match="holds 3 pictures"):
        take(cast.station, pages(format, 3))
    assert not files(settings)
    assert not Frame.objects.exists()


def test_an_overloaded_plant_refuses_before_it_decodes(
    cast: Cast, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    take(cast.station, picture(1))
    settings.MAX_WAITING_STEPS = 0

    def decodes_nothing(*_: Any, **__: Any) -> Any:
        raise AssertionError

    monkeypatch.setattr(pictures, "asked", decodes_nothing)
    with pytest.raises(Overloaded):
        take(cast.station, picture(2))


@pytest.fixture
def busy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every child of the decoder has a picture."""
    pool = Decoder(children=1, wait_s=0.01)
    pool._room.acquire()
    monkeypatch.setitem(parts().made, Decoder, pool)


def test_a_busy_decoder_is_a_503_that_says_when_to_come_again(cast: Cast, busy: None, settings: Any) -> None:
    with pytest.raises(DecoderBusy) as refused:
        take(cast.station, picture(1))
    assert (refused.value.code, refused.value.status, refused.value.retry_after_s) == ("decoder_busy", 503, 5)
    assert not files(settings)
    client = APIClient()
    client.force_login(cast.alice)
    answer = client.post(f"/api/v1/stations/{cast.station.pk}/frames", picture(1), content_type="image/jpeg")
    assert (answer.status_code, answer["Retry-After"], answer.json()["code"]) == (503, "5", "decoder_busy")


def test_a_worker_whose_decoder_is_busy_comes_again_and_spends_no_attempt(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = take(cast.station, file_of(board(3), "TIFF"))
    renditions.shown_path(frame).unlink()
    asked, real = [], renditions.shown_bytes

    def busy_once(stored: Any) -> bytes:
        asked.append(stored)
        if len(asked) == 1:
            raise Unavailable("Too many pictures are being decoded.", retry_after_s=5)
        return real(stored)

    monkeypatch.setattr(renditions, "shown_bytes", busy_once)
    with working(FakeNode("edge-1")) as worker, polled(worker):
        eventually(all_complete)
    assert len(asked) == 2
    assert Decision.objects.get().outcome == "pass"


# -- seen from outside ------------------------------------------------------------------------------------


def test_the_rendition_is_sent_like_any_picture(cast: Cast) -> None:
    frame = take(cast.station, file_of(board(3), "TIFF"))
    client = APIClient()
    client.force_login(cast.vera)
    shown = client.get(f"/api/v1/frames/{frame.pk}").json()
    assert shown["urls"]["rendition"] == f"/api/v1/frames/{frame.pk}/rendition"
    assert shown["bit_depth"] == 8
    answer = client.get(shown["urls"]["rendition"])
    assert (answer.status_code, answer["Content-Type"]) == (200, "image/png")
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert "no-cache" in answer["Cache-Control"]
    assert on_the_mark(grey(answer.content))
    assert client.get(shown["urls"]["rendition"], HTTP_IF_NONE_MATCH=answer["ETag"]).status_code == 304
    assert client.get(shown["urls"]["picture"])["Content-Type"] == "image/tiff"
    client.force_login(cast.charlie)
    assert client.get(shown["urls"]["rendition"]).status_code == 404


@pytest.mark.parametrize("format", ["JPEG", "TIFF"])
def test_a_picture_that_is_gone_is_not_a_server_error(cast: Cast, format: str) -> None:
    frame = take(cast.station, file_of(board(3), format))
    renditions.shown_path(frame).unlink(missing_ok=True)
    storage.picture_path(frame).unlink(missing_ok=True)
    client = APIClient()
    client.force_login(cast.vera)
    assert client.get(f"/api/v1/frames/{frame.pk}/rendition").status_code == 404
    assert client.get(f"/api/v1/frames/{frame.pk}/thumbnail").status_code == 503


KINDS: dict[str, tuple[int, str, Callable[[], bytes]]] = {
    "no picture": (415, "not_a_picture", lambda: b"%PDF-1.7 and more"),
    "cut off": (422, "broken_picture", lambda: file_of(board(3), "PNG")[:-40]),
    "pages": (422, "several_pictures", lambda: pages("TIFF")),
    "scans": (422, "picture_too_costly", lambda: boards.many_scans(1_000)),
    "float": (422, "unsupported_samples", lambda: boards.by_opencv(board().astype(np.float32), ".tiff")),
    "invisible": (422, "invisible_picture", lambda: png_of(np.zeros((9, 9, 4), np.uint8))),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_refusal_has_a_code_a_sentence_and_a_hint(cast: Cast, kind: str) -> None:
    status, code, make = KINDS[kind]
    client = APIClient()
    client.force_login(cast.alice)
    answer = client.post(f"/api/v1/stations/{cast.station.pk}/frames", make(), content_type="image/png")
    body = answer.json()
    assert (answer.status_code, body["code"]) == (status, code)
    assert body["detail"].endswith(".")
    assert body["hint"].endswith(".")
