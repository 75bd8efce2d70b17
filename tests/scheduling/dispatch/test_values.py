"""What an assignment says it sends, also after an earlier attempt has made its pictures smaller."""

from dataclasses import replace

import pytest

from scheduling.dispatch.values import Assignment, Request
from scheduling.policy.items import LADDER, Leeway, frame_load, make_item
from scheduling.policy.types import Placed

FRAME, TEMPLATE = 100_000, 30_000


def test_a_template_is_sent_whole_and_is_part_of_what_would_have_been_sent() -> None:
    load, leeway = frame_load(FRAME, 1, TEMPLATE), Leeway(ladder=True)
    item = make_item(load, id="1", model="edge_detector", arrived_at=0.0, deadline_at=0.3, leeway=leeway)
    rung = LADDER[0]
    first = Assignment(Request(item, "", "pct-lb"), Placed("1", "degrade", node="a", quality=rung), "a", "r1")
    again = replace(item, bytes=int(first.bytes), qualities=(), attempt=2)
    second = Assignment(Request(again, "", "pct-lb"), Placed("1", "send", node="b"), "b", "r2", 2, lowered=rung)

    assert first.bytes == second.bytes == pytest.approx(TEMPLATE + rung.bytes_factor * FRAME)
    assert first.full_bytes == second.full_bytes == pytest.approx(TEMPLATE + FRAME)
