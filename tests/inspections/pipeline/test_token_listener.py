"""Tokens on their way to the browser: gathered to ten messages a second a region, and none held back for good."""

from collections.abc import Callable
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from inspections.events import numbering
from inspections.pipeline.stages.describe import TokenListener


class Desk:
    """A clock that the test moves, the timers that were set, and the messages that were sent."""

    def __init__(self) -> None:
        self.now = 0.0
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.sent: list[tuple[float, dict[str, Any]]] = []

    def later(self, delay_s: float, act: Callable[[], None]) -> None:
        self.timers.append((self.now + delay_s, act))

    def advance(self, to_s: float) -> None:
        for at, act in sorted([timer for timer in self.timers if timer[0] <= to_s], key=lambda timer: timer[0]):
            self.now = at
            act()
        self.timers = [timer for timer in self.timers if timer[0] > to_s]
        self.now = to_s


@pytest.fixture
def desk(monkeypatch: pytest.MonkeyPatch) -> Desk:
    made = Desk()
    monkeypatch.setattr(numbering, "hint", lambda *, line_id, message: made.sent.append((made.now, message)))
    return made


@pytest.fixture
def listener(desk: Desk) -> TokenListener:
    frame: Any = SimpleNamespace(pk="frame", line_id=1)
    return TokenListener(frame, clock=lambda: desk.now, later=desk.later)


def token(text: str, region: str = "r") -> dict[str, Any]:
    return {"type": "token", "region_id": region, "text": text}


def test_five_tokens_arrive_though_the_model_then_stops(desk: Desk, listener: TokenListener) -> None:
    for n, text in enumerate(("A ", "notch ", "at ", "the ", "left ")):
        desk.advance(n * 0.01)
        listener.heard(token(text))
    desk.advance(5.0)

    assert "".join(message["text"] for _, message in desk.sent) == "A notch at the left "
    assert desk.sent[-1][1]["n"] == 5
    assert desk.sent[-1][0] <= 0.101


def test_a_fast_region_sends_at_most_ten_messages_a_second(desk: Desk, listener: TokenListener) -> None:
    for n in range(400):
        desk.advance(n * 0.005)
        listener.heard(token("x"))
    desk.advance(3.0)

    times = [at for at, _ in desk.sent]
    assert all(later - earlier >= 0.0999 for earlier, later in pairwise(times))
    assert sum(len(message["text"]) for _, message in desk.sent) == 400


def test_regions_do_not_wait_for_each_other(desk: Desk, listener: TokenListener) -> None:
    listener.heard(token("one", region="a"))
    listener.heard(token("two", region="b"))

    assert [message["region"] for _, message in desk.sent] == ["a", "b"]


def test_a_new_attempt_begins_from_nothing(desk: Desk, listener: TokenListener) -> None:
    listener.heard(token("old "))
    listener.heard(token("held back "))
    listener.restart()
    listener.heard(token("new "))
    desk.advance(1.0)

    assert [message["text"] for _, message in desk.sent] == ["old ", "new "]
    assert desk.sent[-1][1]["n"] == 1


def test_other_events_are_not_hints(desk: Desk, listener: TokenListener) -> None:
    listener.heard({"type": "answer", "region_id": "r"})
    listener.flush()

    assert desk.sent == []
