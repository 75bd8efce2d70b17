"""The shipped describer inside a real node: it streams its tokens, and names what is in the crop."""

from collections.abc import Callable
from typing import Any

import pytest

from finetune.boards import CLASSES, generate_board
from scheduling.serving.contracts import DescribeRequest, RegionRequest
from scheduling.serving.crops import cut_crop, encode_crop
from scheduling.serving.describers import SMALL
from scheduling.serving.nodes import NodeSpec
from tests.nodes import RunningNode, node_spec


@pytest.mark.stack
def test_a_node_streams_the_shipped_describers_tokens(make_node: Callable[[NodeSpec], RunningNode]) -> None:
    node = make_node(node_spec("small", "describer", describer=SMALL, environment={}))
    board = generate_board(31, defects=6)
    regions = tuple(RegionRequest(str(n), defect.box_xyxy, "", 0.9) for n, defect in enumerate(board.defects))
    request = DescribeRequest("1", (640, 640), CLASSES, regions, 256)
    crops = [encode_crop(cut_crop(board.image, defect.box_xyxy)) for defect in board.defects]
    events: list[dict[str, Any]] = []
    told = node.client.describe(crops, request, timeout_s=60, idle_timeout_s=30, on_event=events.append)

    assert all(answer.valid for answer in told.answers)
    for answer in told.answers:
        texts = [e["text"] for e in events if e["type"] == "token" and e["region_id"] == answer.region_id]
        assert len(texts) > 10
        assert "".join(texts) == answer.raw_text
    order = [event["type"] for event in events]
    assert order.index("answer") > 10
    assert order[-1] == "done"
    named = {answer.region_id: answer.answer["defect_class"] for answer in told.answers}
    right = [named[str(n)] == defect.defect_class for n, defect in enumerate(board.defects)]
    assert sum(right) >= len(right) - 1
