"""Pictures that a camera sends when it looks at no part: test patterns, nothing, noise. Made anew from a seed.

Twenty kinds, each in as many variants as asked for. Knows no detector.
"""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Rgb = npt.NDArray[np.uint8]
SIDE_PX = 640
Kind = Callable[[np.random.Generator], Rgb]


def patterns(count: int, *, seed: int) -> list[tuple[str, Rgb]]:
    """`count` pairs of a kind's name and a picture (640, 640, 3), the kinds in turn."""
    rng = np.random.default_rng(seed)
    names = list(KINDS)
    return [(names[index % len(names)], KINDS[names[index % len(names)]](rng)) for index in range(count)]


def _grid() -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    y, x = np.mgrid[0:SIDE_PX, 0:SIDE_PX].astype(np.float64)
    return x, y


def _grey(values: npt.NDArray[np.floating]) -> Rgb:
    one = np.clip(values, 0, 255).astype(np.uint8)
    return np.dstack([one, one, one])


def _colour_bars(rng: np.random.Generator) -> Rgb:
    level = int(rng.integers(170, 256))
    colours = [(1, 1, 1), (1, 1, 0), (0, 1, 1), (0, 1, 0), (1, 0, 1), (1, 0, 0), (0, 0, 1)]
    bars = np.array(colours)[np.arange(SIDE_PX) * 7 // SIDE_PX] * level
    return np.broadcast_to(bars, (SIDE_PX, SIDE_PX, 3)).astype(np.uint8).copy()


def _smpte(rng: np.random.Generator) -> Rgb:
    picture = _colour_bars(rng)
    cut = int(SIDE_PX * rng.uniform(0.6, 0.75))
    picture[cut : cut + 50] = picture[cut : cut + 50, ::-1]
    picture[cut + 50 :] = (np.arange(SIDE_PX) * 6 // SIDE_PX * 51)[None, :, None]
    return picture


def _ramp(rng: np.random.Generator) -> Rgb:
    x, y = _grid()
    angle = rng.uniform(0, 2 * np.pi)
    across = x * np.cos(angle) + y * np.sin(angle)
    return _grey(255 * (across - across.min()) / np.ptp(across))


def _steps(rng: np.random.Generator) -> Rgb:
    count = int(rng.integers(5, 17))
    x, _ = _grid()
    return _grey(np.floor(x * count / SIDE_PX) * 255 / (count - 1))


def _vignette(rng: np.random.Generator) -> Rgb:
    x, y = _grid()
    radius = np.hypot(x - SIDE_PX * rng.uniform(0.3, 0.7), y - SIDE_PX * rng.uniform(0.3, 0.7))
    return _grey(rng.uniform(150, 255) - radius * rng.uniform(0.2, 0.5))


def _solid(rng: np.random.Generator) -> Rgb:
    return np.broadcast_to(rng.integers(0, 256, 3), (SIDE_PX, SIDE_PX, 3)).astype(np.uint8).copy()


def _black(rng: np.random.Generator) -> Rgb:
    return _grey(np.abs(rng.normal(0, rng.uniform(0.5, 3), (SIDE_PX, SIDE_PX))))


def _white(rng: np.random.Generator) -> Rgb:
    return _grey(255 - np.abs(rng.normal(0, rng.uniform(0.5, 3), (SIDE_PX, SIDE_PX))))


def _checkerboard(rng: np.random.Generator) -> Rgb:
    x, y = _grid()
    side = int(rng.integers(8, 81))
    return _grey(((x // side + y // side) % 2) * rng.uniform(180, 255))


def _stripes(rng: np.random.Generator) -> Rgb:
    x, y = _grid()
    angle, period = rng.uniform(0, np.pi), rng.uniform(6, 80)
    return _grey(255.0 * (np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period) > 0))


def _sine(rng: np.random.Generator) -> Rgb:
    x, y = _grid()
    angle, period = rng.uniform(0, np.pi), rng.uniform(10, 100)
    return _grey(127 + 127 * np.sin((x * np.cos(angle) + y * np.sin(angle)) * 2 * np.pi / period))


def _star(rng: np.random.Generator) -> Rgb:
    x, y = _grid()
    spokes = int(rng.integers(12, 73))
    return _grey(255.0 * (np.sin(np.arctan2(y - SIDE_PX / 2, x - SIDE_PX / 2) * spokes) > 0))


def _zone_plate(rng: np.random.Generator) -> Rgb:
    x, y = _grid()
    squared = (x - SIDE_PX / 2) ** 2 + (y - SIDE_PX / 2) ** 2
    return _grey(127 + 127 * np.cos(squared * np.pi / (SIDE_PX * rng.uniform(1.5, 6))))


def _rings(rng: np.random.Generator) -> Rgb:
    x, y = _grid()
    radius = np.hypot(x - SIDE_PX / 2, y - SIDE_PX / 2)
    return _grey(255.0 * (np.sin(radius * 2 * np.pi / rng.uniform(12, 60)) > 0))


def _resolution_chart(rng: np.random.Generator) -> Rgb:
    picture = np.full((SIDE_PX, SIDE_PX), 255.0)
    top = 20
    for width in (2, 3, 4, 6, 8, 12, 16):
        for bar in range(5):
            picture[top : top + 9 * width, 40 + 2 * bar * width : 40 + (2 * bar + 1) * width] = 0
            picture[top + 2 * bar * width : top + (2 * bar + 1) * width, 360 : 360 + 9 * width] = 0
        top += 9 * width + 12
        if top > SIDE_PX - 60:
            break
    return _grey(picture if rng.random() < 0.5 else 255 - picture)


def _crosshair(rng: np.random.Generator) -> Rgb:
    picture = np.full((SIDE_PX, SIDE_PX), rng.uniform(0, 90))
    for radius in range(60, 320, 80):
        cv2.circle(picture, (SIDE_PX // 2, SIDE_PX // 2), radius, 255.0, 2)
    picture[SIDE_PX // 2 - 1 : SIDE_PX // 2 + 1] = 255
    picture[:, SIDE_PX // 2 - 1 : SIDE_PX // 2 + 1] = 255
    return _grey(picture)


def _dot_grid(rng: np.random.Generator) -> Rgb:
    picture = np.full((SIDE_PX, SIDE_PX), 255.0)
    step = int(rng.integers(30, 81))
    for x in range(step // 2, SIDE_PX, step):
        for y in range(step // 2, SIDE_PX, step):
            cv2.circle(picture, (x, y), step // 4, 0.0, -1)
    return _grey(picture)


def _noise(rng: np.random.Generator) -> Rgb:
    return _grey(rng.normal(rng.uniform(60, 190), rng.uniform(15, 60), (SIDE_PX, SIDE_PX)))


def _colour_noise(rng: np.random.Generator) -> Rgb:
    return rng.integers(0, 256, (SIDE_PX, SIDE_PX, 3)).astype(np.uint8)


def _salt(rng: np.random.Generator) -> Rgb:
    return _grey(255.0 * (rng.random((SIDE_PX, SIDE_PX)) < rng.uniform(0.05, 0.5)))


KINDS: dict[str, Kind] = {
    "colour bars": _colour_bars,
    "smpte": _smpte,
    "ramp": _ramp,
    "steps": _steps,
    "vignette": _vignette,
    "solid": _solid,
    "black": _black,
    "white": _white,
    "checkerboard": _checkerboard,
    "stripes": _stripes,
    "sine": _sine,
    "star": _star,
    "zone plate": _zone_plate,
    "rings": _rings,
    "resolution chart": _resolution_chart,
    "crosshair": _crosshair,
    "dot grid": _dot_grid,
    "noise": _noise,
    "colour noise": _colour_noise,
    "salt": _salt,
}
