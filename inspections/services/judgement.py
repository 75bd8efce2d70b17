"""What a person's word means for the machine's Decision and for the part. Pure; knows no rows being written.

The Decision says something of the part only where it is `pass` or `fail`. On `hold`, or before there is one, the
machine has judged nothing that a person could agree with: their word then settles it.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from aivd_web.kernel.errors import Conflict, Unprocessable
from inspections.models import Review

GOOD, DEFECTIVE = Review.Part.GOOD, Review.Part.DEFECTIVE
ACCEPT, REJECT = Review.Verdict.ACCEPT, Review.Verdict.REJECT
UNSURE, SETTLE = Review.Verdict.UNSURE, Review.Verdict.SETTLE
MACHINE_SAYS = {"pass": GOOD, "fail": DEFECTIVE}
OPPOSITE = {GOOD: DEFECTIVE, DEFECTIVE: GOOD}


class Contradiction(Unprocessable):
    """The parts of one review say two things."""

    code = "contradiction"
    hint = "Say the part is good, or defective with its marks; unsure says neither."


class DecisionChanged(Conflict):
    code = "decision_changed"
    hint = "Reload the frame and judge what stands there now."


@dataclass(frozen=True)
class Judgement:
    verdict: str
    part: str


def judge(*, outcome: str | None, verdict: str = "", part: str = "") -> Judgement:
    """Both sides of a review, of which at least one was given. Raises Contradiction or DecisionChanged."""
    if verdict == UNSURE:
        if part:
            raise Contradiction("An unsure verdict says nothing of the part.")
        return Judgement(UNSURE, "")
    machine = MACHINE_SAYS.get(outcome or "")
    return _of_part(machine, part, verdict) if part else _of_machine(machine, verdict)


def _of_part(machine: str | None, part: str, verdict: str) -> Judgement:
    """The part is what the person saw, so what it says of the machine follows."""
    follows = SETTLE if machine is None else ACCEPT if part == machine else REJECT
    if verdict and verdict != follows:
        raise DecisionChanged(f"A {part} part and the verdict '{verdict}' do not fit the decision that stands.")
    return Judgement(follows, part)


def _of_machine(machine: str | None, verdict: str) -> Judgement:
    if verdict == SETTLE or not verdict:
        raise Contradiction("This verdict needs to say what the part is.")
    if machine is None:
        return Judgement(verdict, "")
    return Judgement(verdict, machine if verdict == ACCEPT else OPPOSITE[Review.Part(machine)])


def standing(reviews: Iterable[Review]) -> Review | None:
    """The Review that stands: the latest."""
    return max(reviews, key=lambda review: review.pk, default=None)


def contradicted_by(review: Review, reviews: Iterable[Review]) -> list[Review]:
    """The last words of other people that say the opposite of this one, newest first.

    Empty where `review` is not its own author's last word.
    """
    last: dict[int, Review] = {}
    for other in sorted(reviews, key=lambda one: one.pk):
        last[other.reviewer_id] = other
    if last.get(review.reviewer_id, review).pk != review.pk or not review.part:
        return []
    opposite = OPPOSITE[Review.Part(review.part)]
    return sorted((one for one in last.values() if one.part == opposite), key=lambda one: -one.pk)
