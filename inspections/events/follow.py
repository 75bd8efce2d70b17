"""What a viewer of a line's events reads: the head, what came after a number, and whether they may see it."""

import hashlib
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from django.db import connections

from aivd_web.kernel.reads import current_alias
from inspections import rules
from inspections.models import Event, EventHead

from .numbering import line_group as group

__all__ = ["Head", "events_after", "group", "head", "may_follow"]


@dataclass(frozen=True)
class Head:
    """The last number given out on a line, and which database it belongs to."""

    seq: int
    epoch: str


def may_follow(who: rules.Principal, line_id: int) -> bool:
    return rules.whole_lines(who).filter(pk=line_id).exists()


def head(line_id: int) -> Head:
    seq = EventHead.objects.filter(line_id=line_id).values_list("seq", flat=True).first()
    return Head(seq or 0, epoch())


_epochs: WeakKeyDictionary[Any, str] = WeakKeyDictionary()
"""What each connection's database said. A process outlives a database that is put in another's place; its connections
do not."""


def epoch() -> str:
    """Changes when the numbers begin anew, because this is another database than a viewer's numbers are from."""
    connection = connections[current_alias()]
    connection.ensure_connection()
    if (known := _epochs.get(connection.connection)) is None:
        known = _epochs[connection.connection] = _asked(connection)
    return known


def _asked(connection: Any) -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT system_identifier, oid FROM pg_control_system(), pg_database WHERE datname = current_database()"
        )
        identity = cursor.fetchone()
    return hashlib.sha256(repr(identity).encode()).hexdigest()[:12]


def events_after(line_id: int, seq: int, limit: int) -> list[dict[str, Any]]:
    """The next `limit` events in order. Numbers become visible in their order, so none can turn up later."""
    rows = Event.objects.filter(line_id=line_id, seq__gt=seq).order_by("seq")[:limit]
    return [
        {
            "type": row.type,
            "seq": row.seq,
            "id": str(row.frame_id) if row.frame_id else None,
            "at": row.at.isoformat(),
            "data": row.data,
        }
        for row in rows
    ]
