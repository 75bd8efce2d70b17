"""What a Station lets the scheduler do, in production: lower quality, and leaving out what the edge is sure of."""

import io
from typing import Any

import numpy as np
import pytest
from django.utils import timezone
from PIL import Image

from inspections.api.frames import frame_json
from inspections.intake import ingest
from inspections.media import renditions
from inspections.models import Description, Detection, Event, Frame, Station, Step, Sureness
from inspections.pipeline.worker import Worker
from inspections.services.savings import savings
from scheduling.client.answers import DetectAnswer
from scheduling.models import Dispatch, ServedModel
from scheduling.policy import cloudskip
from tests.cast import Cast, add_frame
from tests.inspections.fake_nodes import FakeNode, raises, unavailable
from tests.inspections.pipeline.test_worker import all_complete, polled, working
from tests.waiting import eventually

pytestmark = [
    pytest.mark.stack,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_server"),
]
DEADLINE_S = 600.0


class Seeing(FakeNode):
    """Keeps what it was sent."""

    frame = b""

    def detect(self, frame: bytes, **more: Any) -> DetectAnswer:
        self.frame = frame
        return super().detect(frame, **more)


def noisy() -> bytes:
    """A JPEG of the best quality that weighs something."""
    pixels = np.random.default_rng(1).integers(0, 255, (240, 320, 3), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()


def allow(station: Station, **settings: Any) -> None:
    Station.objects.filter(pk=station.pk).update(**settings)
    station.refresh_from_db()


def slow_link(worker: Worker, node: str, *, bytes_s: float) -> None:
    worker.fleet.state.nodes[node].link.typical = bytes_s


# -- the ladder -------------------------------------------------------------------------------------


def sent_over_a_slow_link(cast: Cast, node: FakeNode, *others: FakeNode, ladder: bool) -> Frame:
    """One frame whose whole picture takes 1.4 times its deadline to that node, and in JPEG 75 less than all of it."""
    allow(cast.station, ladder=ladder, deadline_ms=1000 * DEADLINE_S)
    data = noisy()
    frame = ingest.add_frame(station=cast.station, data=data, sender="camera").frame
    with working(node, *others) as worker, polled(worker):
        for name in worker.fleet.state.nodes:
            slow_link(worker, name, bytes_s=0.7 * len(data) / DEADLINE_S)
        eventually(all_complete)
    return Frame.objects.with_findings().get(pk=frame.pk)


def test_where_the_station_allows_it_a_slow_link_gets_lower_quality_and_the_frame_says_so(cast: Cast) -> None:
    node = Seeing("edge-1")
    frame = sent_over_a_slow_link(cast, node, ladder=True)

    with Image.open(io.BytesIO(node.frame)) as image:
        assert (image.format, image.size) == ("JPEG", (320, 240))
    assert len(node.frame) < 0.62 * frame.bytes
    row = Dispatch.objects.get()
    assert (row.quality, row.full_bytes, row.payload_bytes) == ("JPEG 75", frame.bytes, len(node.frame))
    assert frame_json(frame)["dispatches"]["detect"]["quality"] == "JPEG 75"


def test_where_the_station_does_not_allow_it_the_picture_is_sent_as_it_is(cast: Cast) -> None:
    node = Seeing("edge-1")
    frame = sent_over_a_slow_link(cast, node, ladder=False)

    assert node.frame == renditions.shown_bytes(frame)
    assert Dispatch.objects.get().quality == ""


def test_what_was_encoded_for_one_node_is_sent_to_the_next(cast: Cast) -> None:
    bad, good = FakeNode("edge-1", before=raises(unavailable())), FakeNode("edge-2")
    sent_over_a_slow_link(cast, bad, good, ladder=True)

    rows = Dispatch.objects.order_by("id")
    assert {row.quality for row in rows} == {"JPEG 75"}
    assert len({row.full_bytes for row in rows}) == 1


def test_a_lower_quality_is_encoded_once_and_never_larger_than_the_picture(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    frame = ingest.add_frame(station=cast.station, data=noisy(), sender="camera").frame
    asked: list[dict[str, Any]] = []
    real = renditions._ask
    monkeypatch.setattr(renditions, "_ask", lambda job: asked.append(job) or real(job))

    lower = renditions.lower_bytes(frame, 50)
    assert renditions.lower_bytes(frame, 50) == lower
    assert len(asked) == 1
    assert len(lower) < len(renditions.lower_bytes(frame, 75)) < frame.bytes
    small = add_frame(cast.station)
    assert len(renditions.lower_bytes(small, 95)) <= small.bytes


# -- what the edge is sure of -----------------------------------------------------------------------


@pytest.fixture
def proven(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> Sureness:
    """From 0.8 on the edge is sure; nothing is drawn for the audit."""
    monkeypatch.setattr(cloudskip, "audited", lambda key: False)
    model = ServedModel.objects.create(
        kind="detector", name="constant", version="1", digest="c" * 64, runtime="python", products=["bare-pcb"]
    )
    return Sureness.objects.create(line=cast.line, served_model=model, threshold=0.8, chosen_at=timezone.now())


def inspected(cast: Cast, *, sure_regions: str, cloud: tuple[FakeNode, ...], bytes_s: float = 100.0) -> Frame:
    """A frame with one region of 0.9, with the way to the cloud so slow that no crop gets there in time."""
    allow(cast.station, sure_regions=sure_regions, describe_within_ms=100)
    frame = add_frame(cast.station)
    with working(FakeNode("edge-1", score=0.9), cloud=cloud) as worker, polled(worker):
        for node in cloud:
            slow_link(worker, node.name, bytes_s=bytes_s)
        eventually(all_complete)
    return Frame.objects.with_findings().get(pk=frame.pk)


def test_a_sure_region_is_not_described_when_the_cloud_is_too_slow(cast: Cast, proven: Sureness) -> None:
    cloud = FakeNode("cloud-1")
    frame = inspected(cast, sure_regions="skipped", cloud=(cloud,))

    assert cloud.calls == 0
    assert Step.objects.get(kind="describe_sure").state == Step.State.SKIPPED
    types = list(Event.objects.filter(frame_id=frame.pk).order_by("seq").values_list("type", flat=True))
    assert types[-2:] == ["frame.skipped", "frame.complete"]
    (region,) = frame_json(frame)["regions"]
    assert (region["sure"], region["description"]["state"]) == (True, "skipped")
    assert frame_json(frame)["state"] == "complete"


def test_a_sure_region_is_not_waited_for_while_no_cloud_is_there(cast: Cast, proven: Sureness) -> None:
    inspected(cast, sure_regions="skipped", cloud=())

    assert Step.objects.get(kind="describe_sure").state == Step.State.SKIPPED


def test_a_sure_region_is_described_like_any_other_while_there_is_time(cast: Cast, proven: Sureness) -> None:
    allow(cast.station, sure_regions="skipped")
    add_frame(cast.station)
    with working(FakeNode("edge-1", score=0.9), cloud=(FakeNode("cloud-1"),)) as worker, polled(worker):
        eventually(all_complete)

    assert Description.objects.count() == 1


@pytest.mark.parametrize("sure_regions", ["described", "later"])
def test_a_region_that_may_only_wait_is_described_in_the_end(cast: Cast, proven: Sureness, sure_regions: str) -> None:
    inspected(cast, sure_regions=sure_regions, cloud=(FakeNode("cloud-1"),))

    assert Description.objects.count() == 1
    assert Detection.objects.get().sure is (sure_regions == "later")


def test_where_nothing_is_proven_every_region_is_described(cast: Cast, proven: Sureness) -> None:
    Sureness.objects.update(threshold=None)
    inspected(cast, sure_regions="skipped", cloud=(FakeNode("cloud-1"),))

    assert Description.objects.count() == 1


def test_an_audited_region_goes_to_the_cloud_all_the_same(
    cast: Cast, proven: Sureness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cloudskip, "audited", lambda key: True)
    inspected(cast, sure_regions="skipped", cloud=(FakeNode("cloud-1"),))

    assert Description.objects.count() == 1


def test_fleet_tells_what_was_saved_on_the_stations_that_one_may_see(cast: Cast, proven: Sureness) -> None:
    inspected(cast, sure_regions="skipped", cloud=(FakeNode("cloud-1"),))
    allow(cast.station, sure_regions="described", describe_within_ms=600_000)
    add_frame(cast.station, 2)
    with working(FakeNode("edge-1", score=0.9), cloud=(FakeNode("cloud-1"),)) as worker, polled(worker):
        eventually(all_complete)

    told = savings(minutes=60, stations=[cast.station.pk])["skipped"]
    assert (told["regions"], told["bytes"], told["tokens"]) == (1, 6_000, 2)
    assert savings(minutes=60, stations=[cast.other_station.pk])["skipped"]["regions"] == 0
