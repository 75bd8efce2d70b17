"""The stand-in for torchvision's suppression keeps the boxes that greedy suppression keeps."""

import pytest
import torch

from scheduling.serving.torchvision_ops import ensure, nms


@pytest.mark.parametrize(
    ("boxes", "scores", "iou", "kept"),
    [
        ([], [], 0.5, []),
        ([[0, 0, 10, 10]], [0.1], 0.5, [0]),
        ([[0, 0, 10, 10], [1, 1, 10, 10], [20, 20, 30, 30]], [0.5, 0.9, 0.1], 0.5, [1, 2]),
        ([[0, 0, 10, 10], [0, 0, 10, 5]], [0.9, 0.8], 0.5, [0, 1]),  # exactly at the limit stays
        ([[0, 0, 10, 10], [0, 0, 10, 5]], [0.9, 0.8], 0.49, [0]),
        ([[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]], [0.9, 0.8, 0.7], 0.4, [0, 2]),  # the middle one goes
    ],
)
def test_nms(boxes: list[list[float]], scores: list[float], iou: float, kept: list[int]) -> None:
    found = nms(torch.tensor(boxes).reshape(-1, 4).float(), torch.tensor(scores), iou)
    assert found.tolist() == kept


def test_torchvision_suppresses_once_ensured() -> None:
    ensure()
    ensure()
    import torchvision

    boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 10, 10]])
    assert torchvision.ops.nms(boxes, torch.tensor([0.5, 0.9]), 0.5).tolist() == [1]
