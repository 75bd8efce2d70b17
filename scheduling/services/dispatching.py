"""The Dispatcher of a worker, with the rows: the Nodes that exist, and a Dispatch for each attempt."""

import logging
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import DatabaseError
from django.db.models.functions import Now

from aivd_web.kernel.database import database_now
from aivd_web.kernel.publish import publish
from aivd_web.kernel.text import storable
from scheduling.client.answers import NodeError, WorkReport
from scheduling.client.triton import NodeClient
from scheduling.dispatch.dispatcher import Dispatcher, RateLimiter
from scheduling.dispatch.ledger import Ledger, RunningRequest
from scheduling.dispatch.values import Assignment, Provenance
from scheduling.dispatch.versions import Artifacts
from scheduling.models import Dispatch, Node, Placement, ServedModel
from scheduling.policy.node import NodeState
from scheduling.policy.types import FULL_QUALITY
from scheduling.services import decisions
from scheduling.serving.contracts import DESCRIBER, EDGE_DETECTOR, LARGE_FRAME_TILES

FLEET_GROUP = "fleet"
DISPATCH_HINTS_A_SECOND = 10
LONGEST_DISPATCH = timedelta(seconds=240)  # longer than any attempt's deadline
KINDS = {EDGE_DETECTOR.model: ServedModel.Kind.DETECTOR, DESCRIBER.model: ServedModel.Kind.DESCRIBER}
log = logging.getLogger(__name__)


class FleetDispatcher(Dispatcher):
    """The Dispatcher over the Nodes that have rows. One a process; safe to call from its threads."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        client_for: Callable[[Node], NodeClient],
        artifacts: Artifacts | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rows: dict[str, Node] = {}
        self.rows_of_attempts = RowJournal(clock=lambda: self.clock())
        super().__init__(
            ledger=ledger,
            client_of=lambda name: client_for(self._rows[name]),
            journal=self.rows_of_attempts,
            artifacts=artifacts,
            clock=clock,
        )

    def refresh(self) -> None:
        """Read the Nodes that exist and what a person set; estimates of known ones are kept."""
        rows = {node.name: node for node in Node.objects.prefetch_related("placements")}
        with self._lock:
            for name, row in rows.items():
                state = self.state.nodes.get(name)
                if state is None:
                    state = self.state.nodes[name] = NodeState(name=name, kind=row.kind)
                state.capacity, state.beside_units = row.capacity, float(LARGE_FRAME_TILES)
                state.drained = row.draining
                state.models = frozenset(placement.model for placement in row.placements.all())
                state.refusal = row.health_detail if row.health == Node.Health.WRONG_CONTRACT else ""
            for name in self.state.nodes.keys() - rows.keys():
                del self.state.nodes[name]
            self._rows = rows
            self.rows_of_attempts.node_ids = {name: row.pk for name, row in rows.items()}

    def rows(self) -> list[Node]:
        with self._lock:
            return list(self._rows.values())


class RowJournal:
    """A Dispatch row for each attempt."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """`clock` is the one that the Items' times are on."""
        self.node_ids: dict[str, int] = {}
        self._clock = clock
        self._models: dict[tuple[str, ...], int] = {}
        self._hints = RateLimiter(DISPATCH_HINTS_A_SECOND)

    def begin(self, assignments: Sequence[Assignment]) -> list[int]:
        """Write the rows, in the caller's transaction."""
        seen = {id(one.seen): one.seen for one in assignments if one.seen is not None}
        records = dict(zip(seen, decisions.store([one.record() for one in seen.values()]), strict=True))
        now = database_now()
        rows = [self.row(one, records.get(id(one.seen)), now) for one in assignments]
        return [row.pk for row in Dispatch.objects.bulk_create(rows)]

    def row(self, assignment: Assignment, record_id: int | None, sent_at: datetime) -> Dispatch:
        said, parts = assignment.placed.to_json(), assignment.placed.breakdown
        # A rule that predicts nothing is held to our prediction for the Node it chose, like every other policy.
        foreseen_ms = said["predicted_ms"] if parts is None or said["predicted_ms"] is not None else parts.total_ms
        request, item = assignment.request, assignment.request.item
        return Dispatch(
            subject=request.subject,
            item=item.id,
            scope=item.scope,
            model=item.model,
            attempt=assignment.attempt,
            node_id=self.node_ids[assignment.node],
            policy=request.policy,
            reason=said["reason"],
            alternatives=said["alternatives"],
            predicted_ms=foreseen_ms,
            breakdown=said["breakdown"] or {},
            slack_ms=1000 * (item.deadline_at - self._clock()),
            payload_bytes=int(assignment.bytes),
            full_bytes=round(assignment.full_bytes),
            quality="" if assignment.quality is FULL_QUALITY else assignment.quality.name,
            sent_at=sent_at,
            record_id=record_id,
            request_id=assignment.request_id,
        )

    def answered(self, assignment: Assignment, report: WorkReport, measured_ms: float) -> Provenance:
        model_id = self._served_model(assignment, report)
        found = Provenance(
            assignment.dispatch_id,
            model_id,
            assignment.node,
            measured_ms,
            report.queue_ms,
            report.service_ms,
            report.sent_bytes,
        )
        self._tell(assignment, outcome=Dispatch.Outcome.OK, **_measured(found))
        return found

    def failed(self, assignment: Assignment, error: NodeError, measured_ms: float) -> None:
        detail = storable(error.detail, most=1000)
        facts = {"measured_ms": measured_ms, "outcome": Dispatch.Outcome.FAILED, "error_code": error.code}
        Dispatch.objects.filter(pk=assignment.dispatch_id).update(**facts, error_detail=detail)
        self._tell(assignment)

    def _served_model(self, assignment: Assignment, report: WorkReport) -> int:
        """The row of what answered; also noted on the Node's Placement when its own model changes."""
        model = assignment.request.item.model
        who = (report.model, report.version, report.digest, report.runtime)
        key = (assignment.node, model, *who, ",".join(report.products))
        if key not in self._models:
            row = _served_model(model, report)
            if report.own:
                Placement.objects.filter(node__name=assignment.node, model=model).update(served_model=row)
            self._models[key] = row.pk
        return self._models[key]

    def _tell(self, assignment: Assignment, **facts: Any) -> None:
        """Show the attempt live, with `facts` that are booked in a moment; a hint, and of a busy fleet a sample."""
        if not self._hints.allows(self._clock()):
            return
        row = Dispatch.objects.select_related("node").filter(pk=assignment.dispatch_id).first()
        if row is not None:
            hint = {"type": "dispatch", **dispatch_json(row), **facts}
            publish(FLEET_GROUP, {"type": "fleet.hint", "scope": row.scope, "hint": hint})


def book(provenance: Provenance) -> None:
    """Write that the Dispatch was answered. Call it in the transaction that commits the result."""
    facts = {"served_model_id": provenance.served_model_id, "outcome": Dispatch.Outcome.OK, **_measured(provenance)}
    Dispatch.objects.filter(pk=provenance.dispatch_id).update(**facts)


def _measured(provenance: Provenance) -> dict[str, float]:
    names = ("measured_ms", "queue_ms", "service_ms")
    sent = {"payload_bytes": provenance.sent_bytes} if provenance.sent_bytes else {}
    return {name: getattr(provenance, name) for name in names} | sent


def _served_model(model: str, report: WorkReport) -> ServedModel:
    row, _ = ServedModel.objects.get_or_create(
        kind=KINDS.get(model, ServedModel.Kind.OTHER),
        name=report.model,
        version=report.version,
        digest=report.digest,
        runtime=report.runtime,
        defaults={"class_names": list(report.class_names), "products": list(report.products)},
    )
    if row.products != list(report.products):  # declared anew by a setting or a file beside it
        ServedModel.objects.filter(pk=row.pk).update(products=list(report.products))
    return row


def running() -> list[RunningRequest]:
    """What the rows say is on the Nodes now, for a ledger that lost its own count; nothing without a database."""
    rows = Dispatch.objects.filter(outcome=Dispatch.Outcome.RUNNING, sent_at__gt=Now() - LONGEST_DISPATCH)
    try:
        found = list(rows.exclude(request_id="").select_related("node"))
    except DatabaseError as error:
        log.warning("The running dispatches could not be read: %s", error)
        return []
    return [
        RunningRequest(row.request_id, row.node.name, row.model, row.payload_bytes, row.sent_at.timestamp())
        for row in found
    ]


def dispatch_json(row: Dispatch) -> dict[str, Any]:
    """A Dispatch as the fleet page and the API show it."""
    return {
        "id": row.pk,
        "subject": row.subject,
        "model": row.model,
        "attempt": row.attempt,
        "node": row.node.name,
        "policy": row.policy,
        "reason": row.reason,
        "alternatives": row.alternatives,
        "predicted_ms": row.predicted_ms,
        "breakdown": row.breakdown,
        "slack_ms": row.slack_ms,
        "measured_ms": row.measured_ms,
        "queue_ms": row.queue_ms,
        "service_ms": row.service_ms,
        "payload_bytes": row.payload_bytes,
        "full_bytes": row.full_bytes,
        "quality": row.quality,
        "sent_at": row.sent_at.isoformat(),
        "outcome": row.outcome,
        "error_code": row.error_code,
        "error_detail": row.error_detail,
    }
