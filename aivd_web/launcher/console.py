"""What the launcher says and where it keeps what its children say: one log file each, one prefixed console.

It knows no processes, only names and lines.
"""

import contextlib
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, TextIO

COLOURS = (36, 33, 35, 32, 34, 96, 93, 95, 92, 94)
PROBLEM = re.compile(
    r"\b(?:warn(?:ing)?|error|critical|fatal|panic|traceback|exception|denied|failed)\b", re.IGNORECASE
)
MAX_LOG_BYTES = 20 * 2**20


@dataclass(slots=True)
class Console:
    """Lines for a person. Colours on a terminal only; `mirror` gets a plain copy of what the launcher says."""

    stream: TextIO
    verbose: bool = False
    mirror: TextIO | None = None
    _colours: dict[str, int] = field(default_factory=dict)

    def say(self, text: str) -> None:
        """The launcher's own words."""
        self._write(self.stream, text)
        if self.mirror is not None:
            self._write(self.mirror, text)

    def show(self, name: str, line: str, *, which: str) -> None:
        """A child's line, if it is among the `which` ("all", "problems", "none") or all were asked for."""
        if self.verbose or which == "all" or (which == "problems" and PROBLEM.search(line)):
            self._write(self.stream, f"{self._prefix(name)} {line}")

    def _prefix(self, name: str) -> str:
        text = f"{name:>15} |"
        if not self.stream.isatty() or os.environ.get("NO_COLOR"):
            return text
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        return f"\x1b[{colour}m{text}\x1b[0m"

    def _write(self, stream: TextIO, text: str) -> None:
        # Whoever read along may have gone; the children matter more.
        with contextlib.suppress(BrokenPipeError, ValueError):
            print(text, file=stream, flush=True)


class LogFile:
    """A child's log: appended to, and moved aside to `.1` when it grows past the limit."""

    def __init__(self, path: Path, *, max_bytes: int = MAX_LOG_BYTES) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._stream: IO[bytes] = path.open("ab", buffering=0)
        self._size = self._stream.tell()

    def write(self, line: bytes) -> None:
        if self._size + len(line) > self._max_bytes:
            self._turn()
        self._stream.write(line)
        self._size += len(line)

    def last_lines(self, count: int) -> list[str]:
        with self.path.open("rb") as stream:
            stream.seek(max(0, self.path.stat().st_size - 200 * count))
            return stream.read().decode(errors="replace").splitlines()[-count:]

    def close(self) -> None:
        self._stream.close()

    def _turn(self) -> None:
        self._stream.close()
        self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        self._stream = self.path.open("ab", buffering=0)
        self._size = 0


def last_problem(lines: Sequence[str]) -> str:
    """The line that most likely says why a process ended."""
    said = [line.strip() for line in lines if line.strip()]
    return next((line for line in reversed(said) if PROBLEM.search(line)), said[-1] if said else "nothing")
