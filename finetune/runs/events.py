"""Turn what a trainer writes into rows, each line once, and tell those who watch.

The place up to which was read is in the run's row, and changes in the transaction that writes the rows.
"""

import json
from pathlib import Path
from typing import Any

from django.db import transaction

from aivd_web.kernel.text import storable
from finetune.leases import Held
from finetune.models import FineTuneRun, RunEvent
from finetune.runs import services

MAX_READ_BYTES = 1024**2
MAX_LINE_BYTES = 64 * 1024
MAX_STEPS_KEPT = 2_000
LEVELS = ("debug", "info", "warning", "error")
MAX_DEPTH_TEXT = 4_000


class Tail:
    """Reads on from where the row says; a line that is not ended yet is left for the next time."""

    def __init__(self, held: Held[FineTuneRun], path: Path) -> None:
        self.held, self.path = held, path

    def read(self) -> None:
        """Everything that is new. Raises LeaseLost."""
        while self._read_some():
            pass

    def _read_some(self) -> bool:
        run = self.held.row
        try:
            with self.path.open("rb") as file:
                file.seek(run.events_read)
                data = file.read(MAX_READ_BYTES)
        except FileNotFoundError:
            return False
        end = data.rfind(b"\n") + 1
        if not end:
            end = len(data) if len(data) >= MAX_LINE_BYTES else 0  # a line without an end is passed over
        if not end:
            return False
        self._write([event for line in data[:end].splitlines() if (event := _event(line)) is not None], end)
        return len(data) == MAX_READ_BYTES

    def _write(self, events: list[dict[str, Any]], size: int) -> None:
        run = self.held.row
        values: dict[str, Any] = {"events_read": run.events_read + size}
        rows: list[RunEvent] = []
        for event in events:
            _note(values, event)
            if _is_kept(event, values.get("steps", run.steps)):
                rows.append(_row(run, run.events_seq + len(rows) + 1, event))
        with transaction.atomic():
            self.held.write(**values, events_seq=run.events_seq + len(rows))
            RunEvent.objects.bulk_create(rows)
            services.tell(run)


def _event(line: bytes) -> dict[str, Any] | None:
    """The event of a line, or None for what is none. Text is made fit for the database."""
    try:
        found = json.loads(storable(line.decode("utf-8", "replace"), most=MAX_LINE_BYTES))
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("event"), str) else None


def _note(values: dict[str, Any], event: dict[str, Any]) -> None:
    """What the row itself keeps of it."""
    for name, key in (("step", "step"), ("steps", "steps"), ("eta_s", "seconds_left")):
        value = event.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 2**31:
            values[name] = value if name == "eta_s" else int(value)


def _is_kept(event: dict[str, Any], steps: int) -> bool:
    """Every event but the steps of a long run, of which so many are kept as a curve can show."""
    if event["event"] != "step" or steps <= MAX_STEPS_KEPT:
        return True
    step = event.get("step")
    return isinstance(step, int) and (step % -(-steps // MAX_STEPS_KEPT) == 0 or step == steps)


def _row(run: FineTuneRun, seq: int, event: dict[str, Any]) -> RunEvent:
    level = event.get("level")
    data = {name: plain(value) for name, value in event.items() if name != "event"}
    return RunEvent(run=run, seq=seq, type=event["event"][:20], level=level if level in LEVELS else "", data=data)


def plain(value: Any) -> Any:
    """JSON as the database takes it: no NUL, no half surrogate, no number that is none."""
    if isinstance(value, str):
        return storable(value, most=MAX_DEPTH_TEXT)
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else None
    if isinstance(value, dict):
        return {storable(str(name), most=100): plain(each) for name, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list) else value
