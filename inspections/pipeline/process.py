"""What makes a Celery process a dispatch worker: its Worker, and the threads that do not depend on any message.

Poll (a lost wake-up costs half a second), lease renewal, reaping, holding what is late, refreshing and probing the
Nodes. Each has a thread of its own, so that none waits for another.
"""

import logging
import threading
from collections.abc import Callable
from typing import Any

from celery.signals import worker_ready, worker_shutting_down
from django.db import connection, transaction

from aivd_web.kernel.database import is_away
from aivd_web.kernel.parts import part, parts
from scheduling.services.heartbeat import Heartbeat
from scheduling.services.sweep import sweep

from . import steps
from .liveness import LoopTimes
from .worker import Worker, own_connection

POLL_S = 0.5
REAP_S = 0.5
SWEEP_LOCK = 0x41495644  # the advisory lock of whoever sweeps now
log = logging.getLogger(__name__)


class WorkerProcess:
    """The loops around a Worker; `times` hears when each has done its work."""

    def __init__(self, worker: Worker, times: LoopTimes, *, lease_s: float) -> None:
        self.worker, self.times = worker, times
        self._stop = threading.Event()
        self.loops: dict[str, tuple[float, Callable[[], Any]]] = {
            "poll": (POLL_S, worker.run_until_idle),
            "renew": (lease_s / 3, worker.renew),
            "reap": (REAP_S, steps.reap),
            "hold": (REAP_S, steps.hold_overdue),
            "sweep": (10.0, lambda: alone(sweep)),
            "heartbeat": (0.1, Heartbeat(worker.fleet).pulse),
            "liveness": (1.0, self.tell_liveness),
        }

    def start(self) -> None:
        """Start the threads beside the message loop. Each survives any failure of what it does."""
        for name in self.loops:
            threading.Thread(target=self._forever, args=(name,), name=name, daemon=True).start()

    def stop(self) -> None:
        """Begin nothing new, and wait for nothing."""
        self._stop.set()
        self.worker.stop(wait=False)

    def tell_liveness(self) -> None:
        """Tell for /health when each loop last did its work; the Worker knows when it last looked at the queue."""
        if self.worker.looked_at is not None:
            self.times.beat("dispatch", self.worker.looked_at)
        self.times.tell()

    def _forever(self, name: str) -> None:
        every_s, act = self.loops[name]
        troubled = False
        while not self._stop.wait(every_s):
            try:
                with own_connection():
                    act()
                if name != "poll":  # it may find another thread at it; the look at the queue itself tells
                    self.times.beat(name)
                troubled = False
            except Exception as error:
                if not is_away(error):
                    log.exception("%s failed and goes on", name)
                elif not troubled:
                    log.warning("%s waits for the database: %s", name, error)
                troubled = is_away(error)


def alone(act: Callable[[], int]) -> int:
    """Run `act` in a transaction unless another process is at it; one that stops in the middle loses its turn."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SWEEP_LOCK])
        return act() if cursor.fetchone()[0] else 0


@worker_ready.connect
def _ready(sender: Any, **_: Any) -> None:
    queues = {queue.name for queue in sender.app.amqp.queues.consume_from.values()}
    if "dispatch" in queues:
        part(WorkerProcess).start()


@worker_shutting_down.connect
def _leaving(**_: Any) -> None:
    if WorkerProcess in parts().made:
        part(WorkerProcess).stop()
