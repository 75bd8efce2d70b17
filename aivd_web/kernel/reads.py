"""Which pool a question to the database takes: its own for what must answer also while all else waits.

Reads of health and websockets go over the alias `reads`, everything else over `default`; it is one database. Rows
that were read over one may be written, and followed to others, over the other.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.conf import settings

_alias: ContextVar[str] = ContextVar("database", default="default")


@contextmanager
def over_own_pool() -> Iterator[str]:
    """What is read inside, on this thread, goes over the readers' pool. Gives its alias."""
    before = _alias.set(settings.READERS_ALIAS)
    try:
        yield settings.READERS_ALIAS
    finally:
        _alias.reset(before)


def current_alias() -> str:
    """For SQL of one's own: `connections[current_alias()]`."""
    return _alias.get()


class ReadsRouter:
    """Django's DATABASE_ROUTERS entry."""

    def db_for_read(self, model: Any, **hints: Any) -> str:
        return _alias.get()

    def db_for_write(self, model: Any, **hints: Any) -> str:
        return "default"

    def allow_relation(self, one: Any, other: Any, **hints: Any) -> bool:
        return True

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool:
        return db == "default"
