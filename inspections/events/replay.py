"""Put a line's events in front of one viewer: each number once, in order, none left out. Knows no socket or database.

Live events come by Redis, which may drop, repeat or delay them; the database has every one. So a live event is
passed on only if it is the next one, and whatever shows that one was missed makes the database be read.
"""

from collections.abc import Sequence
from typing import Any, Protocol, TypeVar


class HasSeq(Protocol):
    """An event, as a mapping with its number under "seq"."""

    def __getitem__(self, key: str, /) -> Any: ...


E = TypeVar("E", bound=HasSeq)


class Sequencer:
    """`delivered` is the number of the last event that the viewer has; `wanted` the highest known to exist."""

    def __init__(self, after_seq: int) -> None:
        self.delivered = after_seq
        self.wanted = after_seq

    @property
    def is_behind(self) -> bool:
        """Events exist that the viewer has not got: read the database after `delivered`."""
        return self.wanted > self.delivered

    @property
    def missing(self) -> int:
        return max(0, self.wanted - self.delivered)

    def live(self, event: E) -> list[E]:
        """What to send now that `event` was heard: itself, or nothing if it is old or shows a gap."""
        seq = event["seq"]
        self.wanted = max(self.wanted, seq)
        if seq != self.delivered + 1:
            return []
        self.delivered = seq
        return [event]

    def head(self, seq: int) -> None:
        """The database says that events exist up to `seq`."""
        self.wanted = max(self.wanted, seq)

    def read(self, rows: Sequence[E]) -> list[E]:
        """What to send of rows that were read in order after `delivered`.

        Live events cannot have been sent in between, but rows may reach beyond what was known to exist.
        """
        fresh = [row for row in rows if row["seq"] > self.delivered]
        if not fresh:
            # The numbers were given out and are not there: the database is another one than before.
            self.wanted = self.delivered
            return []
        self.delivered = fresh[-1]["seq"]
        self.wanted = max(self.wanted, self.delivered)
        return fresh
