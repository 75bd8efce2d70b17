"""What makes a Celery process a dispatch worker: its Worker, and the threads that do not depend on any message.

Poll (a lost wake-up costs half a second), lease renewal, reaping, holding what is late, refreshing and probing the
Nodes. Each has a thread of its own, so that none waits for another.
"""

import logging
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings
from django.db import connection, transaction

from aivd_web.kernel.database import is_away
from scheduling.services import process
from scheduling.services.heartbeat import Heartbeat
from scheduling.services.sweep import sweep

from . import liveness, steps
from .worker import Worker, own_connection

POLL_S = 0.5
REAP_S = 0.5
SWEEP_LOCK = 0x41495644  # the advisory lock of whoever sweeps now
log = logging.getLogger(__name__)
_stop = threading.Event()


@cache
def current() -> Worker:
    """This process' Worker."""
    return Worker(
        fleet=process.current().dispatcher,
        lease_s=settings.LEASE_S,
        threads=int(os.environ.get("AIVD_WORKER_THREADS", "16")),
    )


def alone(act: Callable[[], int]) -> int:
    """Run `act` in a transaction unless another process is at it; one that stops in the middle loses its turn."""
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [SWEEP_LOCK])
        return act() if cursor.fetchone()[0] else 0


def start() -> list[threading.Thread]:
    """Start the threads beside the message loop. Each survives any failure of what it does."""
    worker = current()
    loops: dict[str, tuple[float, Callable[[], Any]]] = {
        "poll": (POLL_S, worker.run_until_idle),
        "renew": (settings.LEASE_S / 3, worker.renew),
        "reap": (REAP_S, steps.reap),
        "hold": (REAP_S, steps.hold_overdue),
        "sweep": (10.0, lambda: alone(sweep)),
        "heartbeat": (0.1, Heartbeat(worker.fleet).pulse),
        "liveness": (1.0, lambda: tell_liveness(worker)),
    }
    threads = [
        threading.Thread(target=_forever, args=(name, every_s, act), name=name, daemon=True)
        for name, (every_s, act) in loops.items()
    ]
    for thread in threads:
        thread.start()
    return threads


def tell_liveness(worker: Worker) -> None:
    """Tell for /health when each loop last did its work; the Worker itself knows when it last looked at the queue."""
    if worker.looked_at is not None:
        liveness.beat("dispatch", worker.looked_at)
    liveness.tell()


def _forever(name: str, every_s: float, act: Callable[[], Any]) -> None:
    troubled = False
    while not _stop.wait(every_s):
        try:
            with own_connection():
                act()
            if name != "poll":  # it may find another thread at it; the look at the queue itself tells
                liveness.beat(name)
            troubled = False
        except Exception as error:
            if not is_away(error):
                log.exception("%s failed and goes on", name)
            elif not troubled:
                log.warning("%s waits for the database: %s", name, error)
            troubled = is_away(error)


@worker_ready.connect
def _ready(sender: Any, **_: Any) -> None:
    queues = {queue.name for queue in sender.app.amqp.queues.consume_from.values()}
    if "dispatch" in queues:
        start()


@worker_shutting_down.connect
def _leaving(**_: Any) -> None:
    _stop.set()
    if current.cache_info().currsize:
        current().stop(wait=False)
