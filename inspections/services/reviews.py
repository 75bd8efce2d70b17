"""Write down what a person decided about a Frame. A Review is never changed; a second thought is a second Review.

Only what the person confirmed becomes a Mark: a region below its threshold did not count, so it needs their word.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from django.contrib.auth.models import User
from django.db import IntegrityError, transaction

from aivd_web.kernel.errors import Unprocessable
from inspections.events import numbering
from inspections.media.errors import IdempotencyConflict
from inspections.models import Decision, DefectClass, Detection, Frame, Mark, Review

from . import sureness
from .judgement import GOOD, Contradiction, Judgement, contradicted_by, judge

SAME_BOX_PX = 0.5


class BadMark(Unprocessable):
    code = "bad_mark"
    hint = "Reload the frame and mark it again."


class NotConfirmed(Unprocessable):
    code = "below_threshold"
    hint = "Send 'restored' with the mark if the person says that this is a defect, else leave it out."


@dataclass(frozen=True)
class DrawnMark:
    """A Region as the person left it, in pixels of the stored frame; `detection` is what it confirms or corrects.

    `restored`: the Detection did not count, and the person says that it is a defect all the same.
    """

    defect_class: int
    box_xyxy: tuple[float, float, float, float]
    detection: UUID | None = None
    restored: bool = False


@dataclass(frozen=True)
class Submitted:
    """`created` is False where an earlier request with the same key had stored the Review."""

    review: Review
    created: bool


@transaction.atomic
def submit_review(
    *,
    frame: Frame,
    reviewer: User,
    verdict: str = "",
    part: str = "",
    note: str = "",
    marks: Sequence[DrawnMark] = (),
    client_key: str = "",
) -> Submitted:
    """Store the Review with its Marks and tell the line; the same key again gives the stored one.

    Raises BadMark or NotConfirmed for a Mark, Contradiction or DecisionChanged for the whole, IdempotencyConflict
    for a key that was used for something else.
    """
    # Two people at one frame come one after the other, so that the second is told of the first.
    Frame.objects.select_for_update(no_key=True).only("pk").get(pk=frame.pk)
    earlier = Review.objects.filter(reviewer=reviewer, client_key=client_key).first() if client_key else None
    if earlier is not None:
        return Submitted(_the_same(earlier, frame, verdict, part, note, marks), created=False)
    outcome = Decision.objects.filter(frame=frame).values_list("outcome", flat=True).first()
    judgement = judge(outcome=outcome, verdict=verdict, part=part)
    detections = _checked(marks, frame, judgement)
    review = _create(frame, reviewer, judgement, note, client_key)
    Mark.objects.bulk_create(_row(mark, review, detections) for mark in marks)
    others = contradicted_by(review, frame.reviews.select_related("reviewer"))
    numbering.record(
        line_id=frame.line_id,
        type="frame.reviewed",
        frame_id=frame.pk,
        data={
            "review": review.pk,
            "verdict": review.verdict,
            "part": review.part,
            "reviewer": reviewer.username,
            "contradicts": [other.reviewer.username for other in others],
        },
    )
    transaction.on_commit(partial(sureness.review, line_id=frame.line_id), robust=True)
    return Submitted(review, created=True)


def _create(frame: Frame, reviewer: User, judgement: Judgement, note: str, client_key: str) -> Review:
    try:
        with transaction.atomic():
            return Review.objects.create(
                frame=frame,
                reviewer=reviewer,
                verdict=judgement.verdict,
                part=judgement.part,
                note=note,
                client_key=client_key,
            )
    except IntegrityError:  # the key was used at the same moment for another frame, which this lock does not cover
        raise _key_used(client_key) from None


def _the_same(earlier: Review, frame: Frame, verdict: str, part: str, note: str, marks: Sequence[DrawnMark]) -> Review:
    stored = {(mark.detection_id, mark.defect_class_id, *mark.box_xyxy) for mark in earlier.marks.all()}
    sent = {(mark.detection, mark.defect_class, *map(float, mark.box_xyxy)) for mark in marks}
    said = part == earlier.part if part else verdict == earlier.verdict
    if not (said and earlier.frame_id == frame.pk and earlier.note == note and stored == sent):
        raise _key_used(earlier.client_key)
    return earlier


def _key_used(key: str) -> IdempotencyConflict:
    return IdempotencyConflict(
        f"The Idempotency-Key '{key}' was used for another review.", hint="Use a new Idempotency-Key for a new review."
    )


def _checked(marks: Sequence[DrawnMark], frame: Frame, judgement: Judgement) -> dict[UUID, Detection]:
    """The frame's Detections by id, after every mark was found to fit."""
    if marks and judgement.part == GOOD:
        raise Contradiction("A good part has no defects, and this review marks some.")
    detections = {detection.pk: detection for detection in frame.detections.all()}
    classes = set(DefectClass.objects.filter(line_id=frame.line_id).values_list("pk", flat=True))
    for mark in marks:
        _check(mark, frame, detections, classes)
        _check_confirmed(mark, detections)
    return detections


def _check_confirmed(mark: DrawnMark, detections: dict[UUID, Detection]) -> None:
    detection = detections[mark.detection] if mark.detection else None
    if detection is None or detection.counts or mark.restored or not _is_unchanged(mark, detection):
        return
    raise NotConfirmed(f"Region {mark.detection} did not reach its threshold, so it is not confirmed by the way.")


def _check(mark: DrawnMark, frame: Frame, detections: dict[UUID, Detection], classes: set[int]) -> None:
    x1, y1, x2, y2 = mark.box_xyxy
    if mark.defect_class not in classes:
        raise BadMark(f"Defect class {mark.defect_class} is not in this line's vocabulary.")
    if mark.detection is not None and mark.detection not in detections:
        raise BadMark(f"Region {mark.detection} is not on this frame.")
    # Written so that a NaN fails it.
    if not (0 <= x1 < x2 <= frame.width and 0 <= y1 < y2 <= frame.height):
        raise BadMark(
            f"The box {list(mark.box_xyxy)} is not inside the frame of {frame.width} x {frame.height} pixels.",
            hint="Give x1, y1, x2, y2 with x1 < x2 and y1 < y2, in pixels of the stored frame.",
        )


def _row(mark: DrawnMark, review: Review, detections: dict[UUID, Detection]) -> Mark:
    x1, y1, x2, y2 = mark.box_xyxy
    detection = detections[mark.detection] if mark.detection else None
    return Mark(
        review=review,
        detection=detection,
        defect_class_id=mark.defect_class,
        x1=x1,
        y1=y1,
        x2=x2,
        y2=y2,
        from_model=detection is not None and _is_unchanged(mark, detection),
    )


def _is_unchanged(mark: DrawnMark, detection: Detection) -> bool:
    """Same class, and the box differs by no more than drawing it on a screen rounds off."""
    moved = max(abs(a - b) for a, b in zip(mark.box_xyxy, detection.box_xyxy, strict=True))
    return mark.defect_class == detection.defect_class_id and moved <= SAME_BOX_PX
