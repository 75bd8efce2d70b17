"""Draw the copper of a bare board: bundles, meanders, component rows, pours, lands, lettering.

Knows how circuits are laid out at about 48 pixels a millimetre; knows nothing about defects or cameras. Like a design
that passed its rule check it has no slivers, no stubs and no lone dots smaller than a via's land: a picture alone
could not tell those from spurs, opens and spurious copper.
"""

import math
import string
from collections.abc import Callable
from typing import Final

import numpy as np

from finetune.boards.canvas import PAD, POUR, TRACE, VIA, Canvas, Disc, Line, Points, Polygon, Shape

Rng = np.random.Generator

_ANGLES = np.radians(np.arange(8) * 45)
OCTANTS: Final = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)

SMALLEST_HOLE_PX: Final = 3.5
SMALLEST_LONE_PX: Final = 14.0
"""Radius of the smallest land without a trace or a hole, and of the smallest opening in a pour."""
NARROWEST_POUR_PX: Final = 14.0
SLIVER_PX: Final = 7
SMALLEST_POUR_PX: Final = 1500


def draw_layout(rng: Rng, size_px: int) -> Canvas:
    """One board of `size_px` square: three to six themes, then lands, routes and lettering in the gaps."""
    canvas = Canvas(size_px)
    fine = rng.random() < 0.7
    width = float(rng.uniform(6, 13) if fine else rng.uniform(13, 42))
    if rng.random() < 0.5:
        _pours(canvas, rng, width)
    themes: list[Callable[[Canvas, Rng, float], None]] = [_bundle, _meander, _pad_row, _chip, _thick, _bundle]
    for index in rng.permutation(len(themes))[: int(rng.integers(3, 7))]:
        themes[index](canvas, rng, width)
    for _ in range(int(rng.integers(10, 40))):
        _route(canvas, rng, width)
    canvas.turn(int(rng.integers(4)), bool(rng.random() < 0.5))
    _lettering(canvas, rng)
    return canvas


def add_free_lands(canvas: Canvas, rng: Rng, count: int) -> None:
    """Small lands that no trace reaches and holes drilled through copper: good design that looks like a defect.

    A picture alone tells them from spurious copper and pin-holes only by their regular outline; the template knows.
    """
    for _ in range(count):
        x, y = (float(value) for value in rng.uniform(12, canvas.size_px - 12, 2))
        radius = float(rng.uniform(7, 18))
        land: Shape = Disc((x, y), radius, radius * float(rng.uniform(0.35, 0.6)) if rng.random() < 0.4 else 0.0)
        if rng.random() < 0.25:
            land = _pad(rng, (x, y), radius, radius * float(rng.choice([1.0, 1.5, 0.7])))
        if not canvas.place([land], clearance=float(rng.uniform(5, 15))):
            canvas.drill(Disc((x, y), 0.6 * radius), room=5.0)


def _clearance(width: float) -> float:
    return max(5.0, 0.8 * width)


def _land(rng: Rng, centre: tuple[float, float], width: float) -> Shape:
    """A round or an angular land a trace can end in."""
    return _land_of(rng, centre, float(rng.uniform(0.9, 1.9) * width + 2))


def _land_of(rng: Rng, centre: tuple[float, float], radius: float) -> Shape:
    if rng.random() < 0.55:
        hole = radius * float(rng.uniform(0.3, 0.55)) if rng.random() < 0.5 else 0.0
        return Disc(centre, radius, hole if hole > SMALLEST_HOLE_PX else 0.0)
    return _pad(rng, centre, radius, radius * float(rng.choice([1.0, 1.5, 0.7])))


def _pad(rng: Rng, centre: tuple[float, float], half_w: float, half_h: float) -> Polygon:
    """A rectangle whose corners are square, cut or rounded."""
    corner = min(half_w, half_h) * float(rng.choice([0.0, 0.25, 0.6]))
    x, y = centre
    if corner == 0:
        corners = [(-half_w, -half_h), (half_w, -half_h), (half_w, half_h), (-half_w, half_h)]
        return Polygon(np.add(corners, (x, y)), PAD)
    points: list[tuple[float, float]] = []
    middles = ((1, 1, 0), (-1, 1, 90), (-1, -1, 180), (1, -1, 270))
    for sx, sy, start in middles:
        for degrees in np.linspace(start, start + 90, 5):
            angle = math.radians(float(degrees))
            points.append(
                (
                    sx * (half_w - corner) + corner * math.cos(angle),
                    sy * (half_h - corner) + corner * math.sin(angle),
                )
            )
    return Polygon(np.add(points, (x, y)), PAD)


def _walk(rng: Rng, start: tuple[float, float], octant: int, legs: int, length: tuple[float, float]) -> Points:
    """An octilinear path that turns by 45 degrees at each joint and wanders around its first direction."""
    points = [np.array(start, float)]
    turn = 0
    for _ in range(legs):
        points.append(points[-1] + OCTANTS[(octant + turn) % 8] * rng.uniform(*length))
        turn = int(rng.choice([-1, 1])) if turn == 0 else (0 if rng.random() < 0.8 else 2 * turn)
        turn = max(-2, min(2, turn))
    return np.array(points)


def _parallel(path: Points, distance: float) -> Points:
    """The path moved sideways by `distance`, with mitred joints."""
    steps = np.diff(path, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True) + 1e-9
    normals = np.stack([-steps[:, 1], steps[:, 0]], axis=1)
    joints = np.vstack([normals[:1], normals[:-1] + normals[1:], normals[-1:]])
    scale = np.maximum((joints * joints).sum(1, keepdims=True), 0.3)
    scale[0] = scale[-1] = 1.0
    scale[1:-1] /= 2
    moved: Points = path + distance * joints / scale
    return moved


def _bundle(canvas: Canvas, rng: Rng, width: float) -> None:
    """Parallel traces across the board, some of them ending early in a land."""
    size = canvas.size_px
    pitch = width * float(rng.uniform(1.8, 3.2)) + 3
    path = _walk(rng, (-20.0, float(rng.uniform(0, size))), 0, 7, (0.12 * size, 0.4 * size))
    for lane in range(int(rng.integers(2, 9))):
        points = _parallel(path, lane * pitch)
        shapes: list[Shape] = [Line(points, width)]
        if rng.random() < 0.3:
            points = points[: int(rng.integers(3, len(points)))]
            end = (float(points[-1][0]), float(points[-1][1]))
            shapes = [Line(points, width), Disc(end, min(0.75 * width + 3, pitch - width / 2 - 4))]
        canvas.place(shapes, clearance=max(4.0, 0.5 * (pitch - width)))


def _meander(canvas: Canvas, rng: Rng, width: float) -> None:
    """A length-matching serpentine."""
    width = min(width, 14.0)
    pitch = width * float(rng.uniform(2.0, 3.0)) + 2
    tall = float(rng.uniform(4, 9)) * pitch
    x, y = rng.uniform(20, canvas.size_px * 0.7, 2)
    points = [(x - 3 * pitch, y)]
    for turn in range(int(rng.integers(6, 16))):
        top, bottom = (y, y + tall) if turn % 2 == 0 else (y + tall, y)
        points += [(x + turn * pitch, top), (x + turn * pitch, bottom)]
    canvas.place([Line(np.array(points, float), width)], clearance=_clearance(width))


def _pad_row(canvas: Canvas, rng: Rng, width: float) -> None:
    """A row of pads; from each a trace leaves at a right angle or at 45 degrees and may end in a via."""
    width = min(width, 18.0)
    half_w, half_h = float(rng.uniform(0.8, 1.6)) * width + 3, float(rng.uniform(1.2, 2.5)) * width + 4
    pitch = 2 * half_w + _clearance(width) + float(rng.uniform(4, 2.5 * width))
    x, y = rng.uniform(20, 0.4 * canvas.size_px), rng.uniform(60, canvas.size_px - 60)
    octant = int(rng.choice([2, 6]))
    lengths = (half_h + float(rng.uniform(15, 45)), float(rng.uniform(70, 140)))
    bend = int(rng.choice([-1, 0, 1]))
    for index in range(int(rng.integers(3, 14))):
        centre = (float(x + index * pitch), float(y))
        shapes: list[Shape] = [_pad(rng, centre, half_w, half_h)]
        if rng.random() < 0.8:
            first = np.array(centre) + OCTANTS[octant] * lengths[0]
            last = first + OCTANTS[(octant + bend) % 8] * lengths[1]
            shapes.append(Line(np.array([centre, first, last]), width))
            if rng.random() < 0.5:
                shapes.append(Disc((float(last[0]), float(last[1])), 0.9 * width + 2))
        canvas.place(shapes, clearance=5.0)


def _chip(canvas: Canvas, rng: Rng, width: float) -> None:
    """The footprint of a small-outline or four-sided chip."""
    width = min(width, 14.0)
    pins, pitch = int(rng.integers(4, 10)), 2.2 * width + 6
    body = pins * pitch / 2 + 2.5 * width + 12
    cx, cy = rng.uniform(0.2 * canvas.size_px, 0.8 * canvas.size_px, 2)
    sides = (0, 2, 4, 6) if rng.random() < 0.5 else (0, 4)
    for octant in sides:
        out, along = OCTANTS[octant], OCTANTS[(octant + 2) % 8]
        for pin in range(pins):
            near = np.array([cx, cy]) + out * body + along * ((pin - (pins - 1) / 2) * pitch)
            half = np.abs(out) * 1.6 * width + np.abs(along) * (0.6 * width + 1)
            centre = (float(near[0]), float(near[1]))
            shapes: list[Shape] = [_pad(rng, centre, float(half[0]), float(half[1]))]
            if rng.random() < 0.7:
                shapes.append(Line(np.array([near, near + out * rng.uniform(5, 12) * width]), width))
            canvas.place(shapes, clearance=4.0)


def _thick(canvas: Canvas, rng: Rng, width: float) -> None:
    """Power traces with big lands, rings and arcs."""
    size = canvas.size_px
    for _ in range(int(rng.integers(1, 5))):
        heavy = float(rng.uniform(20, 60))
        x, y = (float(v) for v in rng.uniform(0.05 * size, 0.95 * size, 2))
        kind = rng.random()
        if kind < 0.25:
            angles = np.radians(np.linspace(0, float(rng.uniform(90, 360)), 24)) + rng.uniform(0, 6)
            radius = float(rng.uniform(1.2, 4)) * heavy
            arc = np.stack([x + radius * np.cos(angles), y + radius * np.sin(angles)], axis=1)
            shapes: list[Shape] = [Line(arc, heavy * 0.6)]
        elif kind < 0.5:
            shapes = [Disc((x, y), heavy * 1.3, heavy * float(rng.choice([0.0, rng.uniform(0.25, 0.8)], p=(0.2, 0.8))))]
        else:
            path = _walk(rng, (x, y), int(rng.integers(8)), 3, (0.15 * size, 0.4 * size))
            shapes = [Line(path, heavy), Disc((x, y), 0.9 * heavy, 0.35 * heavy * float(rng.random() < 0.6))]
        canvas.place(shapes, clearance=float(rng.uniform(10, 30)))


def _pours(canvas: Canvas, rng: Rng, width: float) -> None:
    """Copper areas separated by channels, with antipads, slots and traces inside the channels."""
    size = canvas.size_px
    gap = float(rng.uniform(8, 26))
    cut = float(rng.uniform(0.2, 1.0)) * size
    corners = [
        (-20, -20),
        (size + 20, -20),
        (size + 20, cut),
        (size * rng.uniform(0.2, 0.8), cut),
        (-20, cut * 0.6),
    ]
    canvas.draw([Polygon(np.array(corners, float), POUR)])
    inside: list[Shape] = []
    for _ in range(int(rng.integers(0, 8))):
        path = _walk(rng, (-20.0, float(rng.uniform(0, cut))), 0, 6, (0.1 * size, 0.4 * size))
        inner = width * float(rng.random() < 0.5)
        carved = canvas.carve(Line(path, inner + 2 * gap if inner else gap), room=NARROWEST_POUR_PX)
        if carved and inner:
            inside.append(Line(path, inner))
    for _ in range(int(rng.integers(0, 12))):
        inside += _opening(canvas, rng, gap)
    canvas.smooth(SLIVER_PX, SMALLEST_POUR_PX)
    canvas.draw(inside)


def _opening(canvas: Canvas, rng: Rng, gap: float) -> list[Shape]:
    """A round hole or a slot in a pour, or an antipad: then the land that stands in it is handed back."""
    x, y = (float(v) for v in rng.uniform(0, canvas.size_px, 2))
    radius = float(rng.uniform(SMALLEST_LONE_PX, 40))
    kind = rng.random()
    if kind < 0.5:
        land = Disc((x, y), radius, radius * float(rng.choice([0.0, 0.5])), VIA)
        return [land] if canvas.carve(Disc((x, y), radius + gap), room=NARROWEST_POUR_PX) else []
    slot = Line(np.array([(x, y), (x + 3 * radius, y)]), radius)
    canvas.carve(Disc((x, y), radius) if kind < 0.75 else slot, room=NARROWEST_POUR_PX)
    return []


def _route(canvas: Canvas, rng: Rng, width: float) -> None:
    """A short connection between two lands, or a lone land."""
    width = min(width, 22.0)
    start = (float(rng.uniform(0, canvas.size_px)), float(rng.uniform(0, canvas.size_px)))
    shapes = [_land_of(rng, start, max(float(rng.uniform(0.9, 1.9) * width + 2), SMALLEST_LONE_PX))]
    if rng.random() < 0.7:
        # The lands at both ends take up to four widths of it: what is left must look like a trace, not like a bridge.
        path = _walk(rng, start, int(rng.integers(8)), int(rng.integers(1, 5)), (7 * width + 10, 16 * width))
        shapes = [
            Line(path, width, TRACE),
            _land(rng, start, width),
            _land(rng, (float(path[-1][0]), float(path[-1][1])), width),
        ]
    canvas.place(shapes, clearance=_clearance(width))


def _lettering(canvas: Canvas, rng: Rng) -> None:
    for _ in range(int(rng.integers(0, 4))):
        letters = rng.choice(list(string.ascii_uppercase + string.digits), int(rng.integers(1, 5)))
        origin = (int(rng.integers(0, canvas.size_px)), int(rng.integers(20, canvas.size_px)))
        canvas.write("".join(letters), origin, float(rng.uniform(0.8, 1.8)), int(rng.integers(3, 6)))
