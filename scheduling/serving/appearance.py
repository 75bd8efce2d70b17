"""How a whole frame looks, in a dozen numbers, and how far that is from pictures that are known.

A detector answers for any picture, also for one of nothing that it was trained for. These numbers say whether a frame
looks like its training pictures or like a station's own first frames; `inspections` decides what follows. Pure: knows
numpy and OpenCV, no detector, no node and no Django. A 640 px frame takes a few milliseconds.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt

from scheduling.serving.contracts import (
    MAX_PRODUCT_CHARS,
    MAX_PRODUCTS,
    TILE_FROM_RATIO,
    TILE_PX,
    Appearance,
    Rgb,
    name_fault,
)

SIDE_PX: Final = 320
"""Longer side of what is measured. Smaller pictures stay as they are."""

STATISTICS: Final = (
    "separability",
    "contrast",
    "edges",
    "specks",
    "dark",
    "colour",
    "repetition",
    "upright",
    "ramps",
    "dark_width",
    "bright_width",
    "parts",
    "sharpness",
    "unevenness",
    "symmetry",
    "blank",
    "grid",
    "polar",
    "gratings",
)
SCALES: Final = (
    *(0.07, 0.29, 0.04, 0.02, 0.27, 0.11, 0.1, 0.12, 0.42, 0.34, 0.35, 0.05, 0.14, 0.23, 0.2, 0.14),
    *(0.1, 0.1, 0.1),
)
"""How much each statistic varies between generated boards: a tenth of it is allowed to any station."""

LEAST_EDGES: Final = 0.04
"""With a smaller share of edges a picture may show one round pad, and is no star for that."""
FEWEST_FRAMES: Final = 3
MOST_FRAMES: Final = 5000
MOST_BYTES: Final = 8 * 2**20
LIKE_SHARE: Final = 98
"""Percent of the training pictures that lie within the limit."""
CORE_SHARE: Final = 0.6
"""So many of a station's first frames must be like the training pictures before they vouch for others."""
JOINS_WITHIN: Final = 2.0
LIMIT_MARGIN: Final = 1.4
LEAST_SCALE: Final = 0.02
"""No statistic counts for more than so: what never varies in training says little about how much it may."""

Numbers = npt.NDArray[np.float64]
Grey = npt.NDArray[np.uint8]


def measure(picture: Rgb) -> dict[str, float]:
    """The statistics of a picture (H, W, 3), each 0 to about 1; of a large one, the mean of up to nine parts."""
    parts = [_measured(part) for part in _windows(picture)]
    return {name: round(float(value), 5) for name, value in zip(STATISTICS, np.mean(parts, axis=0), strict=True)}


def _windows(picture: Rgb) -> list[Rgb]:
    """The picture, or windows as large as a tile that are spread over it evenly: what a detector of tiles looks at."""
    height, width = picture.shape[:2]
    if max(height, width) <= TILE_FROM_RATIO * TILE_PX:
        return [picture]
    rows, columns = _starts(height), _starts(width)
    return [np.ascontiguousarray(picture[y : y + TILE_PX, x : x + TILE_PX]) for y in rows for x in columns]


def _starts(length_px: int) -> list[int]:
    last = max(0, length_px - TILE_PX)
    return sorted({round(last * share) for share in (0.0, 0.5, 1.0)})


def _measured(picture: Rgb) -> tuple[float, ...]:
    small = _small(picture)
    grey: Grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
    level, mask = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    gx, gy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    slope = cv2.magnitude(gx, gy)
    edge = slope > 120
    dark = grey <= level
    repetition, upright = _repetition(slope), _upright(gx, gy, edge)
    return (
        _separability(grey, dark),
        _apart(grey, dark) / 255,
        edge.mean(),
        (np.abs(grey.astype(np.int16) - cv2.medianBlur(grey, 3)) > 24).mean(),
        dark.mean(),
        _colour(small),
        repetition,
        upright,
        ((slope > 2) & (slope <= 60)).mean(),
        _width(255 - mask),
        _width(mask),
        _parts(mask),
        _sharpness(grey, slope),
        _unevenness(dark),
        _symmetry(grey),
        _blank(slope),
        _grid(repetition, upright),
        _polar(gx[edge], gy[edge], *np.nonzero(edge)) if edge.mean() >= LEAST_EDGES else 0.0,
        _gratings(dark),
    )


def _small(picture: Rgb) -> Rgb:
    height, width = picture.shape[:2]
    scale = SIDE_PX / max(height, width)
    if scale >= 1:
        return picture
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA).astype(np.uint8, copy=False)


def _colour(picture: Rgb) -> float:
    red, green, blue = cv2.split(picture)
    most, least = cv2.max(cv2.max(red, green), blue), cv2.min(cv2.min(red, green), blue)
    return float(cv2.subtract(most, least).mean()) / 255


def _apart(grey: Grey, dark: npt.NDArray[np.bool_]) -> float:
    """How much brighter the bright part is than the dark one, in grey levels; 0 where there is one part only."""
    if not dark.any() or dark.all():
        return 0.0
    return float(grey[~dark].mean() - grey[dark].mean())


def _separability(grey: Grey, dark: npt.NDArray[np.bool_]) -> float:
    """Otsu's: the variance between dark and bright as a share of all variance; 0 where there is none."""
    whole, share = float(grey.var()), float(dark.mean())
    return share * (1 - share) * _apart(grey, dark) ** 2 / whole if whole > 1e-6 else 0.0


def _repetition(slope: npt.NDArray[Any]) -> float:
    """The highest peak of the edges' autocorrelation away from the origin: 1 for a grating or a checkerboard."""
    centred = slope - slope.mean()
    if float(np.abs(centred).max()) < 1e-6:
        return 1.0
    power = np.abs(np.fft.rfft2(centred)) ** 2
    correlation = np.fft.irfft2(power, s=slope.shape)
    rows, columns = (max(2, size // 24) for size in slope.shape)
    inner = correlation / correlation[0, 0]
    inner[:rows, :columns] = inner[-rows:, :columns] = inner[:rows, -columns:] = inner[-rows:, -columns:] = -1
    return float(np.clip(inner.max(), 0, 1))


def _upright(gx: npt.NDArray[Any], gy: npt.NDArray[Any], edge: npt.NDArray[np.bool_]) -> float:
    """The share of edges that run along rows or columns."""
    if not edge.any():
        return 0.0
    x, y = np.abs(gx[edge]), np.abs(gy[edge])
    return float((np.minimum(x, y) < 0.1 * np.maximum(x, y)).mean())


def _width(mask: Any) -> float:
    """How wide the structures of a mask are: the mean distance to the other side, against 1/32 of the picture."""
    inside = mask > 0
    if not inside.any() or inside.all():
        return 1.0
    distance = cv2.distanceTransform(mask, cv2.DIST_L1, 3)[inside]
    return float(min(1.0, distance.mean() * 16 / max(mask.shape)))


def _parts(mask: Any) -> float:
    """How many separate pieces dark and bright fall into, as a logarithm: 0 for one, 1 for ten thousand."""
    pieces = cv2.connectedComponents(mask)[0] + cv2.connectedComponents(255 - mask)[0]
    return float(np.log10(max(1, pieces - 2)) / 4)


def _sharpness(grey: Grey, slope: npt.NDArray[Any]) -> float:
    """How much of the slopes is gone after a little blur: near 0 where the lens is out of focus."""
    total = float(slope.mean())
    if total < 1e-6:
        return 0.0
    soft = cv2.GaussianBlur(grey, (0, 0), 1.5)
    left = cv2.magnitude(cv2.Sobel(soft, cv2.CV_32F, 1, 0), cv2.Sobel(soft, cv2.CV_32F, 0, 1))
    return float(np.clip(1 - left.mean() / total, 0, 1))


def _unevenness(dark: npt.NDArray[np.bool_]) -> float:
    """How differently dark the nine parts of the picture are."""
    shares = cv2.resize(dark.astype(np.float32), (3, 3), interpolation=cv2.INTER_AREA)
    return float(shares.std() * 2)


def _symmetry(grey: Grey) -> float:
    """The best correlation of the picture with itself mirrored or turned: 1 for most patterns, and for nothing."""
    centred = cv2.resize(grey, (64, 64), interpolation=cv2.INTER_AREA).astype(np.float32)
    centred -= centred.mean()
    whole = float((centred * centred).sum())
    if whole < 1:
        return 1.0
    turned = (centred[::-1], centred[:, ::-1], centred[::-1, ::-1])
    return max(abs(float((centred * other).sum())) / whole for other in turned)


def _grid(repetition: float, upright: float) -> float:
    """0 for nearly everything, 1 for what repeats itself along rows and columns as hardly a board does."""
    return float(np.clip((repetition * upright - 0.68) / 0.06, 0, 1))


def _polar(gx: npt.NDArray[Any], gy: npt.NDArray[Any], rows: npt.NDArray[Any], columns: npt.NDArray[Any]) -> float:
    """0 for nearly everything, 1 where edges are spokes or rings around one point: a Siemens star, a zone plate."""
    steep = np.hypot(gx, gy)
    across = np.column_stack([gx, gy]) / steep[:, None]
    along = np.column_stack([-across[:, 1], across[:, 0]])
    points = np.column_stack([columns, rows]).astype(np.float64)
    share = max(_through_one_point(across, points), _through_one_point(along, points))
    return float(np.clip((share - 0.6) / 0.15, 0, 1))


def _through_one_point(normals: Numbers, points: Numbers) -> float:
    """The share of the lines with these normals (n, 2) through these points (n, 2) that meet in one place."""
    offsets = (normals * points).sum(axis=1)
    middle = np.linalg.lstsq(normals.T @ normals, normals.T @ offsets, rcond=None)[0]
    away = points - middle
    missed = np.abs((normals * away).sum(axis=1))
    return float((missed < 0.15 * np.maximum(np.linalg.norm(away, axis=1), 1e-6)).mean())


def _gratings(dark: npt.NDArray[np.bool_]) -> float:
    """0 for nearly everything, 1 where most changes between dark and bright are even bars, as in a resolution chart.

    Even: along a row or a column, five stretches one after another, each at most 24 px long and within a pixel of the
    one before.
    """
    changes = even = 0
    for lines in (dark, np.ascontiguousarray(dark.T)):
        at = np.flatnonzero((lines[:, 1:] != lines[:, :-1]).ravel())
        line, stretch = at // (lines.shape[1] - 1), np.diff(at)
        within = np.diff(line) == 0
        same = within[1:] & within[:-1] & (np.abs(np.diff(stretch)) <= 1) & (stretch[1:] <= 24)
        changes += len(at)
        even += _in_trains(same)
    return float(np.clip((even / changes - 0.34) / 0.12, 0, 1)) if changes else 0.0


def _in_trains(same: npt.NDArray[np.bool_], *, length: int = 5) -> int:
    """How many changes belong to a train in which `length` stretches equal the one before."""
    if len(same) < length:
        return 0
    trains = np.convolve(same, np.ones(length), "valid") == length
    return int((np.convolve(trains, np.ones(length + 2)) > 0.5).sum())


def _blank(slope: npt.NDArray[Any]) -> float:
    """The share of the 64 parts of the picture that hold no edge."""
    shares = cv2.resize((slope > 60).astype(np.float32), (8, 8), interpolation=cv2.INTER_AREA)
    return float((shares < 0.01).mean())


# --- what is known


class BadReference(ValueError):
    """A file or rows that frames cannot be compared with; the text says why."""


def distances(frames: Numbers, known: Numbers, *, scales: Numbers, among_themselves: bool = False) -> Numbers:
    """How far each of `frames` (n, s) is from the nearest of `known` (m, s), in `scales` (s,).

    `among_themselves`: `frames` are `known`, and none of them is its own neighbour.
    """
    apart = np.linalg.norm((frames[:, None, :] - known[None, :, :]) / scales, axis=2)
    if among_themselves:
        np.fill_diagonal(apart, np.inf)
    nearest: Numbers = apart.min(axis=1)
    return nearest


def row_of(statistics: Mapping[str, float], names: Sequence[str]) -> Numbers | None:
    """The statistics in the order of `names`, or None where they are not the same statistics."""
    if set(statistics) != set(names):
        return None
    row = np.array([statistics[name] for name in names], np.float64)
    return row if np.isfinite(row).all() else None


@dataclass(frozen=True, eq=False)
class Reference:
    """Frames that are known, and how far another one may be from them and still count as like them."""

    names: tuple[str, ...]
    scales: Numbers
    frames: Numbers
    limit: float

    def distance(self, statistics: Mapping[str, float]) -> float | None:
        """How far a frame is from these, or None where it was measured in another way."""
        row = row_of(statistics, self.names)
        if row is None:
            return None
        return float(distances(row[None], self.frames, scales=self.scales)[0])

    def as_json(self) -> dict[str, Any]:
        rounded = [[round(float(value), 4) for value in row] for row in self.frames]
        scales = [round(float(value), 4) for value in self.scales]
        return {"statistics": list(self.names), "scales": scales, "limit": round(self.limit, 4), "frames": rounded}

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> "Reference":
        """Raises BadReference."""
        try:
            names = tuple(str(name) for name in fields["statistics"])
            scales, frames = np.array(fields["scales"], np.float64), np.array(fields["frames"], np.float64)
            limit = float(fields["limit"])
        except (KeyError, TypeError, ValueError) as error:
            raise BadReference(f"It lacks statistics, scales, limit or frames: {error}.") from error
        if scales.shape != (len(names),) or frames.ndim != 2 or frames.shape[1] != len(names):
            raise BadReference(f"It has {len(names)} statistics, and scales or frames of another number.")
        if not FEWEST_FRAMES <= len(frames) <= MOST_FRAMES:
            raise BadReference(f"It has {len(frames)} frames, not {FEWEST_FRAMES} to {MOST_FRAMES}.")
        if not (np.isfinite(frames).all() and (scales > 0).all() and np.isfinite(scales).all() and 0 < limit < 1e6):
            raise BadReference("It holds numbers that cannot be compared with.")
        return cls(names, scales, frames, limit)


def training_reference(measured: Sequence[Mapping[str, float]]) -> Reference:
    """What a model was trained on, from its training pictures' statistics. Scales and limit come from the same."""
    frames = np.array([row_of(statistics, STATISTICS) for statistics in measured], np.float64)
    scales = np.maximum(frames.std(axis=0), LEAST_SCALE)
    apart = distances(frames, frames, scales=scales, among_themselves=True)
    return Reference(STATISTICS, scales, frames, float(np.percentile(apart, LIKE_SHARE)))


def station_reference(measured: Sequence[Mapping[str, float]], like_training: Sequence[bool]) -> Reference | None:
    """What a station sees, from its first frames' statistics; None where too few of them are like the training.

    Those that are like the training pictures are the core; others join it that are not far. What is far, such as
    a steel strip among boards, stays out. Raises BadReference where the statistics are not ours.
    """
    rows = [row_of(statistics, STATISTICS) for statistics in measured]
    if any(row is None for row in rows):
        raise BadReference("The frames were measured in another way.")
    frames, core = np.array(rows, np.float64), np.array(like_training, np.bool_)
    if core.sum() < max(FEWEST_FRAMES, CORE_SHARE * len(frames)):
        return None
    first = _around(frames[core])
    near = distances(frames, first.frames, scales=first.scales) <= JOINS_WITHIN * first.limit
    return _around(frames[core | near])


def around(measured: Sequence[Mapping[str, float]]) -> Reference:
    """All of these frames as a reference, where a person says that they are right. Raises BadReference."""
    rows = [row_of(statistics, STATISTICS) for statistics in measured]
    if len(rows) < FEWEST_FRAMES or any(row is None for row in rows):
        raise BadReference("The frames are too few, or were measured in another way.")
    return _around(np.array(rows, np.float64))


def _around(frames: Numbers) -> Reference:
    """Frames as a reference of their own: what varies between them counts less, and a little is always allowed."""
    scales = np.sqrt(0.9 * frames.var(axis=0) + 0.1 * np.square(SCALES))
    apart = distances(frames, frames, scales=scales, among_themselves=True)
    return Reference(STATISTICS, scales, frames, LIMIT_MARGIN * float(np.percentile(apart, LIKE_SHARE)))


class Anything:
    """A reference for test models that look at nothing: every frame is like what they know."""

    limit: Final = 1.0

    def distance(self, statistics: Mapping[str, float]) -> float | None:
        return 0.0


@dataclass(frozen=True, eq=False)
class TrainedOn:
    """What a model was trained for, by name, and what its training pictures looked like. Empty: nobody said."""

    products: tuple[str, ...] = ()
    reference: Reference | Anything | None = None

    def looked_at(self, picture: Rgb) -> Appearance:
        """How a frame looks, and how far that is from the training pictures."""
        statistics = measure(picture)
        distance = None if self.reference is None else self.reference.distance(statistics)
        if self.reference is None or distance is None:
            return Appearance(statistics)
        return Appearance(statistics, round(distance, 4), self.reference.limit)


def read_trained_on(path: Path) -> TrainedOn:
    """From a JSON file `{"products": [...], "statistics": [...], "scales": [...], "limit": n, "frames": [[...]]}`.

    All but `products` may be left out together. Raises BadReference.
    """
    if path.stat().st_size > MOST_BYTES:
        raise BadReference(f"{path.name} is larger than {MOST_BYTES >> 20} MiB.")
    try:
        fields = json.loads(path.read_text())
        products = products_in(fields["products"])
        return TrainedOn(products, Reference.from_json(fields) if "frames" in fields else None)
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise BadReference(f"{path.name} does not say what a model was trained on: {error}") from error


def products_in(names: Any) -> tuple[str, ...]:
    """Products as a model or a setting declares them: a list of names. Raises BadReference."""
    if not isinstance(names, list) or not 1 <= len(names) <= MAX_PRODUCTS:
        raise BadReference(f"Products are a list of 1 to {MAX_PRODUCTS} names.")
    for name in names:
        if fault := name_fault(name, MAX_PRODUCT_CHARS):
            raise BadReference(f"The product {str(name)[:80]!r} {fault}.")
    return tuple(names)
