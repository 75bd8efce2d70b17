"""Where a dispatcher's attempts are noted. Production keeps rows (`scheduling.services.dispatching.RowJournal`)."""

from collections.abc import Sequence
from typing import Protocol

from scheduling.client.answers import NodeError, WorkReport
from scheduling.dispatch.values import Assignment, Provenance


class DispatchJournal(Protocol):
    """Notes each attempt when it begins and when it ends. What was answered is booked by whoever commits the result."""

    def begin(self, assignments: Sequence[Assignment]) -> list[int]:
        """Note that these are about to be sent, in the caller's transaction; the id of a Dispatch for each."""
        ...

    def answered(self, assignment: Assignment, report: WorkReport, measured_ms: float) -> Provenance: ...

    def failed(self, assignment: Assignment, error: NodeError, measured_ms: float) -> None: ...


class NoJournal:
    """Keeps nothing: for a dispatcher without a database."""

    def begin(self, assignments: Sequence[Assignment]) -> list[int]:
        return [0] * len(assignments)

    def answered(self, assignment: Assignment, report: WorkReport, measured_ms: float) -> Provenance:
        return Provenance(0, 0, assignment.node, measured_ms, report.queue_ms, report.service_ms)

    def failed(self, assignment: Assignment, error: NodeError, measured_ms: float) -> None:
        pass
