"""The one event format of all trainers: a line of JSON an event, in `events.jsonl` of the run's folder.

Each line has `event` and `at` (UTC, ISO 8601). The events and their further keys:

log         level ("info", "warning", "error"), text
estimate    steps, seconds (all of it), report_seconds, memory_mib, free_memory_mib, parameters, trained_parameters
started     step, steps
step        step, loss, learning_rate, seconds_left
validated   step, field_f1, class_accuracy, json_valid, fields {name: macro-F1}, best (whether it is the best yet)
sample      step, frame, box [x, y, w, h], picture, truth, answer: what the current weights write
checkpoint  step, path (below the run's folder)
measured    arm, trial, class_accuracy, done, of: how far the report is
done        step, sentence, adapter {path, digest, bytes}, field_f1, report {path, digest}

A detector tells `validated` with frames, map_iou33, map50, map50_95, classes {name: average precision}, ms_per_frame
and best, and `done` with detector {path, digest, bytes}, map50 and report {validation, test, step, seconds}. Any run:

cancelled   step, sentence
failed      code, sentence, hint

A run that was resumed appends to the same file. Readers skip a last line that is cut off. By `json` and not by typed
values: an event is kept as it was written, for whoever shows it, and a trainer may add keys.
"""

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

FILE: Final = "events.jsonl"


class EventLog:
    """Appends a run's events; each is on disk before the call returns."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE
        self._mend()

    def say(self, event: str, **fields: Any) -> None:
        line = json.dumps({"event": event, "at": datetime.now(UTC).isoformat(timespec="milliseconds")} | fields)
        with self.path.open("a", encoding="utf-8") as file:
            file.write(line + "\n")
        print(line, file=sys.stdout, flush=True)

    def log(self, text: str, level: str = "info") -> None:
        self.say("log", level=level, text=text)

    def _mend(self) -> None:
        """End a line that a killed run left unfinished, so that the next event does not hang on it."""
        if self.path.exists() and (content := self.path.read_bytes()) and not content.endswith(b"\n"):
            with self.path.open("ab") as file:
                file.write(b"\n")


def read_events(folder: Path) -> list[dict[str, Any]]:
    """The events of a run so far; lines that are cut off are left out."""
    path = folder / FILE
    events = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
        try:
            events.append(json.loads(line))
        except ValueError:
            continue
    return [event for event in events if isinstance(event, dict)]
