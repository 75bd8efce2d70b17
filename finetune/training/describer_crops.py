"""Crops to train and to judge the small describer on: cut from generated boards, then disturbed as lines do.

A `CropStore` keeps a generous window around each defect, so that one window gives many crops: other box noise,
other context, other light, turned and mirrored with the facts turned along. Knows no model.
"""

import itertools
import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np

from finetune.boards import CLASSES, Board, generate_board
from finetune.boards.contracts import BOX_MARGIN_PX, Picture
from finetune.boards.facts import facts_in_view
from finetune.training.detector_metrics import overlap_matrix
from scheduling.serving.answers import NO_DEFECT
from scheduling.serving.contracts import BoxXyxy, DetectedRegion, Detector, Rgb
from scheduling.serving.crops import CONTEXT_RATIO, cut_crop, letterbox

WINDOW_RATIO: Final = 4.0
"""Wide enough for context 2.5 around a box that is 35 % too large and off by 20 %."""

LABELS: Final = (*CLASSES, NO_DEFECT)
GOOD_SHARE: Final = 0.13
MATCHING_IOU: Final = 0.33
LEAST_SCORE: Final = 0.25
LARGEST_LAND_PX: Final = 60
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
    template_jpeg: bytes = b""
    """The same cut of the golden template."""
    said: tuple[tuple[str, float], ...] = ()
    """What the detector said here, with a template and without: class and score."""


@dataclass(frozen=True)
class Square:
    """A crop as the model sees it: pixels (side, side, 3), class, facts, and the copper under it as `cells_of`.

    `template` is the golden template's crop, laid alike, and `hint` the detector's class and score; each may be None.
    """

    pixels: Rgb
    defect_class: str
    facts: dict[str, str]
    cells: Picture
    template: Rgb | None = None
    hint: tuple[str, float] | None = None


@dataclass(frozen=True)
class Noise:
    """How a crop departs from the perfect one.

    Most crops are `near`: their centre and sides are off by up to that share, as a detector's are, and they have the
    context of service. `far_share` of them are off by up to `far`, with a context from all of `context`.
    """

    near: float = 0.12
    far: float = 0.35
    far_share: float = 0.35
    context: tuple[float, float] = (1.0, 2.5)
    light: bool = True
    turned: bool = True
    template_missing: float = 0.35
    template_off_px: float = 1.5
    """The template's cut lies off by up to this much; four times as much in a quarter of all crops, as lands do."""
    hint_missing: float = 0.2
    hint_wrong: float = 0.08


CLEAN: Final = Noise(
    near=0.0,
    far_share=0.0,
    light=False,
    turned=False,
    template_missing=0.0,
    template_off_px=0.0,
    hint_missing=1.0,
)

Found = Sequence[DetectedRegion]


def windows_of(board: Board, rng: np.random.Generator, found: Sequence[Found] = ()) -> Iterator[Window]:
    """One window a defect, and windows without a defect so that they are about GOOD_SHARE of all.

    `found` is what the detector found on the board, a list a way of looking (with its template, without): what it
    said of each defect goes into its window, and each of its boxes on good copper makes a window more.
    """
    said, false_boxes = _said(board, found)
    for defect, words in zip(board.defects, said, strict=True):
        known = defect.defect_class, defect.facts
        yield replace(_window(board, board.image, board.copper, defect.box_xyxy, *known), said=tuple(words))
        if rng.random() < GOOD_SHARE / (1 - GOOD_SHARE):
            box, picture, copper = _good_place(board, defect.box_xyxy, rng)
            yield _window(board, picture, copper, box, NO_DEFECT, {})
    for region in false_boxes:
        window = _window(board, board.image, board.copper, region.box_xyxy, NO_DEFECT, {})
        yield replace(window, said=((region.class_name, region.score),))


def _said(board: Board, found: Sequence[Found]) -> tuple[list[list[tuple[str, float]]], list[DetectedRegion]]:
    """What the detector said of each defect, and its boxes that touch none."""
    said: list[list[tuple[str, float]]] = [[] for _ in board.defects]
    false_boxes = []
    truths = np.array([defect.box_xyxy for defect in board.defects]).reshape(-1, 4)
    for region in itertools.chain.from_iterable(found):
        overlaps = overlap_matrix(np.array([region.box_xyxy]), truths)[0]
        best = int(overlaps.argmax()) if len(overlaps) else -1
        if best >= 0 and overlaps[best] >= MATCHING_IOU:
            said[best].append((region.class_name, region.score))
        elif best < 0 or overlaps[best] == 0:
            false_boxes.append(region)
    return said, false_boxes


def _good_place(board: Board, box: BoxXyxy, rng: np.random.Generator) -> tuple[BoxXyxy, Rgb, Picture]:
    """A third each: the same place on the good board, a land or a hole, any place; none that a defect touches."""
    kind = rng.random()
    if kind < 1 / 3:
        return box, board.take_template(), board.design_copper
    lands = _lands(board.design_copper) if kind < 2 / 3 else []
    height, width = board.image.shape[:2]
    for _ in range(20):
        w, h = box[2] - box[0], box[3] - box[1]
        x, y = float(rng.uniform(0, width - w)), float(rng.uniform(0, height - h))
        moved = lands[int(rng.integers(len(lands)))] if lands else (x, y, x + w, y + h)
        if not any(_overlap(moved, defect.box_xyxy) for defect in board.defects):
            return moved, board.image, board.copper
    return box, board.take_template(), board.design_copper


def _lands(design: Picture) -> list[BoxXyxy]:
    """Boxes of the design's small pieces of copper and of bare board: free lands, drill holes, islands."""
    boxes: list[BoxXyxy] = []
    for layer in (design, cv2.bitwise_not(design)):
        stats = cv2.connectedComponentsWithStats(np.asarray(layer, np.uint8), connectivity=8)[2][1:]
        for x, y, w, h, _ in stats.tolist():
            if 4 <= max(w, h) <= LARGEST_LAND_PX:
                grow = float(BOX_MARGIN_PX)
                boxes.append((x - grow, y - grow, x + w + grow, y + h + grow))
    return boxes


def _overlap(one: BoxXyxy, other: BoxXyxy) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _window(
    board: Board, picture: Rgb, copper: Picture, box: BoxXyxy, defect_class: str, facts: dict[str, str]
) -> Window:
    height, width = picture.shape[:2]
    grow_x, grow_y = ((WINDOW_RATIO - 1) / 2 * (box[2 + i] - box[i]) for i in (0, 1))
    left, top = max(0, math.floor(box[0] - grow_x)), max(0, math.floor(box[1] - grow_y))
    right, bottom = min(width, math.ceil(box[2] + grow_x)), min(height, math.ceil(box[3] + grow_y))
    cut, golden = (cv2.cvtColor(one[top:bottom, left:right], cv2.COLOR_RGB2BGR) for one in (picture, board.template))
    both = (board.design_copper[top:bottom, left:right] & 1) | (copper[top:bottom, left:right] & 2)
    moved = (box[0] - left, box[1] - top, box[2] - left, box[3] - top)
    return Window(
        bytes(cv2.imencode(".jpg", cut, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]),
        bytes(cv2.imencode(".png", both)[1]),
        moved,
        defect_class,
        facts,
        bytes(cv2.imencode(".jpg", golden, [cv2.IMWRITE_JPEG_QUALITY, 95])[1]),
    )


class CropStore:
    """Windows in memory, saved as one file so that a resumed run trains on the same boards."""

    def __init__(self, windows: list[Window]) -> None:
        self.windows = windows

    @classmethod
    def generate(cls, seeds: range, *, detector: Detector | None = None, **drawn: Any) -> "CropStore":
        """Of one board a seed, drawn as `generate_board` is told; a full board costs little more than an empty one."""
        rng = np.random.default_rng((seeds.start, len(seeds)))
        windows: list[Window] = []
        for seed in seeds:
            board = generate_board(seed, **drawn)
            windows += windows_of(board, rng, [] if detector is None else look_at(board, detector))
        return cls(windows)

    def save(self, path: Path) -> None:
        rows = [(window.box_xyxy, window.defect_class, window.facts, window.said) for window in self.windows]
        pictures = [
            picture for window in self.windows for picture in (window.jpeg, window.copper_png, window.template_jpeg)
        ]
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
                Window(
                    jpeg,
                    copper_png,
                    tuple(box),
                    defect_class,
                    facts,
                    golden,
                    tuple((name, score) for name, score in said),
                )
                for jpeg, copper_png, golden, (box, defect_class, facts, said) in zip(
                    pictures[::3], pictures[1::3], pictures[2::3], rows, strict=True
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
        golden = _golden(window, box, ratio, noise, rng)
        if noise.light:
            crop, golden = _disturbed(crop, rng), _disturbed(golden, rng)
        if noise.turned:
            (crop, copper, golden), facts = _turned((crop, copper, golden), facts, rng)
        template = None if rng.random() < noise.template_missing else letterbox(golden, side_px)
        cells = cells_of(copper, side_px)
        hint = _hint(window, noise, rng)
        return Square(letterbox(crop, side_px), window.defect_class, facts, cells, template, hint)


def look_at(board: Board, detector: Detector) -> list[Found]:
    """What the detector finds on a board with its template and without it."""
    return [
        detector.detect([board.image], min_score=LEAST_SCORE, templates=templates)[0]
        for templates in ([board.template], None)
    ]


def _golden(window: Window, box: BoxXyxy, ratio: float, noise: Noise, rng: np.random.Generator) -> Rgb:
    """The template's cut, a little off, as cameras and etching leave it."""
    most = noise.template_off_px * (4 if rng.random() < 0.25 else 1)
    dx, dy = (float(value) for value in rng.uniform(-most, most, 2))
    moved = (box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy)
    return cut_crop(_decoded(window.template_jpeg), moved, ratio)


def _hint(window: Window, noise: Noise, rng: np.random.Generator) -> tuple[str, float] | None:
    """What the detector said; where it said nothing, what it might have; now and then something wrong."""
    missing, wrong = rng.random(), rng.random()
    said = window.said[int(rng.integers(len(window.said)))] if window.said else None
    other, score = CLASSES[int(rng.integers(len(CLASSES)))], float(rng.uniform(LEAST_SCORE, 1.0))
    if missing < noise.hint_missing:
        return None
    if wrong < noise.hint_wrong:
        return other, said[1] if said else score
    if said:
        return said
    return (other if window.defect_class == NO_DEFECT else window.defect_class), score


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
