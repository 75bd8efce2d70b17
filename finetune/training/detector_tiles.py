"""Cut training tiles from freshly generated boards: the same tiles for the same seed and step, however often.

Boards cost a fraction of what a training step costs, so no tile is ever seen twice and nothing is kept on disk.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from finetune.boards import CLASSES, Board, Picture, generate_board

TILES_A_BOARD = 4
DEFECTS_A_BOARD = (10, 34)
"""More than a real board has: each square pixel of a tile costs the same, whether it teaches something or not."""

LEAST_VISIBLE = 0.4
"""A defect cut off by the tile's border is a target while this share of its box can be seen."""

Targets = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Tile:
    """A square piece of a board; `targets` is (n, 5): class, then centre and size in 0..1 of the tile."""

    picture: Picture
    targets: Targets


def tiles_of_step(*, seed: int, step: int, count: int, side_px: int) -> list[Tile]:
    """`count` tiles (a multiple of four) of `side_px`."""
    boards = count // TILES_A_BOARD
    first = step * boards
    tiles = [tile for index in range(boards) for tile in _tiles_of_board((seed, first + index), side_px)]
    return tiles


def _tiles_of_board(key: tuple[int, int], side_px: int) -> list[Tile]:
    rng = np.random.default_rng(key)
    board = generate_board(int(rng.integers(1 << 62)), defects=int(rng.integers(*DEFECTS_A_BOARD)), facts=False)
    tiles = []
    for _ in range(TILES_A_BOARD):
        x, y = _corner(rng, board, side_px)
        picture = np.ascontiguousarray(board.image[y : y + side_px, x : x + side_px])
        tiles.append(Tile(picture, _targets(board, x, y, side_px)))
    return tiles


def _corner(rng: np.random.Generator, board: Board, side_px: int) -> tuple[int, int]:
    """Around a defect three times in four, anywhere else: a detector must see good copper too."""
    free = board.image.shape[0] - side_px
    corner = rng.integers(0, free + 1, 2)
    if board.defects and rng.random() < 0.75:
        box = board.defects[int(rng.integers(len(board.defects)))].box_xyxy
        middle = np.array([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2])
        corner = np.clip(middle - rng.uniform(0.15, 0.85, 2) * side_px, 0, free).astype(int)
    return int(corner[0]), int(corner[1])


def _targets(board: Board, x: int, y: int, side_px: int) -> Targets:
    rows = []
    for defect in board.defects:
        box = np.array(defect.box_xyxy, np.float64) - (x, y, x, y)
        seen = np.clip(box, 0.0, float(side_px))
        if _area(seen) >= LEAST_VISIBLE * _area(box):
            centre, size = (seen[:2] + seen[2:]) / 2, seen[2:] - seen[:2]
            rows.append([CLASSES.index(defect.defect_class), *(centre / side_px), *(size / side_px)])
    return np.array(rows, np.float32).reshape(-1, 5)


def _area(box: npt.NDArray[np.floating[Any]]) -> float:
    return float((box[2] - box[0]) * (box[3] - box[1]))
