"""Event numbers: 1..n on each line without a gap, visible in the order of their numbers."""

import random
import threading
from typing import Any

import pytest
from django.db import connections, transaction

from aivd_web.kernel import publish
from aivd_web.kernel.parts import part
from inspections.events import numbering
from inspections.models import Event, EventHead, Line
from tests.cast import Cast
from tests.threads import together

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True)]


class RolledBack(Exception):
    pass


def numbers(line: Line) -> list[int]:
    return list(Event.objects.filter(line=line).order_by("seq").values_list("seq", flat=True))


def write(line: Line, *, breaks: bool = False, count: int = 1) -> None:
    with transaction.atomic():
        numbering.record_all(line_id=line.pk, changes=[numbering.Change("frame.added")] * count)
        if breaks:
            raise RolledBack


def test_writers_at_once_with_rollbacks_leave_no_gap(cast: Cast) -> None:
    def work(index: int) -> int:
        rng, written = random.Random(index), 0
        for _ in range(25):
            breaks, count = rng.random() < 0.3, rng.randint(1, 3)
            try:
                write(rng.choice((cast.line, cast.other_line)), breaks=breaks, count=count)
                written += count
            except RolledBack:
                pass
        return written

    written = sum(together(8, work))
    both = [numbers(line) for line in (cast.line, cast.other_line)]
    assert sum(map(len, both)) == written
    for line, seen in zip((cast.line, cast.other_line), both, strict=True):
        assert seen == list(range(1, len(seen) + 1))
        assert EventHead.objects.get(line=line).seq == len(seen)


def test_a_reader_never_sees_a_number_before_a_smaller_one(cast: Cast) -> None:
    """A sequence would fail this: its numbers become visible in the order of COMMIT, not of the numbers."""
    done = threading.Event()
    gaps: list[list[int]] = []

    def read() -> None:
        while not done.is_set():
            seen = numbers(cast.line)
            if seen != list(range(1, len(seen) + 1)):
                gaps.append(seen)
        connections.close_all()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        together(6, lambda _: [write(cast.line, count=2) for _ in range(20)])
    finally:
        done.set()
        reader.join(30)
    assert not gaps
    assert len(numbers(cast.line)) == 240


def test_a_new_line_begins_at_one(cast: Cast) -> None:
    line = Line.objects.create(site=cast.line.site, name="C")
    write(line, count=2)
    assert numbers(line) == [1, 2]


def test_an_event_without_its_transaction_is_a_mistake(cast: Cast) -> None:
    with pytest.raises(AssertionError, match="part of the change"):
        numbering.record(line_id=cast.line.pk, type="frame.added")


def test_viewers_hear_of_it_after_the_commit_and_never_of_a_rollback(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, dict[str, Any]]] = []
    monkeypatch.setattr(part(publish.Publisher), "send", lambda group, message: said.append((group, message)))
    with transaction.atomic():
        seq = numbering.record(line_id=cast.line.pk, type="frame.added", data={"width": 3})
        assert not said
    with pytest.raises(RolledBack):
        write(cast.line, breaks=True)
    (group, message), row = said[0], Event.objects.get()
    assert len(said) == 1
    assert group == f"line.{cast.line.pk}"
    assert message["events"] == [
        {"type": "frame.added", "seq": seq, "id": None, "at": row.at.isoformat(), "data": {"width": 3}}
    ]
