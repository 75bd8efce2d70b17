"""What a node's answer becomes: once, by whoever holds the Step, and only what can be true."""

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from inspections.models import Decision, DefectClass, Description, Detection, Event, Frame, Step
from inspections.pipeline import findings, steps
from inspections.pipeline.stages import STAGES
from scheduling.client.answers import DescribeAnswer, DetectAnswer
from scheduling.dispatch.values import Answer, Provenance
from scheduling.services import dispatching
from scheduling.serving.contracts import (
    AnswerEvent,
    Appearance,
    DescribeTimings,
    DetectedRegion,
    DetectMeta,
    DetectTimings,
    DoneEvent,
)
from tests.cast import Cast, add_detection, add_frame, describer, detector
from tests.inspections.fake_nodes import LIKE_TRAINING
from tests.threads import together

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True)]
WHO = ("m", "1", "d", "r")
TOOK = DetectTimings(0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1)


def meta(products: tuple[str, ...] = ("bare-pcb",), look: Appearance | None = LIKE_TRAINING) -> DetectMeta:
    return DetectMeta(*WHO, ("open",), (64, 48), TOOK, products=products, appearance=look)


NAN, INF = float("nan"), float("inf")


def claimed(frame: Frame, kind: str = "detect") -> steps.Claim:
    step = Step.objects.get(frame=frame, kind=kind)
    (claim,) = steps.claim(nodes={step.pk: "edge-1"}, owner="w", lease_s=30)
    return claim


def region(score: float = 0.9, name: str = "open", box: tuple[float, ...] = (1, 2, 30, 40)) -> DetectedRegion:
    return DetectedRegion(tuple(box), score, 0, name)  # type: ignore[arg-type]


def provenance(**more: Any) -> Provenance:
    values: dict[str, Any] = {"dispatch_id": 0, "served_model_id": detector().pk, "node": "edge-1", "measured_ms": 30.0}
    return Provenance(**{"queue_ms": 0.0, "service_ms": 1.0} | values | more)


def detected(
    frame: Frame, claim: steps.Claim, *regions: DetectedRegion, told: DetectMeta | None = None, **more: Any
) -> None:
    content = DetectAnswer("edge-1", regions, told or meta(), 30.0, 100)
    findings.commit_detections(
        claim=claim, frame=frame, answer=Answer(content, provenance(**more)), stages=STAGES, now=timezone.now()
    )


def described(frame: Frame, claim: steps.Claim, *detections: Detection) -> None:
    answers = tuple(AnswerEvent(str(one.pk), {"appearance": "A gap."}, "{}", True, (), 9) for one in detections)
    content = DescribeAnswer("cloud-1", answers, DoneEvent(DescribeTimings(0.0, 0.0, 0.0, 9), *WHO), 80.0, 1.0, 100)
    findings.commit_descriptions(
        claim=claim,
        frame=frame,
        answer=Answer(content, provenance(served_model_id=describer().pk, node="cloud-1", measured_ms=80.0)),
        prompt_version="1",
        now=timezone.now(),
    )


def types(frame: Frame) -> list[str]:
    return list(Event.objects.filter(frame_id=frame.pk).order_by("seq").values_list("type", flat=True))


def test_a_clean_frame_is_decided_and_complete_at_once(cast: Cast) -> None:
    frame = add_frame(cast.station)
    detected(frame, claimed(frame), region(0.2))
    frame.refresh_from_db()
    assert frame.decision.outcome == "pass"
    assert frame.completed_at
    assert types(frame) == ["frame.added", "frame.detected", "frame.decided", "frame.complete"]
    assert not Detection.objects.get().counts


def test_a_frame_with_a_defect_goes_on_to_be_described(cast: Cast) -> None:
    frame = add_frame(cast.station)
    detected(frame, claimed(frame), region(0.9))
    frame.refresh_from_db()
    assert frame.decision.outcome == "fail"
    assert frame.completed_at is None
    assert Step.objects.get(frame=frame, kind="describe").state == "waiting"
    described(frame, claimed(frame, "describe"), Detection.objects.get())
    frame.refresh_from_db()
    assert frame.completed_at
    assert types(frame)[-2:] == ["frame.described", "frame.complete"]
    assert Description.objects.get().answer == {"appearance": "A gap."}


def test_a_station_may_do_without_descriptions(cast: Cast) -> None:
    cast.station.describe = False
    cast.station.save()
    frame = add_frame(cast.station)
    detected(frame, claimed(frame), region(0.9))
    assert not Step.objects.filter(kind="describe").exists()
    assert Frame.objects.get().completed_at


def test_the_same_answer_twice_is_one_result(cast: Cast) -> None:
    frame = add_frame(cast.station)
    claim = claimed(frame)
    answers = together(8, lambda _: detected(frame, claim, region()))
    assert sum(isinstance(answer, steps.LateHolder) for answer in answers) == 7
    assert answers.count(None) == 1
    assert Detection.objects.count() == Decision.objects.count() == 1
    assert types(frame).count("frame.detected") == 1


def test_a_late_holder_changes_nothing(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    frame = add_frame(cast.station)
    late = claimed(frame)
    Step.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    steps.reap()
    second = claimed(frame)
    booked = list[Provenance]()
    monkeypatch.setattr(dispatching, "book", booked.append)
    with pytest.raises(steps.LateHolder):
        detected(frame, late, region(), region())
    assert not Detection.objects.exists()
    assert not booked
    detected(frame, second)
    assert Decision.objects.get().outcome == "pass"


def test_descriptions_of_a_late_holder_are_dropped_too(cast: Cast) -> None:
    frame = add_frame(cast.station)
    detected(frame, claimed(frame), region())
    detection = Detection.objects.get()
    claim = claimed(frame, "describe")
    described(frame, claim, detection)
    with pytest.raises(steps.LateHolder):
        described(frame, claim, detection)
    assert Description.objects.count() == 1


def test_the_dispatch_is_booked_in_the_same_transaction(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks(_: Provenance) -> None:
        raise RuntimeError("the dispatch could not be written")

    monkeypatch.setattr(dispatching, "book", breaks)
    frame = add_frame(cast.station)
    with pytest.raises(RuntimeError):
        detected(frame, claimed(frame), region())
    assert not Detection.objects.exists()
    assert Step.objects.get().state == "running"


@pytest.mark.parametrize(
    "bad",
    [
        region(NAN),
        region(INF),
        region(box=(NAN, 0, 5, 5)),
        region(box=(0, 0, INF, NAN)),
        region(box=(5, 5, 5, 9)),
        region(box=(9, 9, 5, 12)),
        region(box=(64, 0, 90, 20)),
        region(box=(-20, -20, -1, -1)),
        region(box=(0, 48, 10, 60)),
    ],
    ids=["nan", "inf", "nan box", "nan edge", "flat", "inside out", "right of it", "above it", "below it"],
)
def test_a_region_that_cannot_be_is_left_out(cast: Cast, bad: DetectedRegion) -> None:
    frame = add_frame(cast.station)
    detected(frame, claimed(frame), bad, region(0.7))
    assert [(d.index, d.score) for d in Detection.objects.all()] == [(0, 0.7)]


def test_a_region_over_the_edge_is_cut_at_it(cast: Cast) -> None:
    frame = add_frame(cast.station)
    detected(frame, claimed(frame), region(1.5, box=(-5, 10, 100, 1e6)))
    one = Detection.objects.get()
    assert one.box_xyxy == (0, 10, 64, 48)
    assert one.score == 1


def test_regions_are_kept_best_first(cast: Cast) -> None:
    frame = add_frame(cast.station)
    detected(frame, claimed(frame), region(0.3), region(0.9), region(0.6))
    assert [d.score for d in Detection.objects.order_by("index")] == [0.9, 0.6, 0.3]


def test_a_class_that_is_new_to_the_line_joins_its_vocabulary_once(cast: Cast) -> None:
    frames = [add_frame(cast.station, seed) for seed in range(4)]
    claims = [claimed(frame) for frame in frames]
    together(4, lambda n: detected(frames[n], claims[n], region(name="dent")))
    entry = DefectClass.objects.get(line=cast.line, name="dent")
    assert (entry.title, entry.position) == ("Dent", 7)
    assert Detection.objects.filter(defect_class=entry).count() == 4


def test_the_station_says_what_counts(cast: Cast) -> None:
    cast.station.thresholds.create(defect_class=cast.classes["short"], min_score=0.2)
    thresholds = findings.thresholds_of(cast.station)
    assert thresholds.counts("short", 0.25)
    assert not thresholds.counts("open", 0.25)


def test_a_late_answer_leaves_the_hold_and_shows_what_was_found(cast: Cast) -> None:
    frame = add_frame(cast.station)
    claim = claimed(frame)
    steps.hold_overdue(now=frame.deadline_at)
    detected(frame, claim, region(0.2))
    assert Decision.objects.get().code == "late"
    assert Detection.objects.count() == 1
    assert types(frame) == ["frame.added", "frame.decided", "frame.detected", "frame.complete"]


def test_a_detection_is_described_once(cast: Cast) -> None:
    frame = add_frame(cast.station)
    detection = add_detection(frame)
    Step.objects.create(frame=frame, kind="describe", deadline_at=frame.deadline_at)
    with pytest.raises(Exception, match="unique"):
        described(frame, claimed(frame, "describe"), detection, detection)
    assert not Description.objects.exists()
