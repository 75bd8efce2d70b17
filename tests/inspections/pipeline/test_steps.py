"""The Step machine: whatever order workers, reapers and late answers come in, a Step ends at most once."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.db.models.functions import Now
from django.utils import timezone
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)

from aivd_web.kernel.errors import Conflict
from inspections.events import numbering
from inspections.models import Decision, Event, Frame, Station, Step
from inspections.pipeline import decide, steps
from tests.cast import Cast, add_frame, frame_row
from tests.cast import decide as give_decision
from tests.threads import together

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True)]


def add_step(station: Station, kind: str = "detect", **more: Any) -> Step:
    frame = frame_row(station, deadline_at=timezone.now() + timedelta(minutes=5))
    return Step.objects.create(frame=frame, kind=kind, deadline_at=frame.deadline_at, **more)


def claim(*wanted: Step, owner: str = "w", lease_s: float = 30) -> list[steps.Claim]:
    return steps.claim(nodes={step.pk: "edge-1" for step in wanted}, owner=owner, lease_s=lease_s)


def expire(*which: Step) -> None:
    Step.objects.filter(pk__in=[step.pk for step in which]).update(lease_until=timezone.now() - timedelta(seconds=1))


def give_back(held: steps.Claim, *, counts: bool, wait: timedelta = timedelta(0)) -> None:
    steps.give_back(claim=held, code="unavailable", detail="gone", not_before=Now() + wait, counts=counts)


def end(held: steps.Claim) -> bool:
    try:
        with transaction.atomic():
            steps.finish(claim=held)
    except steps.LateHolder:
        return False
    return True


# -- claiming ---------------------------------------------------------------------------------------


def test_each_step_is_claimed_once_by_many_workers(cast: Cast) -> None:
    waiting = [add_step(cast.station) for _ in range(40)]
    claims = [one for many in together(8, lambda n: claim(*waiting, owner=f"w{n}")) for one in many]
    assert sorted(one.step_id for one in claims) == sorted(step.pk for step in waiting)
    assert {one.epoch for one in claims} == {one.attempts for one in claims} == {1}


def test_a_claim_notes_its_holder_and_node(cast: Cast) -> None:
    step = add_step(cast.station)
    claim(step, owner="host:7")
    step.refresh_from_db()
    assert (step.state, step.lease_owner, step.node) == ("running", "host:7", "edge-1")
    assert step.lease_until


def test_waiting_steps_come_by_deadline_and_not_before_their_time(cast: Cast) -> None:
    late, soon, later = (add_step(cast.station) for _ in range(3))
    now = timezone.now()
    for step, minutes in ((late, 3), (soon, 1), (later, 2)):
        Step.objects.filter(pk=step.pk).update(deadline_at=now + timedelta(minutes=minutes))
    Step.objects.filter(pk=later.pk).update(not_before=now + timedelta(minutes=1))
    assert list(Step.objects.waiting(("detect",), now=Now())) == [soon, late]
    assert list(Step.objects.waiting(("detect",), now=now + timedelta(minutes=2))) == [soon, later, late]
    assert not Step.objects.waiting(("describe",), now=now).exists()


# -- leases -----------------------------------------------------------------------------------------


def test_a_renewed_lease_is_not_reaped(cast: Cast) -> None:
    step = add_step(cast.station)
    held = claim(step)
    expire(step)
    assert steps.renew(claims=held, lease_s=30) == {step.pk}
    assert steps.reap() == 0
    assert end(held[0])


def test_an_expired_lease_goes_back_and_its_holder_is_late(cast: Cast) -> None:
    step = add_step(cast.station)
    (lost,) = claim(step)
    expire(step)
    assert steps.reap() == 1
    assert steps.renew(claims=[lost], lease_s=30) == set()
    (second,) = claim(step)
    assert second.epoch > lost.epoch
    assert second.attempts == 2
    assert not end(lost)
    assert end(second)


def test_a_holder_whose_step_waits_again_is_late_too(cast: Cast) -> None:
    step = add_step(cast.station)
    (lost,) = claim(step)
    expire(step)
    steps.reap()
    assert not end(lost)
    with pytest.raises(steps.LateHolder):
        give_back(lost, counts=True)
    with pytest.raises(steps.LateHolder):
        steps.fail(claim=lost, code="broken", detail="late")
    step.refresh_from_db()
    assert step.state == "waiting"


def test_a_claim_of_another_epoch_is_never_believed(cast: Cast) -> None:
    (held,) = claim(add_step(cast.station))
    for epoch in (held.epoch - 1, held.epoch + 1):
        assert not end(replace(held, epoch=epoch))
    assert end(held)
    assert not end(held)


def test_reapers_at_once_take_each_step_once(cast: Cast) -> None:
    held = [add_step(cast.station) for _ in range(30)]
    claim(*held)
    expire(*held)
    assert sum(together(6, lambda _: steps.reap())) == 30
    assert set(Step.objects.values_list("lease_epoch", flat=True)) == {2}


# -- giving back and setting aside ------------------------------------------------------------------


def test_a_node_that_failed_costs_the_step_no_attempt(cast: Cast) -> None:
    step = add_step(cast.station)
    for _ in range(2 * Step.MAX_ATTEMPTS):
        give_back(claim(step)[0], counts=False)
    step.refresh_from_db()
    assert (step.state, step.attempts, step.error_code) == ("waiting", 0, "unavailable")


def test_a_step_that_was_given_back_waits_its_time(cast: Cast) -> None:
    give_back(claim(add_step(cast.station))[0], counts=True, wait=timedelta(minutes=1))
    assert not Step.objects.waiting(("detect",), now=Now()).exists()


def test_the_fifth_failure_sets_the_step_aside_and_holds_the_frame(cast: Cast) -> None:
    step = add_step(cast.station)
    for _ in range(Step.MAX_ATTEMPTS):
        give_back(claim(step)[0], counts=True)
    assert list(Step.objects.filter(state=Step.State.FAILED)) == [step]
    frame = Frame.objects.get()
    assert (frame.decision.outcome, frame.decision.code) == ("hold", "failed")
    assert frame.completed_at
    assert [event.type for event in Event.objects.all()] == ["frame.failed", "frame.decided", "frame.complete"]


def test_workers_that_die_over_a_step_five_times_set_it_aside(cast: Cast) -> None:
    step = add_step(cast.station)
    for _ in range(Step.MAX_ATTEMPTS):
        claim(step)
        expire(step)
        steps.reap()
    step.refresh_from_db()
    assert (step.state, step.error_code) == ("failed", "holder_lost")
    assert Decision.objects.get().outcome == "hold"
    assert claim(step) == []


def test_a_reaper_that_dies_in_between_leaves_the_step_to_the_next(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    def dies(**_: Any) -> None:
        raise KeyboardInterrupt

    step = add_step(cast.station, attempts=Step.MAX_ATTEMPTS - 1)
    claim(step)
    expire(step)
    with monkeypatch.context() as patch:
        patch.setattr(steps, "fail", dies)
        with pytest.raises(KeyboardInterrupt):
            steps.reap()
    expire(step)
    steps.reap()
    assert Step.objects.get().state == "failed"


def test_a_description_that_failed_leaves_the_decision_alone(cast: Cast) -> None:
    step = add_step(cast.station, "describe")
    give_decision(step.frame, "fail")
    steps.fail(claim=claim(step)[0], code="broken", detail="no")
    assert Decision.objects.get().outcome == "fail"
    assert Frame.objects.get().completed_at


def test_a_frame_that_nothing_decided_is_held_whichever_stage_failed(cast: Cast) -> None:
    step = add_step(cast.station, "describe")
    steps.fail(claim=claim(step)[0], code="broken", detail="no")
    assert (Decision.objects.get().outcome, Decision.objects.get().code) == ("hold", "failed")


# -- deadlines and dead letters ---------------------------------------------------------------------


def test_a_frame_without_a_decision_is_held_at_its_deadline_and_still_inspected(cast: Cast) -> None:
    step = add_step(cast.station)
    frame = step.frame
    assert steps.hold_overdue(now=frame.deadline_at - timedelta(seconds=1)) == 0
    assert steps.hold_overdue(now=frame.deadline_at) == 1
    assert steps.hold_overdue(now=frame.deadline_at) == 0
    frame.refresh_from_db()
    assert (frame.decision.outcome, frame.decision.code) == ("hold", "late")
    assert frame.completed_at is None
    assert len(claim(step)) == 1


def test_overdue_frames_of_every_line_are_held(cast: Cast) -> None:
    for station in (cast.station, cast.other_station, cast.station):
        step = add_step(station)
        Frame.objects.filter(pk=step.frame_id).update(deadline_at=timezone.now())
    together(4, lambda _: steps.hold_overdue())
    assert Decision.objects.filter(outcome="hold").count() == 3
    assert list(Event.objects.order_by("line", "seq").values_list("line", "seq")) == [
        (cast.line.pk, 1),
        (cast.line.pk, 2),
        (cast.other_line.pk, 1),
    ]


def test_deciding_and_holding_the_same_frames_at_once_never_blocks_for_good(cast: Cast) -> None:
    """Both write the Frame's row first; in any other order PostgreSQL would have to break a deadlock."""
    held = [add_step(cast.station) for _ in range(12)]
    Frame.objects.update(deadline_at=timezone.now())
    rows = list(Frame.objects.all())

    def work(index: int) -> None:
        if index < 2:
            for _ in range(6):
                steps.hold_overdue(now=timezone.now())
            return
        for frame in rows[index - 2 :: 4]:
            with transaction.atomic():
                decide.write(frame=frame, decision=decide.by_detections([]), now=timezone.now())
                numbering.record(line_id=frame.line_id, type="frame.decided", frame_id=frame.pk)

    assert together(6, work) == [None] * 6
    assert Decision.objects.count() == len(held)


def test_a_dead_letter_can_be_tried_again(cast: Cast) -> None:
    frame = add_frame(cast.station)
    step = Step.objects.get()
    steps.fail(claim=claim(step)[0], code="broken", detail="no")
    Frame.objects.update(deadline_at=timezone.now() - timedelta(hours=1))
    steps.retry(frame=Frame.objects.get(), by="alice")
    steps.hold_overdue()
    frame.refresh_from_db()
    assert frame.completed_at is frame.decided_at is None
    assert not Decision.objects.exists(), "a retried frame gets its time, however old it is"
    (again,) = claim(step)
    assert again.attempts == 1
    assert Event.objects.last().data == {"by": "alice"}


def test_a_retry_leaves_a_decision_that_the_line_acted_on(cast: Cast) -> None:
    step = add_step(cast.station)
    steps.hold_overdue(now=step.frame.deadline_at)
    steps.fail(claim=claim(step)[0], code="broken", detail="no")
    frame = steps.retry(frame=Frame.objects.get(), by="alice")
    assert frame.decision.code == "late"
    assert frame.decided_at


def test_only_what_failed_can_be_tried_again(cast: Cast) -> None:
    with pytest.raises(Conflict):
        steps.retry(frame=add_frame(cast.station), by="alice")


def test_two_people_who_retry_at_once_retry_once(cast: Cast) -> None:
    step = add_step(cast.station)
    steps.fail(claim=claim(step)[0], code="broken", detail="no")
    answers = together(4, lambda n: steps.retry(frame=Frame.objects.get(), by=str(n)))
    assert sum(isinstance(answer, Conflict) for answer in answers) == 3
    assert Step.objects.get().state == "waiting"


# -- every order ------------------------------------------------------------------------------------


class StepMachine(RuleBasedStateMachine):
    """Workers claim, renew, finish, give back and vanish in any order, while leases expire and reapers run.

    The model: which claim holds each Step, whether its lease has run out, and how often each Step was finished.
    """

    claims = Bundle("claims")
    station: Station

    def __init__(self) -> None:
        super().__init__()
        self.steps = [add_step(self.station) for _ in range(3)]
        self.holder: dict[int, steps.Claim] = {}
        self.expired: set[int] = set()
        self.finished: dict[int, int] = {step.pk: 0 for step in self.steps}
        self.failed: set[int] = set()

    def holds(self, one: steps.Claim) -> bool:
        return self.holder.get(one.step_id) == one

    def released(self, one: steps.Claim) -> None:
        del self.holder[one.step_id]
        self.expired.discard(one.step_id)

    @rule(target=claims, owner=st.sampled_from(["w1", "w2"]))
    def claim_all(self, owner: str) -> Any:
        taken = claim(*self.steps, owner=owner)
        free = {step.pk for step in self.steps} - self.holder.keys() - self.failed
        free -= {pk for pk, count in self.finished.items() if count}
        assert {one.step_id for one in taken} == free
        self.holder |= {one.step_id: one for one in taken}
        return multiple(*taken)

    @rule(one=claims)
    def renew(self, one: steps.Claim) -> None:
        renewed = steps.renew(claims=[one], lease_s=30)
        assert renewed == ({one.step_id} if self.holds(one) else set())
        self.expired -= renewed

    @rule(one=claims)
    def lease_runs_out(self, one: steps.Claim) -> None:
        if self.holds(one):
            expire(*[step for step in self.steps if step.pk == one.step_id])
            self.expired.add(one.step_id)

    @rule()
    def reapers_run(self) -> None:
        assert steps.reap() == len(self.expired)
        for pk in list(self.expired):
            lost = self.holder[pk]
            self.released(lost)
            if lost.attempts >= Step.MAX_ATTEMPTS:
                self.failed.add(pk)

    @rule(one=claims)
    def finish(self, one: steps.Claim) -> None:
        assert end(one) == self.holds(one)
        if self.holds(one):
            self.finished[one.step_id] += 1
            self.released(one)

    @rule(one=consumes(claims), counts=st.booleans())
    def give_back(self, one: steps.Claim, counts: bool) -> None:
        try:
            give_back(one, counts=counts)
        except steps.LateHolder:
            assert not self.holds(one)
            return
        assert self.holds(one)
        self.released(one)
        if counts and one.attempts >= Step.MAX_ATTEMPTS:
            self.failed.add(one.step_id)

    @invariant()
    def the_table_is_what_the_model_says(self) -> None:
        for row in Step.objects.all():
            state = "running" if row.pk in self.holder else "waiting"
            state = "done" if self.finished[row.pk] else "failed" if row.pk in self.failed else state
            assert row.state == state
            assert self.finished[row.pk] <= 1
            assert (row.lease_until is not None) == (state == "running")
            assert row.attempts <= Step.MAX_ATTEMPTS

    @invariant()
    def a_failed_step_holds_its_frame(self) -> None:
        assert Decision.objects.filter(outcome="hold").count() == len(self.failed)

    def teardown(self) -> None:
        frames = [step.frame_id for step in self.steps]
        Decision.objects.filter(frame__in=frames).delete()
        Step.objects.filter(frame__in=frames).delete()
        Frame.objects.filter(pk__in=frames).delete()


def test_no_order_of_events_ends_a_step_twice(cast: Cast) -> None:
    StepMachine.station = cast.station
    run_state_machine_as_test(
        StepMachine,
        settings=settings(
            max_examples=25, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
