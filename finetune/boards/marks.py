"""The outlines defects take: spots, strokes, scratches, ragged bands. Pure drawing, in a patch of its own."""

import math
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from finetune.boards.contracts import Picture

PATCH_RADIUS_PX: Final = 72
"""A mark is drawn in the middle of a square of 2 * 72 + 1 pixels."""

Rng = np.random.Generator
Vector = npt.NDArray[Any]
"""(2,) or (n, 2) floats as x, y, from the patch's middle."""


def empty_patch() -> Picture:
    return np.zeros((2 * PATCH_RADIUS_PX + 1, 2 * PATCH_RADIUS_PX + 1), np.uint8)


def spot(rng: Rng, length: float, breadth: float, along: Vector) -> Picture:
    """An ellipse with an uneven rim, `length` along the unit vector `along`."""
    turns = np.linspace(0, 2 * math.pi, 20, endpoint=False)
    rim = 1 + rng.uniform(0.0, 0.22) * np.sin(2 * turns + rng.uniform(0, 6))
    rim += rng.uniform(0.0, 0.18) * np.sin(3 * turns + rng.uniform(0, 6)) + rng.uniform(-0.08, 0.08, 20)
    across = np.array([-along[1], along[0]])
    points = np.outer(rim * np.cos(turns) * length / 2, along) + np.outer(rim * np.sin(turns) * breadth / 2, across)
    return fill(points)


def stroke(rng: Rng, length: float, thickness: float, along: Vector, bow: float = 0.25) -> Picture:
    """A bent brush stroke of `length`, up to `bow` of its length off the straight line."""
    across = np.array([-along[1], along[0]])
    stations = np.linspace(-0.5, 0.5, 4)
    offsets = rng.uniform(-bow, bow, 4) * length * np.array([0.4, 1, 1, 0.4])
    points = np.outer(stations * max(length - thickness, 1), along) + np.outer(offsets, across)
    return draw_path(points, thickness)


def scratches(rng: Rng, length: float, breadth: float, along: Vector) -> Picture:
    """Two to five thin scratches side by side that touch in places."""
    patch = empty_patch()
    across = np.array([-along[1], along[0]])
    for offset in np.linspace(-breadth / 2, breadth / 2, int(rng.integers(2, 6))):
        ends = np.outer([-0.5, 0.5], along) * length * rng.uniform(0.7, 1.0)
        jitter = np.outer(offset + rng.uniform(-1.5, 1.5, 2), across)
        line = draw_path(ends + jitter, float(rng.uniform(2.0, 3.4)))
        patch = np.maximum(patch, line)
    return patch


def crumbs(rng: Rng, length: float, breadth: float, along: Vector) -> Picture:
    """A ragged patch: small discs scattered over an ellipse."""
    patch = empty_patch()
    across = np.array([-along[1], along[0]])
    for _ in range(int(rng.integers(3, 7))):
        middle = rng.normal(0, 0.22, 2).clip(-0.4, 0.4)
        offset = along * middle[0] * length + across * middle[1] * breadth
        radius = max(1.6, float(rng.uniform(0.2, 0.4)) * min(length, breadth))
        cv2.circle(patch, _pixel(offset), round(radius * 16), (255,), -1, cv2.LINE_AA, 4)
    return patch


def band(rng: Rng, length: float, width: float, along: Vector, waist: float = 0.0) -> Picture:
    """A strip of `length` with ragged long sides; `waist` above zero narrows its middle, below widens it."""
    across = np.array([-along[1], along[0]])
    stations = np.linspace(-0.5, 0.5, 7)
    profile = 1 - waist * (1 - 4 * stations**2)
    halves = [side * width / 2 * profile * rng.uniform(0.75, 1.2, 7) for side in (-1, 1)]
    drift = rng.uniform(-0.4, 0.4) * width * 2 * stations
    left, right = (np.outer(stations * length, along) + np.outer(drift + half, across) for half in halves)
    return fill(np.vstack([left, right[::-1]]))


def draw_path(points: Vector, thickness: float) -> Picture:
    patch = empty_patch()
    fixed = np.round((points + PATCH_RADIUS_PX) * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.polylines(patch, [fixed], False, (255,), max(1, round(thickness)), cv2.LINE_AA, 4)
    return patch


def fill(points: Vector) -> Picture:
    patch = empty_patch()
    fixed = np.round((points + PATCH_RADIUS_PX) * 16).astype(np.int32).reshape(-1, 1, 2)
    cv2.fillPoly(patch, [fixed], (255,), cv2.LINE_AA, 4)
    return patch


def _pixel(offset: Vector) -> tuple[int, int]:
    fixed = np.round((offset + PATCH_RADIUS_PX) * 16).astype(int)
    return int(fixed[0]), int(fixed[1])
