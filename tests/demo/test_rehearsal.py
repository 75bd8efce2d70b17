"""The demo's verdict: how it counts boards, finds and faults."""

from typing import Any

import pytest

from aivd_web.demo.follower import Follower
from aivd_web.demo.rehearsal import Sent, Verdict, _summary, boards, iou
from finetune.boards import generate_board


def test_boards_without_defects_are_spread_among_the_others() -> None:
    made = boards(seed=1, with_defects=4, without=1)
    assert [bool(board.defects) for board in made].count(False) == 1
    assert len(made) == 5


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ((0, 0, 10, 10), (0, 0, 10, 10), 1.0),
        ((0, 0, 10, 10), (5, 0, 15, 10), 1 / 3),
        ((0, 0, 10, 10), (10, 0, 20, 10), 0.0),
        ((0, 0, 10, 10), (20, 20, 30, 30), 0.0),
        ((0, 0, 10, 10), (2, 2, 4, 4), 0.04),
    ],
)
def test_iou(a: tuple[float, ...], b: tuple[float, ...], expected: float) -> None:
    assert iou(a, b) == pytest.approx(expected) == iou(b, a)


def frame_json(board: Any, *, state: str = "complete", description: str = "done") -> dict[str, Any]:
    regions = [
        {
            "defect_class": {"name": defect.defect_class},
            "box_xyxy": defect.box_xyxy,
            "counts": True,
            "description": {"state": description},
        }
        for defect in board.defects
    ]
    return {"state": state, "regions": regions, "decision": {"latency_ms": 50.0}, "latency_ms": 80.0}


def judged(*sent: Sent, completions: list[str] | None = None) -> Verdict:
    follower = Follower("ws://127.0.0.1:1/", "token")
    for n, frame in enumerate([one.frame_id for one in sent] if completions is None else completions):
        follower.events.append({"seq": n + 1, "type": "frame.complete", "id": frame})
    return Verdict(list(sent), _summary(list(sent), follower))


def sent(n: int, **more: Any) -> Sent:
    board = generate_board(n, defects=2)
    return Sent(board, "rest", f"k{n}", f"f{n}", frame_json(board, **more))


def test_all_complete_and_described_is_good() -> None:
    verdict = judged(sent(1), sent(2))
    assert verdict.good
    assert (verdict.summary["recall"], verdict.summary["p50_ms"], verdict.summary["complete"]) == (1.0, 50.0, 2)


def test_a_frame_that_is_not_complete_is_lost() -> None:
    verdict = judged(sent(1), sent(2, state="decided"))
    assert verdict.summary["lost"] == 1
    assert not verdict.good


def test_a_frame_that_completed_twice_is_doubled() -> None:
    verdict = judged(sent(1), completions=["f1", "f1"])
    assert verdict.summary["doubled"] == 1
    assert not verdict.good


def test_two_boards_that_became_one_frame_are_doubled() -> None:
    verdict = judged(sent(1), Sent(generate_board(2), "rest", "k2", "f1", sent(1).frame))
    assert not verdict.good


def test_an_invalid_description_is_not_good() -> None:
    assert not judged(sent(1, description="invalid")).good


def test_nothing_sent_is_not_good() -> None:
    assert not judged().good
