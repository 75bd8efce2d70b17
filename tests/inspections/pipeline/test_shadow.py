"""A version that is only tried: asked when there is room, kept apart, and no Frame waits for it or suffers by it."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.utils import timezone

from inspections.models import Decision, Description, Event, Frame, Line, ShadowAnswer, Step
from inspections.pipeline import steps
from inspections.pipeline.stages import STAGES
from inspections.pipeline.stages.shadow import drawn
from inspections.pipeline.worker import _waiting_steps, item_of
from scheduling.client.answers import NodeError
from scheduling.models import Placement
from scheduling.policy.pct_lb import AGED_S
from tests.cast import Cast, add_frame, frame_row
from tests.inspections.fake_nodes import FakeNode, raises
from tests.inspections.pipeline.test_worker import all_complete, polled, working
from tests.waiting import eventually

pytestmark = [
    pytest.mark.stack,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_server"),
]
LIVE, TRIED = "a" * 64, "b" * 64


def try_beside(line: Line, *, share: float = 1.0) -> None:
    Line.objects.filter(pk=line.pk).update(describer=LIVE, shadow_describer=TRIED, shadow_share=share)


def edge() -> FakeNode:
    return FakeNode("edge-1", score=0.9)


def test_the_shadow_answers_beside_and_its_answers_are_kept_apart(cast: Cast) -> None:
    try_beside(cast.line)
    frame = add_frame(cast.station)
    with working(edge(), cloud=(FakeNode("cloud-1"),)) as worker, polled(worker):
        eventually(ShadowAnswer.objects.exists)  # when there is spare room
    assert Description.objects.get().served_model.digest == LIVE
    tried = ShadowAnswer.objects.get()
    assert (tried.digest, tried.served_model.digest, tried.detection) == (TRIED, TRIED, frame.detections.get())
    placed = Placement.objects.get(model="describer").served_model
    assert placed is None, "what a node was brought is not what it is"
    types = list(Event.objects.filter(frame_id=frame.pk).order_by("seq").values_list("type", flat=True))
    assert types == ["frame.added", "frame.detected", "frame.decided", "frame.described", "frame.complete"]


def test_every_live_step_is_due_before_it_and_the_frame_is_complete_without_it(cast: Cast) -> None:
    try_beside(cast.line)
    add_frame(cast.station)
    with working(edge()) as worker:  # no node describes
        worker.run_until_idle()
        live, tried = Step.objects.get(kind="describe"), Step.objects.get(kind="shadow")
        assert (live.beside, tried.beside) == (False, True)
        assert tried.deadline_at < live.deadline_at
        Step.objects.filter(pk=live.pk).update(state="done")
        assert steps.complete_if_no_step_open(frame=Frame.objects.get(), now=tried.deadline_at)


def test_however_long_it_has_waited_it_takes_spare_capacity_alone(cast: Cast) -> None:
    try_beside(cast.line)
    add_frame(cast.station)
    with working(edge()) as worker:  # no node describes
        worker.run_until_idle()
    long_ago = timezone.now() - timedelta(hours=1)
    Step.objects.exclude(kind="detect").update(deadline_at=long_ago)
    late_by_s = {}
    for kind in ("describe", "shadow"):
        (waiting,) = _waiting_steps(kind, 4)
        late_by_s[kind] = 100.0 - item_of(STAGES[kind], waiting, 100.0).deadline_at
    assert late_by_s["describe"] > 3000
    assert 0 < late_by_s["shadow"] < AGED_S / 2


def test_a_shadow_that_fails_for_good_holds_nothing(cast: Cast) -> None:
    try_beside(cast.line)
    frame = add_frame(cast.station)
    bad = raises(NodeError("bad_frame", "The crop cannot be used.", node="cloud-1"))

    class Picky(FakeNode):
        def version(self, digest: str) -> FakeNode:
            twin = super().version(digest)
            twin.before = bad if digest == TRIED else self.before
            return twin

    with working(edge(), cloud=(Picky("cloud-1"),), pause_s=lambda attempts: 0.0) as worker, polled(worker):
        eventually(Step.objects.filter(kind="shadow", state="failed").exists)
    assert all_complete()
    assert Decision.objects.get().outcome == "fail"
    assert not Event.objects.filter(frame_id=frame.pk, type="frame.failed").exists()
    assert not ShadowAnswer.objects.exists()


def test_a_trial_that_ended_meanwhile_is_withdrawn(cast: Cast) -> None:
    try_beside(cast.line)
    add_frame(cast.station)
    with working(edge()) as worker:
        worker.run_until_idle()
        Line.objects.filter(pk=cast.line.pk).update(shadow_describer="")
    with working(edge(), cloud=(FakeNode("cloud-1"),)) as worker, polled(worker):
        eventually(Step.objects.filter(kind="shadow", state="skipped").exists)
        eventually(all_complete)


@pytest.mark.django_db
def test_the_share_is_of_frames_and_the_same_whenever_it_is_asked(cast: Cast, tmp_path: Path) -> None:
    frames = [frame_row(cast.station) for _ in range(400)]
    tenth = [frame.pk for frame in frames if drawn(frame, 0.1)]
    assert tenth == [frame.pk for frame in frames if drawn(frame, 0.1)]
    assert 15 <= len(tenth) <= 75
    assert all(drawn(frame, 1.0) for frame in frames)
    assert not any(drawn(frame, 0.0) for frame in frames)
    assert set(tenth) <= {frame.pk for frame in frames if drawn(frame, 0.5)}


def test_without_a_trial_there_is_no_such_step(cast: Cast) -> None:
    add_frame(cast.station)
    with working(edge(), cloud=(FakeNode("cloud-1"),)) as worker:
        worker.run_until_idle()
    assert not Step.objects.filter(kind="shadow").exists()
