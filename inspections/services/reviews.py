"""Write down what a person decided about a Frame. A Review is never changed; a second thought is a second Review."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from django.contrib.auth.models import User
from django.db import transaction

from aivd_web.kernel.errors import Unprocessable
from inspections.models import DefectClass, Detection, Frame, Mark, Review

from . import events

SAME_BOX_PX = 0.5


class BadMark(Unprocessable):
    code = "bad_mark"
    hint = "Reload the frame and mark it again."


@dataclass(frozen=True)
class DrawnMark:
    """A Region as the person left it, in pixels of the stored frame; `detection` is what it confirms or corrects."""

    defect_class: int
    box_xyxy: tuple[float, float, float, float]
    detection: UUID | None = None


@transaction.atomic
def submit_review(
    *, frame: Frame, reviewer: User, verdict: str, note: str = "", marks: Sequence[DrawnMark] = ()
) -> Review:
    """Store the Review with its Marks and tell the line. Raises BadMark for a Mark that does not fit the frame."""
    detections = {detection.pk: detection for detection in frame.detections.all()}
    classes = set(DefectClass.objects.filter(line_id=frame.line_id).values_list("pk", flat=True))
    for mark in marks:
        _check(mark, frame, detections, classes)
    review = Review.objects.create(frame=frame, reviewer=reviewer, verdict=verdict, note=note)
    Mark.objects.bulk_create(_row(mark, review, detections) for mark in marks)
    events.record(
        line_id=frame.line_id,
        type="frame.reviewed",
        frame_id=frame.pk,
        data={"review": review.pk, "verdict": verdict, "reviewer": reviewer.username},
    )
    return review


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
