"""Of which regions is the edge sure? A Line's own reviews choose the score, and go on to audit it.

The score is chosen with a proven bound (`scheduling/policy/cloudskip.py`). Each time the judged regions have doubled it
is chosen anew, with half the error left to spend, so that all choices together keep the confidence. In between, what
people judge above it is the audit; where that disproves the bound, the edge is sure of nothing until the next choice.
"""

from collections import defaultdict
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from django.db import transaction

from aivd_web.kernel.database import database_now
from inspections.models import Detection, Mark, Review, Station, Sureness
from scheduling.policy import cloudskip

EPSILON = 0.01  # of the regions that the edge is sure of, at most so many may be wrong
DELTA = 0.05  # and the chance that this does not hold, over all choices
MOST_FRAMES = 5_000


@dataclass(frozen=True)
class JudgedRegion:
    score: float
    right: bool
    judged_at: datetime


def threshold_of(station: Station, served_model_id: int) -> float | None:
    """The score from which on the edge is sure; None where the Station does not ask or nothing is proven."""
    if station.sure_regions == Station.SureRegions.DESCRIBED:
        return None
    rows = Sureness.objects.filter(line_id=station.line_id, served_model_id=served_model_id)
    return rows.values_list("threshold", flat=True).first()


def sure(detection: Detection, threshold: float | None) -> bool:
    """Whether the edge is sure of a region that counts. The audit sample goes to the cloud all the same."""
    if threshold is None or not detection.counts or detection.score < threshold:
        return False
    return not cloudskip.audited(str(detection.pk))


@transaction.atomic
def review(*, line_id: int) -> Sureness | None:
    """Take in what people said since: audit the score, or choose it anew. None where no Station of the Line asks."""
    if not Station.objects.filter(line_id=line_id).exclude(sure_regions=Station.SureRegions.DESCRIBED).exists():
        return None
    newest = Detection.objects.filter(frame__line_id=line_id).order_by("-pk").values_list("served_model_id", flat=True)
    served_model_id = newest.first()
    Sureness.objects.get_or_create(line_id=line_id)
    row = Sureness.objects.select_for_update().get(line_id=line_id)
    if row.served_model_id != served_model_id:  # another model's scores mean something else
        row.served_model_id, row.threshold, row.judged, row.disproved = served_model_id, None, 0, False
    regions = judged_regions(line_id, served_model_id) if served_model_id is not None else []
    if len(regions) >= max(2 * row.judged, cloudskip.fewest(EPSILON, _delta(row))):
        _choose(row, regions)
    else:
        _audit(row, regions)
    row.save()
    return row


def judged_regions(line_id: int, served_model_id: int) -> list[JudgedRegion]:
    """The regions of the newest reviewed frames of which the standing review says whether they are right.

    On a good part every region is wrong. On a defective one those are right that were marked with their own class;
    where nothing was marked, nothing was said of the regions.
    """
    latest = Review.objects.filter(frame__line_id=line_id).order_by("-frame_id", "-pk").distinct("frame_id")
    reviews = {one.frame_id: one for one in latest[:MOST_FRAMES]}
    marked: dict[int, set[tuple[UUID | None, int]]] = defaultdict(set)
    marks = Mark.objects.filter(review__in=[one.pk for one in reviews.values()])
    for review_id, detection_id, class_id in marks.values_list("review_id", "detection_id", "defect_class_id"):
        marked[review_id].add((detection_id, class_id))
    found = []
    counting = Detection.objects.filter(frame__in=list(reviews), counts=True, served_model_id=served_model_id)
    for pk, frame_id, score, class_id in counting.values_list("pk", "frame_id", "score", "defect_class_id"):
        said = reviews[frame_id]
        if said.part == Review.Part.GOOD:
            found.append(JudgedRegion(score, False, said.created_at))
        elif said.part == Review.Part.DEFECTIVE and marked[said.pk]:
            found.append(JudgedRegion(score, (pk, class_id) in marked[said.pk], said.created_at))
    return found


def _delta(row: Sureness) -> float:
    """What this choice may spend: halves that never add up to more than DELTA."""
    return float(DELTA / 2 ** (row.rounds + 1))


def _choose(row: Sureness, regions: list[JudgedRegion]) -> None:
    delta = _delta(row)
    chosen = cloudskip.calibrate([r.score for r in regions], [r.right for r in regions], epsilon=EPSILON, delta=delta)
    row.threshold, row.above, row.wrong, row.upper_bound = chosen.tau, chosen.skipped, chosen.wrong, chosen.upper_bound
    row.judged, row.confidence, row.rounds = len(regions), 1 - delta, row.rounds + 1
    row.audited, row.audited_wrong, row.disproved, row.chosen_at = 0, 0, False, database_now()


def _audit(row: Sureness, regions: list[JudgedRegion]) -> None:
    if row.threshold is None or row.chosen_at is None:
        return
    since = [r for r in regions if r.judged_at > row.chosen_at and r.score >= row.threshold]
    row.audited, row.audited_wrong = len(since), sum(not r.right for r in since)
    if cloudskip.disproved(row.audited_wrong, row.audited, epsilon=EPSILON, delta=DELTA):
        row.threshold, row.disproved = None, True
