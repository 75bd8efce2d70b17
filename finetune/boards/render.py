"""Turn copper into what a camera over the line sees: binarised line scan, grey or colour.

Knows light, lens and noise; knows nothing about defects. Copper is always dark in binary pictures (as a
back-lit line scan shows it) and brighter than the board in grey ones: without that a missing piece could
not be told from an extra one.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import cv2
import numpy as np
import numpy.typing as npt

from finetune.boards.canvas import PAD, VIA, Canvas
from finetune.boards.contracts import Picture

Rng = np.random.Generator
BANK_PX: Final = 1024

LAMINATES: Final = (
    (24, 78, 40),
    (20, 46, 92),
    (28, 28, 30),
    (110, 30, 28),
    (150, 128, 72),
    (64, 88, 46),
)
METALS: Final = ((196, 128, 82), (214, 178, 96), (190, 192, 196), (226, 156, 110))
HOLES: Final = ((12, 12, 12), (236, 236, 232))
LEAST_CONTRAST: Final = 120
"""Sum of the differences in red, green and blue between board and metal: less, and a person sees no copper."""


@dataclass(frozen=True)
class Optics:
    """How one station sees: the same for a board and its template but for what varies from shot to shot."""

    style: str
    blur_px: float
    noise: float
    threshold: float
    board_rgb: tuple[int, int, int]
    metal_rgb: tuple[int, int, int]
    covered_rgb: tuple[int, int, int] | None
    hole_rgb: tuple[int, int, int]
    light: tuple[float, float, float]
    gain: float


def random_optics(rng: Rng, style: str) -> Optics:
    """Draw a station. `covered_rgb` is set where a solder mask covers the traces but not the lands."""
    board, metal = _materials(rng, style)
    contrast = _contrast(metal, board)
    covered = None
    if style == "colour" and rng.random() < 0.35 and sum(board) < 420:
        lift = int(rng.integers(38, 70))
        covered = (min(board[0] + lift // 2, 255), min(board[1] + lift, 255), min(board[2] + lift // 2, 255))
        contrast = _contrast(covered, board)
    return Optics(
        style=style,
        blur_px=float(rng.uniform(0.6, 1.3)),
        noise=float(rng.uniform(4, 34) if style == "binary" else rng.uniform(1.5, 9) * min(1.0, contrast / 200)),
        threshold=float(rng.uniform(105, 150)),
        board_rgb=board,
        metal_rgb=metal,
        covered_rgb=covered,
        hole_rgb=HOLES[int(rng.integers(2))],
        light=(float(rng.uniform(0, 0.3)), float(rng.uniform(0, 6.3)), float(rng.uniform(0, 0.25))),
        gain=1.0,
    )


def _materials(rng: Rng, style: str) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    if style == "grey":
        board, metal = int(rng.integers(25, 100)), int(rng.integers(150, 235))
        return (board, board, board), (metal, metal, metal)
    while True:
        board_rgb, metal_rgb = _shade(rng, LAMINATES), _shade(rng, METALS)
        if _contrast(board_rgb, metal_rgb) >= LEAST_CONTRAST:
            return board_rgb, metal_rgb


def _shade(rng: Rng, materials: Sequence[tuple[int, int, int]]) -> tuple[int, int, int]:
    """One of the materials, a little lighter or darker in each colour."""
    base, shift = materials[int(rng.integers(len(materials)))], rng.integers(-14, 15, 3)
    red, green, blue = (int(np.clip(value + by, 0, 255)) for value, by in zip(base, shift, strict=True))
    return red, green, blue


def _contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> int:
    return sum(abs(a - b) for a, b in zip(one, other, strict=True))


def another_shot(rng: Rng, optics: Optics) -> Optics:
    """The same station a moment later: focus, threshold and light have moved a little."""
    return replace(
        optics,
        blur_px=optics.blur_px * float(rng.uniform(0.85, 1.15)),
        threshold=optics.threshold + float(rng.uniform(-8, 8)),
        gain=float(rng.uniform(0.94, 1.06)),
    )


def take_picture(rng: Rng, canvas: Canvas, copper: Picture, optics: Optics, shift_xy: tuple[float, float]) -> Picture:
    """(H, W, 3) RGB of `copper` (H, W), moved by `shift_xy` pixels."""
    copper = _moved(copper, shift_xy)
    if optics.style == "binary":
        return _binarise(rng, copper, optics)
    soft = cv2.GaussianBlur(copper, (0, 0), optics.blur_px).astype(np.uint8, copy=False)
    picture = _paint(soft, optics.board_rgb, optics.metal_rgb)
    if optics.covered_rgb is not None:
        lands = _moved(cv2.inRange(canvas.features, np.array(PAD), np.array(VIA)).astype(np.uint8), shift_xy)
        covered = _paint(soft, optics.board_rgb, optics.covered_rgb)
        cv2.copyTo(picture, cv2.threshold(lands, 127, 255, cv2.THRESH_BINARY)[1], covered)
        picture = covered
    if cv2.countNonZero(canvas.holes):
        cv2.copyTo(np.full_like(picture, optics.hole_rgb), _moved(canvas.holes, shift_xy), picture)
    lit = cv2.multiply(picture, _light(optics, copper.shape[0]), scale=optics.gain / 255, dtype=cv2.CV_8U)
    grain = _bank_slice(rng, copper.shape[0])
    if optics.style == "grey":
        single = cv2.addWeighted(lit[..., 0], 1.0, grain[..., 0], optics.noise / 32, 0, dtype=cv2.CV_8U)
        return cv2.merge([single, single, single])  # type: ignore[return-value]
    return cv2.addWeighted(lit, 1.0, grain, optics.noise / 32, 0, dtype=cv2.CV_8U)  # type: ignore[return-value]


def _binarise(rng: Rng, copper: Picture, optics: Optics) -> Picture:
    """The rim of the copper moves with the threshold and frays with the noise."""
    soft = cv2.GaussianBlur(copper, (0, 0), optics.blur_px).astype(np.uint8, copy=False)
    grain = _bank_slice(rng, copper.shape[0])[..., 0]
    frayed = cv2.addWeighted(soft, 1.0, grain, optics.noise / 32, 0, dtype=cv2.CV_8U)
    single = cv2.threshold(frayed, optics.threshold, 255, cv2.THRESH_BINARY_INV)[1]
    return cv2.merge([single, single, single])  # type: ignore[return-value]


def _paint(soft: Picture, low_rgb: tuple[int, int, int], high_rgb: tuple[int, int, int]) -> Picture:
    ramp = np.linspace(low_rgb, high_rgb, 256).round().astype(np.uint8).reshape(256, 1, 3)
    return cv2.LUT(cv2.merge([soft, soft, soft]), ramp)  # type: ignore[return-value]


def _moved(layer: Picture, shift_xy: tuple[float, float]) -> Picture:
    if shift_xy == (0.0, 0.0):
        return layer
    matrix = np.array([[1, 0, shift_xy[0]], [0, 1, shift_xy[1]]], np.float32)
    size = (layer.shape[1], layer.shape[0])
    return cv2.warpAffine(layer, matrix, size, borderMode=cv2.BORDER_REPLICATE)  # type: ignore[return-value]


def _light(optics: Optics, size_px: int) -> Picture:
    """A gradient across the board and a falling off towards the corners, as (H, W, 3) factors of 255."""
    slope, direction, vignette = optics.light
    axis = np.linspace(-1, 1, 64, dtype=np.float32)
    x, y = np.meshgrid(axis, axis)
    level = 1 - slope * (0.5 + 0.35 * (x * np.cos(direction) + y * np.sin(direction))) - vignette * (x * x + y * y) / 2
    small = (255 * level.clip(0, 1)).astype(np.uint8)
    full = cv2.resize(small, (size_px, size_px), interpolation=cv2.INTER_LINEAR)
    light: Picture = np.dstack([full, full, full])
    return light


@lru_cache(maxsize=1)
def _bank() -> npt.NDArray[np.int16]:
    """Noise with a standard deviation of 32, half of it grain and half of it soft, drawn once."""
    noise = np.random.default_rng(640).standard_normal((BANK_PX, BANK_PX, 3), np.float32)
    soft = cv2.GaussianBlur(noise, (0, 0), 1.0, borderType=cv2.BORDER_REFLECT)
    mixed = 0.6 * noise + 0.8 * soft / soft.std()
    bank: npt.NDArray[np.int16] = (32 * mixed / mixed.std()).astype(np.int16)
    return bank


def _bank_slice(rng: Rng, size_px: int) -> npt.NDArray[np.int16]:
    """A (size, size, 3) piece of the bank at a random place, upside down half of the time."""
    bank = _bank()
    if size_px > BANK_PX * 3 // 4:
        repeats = -(-size_px // BANK_PX) + 1
        bank = np.tile(bank, (repeats, repeats, 1))
    x, y = (int(v) for v in rng.integers(0, bank.shape[0] - size_px, 2))
    return np.ascontiguousarray(bank[y : y + size_px, x : x + size_px][:: int(rng.choice([-1, 1]))])
