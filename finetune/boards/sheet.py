"""Draw a contact sheet of boards and of single defects, for people to look at."""

import cv2
import numpy as np

from finetune.boards.contracts import CLASSES, STYLES, Board, Picture
from finetune.boards.generator import generate_board

COLOURS = ((230, 60, 40), (20, 160, 40), (40, 80, 230), (240, 150, 20), (190, 40, 190), (20, 150, 160))


def boards_sheet(first_seed: int, *, columns: int = 4, rows: int = 3, style: str | None = None) -> Picture:
    """Boards with their boxes, (rows * 640, columns * 640, 3)."""
    cells = []
    for seed in range(first_seed, first_seed + columns * rows):
        cells.append(_marked(generate_board(seed, style=style)))
    return np.vstack([np.hstack(cells[r * columns : (r + 1) * columns]) for r in range(rows)])


def styles_sheet(seed: int, *, side_px: int = 400) -> Picture:
    """One row a style: two boards, each with its boxes and beside it its template, (3 * side, 4 * side, 3)."""
    rows = []
    for row, style in enumerate(STYLES):
        pictures = []
        for column in range(2):
            board = generate_board(seed + 2 * row + column, style=style)
            pictures += [_marked(board), board.template]
        rows.append(np.hstack([cv2.resize(p, (side_px, side_px), interpolation=cv2.INTER_AREA) for p in pictures]))
    return np.vstack(rows)


def _marked(board: Board) -> Picture:
    """The board's picture with a box and a class name around each defect."""
    picture = board.image.copy()
    for defect in board.defects:
        x1, y1, x2, y2 = (int(v) for v in defect.box_xyxy)
        colour = COLOURS[CLASSES.index(defect.defect_class)]
        cv2.rectangle(picture, (x1, y1), (x2, y2), colour, 2)
        cv2.putText(picture, defect.defect_class, (x1, y1 - 4), cv2.FONT_HERSHEY_SIMPLEX, 0.5, colour, 1)
    return picture


def defects_sheet(first_seed: int, *, per_class: int = 14, style: str | None = None) -> Picture:
    """One row of 100 px crops at 160 px for each class."""
    found: dict[str, list[Picture]] = {name: [] for name in CLASSES}
    seed = first_seed
    while min(len(cells) for cells in found.values()) < per_class:
        board = generate_board(seed, style=style)
        picture = cv2.copyMakeBorder(board.image, 50, 50, 50, 50, cv2.BORDER_CONSTANT, value=(128, 128, 128))
        for defect in board.defects:
            x1, y1, x2, y2 = (int(v) for v in defect.box_xyxy)
            x, y = (x1 + x2) // 2, (y1 + y2) // 2
            crop = picture[y : y + 100, x : x + 100].copy()
            cv2.rectangle(crop, (x1 - x + 50, y1 - y + 50), (x2 - x + 50, y2 - y + 50), (230, 60, 40), 1)
            enlarged = cv2.resize(crop, (160, 160), interpolation=cv2.INTER_NEAREST)
            found[defect.defect_class].append(enlarged.astype(np.uint8, copy=False))
        seed += 1
    return np.vstack([np.hstack(found[name][:per_class]) for name in CLASSES])
