"""How each kind of process talks to PostgreSQL: how long it may wait, and over which pools of connections.

Knows no environment: what was set there comes in by the door. PostgreSQL itself ends what takes too long, so that a
process that was stopped in the middle of a transaction does not hold its locks for as long as it stands still.
"""

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

CONNECT_TIMEOUT_S = 5
READS = "reads"
"""The pool of health and websockets: they answer also while every other connection waits for a lock."""


@dataclass(frozen=True)
class Patience:
    """Milliseconds; 0 waits for ever. `idle_ms`: how long a transaction may stay open while nothing is done in it."""

    lock_ms: int
    statement_ms: int
    idle_ms: int

    @property
    def options(self) -> str:
        values = {
            "lock_timeout": self.lock_ms,
            "statement_timeout": self.statement_ms,
            "idle_in_transaction_session_timeout": self.idle_ms,
        }
        return " ".join(f"-c {name}={value}" for name, value in values.items())


PATIENCE: Mapping[str, Patience] = {
    # A request gives up before its sender does. In its transaction it also waits for the disk to take the picture.
    "web": Patience(lock_ms=2_000, statement_ms=10_000, idle_ms=10_000),
    # A worker's result is void once its lease has run out. It waits for a lock a little longer than one that was
    # stopped can hold it.
    "worker": Patience(lock_ms=2_500, statement_ms=30_000, idle_ms=2_000),
    # Migrations and whatever a person runs: as long as it takes.
    "command": Patience(lock_ms=0, statement_ms=0, idle_ms=60_000),
}


def databases(chosen: Mapping[str, Any], *, role: str, connections: int, readers: int) -> dict[str, dict[str, Any]]:
    """Django's DATABASES: `default`, and the same database once more over a pool of its own for reads.

    What DATABASE_URL says in its own `options` comes last and so counts.
    """
    default = dict(chosen) | {"CONN_MAX_AGE": 0, "CONN_HEALTH_CHECKS": False}
    own = dict(default.get("OPTIONS", {}))
    options = {
        "connect_timeout": CONNECT_TIMEOUT_S,
        **own,
        "options": f"{PATIENCE[role].options} {own.get('options', '')}".strip(),
    }
    # A request runs in its own thread under ASGI, so connections live in psycopg's pool, not in threads.
    default["OPTIONS"] = options | {"pool": _pool(1, connections)}
    reads = deepcopy(default)
    reads["OPTIONS"]["pool"] = _pool(0, readers)
    reads["TEST"] = {"MIRROR": "default"}
    return {"default": default, READS: reads}


def _pool(least: int, most: int) -> dict[str, int]:
    # The pauses between attempts double: given up early, the next request tries again at once.
    return {"min_size": least, "max_size": most, "timeout": 10, "reconnect_timeout": 3, "max_lifetime": 600}
