"""Work that one worker at a time holds: claim it, keep it, end it; and take it back from holders that have gone.

All by conditional UPDATEs on the database's clock. A holder whose lease ran out finds that its writes meet no row:
somebody else has raised `lease_epoch` meanwhile.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from django.db.models import F
from django.db.models.functions import Coalesce, Now

from aivd_web.kernel.errors import Conflict
from finetune.models import State
from finetune.models.work import ENDED, LeasedWork

MAX_ATTEMPTS = 5
LOST = "worker_lost"
W = TypeVar("W", bound=LeasedWork)


class LeaseLost(Exception):
    """Another worker has taken over, or the row has gone: stop at once, and write nothing."""


@dataclass
class Held(Generic[W]):
    """A row and the right to write it, for as long as the lease is kept."""

    row: W
    epoch: int
    lease: timedelta

    def write(self, **values: Any) -> None:
        """Change the row and keep the lease. Raises LeaseLost."""
        rows = type(self.row)._default_manager.filter(pk=self.row.pk, lease_epoch=self.epoch, state=State.RUNNING)
        if not rows.update(lease_until=Now() + self.lease, **values):
            raise LeaseLost(str(self.row.pk))
        for name, value in values.items():
            setattr(self.row, name, value)

    def wish(self) -> str:
        """What a person wants of the holder: nothing, to pause, or to cancel. Raises LeaseLost."""
        rows = type(self.row)._default_manager.filter(pk=self.row.pk, lease_epoch=self.epoch, state=State.RUNNING)
        found = rows.values_list("wish", flat=True).first()
        if found is None:
            raise LeaseLost(str(self.row.pk))
        return str(found)

    def end(self, state: State, *, code: str = "", detail: str = "", hint: str = "", **values: Any) -> None:
        """Give the row up in `state`. Raises LeaseLost."""
        finished = {"finished_at": Now()} if state in ENDED else {}
        reason = {"error_code": code, "error_detail": detail[:2000], "error_hint": hint[:500]}
        self.write(state=state, wish="", **finished, **reason, **values)


def claim(model: type[W], pk: Any, *, lease: timedelta) -> Held[W] | None:
    """The queued row as this worker's own, or None: somebody else had it first, or nobody wants it any more."""
    queued = model._default_manager.filter(pk=pk, state=State.QUEUED)
    taken = queued.update(
        state=State.RUNNING,
        lease_until=Now() + lease,
        lease_epoch=F("lease_epoch") + 1,
        attempts=F("attempts") + 1,
        started_at=Coalesce("started_at", Now()),
    )
    if not taken:
        return None
    row = model._default_manager.get(pk=pk)
    return Held(row, row.lease_epoch, lease)


def reap(model: type[W]) -> int:
    """Take back what is running without a holder: it waits again, or ends as a person wished or as it must."""
    lost = model._default_manager.filter(state=State.RUNNING, lease_until__lt=Now())
    fenced: dict[str, Any] = {"lease_epoch": F("lease_epoch") + 1}
    ended = lost.filter(wish="cancel").update(state=State.CANCELLED, wish="", finished_at=Now(), **fenced)
    ended += lost.filter(wish="pause").update(state=State.PAUSED, wish="", **fenced)
    ended += lost.filter(attempts__gte=MAX_ATTEMPTS).update(
        state=State.FAILED,
        finished_at=Now(),
        error_code=LOST,
        error_detail=f"{MAX_ATTEMPTS} workers began it, and each went away before the end.",
        error_hint="See the log of the worker; resume it once the cause is gone.",
        **fenced,
    )
    return ended + lost.update(state=State.QUEUED, **fenced)


def want(row: W, wish: str) -> W:
    """Ask for `pause` or `cancel`: at once where nobody works on it, else its holder does it. Raises Conflict."""
    model = type(row)
    idle = {"pause": (State.QUEUED,), "cancel": (State.QUEUED, State.PAUSED)}[wish]
    state = {"pause": State.PAUSED, "cancel": State.CANCELLED}[wish]
    finished = {"finished_at": Now()} if state in ENDED else {}
    changed = model._default_manager.filter(pk=row.pk, state__in=idle).update(state=state, wish="", **finished)
    changed = changed or model._default_manager.filter(pk=row.pk, state=State.RUNNING).update(wish=wish)
    row.refresh_from_db()
    if not changed:
        raise Conflict(f"It is {row.state}, so there is nothing to {wish}.", hint="Reload to see how it stands.")
    return row


def resume(row: W) -> W:
    """Have what was paused, or has failed, go on. Raises Conflict."""
    rows = type(row)._default_manager.filter(pk=row.pk, state__in=(State.PAUSED, State.FAILED))
    changed = rows.update(
        state=State.QUEUED, wish="", attempts=0, finished_at=None, error_code="", error_detail="", error_hint=""
    )
    row.refresh_from_db()
    if not changed:
        raise Conflict(f"It is {row.state}; only what was paused or has failed can go on.", hint="Reload the page.")
    return row
