"""Clear away what nobody can ask for any more: old idempotency keys, and files of uploads that never ended."""

import contextlib
import time
from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

from aivd_web.kernel.database import Moment
from inspections.models import IdempotencyKey

KEY_LIFE = timedelta(hours=48)
"""How long a sender may repeat a request and get the first one's answer."""

INCOMING_LIFE_S = 3600.0
"""An upload that takes longer was left behind by a process that died in the middle of it."""

KEYS_AT_ONCE = 5_000
MOST_BATCHES = 200


@dataclass(frozen=True)
class Swept:
    keys: int
    files: int


def sweep(*, now: Moment) -> Swept:
    """Clear away all that is old. In small transactions, so that nothing waits for it."""
    return Swept(keys=_sweep_keys(now), files=_sweep_incoming(time.time()))


def _sweep_keys(now: Moment) -> int:
    """Until nothing old is left: a plant that sends faster than one batch a sweep would never be cleared."""
    old = IdempotencyKey.objects.filter(created_at__lt=now - KEY_LIFE).order_by("created_at")
    swept = 0
    for _ in range(MOST_BATCHES):
        oldest = list(old.values_list("pk", flat=True)[:KEYS_AT_ONCE])
        deleted, _by_model = IdempotencyKey.objects.filter(pk__in=oldest).delete()
        swept += deleted
        if deleted < KEYS_AT_ONCE:
            break
    return swept


def _sweep_incoming(now_s: float) -> int:
    incoming, gone = settings.MEDIA_DIR / "incoming", 0
    for path in incoming.iterdir() if incoming.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # the upload has ended just now
            if path.is_file() and now_s - path.stat().st_mtime > INCOMING_LIFE_S:
                path.unlink()
                gone += 1
    return gone
