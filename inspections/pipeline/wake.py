"""Wake the workers. At most one wake-up is under way at a time, whatever the rate of frames.

A worker deletes the flag before it looks at the Step table, so a Step that was committed while the flag stood is seen
by that look. If Redis is away or the message is lost, the workers' own poll finds the Step.
"""

import logging
import time

from celery import current_app

from scheduling.services import redis_client

FLAG = "aivd:wake"
FLAG_MS = 500
TASK = "inspections.dispatch_waiting"
# The receiving worker compares it with a clock of its own, so it is no shorter than clocks may differ. While nobody
# receives, two messages a second pile up at most.
EXPIRES_S = 3 * 3600
log = logging.getLogger(__name__)


def workers() -> None:
    """Send a wake-up unless one is under way."""
    if not redis_client.attempt(lambda client: client.set(FLAG, 1, nx=True, px=FLAG_MS), otherwise=None):
        return
    try:
        current_app.send_task(TASK, queue="dispatch", retry=False, expires=EXPIRES_S)
    except Exception as error:  # kombu and redis each have their own; the poll makes up for any
        log.warning("No wake-up was sent (%s); the workers' poll will find the step.", type(error).__name__)


class WakeUps:
    """Of one worker: which of them it wants."""

    def __init__(self) -> None:
        self._unwanted_until = 0.0

    def suppress(self) -> None:
        """A worker with a backlog looks at the table at every tick: let nobody send a wake-up for half a second."""
        now = time.monotonic()
        if now < self._unwanted_until:
            return
        self._unwanted_until = now + FLAG_MS / 2000
        redis_client.attempt(lambda client: client.set(FLAG, 1, px=FLAG_MS), otherwise=None)

    def taken(self) -> None:
        """The worker is about to look at the table. Where Redis is away the flag expires by itself."""
        self._unwanted_until = 0.0
        redis_client.attempt(lambda client: client.delete(FLAG), otherwise=None)
