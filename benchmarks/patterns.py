"""Camera test patterns, drawn from a seed: colour bars, ramps, charts, checkerboards, noise, plain colours, stars."""

from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
Rng = np.random.Generator
SIZES_WH = ((640, 480), (640, 640), (512, 512), (1280, 720))
BARS = ((192, 192, 192), (192, 192, 0), (0, 192, 192), (0, 192, 0), (192, 0, 192), (192, 0, 0), (0, 0, 192))


def camera_patterns(seed: int, count: int) -> Sequence[tuple[str, Rgb]]:
    """`count` patterns with the name of their kind, each kind in turn."""
    rng = np.random.default_rng(seed)
    made = []
    for index in range(count):
        name, draw = KINDS[index % len(KINDS)]
        width, height = SIZES_WH[int(rng.integers(len(SIZES_WH)))]
        made.append((name, np.ascontiguousarray(draw(rng, width, height), np.uint8)))
    return made


def bars(rng: Rng, width: int, height: int) -> Rgb:
    """SMPTE: seven bars, a strip of them turned round, and a dark foot."""
    image = np.zeros((height, width, 3), np.uint8)
    for index, colour in enumerate(BARS):
        image[:, width * index // 7 : width * (index + 1) // 7] = colour
    image[height * 2 // 3 : height * 3 // 4] = image[height * 2 // 3 : height * 3 // 4, ::-1]
    image[height * 3 // 4 :] = int(rng.integers(0, 60))
    return image


def ramp(rng: Rng, width: int, height: int) -> Rgb:
    """Grey from dark to bright in some direction, smooth or in steps."""
    rows, columns = np.mgrid[:height, :width]
    angle, steps = rng.random() * 6.3, int(rng.choice([4, 8, 11, 16, 256]))
    level = columns * np.cos(angle) + rows * np.sin(angle)
    level = (level - level.min()) / (level.max() - level.min())
    return grey(np.floor(level * (steps - 1)) * 255 / (steps - 1))


def chart(rng: Rng, width: int, height: int) -> Rgb:
    """A resolution chart: groups of bars of several widths, and circles."""
    image = np.full((height, width, 3), 255, np.uint8)
    for _ in range(int(rng.integers(8, 30))):
        x, y = int(rng.integers(0, width - 80)), int(rng.integers(0, height - 80))
        period, side, upright = int(rng.integers(2, 10)), int(rng.integers(40, 120)), rng.random() < 0.5
        group = image[y : y + side, x : x + side]
        line = np.arange(group.shape[1 if upright else 0]) // period % 2 * 255
        group[:] = line[None, :, None] if upright else line[:, None, None]
    for _ in range(4):
        middle = (int(rng.integers(width)), int(rng.integers(height)))
        cv2.circle(image, middle, int(rng.integers(20, 150)), (0, 0, 0), int(rng.integers(1, 4)))
    return image


def checkerboard(rng: Rng, width: int, height: int) -> Rgb:
    rows, columns = np.mgrid[:height, :width]
    side = int(rng.integers(4, 100))
    return grey((columns // side + rows // side) % 2 * 255)


def noise(rng: Rng, width: int, height: int) -> Rgb:
    side, binary = int(rng.integers(1, 8)), rng.random() < 0.5
    values = rng.integers(0, 256, (height // side + 1, width // side + 1))
    values = (values > 127) * 255 if binary else values
    return grey(cv2.resize(values.astype(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST))


def solid(rng: Rng, width: int, height: int) -> Rgb:
    colour = rng.choice([np.zeros(3), np.full(3, 255), rng.integers(0, 256, 3)])
    return np.full((height, width, 3), colour, np.uint8)


def star(rng: Rng, width: int, height: int) -> Rgb:
    """A Siemens star."""
    rows, columns = np.mgrid[:height, :width]
    spokes = int(rng.integers(8, 72))
    return grey((np.sin(np.arctan2(rows - height / 2, columns - width / 2) * spokes) > 0) * 255)


def grey(level: npt.NDArray[Any]) -> Rgb:
    single = level.astype(np.uint8)
    return np.dstack([single, single, single])


KINDS: Sequence[tuple[str, Callable[[Rng, int, int], Rgb]]] = (
    ("bars", bars),
    ("ramp", ramp),
    ("chart", chart),
    ("checkerboard", checkerboard),
    ("noise", noise),
    ("solid", solid),
    ("star", star),
)
