"""What makes a Celery process a dispatch worker: its Worker, and the threads that do not depend on any message.

Poll (a lost wake-up costs half a second), lease renewal, reaping, refreshing and probing the Nodes.
"""

import logging
import os
import threading
from collections.abc import Callable
from functools import cache
from typing import Any

from celery.signals import worker_ready, worker_shutting_down
from django.conf import settings
from django.db import DatabaseError, connection
from django.utils import timezone

from inspections.services import steps
from inspections.services.work import Worker, own_connection
from scheduling.services import runtimes
from scheduling.services.heartbeat import Heartbeat
from scheduling.services.sweep import sweep

POLL_S = 0.5
REAP_LOCK = 0x41495644  # the advisory lock of whoever reaps now
log = logging.getLogger(__name__)
_stop = threading.Event()


@cache
def current() -> Worker:
    """This process' Worker."""
    return Worker(
        fleet=runtimes.current(),
        lease_s=settings.LEASE_S,
        threads=int(os.environ.get("AIVD_WORKER_THREADS", "16")),
    )


def reap_alone(reap: Callable[[], int]) -> int:
    """Run `reap` unless another process is at it."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [REAP_LOCK])
        if not cursor.fetchone()[0]:
            return 0
        try:
            return reap()
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s)", [REAP_LOCK])


def start() -> list[threading.Thread]:
    """Start the threads beside the message loop. Each survives any failure of what it does."""
    worker = current()
    loops: dict[str, tuple[float, Callable[[], Any]]] = {
        "poll": (POLL_S, worker.drain),
        "renew": (settings.LEASE_S / 3, worker.renew),
        "reap": (1.0, lambda: reap_alone(lambda: steps.reap(now=timezone.now()))),
        "sweep": (10.0, lambda: reap_alone(sweep)),
        "heartbeat": (0.1, Heartbeat(worker.fleet).pulse),
    }
    threads = [
        threading.Thread(target=_forever, args=(name, every_s, act), name=name, daemon=True)
        for name, (every_s, act) in loops.items()
    ]
    for thread in threads:
        thread.start()
    return threads


def _forever(name: str, every_s: float, act: Callable[[], Any]) -> None:
    troubled = False
    while not _stop.wait(every_s):
        try:
            with own_connection():
                act()
            troubled = False
        except DatabaseError as error:
            if not troubled:
                log.warning("%s waits for the database: %s", name, error)
            troubled = True
        except Exception:
            log.exception("%s failed and goes on", name)


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
