"""The circuit breaker of one Node: closed, open after too many failures, half-open with one canary a second.

It decides only whether a Node may be tried. How slow a Node is predicted to be is none of its business.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["closed", "open", "half-open"]
MOST_OUTCOMES = 100


@dataclass(slots=True)
class Breaker:
    """Opens when `trip_share` of at least `least_calls` calls in `window_s` failed, or after `row` failures
    in a row.

    While open, nothing is sent for `rest_s`; then one canary a second, and one success closes it again.
    """

    window_s: float = 30.0
    least_calls: int = 10
    trip_share: float = 0.5
    row: int = 3
    rest_s: float = 1.0
    state: State = "closed"
    opened_at: float = 0.0
    canary_at: float | None = None
    failed_in_row: int = 0
    outcomes: deque[tuple[float, bool]] = field(default_factory=deque)

    def allows(self, now: float) -> bool:
        """Whether one more request may go to this Node now."""
        if self.state == "closed":
            return True
        since = self.opened_at if self.canary_at is None else self.canary_at
        return now - since >= self.rest_s

    def sent(self, at: float) -> None:
        if self.state != "closed":
            self.state, self.canary_at = "half-open", at

    def succeeded(self, at: float) -> None:
        if self.state != "closed":
            self.state, self.canary_at = "closed", None
            self.outcomes.clear()
        self.failed_in_row = 0
        self._note(at, True)

    def failed(self, at: float) -> None:
        self.failed_in_row += 1
        self._note(at, False)
        if self.state == "half-open" or (self.state == "closed" and self._tripped()):
            self.open(at)

    def open(self, at: float) -> None:
        """Take the Node out now, also when a probe found it dead."""
        self.state, self.opened_at, self.canary_at = "open", at, None

    def _note(self, at: float, good: bool) -> None:
        outcomes = self.outcomes
        outcomes.append((at, good))
        while len(outcomes) > MOST_OUTCOMES or outcomes[0][0] < at - self.window_s:
            outcomes.popleft()

    def _tripped(self) -> bool:
        if self.failed_in_row >= self.row:
            return True
        bad = sum(not good for _, good in self.outcomes)
        return len(self.outcomes) >= self.least_calls and bad >= self.trip_share * len(self.outcomes)

    def to_json(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in self.__slots__}
        return {**plain, "outcomes": [list(outcome) for outcome in self.outcomes]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Breaker":
        return cls(**{**data, "outcomes": deque((float(t), bool(g)) for t, g in data["outcomes"])})
