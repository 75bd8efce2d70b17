"""Clear away what nobody can ask for any more: old idempotency keys, and files of uploads that never ended."""

import contextlib
import time
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings

from inspections.models import IdempotencyKey

KEY_LIFE = timedelta(hours=48)
"""How long a sender may repeat a request and get the first one's answer."""

INCOMING_LIFE_S = 3600.0
"""An upload that takes longer was left behind by a process that died in the middle of it."""

KEYS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Swept:
    keys: int
    files: int


def sweep(*, now: datetime) -> Swept:
    """Delete in small transactions, so that nothing waits for it; call it again and again."""
    return Swept(keys=_sweep_keys(now), files=_sweep_incoming(time.time()))


def _sweep_keys(now: datetime) -> int:
    old = IdempotencyKey.objects.filter(created_at__lt=now - KEY_LIFE).order_by("created_at")
    deleted, _ = IdempotencyKey.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:KEYS_AT_ONCE])).delete()
    return deleted


def _sweep_incoming(now_s: float) -> int:
    incoming, gone = settings.MEDIA_DIR / "incoming", 0
    for path in incoming.iterdir() if incoming.is_dir() else ():
        with contextlib.suppress(FileNotFoundError):  # the upload has ended just now
            if path.is_file() and now_s - path.stat().st_mtime > INCOMING_LIFE_S:
                path.unlink()
                gone += 1
    return gone
