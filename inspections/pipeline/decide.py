"""The machine's Decision on a Frame: pass, fail or hold, with its reason. Unknown, late or failed is hold."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from django.db import connection

from aivd_web.kernel.database import Moment
from aivd_web.kernel.text import storable
from inspections.events import numbering
from inspections.models import Detection, Frame

MOST_DETAIL = 1000
# Both times are the database's own, so that neither has to be read to tell how long it took.
DECIDE = """
INSERT INTO inspections_decision (frame_id, outcome, code, reason, decided_at, latency_ms)
SELECT id, %(outcome)s, %(code)s, %(reason)s, decided_at,
       CASE WHEN isfinite(received_at) THEN greatest(0, 1000 * extract(epoch FROM decided_at - received_at)) ELSE 0 END
FROM inspections_frame WHERE id = %(frame)s
"""


@dataclass(frozen=True)
class MachineDecision:
    """What the machine says of a Frame: `pass`, `fail` or `hold`, the code of its reason, and the reason in words."""

    outcome: str
    code: str
    reason: str


class Thresholds:
    """The least score that counts at a Station, by class name."""

    def __init__(self, default: float, by_class: Mapping[str, float]) -> None:
        self.default = default
        self.by_class = dict(by_class)

    def counts(self, class_name: str, score: float) -> bool:
        return score >= self.by_class.get(class_name, self.default)

    @property
    def lowest(self) -> float:
        return min([self.default, *self.by_class.values()])


def by_detections(detections: Sequence[Detection], *, unplaced: int = 0) -> MachineDecision:
    """Fail as soon as one region reaches its class's threshold, hold where another lies nowhere, else pass.

    A region that counts is a defect wherever the others lie; without one, what cannot be placed may have been one.
    """
    counting = [detection for detection in detections if detection.counts]
    if not counting and unplaced:
        return cannot_place(unplaced)
    if not counting:
        near = f"; {len(detections)} below it" if detections else ""
        return MachineDecision("pass", "clean", f"No region reached its threshold{near}.")
    names = sorted({str(detection.defect_class) for detection in counting})
    regions = "1 region" if len(counting) == 1 else f"{len(counting)} regions"
    return MachineDecision("fail", "defect", f"{regions} reached the threshold: {', '.join(names)}.")


def too_late(deadline_ms: int) -> MachineDecision:
    return MachineDecision("hold", "late", f"There was no decision within {deadline_ms:,} ms.")


def could_not_inspect(detail: str) -> MachineDecision:
    return MachineDecision("hold", "failed", f"The frame could not be inspected: {storable(detail, most=MOST_DETAIL)}")


def cannot_place(unplaced: int) -> MachineDecision:
    regions = "1 region that the model found lies" if unplaced == 1 else f"{unplaced} regions that the model found lie"
    return MachineDecision(
        "hold", "unplaced", f"{regions} nowhere in the frame, or cannot be named: nobody can say what is there."
    )


def cannot_scale(detail: str) -> MachineDecision:
    return MachineDecision("hold", "unscaled", detail)


def change(frame_id: UUID, decision: MachineDecision) -> numbering.Change:
    """What the viewers hear of a Decision that was written."""
    return numbering.Change("frame.decided", frame_id, {"outcome": decision.outcome, "code": decision.code})


def write(*, frame: Frame, decision: MachineDecision, now: Moment) -> bool:
    """Write the Decision unless the Frame has one; the first one stands, since the line has acted on it."""
    return write_for(frame_id=frame.pk, decision=decision, now=now)


def write_for(*, frame_id: UUID, decision: MachineDecision, now: Moment) -> bool:
    """As `write`, for a Frame whose row need not be read.

    The Frame's row comes first: whoever decides it at the same moment waits there, and holds nothing that we need.
    """
    if not Frame.objects.filter(pk=frame_id, decided_at__isnull=True).update(decided_at=now):
        return False
    values: dict[str, UUID | str] = {
        "frame": frame_id,
        "outcome": decision.outcome,
        "code": decision.code,
        "reason": decision.reason,
    }
    with connection.cursor() as cursor:
        cursor.execute(DECIDE, values)
    return True
