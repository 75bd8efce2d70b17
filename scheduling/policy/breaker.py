"""The circuit breaker of one Node: closed, open after too many failures, half-open with one canary a second.

It decides only whether a Node may be tried. How slow a Node is predicted to be is none of its business.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

State = Literal["closed", "open", "half-open"]


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
    outcomes: list[tuple[float, bool]] = field(default_factory=list)

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
            self.state, self.canary_at, self.outcomes = "closed", None, []
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
        self.outcomes.append((at, good))
        if len(self.outcomes) > 200 or self.outcomes[0][0] < at - self.window_s:
            self.outcomes = [o for o in self.outcomes[-200:] if o[0] >= at - self.window_s]

    def _tripped(self) -> bool:
        if self.failed_in_row >= self.row:
            return True
        bad = sum(not good for _, good in self.outcomes)
        return len(self.outcomes) >= self.least_calls and bad >= self.trip_share * len(self.outcomes)

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Breaker":
        return cls(**{**data, "outcomes": [(float(t), bool(g)) for t, g in data["outcomes"]]})
