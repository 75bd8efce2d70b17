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
from scheduling.client.triton import NodeClient, NodeError
from scheduling.dispatch.dispatcher import (
    MAX_ATTEMPTS,
    OUTAGES,
    Answered,
    Dispatcher,
    Rate,
    Reported,
    Request,
    RequestFailed,
    Send,
    Sending,
)
from scheduling.dispatch.ledger import Ledger, Running
from scheduling.models import Dispatch, Node, Placement, ServedModel
from scheduling.policy.node import NodeState
from scheduling.services import decisions
from scheduling.serving.contracts import LARGE_FRAME_TILES

__all__ = [
    "FLEET_GROUP",
    "MAX_ATTEMPTS",
    "OUTAGES",
    "Answered",
    "FleetRuntime",
    "Request",
    "RequestFailed",
    "Send",
    "Sending",
    "dispatch_json",
    "running",
]

FLEET_GROUP = "fleet"
DISPATCH_HINTS_A_SECOND = 10
LONGEST_DISPATCH = timedelta(seconds=240)  # longer than any attempt's deadline
log = logging.getLogger(__name__)


class FleetRuntime(Dispatcher):
    """One a process; safe to call from its threads."""

    def __init__(
        self,
        *,
        ledger: Ledger,
        client_for: Callable[[Node], NodeClient],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        super().__init__(ledger=ledger, client_of=lambda name: client_for(self._rows[name]), clock=clock)
        self._rows: dict[str, Node] = {}
        self._models: dict[tuple[str, ...], int] = {}
        self._hints = Rate(DISPATCH_HINTS_A_SECOND)

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

    def rows(self) -> list[Node]:
        with self._lock:
            return list(self._rows.values())

    def begin(self, sendings: Sequence[Sending]) -> None:
        """Write the Dispatch rows of these attempts, in the caller's transaction."""
        seen = {id(sending.seen): sending.seen for sending in sendings if sending.seen is not None}
        keys = dict(zip(seen, decisions.store([one.record() for one in seen.values()]), strict=True))
        now = database_now()
        rows = [self._dispatch_row(sending, keys.get(id(sending.seen)), now) for sending in sendings]
        for sending, row in zip(sendings, Dispatch.objects.bulk_create(rows), strict=True):
            sending.row = row

    def booked(self, sending: Sending, answer: Any, reported: Reported, measured_ms: float) -> Answered:
        row: Dispatch = sending.row
        row.served_model_id = self._served_model(sending, reported)
        row.measured_ms, row.queue_ms, row.service_ms = measured_ms, reported.queue_ms, reported.service_ms
        row.outcome = Dispatch.Outcome.OK

        def book() -> None:
            row.save(update_fields=["served_model", "measured_ms", "queue_ms", "service_ms", "outcome"])

        self._tell(row)
        return Answered(answer, sending.node, row.served_model_id, measured_ms, book)

    def book_failure(self, sending: Sending, error: NodeError, measured_ms: float) -> None:
        row: Dispatch = sending.row
        row.measured_ms = measured_ms
        row.outcome, row.error_code = Dispatch.Outcome.FAILED, error.code
        row.error_detail = storable(error.detail, most=1000)
        row.save(update_fields=["measured_ms", "outcome", "error_code", "error_detail"])
        self._tell(row)

    def _dispatch_row(self, sending: Sending, record_id: int | None, sent_at: datetime) -> Dispatch:
        said, parts = sending.placed.to_json(), sending.placed.breakdown
        # A rule that predicts nothing is held to our prediction for the Node it chose, like every other policy.
        foreseen_ms = said["predicted_ms"] if parts is None or said["predicted_ms"] is not None else parts.total_ms
        return Dispatch(
            subject=sending.request.subject,
            scope=sending.request.item.scope,
            model=sending.request.item.model,
            attempt=sending.attempt,
            node=self._rows[sending.node],
            policy=sending.request.policy,
            reason=said["reason"],
            alternatives=said["alternatives"],
            predicted_ms=foreseen_ms,
            breakdown=said["breakdown"] or {},
            slack_ms=1000 * (sending.request.item.deadline_at - self.clock()),
            payload_bytes=int(sending.request.item.bytes),
            sent_at=sent_at,
            record_id=record_id,
            request_id=sending.request_id,
        )

    def _served_model(self, sending: Sending, reported: Reported) -> int:
        """The row of what answered; also noted on the Node's Placement when it changes."""
        model = sending.request.item.model
        who = (reported.model, reported.version, reported.digest, reported.runtime)
        key = (sending.node, model, *who, ",".join(reported.products))
        if key not in self._models:
            kind = ServedModel.Kind.DESCRIBER if model == "describer" else ServedModel.Kind.DETECTOR
            row, _ = ServedModel.objects.get_or_create(
                kind=kind,
                name=reported.model,
                version=reported.version,
                digest=reported.digest,
                runtime=reported.runtime,
                defaults={"class_names": list(reported.class_names), "products": list(reported.products)},
            )
            if row.products != list(reported.products):  # declared anew by a setting or a file beside it
                ServedModel.objects.filter(pk=row.pk).update(products=list(reported.products))
            Placement.objects.filter(node__name=sending.node, model=model).update(served_model=row)
            self._models[key] = row.pk
        return self._models[key]

    def _tell(self, row: Dispatch) -> None:
        """Show the decision live; a hint, so a busy fleet shows a sample of them."""
        if self._hints.allows(self.clock()):
            hint = {"type": "dispatch", **dispatch_json(row)}
            publish(FLEET_GROUP, {"type": "fleet.hint", "scope": row.scope, "hint": hint})


def running() -> list[Running]:
    """What the rows say is on the Nodes now, for a ledger that lost its own count; nothing without a database."""
    rows = Dispatch.objects.filter(outcome=Dispatch.Outcome.RUNNING, sent_at__gt=Now() - LONGEST_DISPATCH)
    try:
        found = list(rows.exclude(request_id="").select_related("node"))
    except DatabaseError as error:
        log.warning("The running dispatches could not be read: %s", error)
        return []
    return [
        Running(row.request_id, row.node.name, row.model, row.payload_bytes, row.sent_at.timestamp()) for row in found
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
        "sent_at": row.sent_at.isoformat(),
        "outcome": row.outcome,
        "error_code": row.error_code,
        "error_detail": row.error_detail,
    }
