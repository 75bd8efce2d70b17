"""The Decision: which findings make which outcome, and that the first one stands."""

from datetime import timedelta

import pytest
from django.utils import timezone

from inspections.models import Decision, DefectClass, Detection, Frame
from inspections.pipeline import decide
from scheduling.serving.contracts import SHIPPED_CLASSES
from tests.cast import Cast, frame_row

TITLES = dict(SHIPPED_CLASSES)
THRESHOLDS = decide.Thresholds(0.5, {"short": 0.3, "copper": 0.9})


@pytest.mark.parametrize(
    ("found", "outcome", "reason"),
    [
        ([], "pass", "No region reached its threshold."),
        ([("open", 0.49)], "pass", "No region reached its threshold; 1 below it."),
        ([("copper", 0.89), ("open", 0.1)], "pass", "No region reached its threshold; 2 below it."),
        ([("open", 0.5)], "fail", "1 region reached the threshold: Open."),
        ([("copper", 0.9)], "fail", "1 region reached the threshold: Spurious copper."),
        ([("short", 0.4), ("open", 0.6), ("copper", 0.5)], "fail", "2 regions reached the threshold: Open, Short."),
    ],
)
def test_findings_decide(found: list[tuple[str, float]], outcome: str, reason: str) -> None:
    detections = [
        Detection(defect_class=DefectClass(title=TITLES[name]), score=score, counts=THRESHOLDS.counts(name, score))
        for name, score in found
    ]
    said = decide.by_detections(detections)
    assert (said.outcome, said.reason) == (outcome, reason)


def test_a_score_that_is_no_number_does_not_count() -> None:
    assert not THRESHOLDS.counts("open", float("nan"))


def test_the_lowest_threshold_is_what_a_node_is_asked_for() -> None:
    assert THRESHOLDS.lowest == 0.3
    assert decide.Thresholds(0.2, {}).lowest == 0.2


@pytest.mark.parametrize("said", [decide.too_late(1500), decide.could_not_inspect("no node")])
def test_what_is_not_known_is_held(said: decide.MachineDecision) -> None:
    assert said.outcome == "hold"


def test_the_line_is_told_how_long_it_waited() -> None:
    assert decide.too_late(15_000).reason == "There was no decision within 15,000 ms."


@pytest.mark.stack
@pytest.mark.django_db
def test_the_first_decision_stands(cast: Cast) -> None:
    frame = frame_row(cast.station)
    now = frame.received_at + timedelta(milliseconds=250)
    assert decide.write(frame=frame, decision=decide.too_late(100), now=now)
    assert not decide.write(frame=frame, decision=decide.by_detections([]), now=timezone.now())
    decision = Decision.objects.get()
    assert (decision.outcome, decision.latency_ms) == ("hold", 250)
    assert Frame.objects.get().decided_at == decision.decided_at == now


@pytest.mark.stack
@pytest.mark.django_db
def test_a_clock_that_was_set_back_gives_no_negative_latency(cast: Cast) -> None:
    frame = frame_row(cast.station)
    decide.write(frame=frame, decision=decide.by_detections([]), now=frame.received_at - timedelta(hours=1))
    assert Decision.objects.get().latency_ms == 0
