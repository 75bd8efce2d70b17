"""Crops to train and to judge the small describer on: cut from generated boards, then disturbed as lines do.

A `CropStore` keeps a generous window around each defect, so that one window gives many crops: other box noise,
other context, other light, turned and mirrored with the facts turned along. Knows no model.
"""

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from finetune.boards import CLASSES, Board, generate_board
from scheduling.serving.answers import NO_DEFECT
from scheduling.serving.contracts import BoxXyxy, Rgb
from scheduling.serving.crops import CONTEXT_RATIO, cut_crop, letterbox

WINDOW_RATIO: Final = 3.4
"""Wide enough for context 2.5 around a box that is 20 % too large and off by 20 %."""

LABELS: Final = (*CLASSES, NO_DEFECT)
GOOD_SHARE: Final = 0.13

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
    box_xyxy: BoxXyxy
    defect_class: str
    facts: dict[str, str]


@dataclass(frozen=True)
class Noise:
    """How a crop departs from the perfect one. `box` 0.2 moves centre and sides by up to 20 %."""

    box: float = 0.2
    context: tuple[float, float] = (1.0, 2.5)
    light: bool = True
    turned: bool = True


CLEAN: Final = Noise(box=0.0, context=(CONTEXT_RATIO, CONTEXT_RATIO), light=False, turned=False)
JITTER: Final = replace(CLEAN, box=0.1)
"""About what a good detector's boxes depart from the true ones."""


def windows_of(board: Board, rng: np.random.Generator) -> Iterator[Window]:
    """One window a defect, and windows without a defect so that they are about GOOD_SHARE of all."""
    for defect in board.defects:
        yield _window(board.image, defect.box_xyxy, defect.defect_class, defect.facts)
        if rng.random() < GOOD_SHARE / (1 - GOOD_SHARE):
            box, picture = _good_place(board, defect.box_xyxy, rng)
            yield _window(picture, box, NO_DEFECT, {})


def _good_place(board: Board, box: BoxXyxy, rng: np.random.Generator) -> tuple[BoxXyxy, Rgb]:
    """Half the time the same place on the good board, else a place of the faulty one that no defect touches."""
    if rng.random() < 0.5:
        return box, board.template
    height, width = board.image.shape[:2]
    for _ in range(20):
        w, h = box[2] - box[0], box[3] - box[1]
        x, y = float(rng.uniform(0, width - w)), float(rng.uniform(0, height - h))
        moved = (x, y, x + w, y + h)
        if not any(_overlap(moved, defect.box_xyxy) for defect in board.defects):
            return moved, board.image
    return box, board.template


def _overlap(one: BoxXyxy, other: BoxXyxy) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _window(picture: Rgb, box: BoxXyxy, defect_class: str, facts: dict[str, str]) -> Window:
    height, width = picture.shape[:2]
    grow_x, grow_y = ((WINDOW_RATIO - 1) / 2 * (box[2 + i] - box[i]) for i in (0, 1))
    left, top = max(0, math.floor(box[0] - grow_x)), max(0, math.floor(box[1] - grow_y))
    right, bottom = min(width, math.ceil(box[2] + grow_x)), min(height, math.ceil(box[3] + grow_y))
    cut = cv2.cvtColor(picture[top:bottom, left:right], cv2.COLOR_RGB2BGR)
    jpeg = bytes(cv2.imencode(".jpg", cut, [cv2.IMWRITE_JPEG_QUALITY, 95])[1])
    return Window(jpeg, (box[0] - left, box[1] - top, box[2] - left, box[3] - top), defect_class, facts)


class CropStore:
    """Windows in memory, saved as one file so that a resumed run trains on the same boards."""

    def __init__(self, windows: list[Window]) -> None:
        self.windows = windows

    @classmethod
    def generate(cls, seeds: range) -> "CropStore":
        rng = np.random.default_rng((seeds.start, len(seeds)))
        return cls([window for seed in seeds for window in windows_of(generate_board(seed), rng)])

    def save(self, path: Path) -> None:
        rows = [(window.box_xyxy, window.defect_class, window.facts) for window in self.windows]
        ends = np.cumsum([len(window.jpeg) for window in self.windows])
        blob = np.frombuffer(b"".join(window.jpeg for window in self.windows), np.uint8)
        partial = path.with_suffix(".partial.npz")
        np.savez(partial, blob=blob, ends=ends, rows=np.frombuffer(json.dumps(rows).encode(), np.uint8))
        partial.replace(path)

    @classmethod
    def load(cls, path: Path) -> "CropStore":
        with np.load(path, allow_pickle=False) as file:
            blob, ends, rows = file["blob"].tobytes(), file["ends"].tolist(), json.loads(file["rows"].tobytes())
        starts = [0, *ends[:-1]]
        return cls(
            [
                Window(blob[start:end], tuple(box), defect_class, facts)
                for start, end, (box, defect_class, facts) in zip(starts, ends, rows, strict=True)
            ]
        )

    def crop(self, index: int, rng: np.random.Generator, noise: Noise) -> tuple[Rgb, dict[str, str]]:
        """The context crop of a window, disturbed, and its facts as seen in it."""
        window = self.windows[index]
        decoded = cv2.imdecode(np.frombuffer(window.jpeg, np.uint8), cv2.IMREAD_COLOR)
        picture = np.asarray(cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), np.uint8)
        crop = cut_crop(picture, noisy_box(window.box_xyxy, noise.box, rng), _context(noise, rng))
        if noise.light:
            crop = _disturbed(crop, rng)
        return _turned(crop, window.facts, rng) if noise.turned else (crop, window.facts)

    def square(
        self, index: int, side_px: int, rng: np.random.Generator, noise: Noise
    ) -> tuple[Rgb, str, dict[str, str]]:
        """The crop as the model sees it: letterboxed to (side, side, 3), with its class and facts."""
        crop, facts = self.crop(index, rng, noise)
        return letterbox(crop, side_px), self.windows[index].defect_class, facts


def noisy_box(box: BoxXyxy, noise: float, rng: np.random.Generator) -> BoxXyxy:
    """The centre moved by U(-s, s) of width and height, each side times exp(U(-s, s))."""
    width, height = box[2] - box[0], box[3] - box[1]
    x = (box[0] + box[2]) / 2 + rng.uniform(-noise, noise) * width
    y = (box[1] + box[3]) / 2 + rng.uniform(-noise, noise) * height
    half_w = width * math.exp(rng.uniform(-noise, noise)) / 2
    half_h = height * math.exp(rng.uniform(-noise, noise)) / 2
    return x - half_w, y - half_h, x + half_w, y + half_h


def _context(noise: Noise, rng: np.random.Generator) -> float:
    """Half of the crops near the ratio of service, as the facts are measured there; the rest all over."""
    if rng.random() < 0.5:
        return float(np.clip(CONTEXT_RATIO * math.exp(rng.normal(0, 0.05)), *noise.context))
    return float(rng.uniform(*noise.context))


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


def _turned(crop: Rgb, facts: dict[str, str], rng: np.random.Generator) -> tuple[Rgb, dict[str, str]]:
    """One of the eight ways to lay a square, with the facts that name directions turned along."""
    transposed, mirrored, flipped = rng.random(3) < 0.5
    picture: npt.NDArray[np.uint8] = crop
    if transposed:
        picture, facts = picture.transpose(1, 0, 2), _renamed(facts, _TRANSPOSED)
    if mirrored:
        picture, facts = picture[:, ::-1], _renamed(facts, _MIRRORED)
    if flipped:
        picture, facts = picture[::-1], _renamed(facts, _FLIPPED)
    return np.ascontiguousarray(picture), facts


def _renamed(facts: dict[str, str], words: dict[str, dict[str, str]]) -> dict[str, str]:
    return {name: words.get(name, {}).get(value, value) for name, value in facts.items()}
