"""Number what changed on a Line and tell the viewers. The row is the truth, the message a hint."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import connection

from aivd_web.kernel.publish import publish, publish_on_commit

# One statement: the counter's row lock is taken as late as can be and is held until COMMIT, so that numbers
# become visible in the order of the numbers and none is left out by a rollback.
RECORD = """
WITH head AS (
    INSERT INTO inspections_eventhead AS h (line_id, seq) VALUES (%(line)s, %(n)s)
    ON CONFLICT (line_id) DO UPDATE SET seq = h.seq + %(n)s RETURNING seq
), change AS (
    SELECT * FROM jsonb_array_elements(%(changes)s::jsonb) WITH ORDINALITY AS c(change, position)
)
INSERT INTO inspections_event (line_id, seq, type, frame_id, data, at)
SELECT %(line)s, head.seq - %(n)s + position, change->>'type', (change->>'frame_id')::uuid, change->'data',
       clock_timestamp()
FROM change, head ORDER BY position
RETURNING seq, type, frame_id, data::text, at
"""


@dataclass(frozen=True)
class Change:
    """Something that happened to a Frame (or, without one, to the Line)."""

    type: str
    frame_id: UUID | None = None
    data: dict[str, Any] | None = None

    def as_dict(self) -> dict[str, Any]:
        frame = str(self.frame_id) if self.frame_id else None
        return {"type": self.type, "frame_id": frame, "data": self.data or {}}


def record(*, line_id: int, type: str, frame_id: UUID | None = None, data: dict[str, Any] | None = None) -> int:
    """Write one event in the current transaction and return its number; viewers hear of it on commit."""
    return record_all(line_id=line_id, changes=[Change(type, frame_id, data)])


def record_all(*, line_id: int, changes: Sequence[Change]) -> int:
    """Write `changes` with consecutive numbers in the current transaction; return the last number.

    Call it last in the transaction: from here to COMMIT other writers of this Line wait.
    """
    assert connection.in_atomic_block, "An event is part of the change it tells of."
    parameters: dict[str, Any] = {
        "line": line_id,
        "n": len(changes),
        "changes": json.dumps([change.as_dict() for change in changes]),
    }
    with connection.cursor() as cursor:
        cursor.execute(RECORD, parameters)
        rows = cursor.fetchall()
    publish_on_commit(line_group(line_id), {"type": "line.events", "events": [_event_json(row) for row in rows]})
    return int(max(row[0] for row in rows))


def hint(*, line_id: int, message: dict[str, Any]) -> None:
    """Tell viewers something that may vanish, such as a token of a description that is being written."""
    publish(line_group(line_id), _hint_of(message))


def hint_on_commit(*, line_id: int, message: dict[str, Any]) -> None:
    """The same once the current transaction has committed."""
    publish_on_commit(line_group(line_id), _hint_of(message))


def _hint_of(message: dict[str, Any]) -> dict[str, Any]:
    assert "seq" not in message, "Viewers take what has a seq for an event of the Line."
    return {"type": "line.hint", "hint": message}


def line_group(line_id: int) -> str:
    return f"line.{line_id}"


def _event_json(row: tuple[Any, ...]) -> dict[str, Any]:
    seq, type_, frame_id, data, at = row
    return {
        "type": type_,
        "seq": seq,
        "id": str(frame_id) if frame_id else None,
        "at": at.isoformat(),
        "data": json.loads(data),
    }
