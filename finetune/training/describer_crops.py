"""Crops to train and to judge the small describer on: cut from generated boards, then disturbed as lines do.

A `CropStore` keeps a generous window around each defect, so that one window gives many crops: other box noise,
other context, other light, turned and mirrored with the facts turned along. Knows no model.
"""

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from finetune.boards import CLASSES, Board, generate_board
from finetune.boards.contracts import Picture
from finetune.boards.facts import facts_in_view
from scheduling.serving.answers import NO_DEFECT
from scheduling.serving.contracts import BoxXyxy, Rgb
from scheduling.serving.crops import CONTEXT_RATIO, cut_crop, letterbox

WINDOW_RATIO: Final = 3.4
"""Wide enough for context 2.5 around a box that is 20 % too large and off by 20 %."""

LABELS: Final = (*CLASSES, NO_DEFECT)
GOOD_SHARE: Final = 0.13
CELL_PX: Final = 4
"""Side of the cells, in pixels of the letterboxed crop, in which training asks for the copper."""

_TRANSPOSED: Final = {
    "side": {"left": "above", "above": "left", "right": "below", "below": "right"},
    "orientation": {"horizontal": "vertical", "vertical": "horizontal"},
    "lie": {"flat": "upright", "upright": "flat"},
}
_MIRRORED: Final = {"side": {"left": "right", "right": "left"}}
_FLIPPED: Final = {"side": {"above": "below", "below": "above"}}


@dataclass(frozen=True)
class Window:
    """A wide cut around a box: JPEG bytes, the box in the window's pixels, what the generator knows."""

    jpeg: bytes
    copper_png: bytes
    """The same cut of what is designed (bit 0) and what is there (bit 1): see `copper_of`."""
    box_xyxy: BoxXyxy
    defect_class: str
    facts: dict[str, str]


@dataclass(frozen=True)
class Square:
    """A crop as the model sees it: pixels (side, side, 3), class, facts, and the copper under it as `cells_of`."""

    pixels: Rgb
    defect_class: str
    facts: dict[str, str]
    cells: Picture


@dataclass(frozen=True)
class Noise:
    """How a crop departs from the perfect one.

    Most crops are `near`: their centre and sides are off by up to that share, as a detector's are, and they have the
    context of service. `far_share` of them are off by up to `far`, with a context from all of `context`.
    """

    near: float = 0.1
    far: float = 0.2
    far_share: float = 0.25
    context: tuple[float, float] = (1.0, 2.5)
    light: bool = True
    turned: bool = True


CLEAN: Final = Noise(near=0.0, far_share=0.0, light=False, turned=False)


def windows_of(board: Board, rng: np.random.Generator) -> Iterator[Window]:
    """One window a defect, and windows without a defect so that they are about GOOD_SHARE of all."""
    for defect in board.defects:
        yield _window(board, board.image, board.copper, defect.box_xyxy, defect.defect_class, defect.facts)
        if rng.random() < GOOD_SHARE / (1 - GOOD_SHARE):
            box, picture, copper = _good_place(board, defect.box_xyxy, rng)
            yield _window(board, picture, copper, box, NO_DEFECT, {})


def _good_place(board: Board, box: BoxXyxy, rng: np.random.Generator) -> tuple[BoxXyxy, Rgb, Picture]:
    """Half the time the same place on the good board, else a place of the faulty one that no defect touches."""
    if rng.random() < 0.5:
        return box, board.template, board.design_copper
    height, width = board.image.shape[:2]
    for _ in range(20):
        w, h = box[2] - box[0], box[3] - box[1]
        x, y = float(rng.uniform(0, width - w)), float(rng.uniform(0, height - h))
        moved = (x, y, x + w, y + h)
        if not any(_overlap(moved, defect.box_xyxy) for defect in board.defects):
            return moved, board.image, board.copper
    return box, board.template, board.design_copper


def _overlap(one: BoxXyxy, other: BoxXyxy) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _window(
    board: Board, picture: Rgb, copper: Picture, box: BoxXyxy, defect_class: str, facts: dict[str, str]
) -> Window:
    height, width = picture.shape[:2]
    grow_x, grow_y = ((WINDOW_RATIO - 1) / 2 * (box[2 + i] - box[i]) for i in (0, 1))
    left, top = max(0, math.floor(box[0] - grow_x)), max(0, math.floor(box[1] - grow_y))
    right, bottom = min(width, math.ceil(box[2] + grow_x)), min(height, math.ceil(box[3] + grow_y))
    cut = cv2.cvtColor(picture[top:bottom, left:right], cv2.COLOR_RGB2BGR)
    both = (board.design_copper[top:bottom, left:right] & 1) | (copper[top:bottom, left:right] & 2)
    moved = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    return Window(
        bytes(cv2.imencode(".jpg", cut, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]),
        bytes(cv2.imencode(".png", both)[1]),
        moved,
        defect_class,
        facts,
    )


class CropStore:
    """Windows in memory, saved as one file so that a resumed run trains on the same boards."""

    def __init__(self, windows: list[Window]) -> None:
        self.windows = windows

    @classmethod
    def generate(cls, seeds: range, *, defects: int | None = None) -> "CropStore":
        """Of one board a seed; `defects` as for `generate_board`: a full board costs little more than an empty one."""
        rng = np.random.default_rng((seeds.start, len(seeds)))
        return cls([window for seed in seeds for window in windows_of(generate_board(seed, defects=defects), rng)])

    def save(self, path: Path) -> None:
        rows = [(window.box_xyxy, window.defect_class, window.facts) for window in self.windows]
        pictures = [picture for window in self.windows for picture in (window.jpeg, window.copper_png)]
        ends = np.cumsum([len(picture) for picture in pictures])
        blob = np.frombuffer(b"".join(pictures), np.uint8)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, blob=blob, ends=ends, rows=np.frombuffer(json.dumps(rows).encode(), np.uint8))
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "CropStore":
        with np.load(path, allow_pickle=False) as file:
            blob, ends, rows = file["blob"].tobytes(), file["ends"].tolist(), json.loads(file["rows"].tobytes())
        pictures = [blob[start:end] for start, end in itertools.pairwise([0, *ends])]
        return cls(
            [
                Window(jpeg, copper_png, tuple(box), defect_class, facts)
                for jpeg, copper_png, (box, defect_class, facts) in zip(
                    pictures[::2], pictures[1::2], rows, strict=True
                )
            ]
        )

    def square(self, index: int, side_px: int, rng: np.random.Generator, noise: Noise) -> Square:
        """The context crop of a window, disturbed and letterboxed.

        The facts that a crop's extent decides (nets, side, orientation) are measured in this very crop.
        """
        window = self.windows[index]
        box, ratio = _box_and_context(window.box_xyxy, noise, rng)
        crop = cut_crop(_decoded(window.jpeg), box, ratio)
        copper = cut_crop(copper_of(window), box, ratio)
        facts = window.facts and window.facts | facts_in_view(copper[..., 0])
        if noise.light:
            crop = _disturbed(crop, rng)
        if noise.turned:
            (crop, copper), facts = _turned((crop, copper), facts, rng)
        return Square(letterbox(crop, side_px), window.defect_class, facts, cells_of(copper, side_px))


def copper_of(window: Window) -> Picture:
    """(h, w, 2) of 0 and 255: the copper that should be in the window, and the copper that is."""
    decoded = cv2.imdecode(np.frombuffer(window.copper_png, np.uint8), cv2.IMREAD_GRAYSCALE)
    both = np.asarray(decoded, np.uint8)
    copper: Picture = np.stack([both & 1, both >> 1], axis=-1) * np.uint8(255)
    return copper


def cells_of(copper: Picture, side_px: int) -> Picture:
    """(side / CELL_PX, side / CELL_PX, 3): how much of each cell is designed, added and missing copper, 0..255."""
    design, there = copper[..., 0], copper[..., 1]
    planes = np.stack([design, there & ~design, design & ~there], axis=-1)
    side = side_px // CELL_PX
    return cv2.resize(letterbox(planes, side_px, fill=0), (side, side), interpolation=cv2.INTER_AREA).astype(np.uint8)


def _decoded(jpeg: bytes) -> Rgb:
    decoded = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)


def noisy_box(box: BoxXyxy, noise: float, rng: np.random.Generator) -> BoxXyxy:
    """The centre moved by U(-s, s) of width and height, each side times exp(U(-s, s))."""
    width, height = box[2] - box[0], box[3] - box[1]
    x = (box[0] + box[2]) / 2 + rng.uniform(-noise, noise) * width
    y = (box[1] + box[3]) / 2 + rng.uniform(-noise, noise) * height
    half_w = width * math.exp(rng.uniform(-noise, noise)) / 2
    half_h = height * math.exp(rng.uniform(-noise, noise)) / 2
    return x - half_w, y - half_h, x + half_w, y + half_h


def _box_and_context(box: BoxXyxy, noise: Noise, rng: np.random.Generator) -> tuple[BoxXyxy, float]:
    if rng.random() < noise.far_share:
        return noisy_box(box, noise.far, rng), float(rng.uniform(*noise.context))
    ratio = CONTEXT_RATIO * math.exp(rng.normal(0, 0.03)) if noise.near else CONTEXT_RATIO
    return noisy_box(box, noise.near, rng), max(1.0, ratio)


def _disturbed(crop: Rgb, rng: np.random.Generator) -> Rgb:
    """Other light, focus, noise and JPEG quality, each now and then."""
    gamma, gain = math.exp(rng.normal(0, 0.25)), float(rng.uniform(0.85, 1.15))
    table = np.clip(255 * gain * (np.arange(256) / 255) ** gamma + rng.normal(0, 6), 0, 255).astype(np.uint8)
    out: Any = cv2.LUT(crop, table)
    if rng.random() < 0.3:
        out = cv2.GaussianBlur(out, (0, 0), float(rng.uniform(0.3, 1.0)))
    if rng.random() < 0.3:
        grain = rng.normal(0, rng.uniform(1, 8), out.shape[:2])[..., None]
        out = np.clip(out + grain, 0, 255).astype(np.uint8)
    if rng.random() < 0.6:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(40, 96))]
        out = cv2.imdecode(cv2.imencode(".jpg", out, quality)[1], cv2.IMREAD_COLOR)
    return np.asarray(out, np.uint8)


def _turned(
    pictures: Sequence[Picture], facts: dict[str, str], rng: np.random.Generator
) -> tuple[list[Picture], dict[str, str]]:
    """One of the eight ways to lay a square, with the facts that name directions turned along."""
    transposed, mirrored, flipped = rng.random(3) < 0.5
    turned = list(pictures)
    if transposed:
        turned, facts = [picture.transpose(1, 0, 2) for picture in turned], _renamed(facts, _TRANSPOSED)
    if mirrored:
        turned, facts = [picture[:, ::-1] for picture in turned], _renamed(facts, _MIRRORED)
    if flipped:
        turned, facts = [picture[::-1] for picture in turned], _renamed(facts, _FLIPPED)
    return [np.ascontiguousarray(picture) for picture in turned], facts


def _renamed(facts: dict[str, str], words: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: words.get(name, {}).get(value, value) for name, value in facts.items()}
