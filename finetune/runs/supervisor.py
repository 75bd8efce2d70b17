"""Watch over one trainer: start it, keep the row's lease, pass on what it tells, end it, and know why it ended.

The trainer is a process of its own that knows no Django: `python -m finetune.training run.json out/`. It writes
`out/events.jsonl`, ends cleanly on SIGTERM (and when its supervisor dies) with its checkpoint kept, and goes on from
that when it is started again. Exit codes: 0 done, 1 failed, 3 stopped as asked.
"""

import contextlib
import logging
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
from django.conf import settings
from django.db.models.functions import Now

from aivd_web.kernel.database import is_away
from finetune import leases
from finetune.leases import Held, LeaseLost
from finetune.models import FineTuneRun, State
from finetune.registry import services as registry
from finetune.runs import gates, reports, services
from finetune.runs.events import Tail

log = logging.getLogger(__name__)

LEASE = timedelta(seconds=10)
HEARTBEAT_S = 2.0
POLL_S = 0.25
GRACE_S = 20.0
"""How long a trainer may take to write its checkpoint and go, before it is killed."""
DATABASE_AWAY_S = 25.0
"""So long a trainer goes on without a database; then its lease is certainly another's."""
COMMAND = (sys.executable, "-m", "finetune.training")
STOPPED = 3
OOM_SCORE = "900"
MIB = 1024**2
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Ended:
    """How a trainer ended. `too_large_mib`: it was killed for its memory; `after_seq`: what it told came after this."""

    returncode: int
    wish: str = ""
    too_large_mib: int = 0
    after_seq: int = 0


def carry_out(run_id: Any, *, command: Sequence[str] = COMMAND) -> State | None:
    """Train until it is done, fails, or somebody wants something else. None: it is another worker's by now."""
    held = leases.claim(FineTuneRun, run_id, lease=LEASE)
    if held is None:
        return None
    try:
        services.tell(held.row)
        ended = _Watch(held, command).run()
        _book(held, ended)
    except LeaseLost:
        log.warning("Run %s was taken over by another worker", run_id)
        return None
    services.tell(held.row)
    return State(held.row.state)


class _Watch:
    """One trainer from its start to its end."""

    def __init__(self, held: Held[FineTuneRun], command: Sequence[str]) -> None:
        self.held, self.command = held, command
        self.folder = services.folder_of(held.row)
        self.out = self.folder / "out"
        self.tail = Tail(held, self.out / "events.jsonl")
        self.limit_mib = settings.TRAINING_MEMORY_MIB or int(0.9 * psutil.virtual_memory().available / MIB)
        self.wish = ""
        self.too_large_mib = 0
        self.after_seq = held.row.events_seq
        self.term_at: float | None = None
        self.heard_at = time.monotonic()

    def run(self) -> Ended:
        order = services.write_order(self.held.row)
        self.out.mkdir(exist_ok=True)
        with (self.folder / "trainer.log").open("ab") as output:
            child = subprocess.Popen(
                [*self.command, str(order), str(self.out)],
                cwd=ROOT,
                env=environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        try:
            limit(child.pid)
            while child.poll() is None:
                self._beat(child)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(POLL_S)
            self._once(self.tail.read)
            return Ended(child.returncode, self.wish, self.too_large_mib, self.after_seq)
        finally:
            kill_group(child)

    def _beat(self, child: "subprocess.Popen[bytes]") -> None:
        """Pass on what was told, keep the lease, hear wishes, hold the memory to its limit."""
        if not self._once(self.tail.read):
            return
        if time.monotonic() - self.heard_at < HEARTBEAT_S and not self.term_at:
            return
        if self._once(self._hear):
            self.heard_at = time.monotonic()
        self._check_memory(child)
        if self.wish and self.term_at is None:
            self.term_at = time.monotonic()
            signal_group(child, signal.SIGTERM)
        if self.term_at is not None and time.monotonic() - self.term_at > GRACE_S:
            kill_group(child)

    def _hear(self) -> None:
        self.held.write()
        self.wish = self.held.wish() or self.wish

    def _once(self, act: Any) -> bool:
        """Whether it could be done; a database that is away is waited for while the lease may still be ours."""
        try:
            act()
        except LeaseLost:
            raise
        except Exception as error:
            if not is_away(error):
                raise
            if time.monotonic() - self.heard_at > DATABASE_AWAY_S:
                raise LeaseLost("The database was away for too long.") from None
            return False
        return True

    def _check_memory(self, child: "subprocess.Popen[bytes]") -> None:
        used = _memory_mib(child.pid)
        if used > self.limit_mib and not self.too_large_mib:
            self.too_large_mib = used
            kill_group(child)


# -- what its end means -----------------------------------------------------------------------------


def _book(held: Held[FineTuneRun], ended: Ended) -> None:
    """The state that the run is in now."""
    run, last = held.row, held.row.events.filter(seq__gt=ended.after_seq).order_by("-seq").first()
    told = last.data if last is not None else {}
    if ended.returncode == 0 and last is not None and last.type == "done":
        _succeed(held, told)
    elif ended.wish and ended.returncode != 1:
        held.end(State.PAUSED if ended.wish == "pause" else State.CANCELLED)
    elif ended.too_large_mib:
        detail = f"It took {ended.too_large_mib} MiB of memory, more than it may, and was ended."
        held.end(State.FAILED, code="out_of_memory", detail=detail, hint="Use a smaller batch or a smaller base.")
    elif ended.returncode == 1 and last is not None and last.type == "failed":
        fields = {"code": str(told.get("code", "failed"))[:40], "hint": str(told.get("hint", ""))}
        held.end(State.FAILED, detail=str(told.get("sentence", "The trainer failed.")), **fields)
    elif ended.returncode == STOPPED or (ended.returncode < 0 and run.attempts < leases.MAX_ATTEMPTS):
        held.end(State.QUEUED)  # somebody ended it from outside: it goes on from its checkpoint
        services.wake()
    else:
        held.end(State.FAILED, code="killed" if ended.returncode < 0 else "trainer_failed", **_reason(run, ended))


def _succeed(held: Held[FineTuneRun], told: dict[str, Any]) -> None:
    """Put what it made into the registry; weights that are refused there are a failure with that reason."""
    measured = reports.summary(held.row)
    told = told | {"gates": gates.judged(measured, gates.thresholds_of(held.row.line)) if measured else []}
    try:
        made = registry.register_from_run(run=held.row, told=told, folder=services.folder_of(held.row) / "out")
    except registry.RefusedWeights as error:
        held.end(State.FAILED, code=error.code, detail=error.detail, hint=error.hint)
        return
    figures = told["report"] if isinstance(told.get("report"), dict) else {}
    report = {**figures, "sentence": told.get("sentence", ""), "model_version": made.pk}
    report |= {"field_f1": told["field_f1"]} if "field_f1" in told else {}
    report |= {"measured": measured} if measured else {}
    held.end(State.SUCCEEDED, report=report, eta_s=0)


def _reason(run: FineTuneRun, ended: Ended) -> dict[str, str]:
    if ended.returncode < 0:
        name = signal.Signals(-ended.returncode).name
        detail = f"The trainer was ended by {name} {run.attempts} times; where it was SIGKILL, memory may have run out."
        return {"detail": detail, "hint": "See the machine's log, then resume it: its checkpoint is kept."}
    detail = f"The trainer ended with code {ended.returncode}. {_last_words(services.folder_of(run))}"
    return {"detail": detail, "hint": "The run's log has more."}


def _last_words(folder: Path) -> str:
    """The last line that it wrote to its own output."""
    path = folder / "trainer.log"
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    return next((line.strip()[:300] for line in reversed(lines) if line.strip() and not line.startswith("{")), "")


# -- the process ------------------------------------------------------------------------------------


def environment() -> dict[str, str]:
    """Ours without its secrets: a trainer reads files and asks nobody."""
    hidden = ("DATABASE_URL", "REDIS_URL", "AIVD_SECRET_KEY", "AIVD_NODE_CONTROL")
    kept = {name: value for name, value in os.environ.items() if name not in hidden}
    return {**kept, "PYTHONUNBUFFERED": "1", "HF_HUB_OFFLINE": kept.get("HF_HUB_OFFLINE", "1")}


def limit(pid: int) -> None:
    """No core files, and the kernel takes the trainer before anything else where memory runs out."""
    with contextlib.suppress(OSError):
        resource.prlimit(pid, resource.RLIMIT_CORE, (0, 0))
        Path(f"/proc/{pid}/oom_score_adj").write_text(OOM_SCORE)


def _memory_mib(pid: int) -> int:
    try:
        leader = psutil.Process(pid)
        return int(sum(each.memory_info().rss for each in [leader, *leader.children(recursive=True)]) // MIB)
    except psutil.Error:
        return 0


def signal_group(child: "subprocess.Popen[bytes]", number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


def kill_group(child: "subprocess.Popen[bytes]") -> None:
    signal_group(child, signal.SIGKILL)
    child.wait()


def reap() -> int:
    """Take back runs whose worker has gone, and wake one where runs wait."""
    taken = leases.reap(FineTuneRun)
    # Runs that ended in the past with a wish nobody heard are not looked at: their holder ended them.
    if FineTuneRun.objects.waiting().exists():
        services.wake()
    return taken


def train_waiting(*, command: Sequence[str] = COMMAND) -> int:
    """Carry out the runs that wait, one after the other; each is claimed, so two workers share them."""
    done = 0
    while (run := FineTuneRun.objects.waiting().filter(created_at__lte=Now()).first()) is not None:
        if carry_out(run.pk, command=command) is State.QUEUED:
            break  # it is to go on in a moment; the wake-up comes back to it
        done += 1
    return done
