"""Boxes and polygons: from what label files say to Regions that lie inside their picture. Pure arithmetic.

A label that leaves its picture by a rounding is cut to it; one that lies outside, or has no area, is a trouble.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace

from .values import BoxXywh, LabelledFrame, Place, Point, Region, Trouble

LEAST_SIDE_PX = 0.5
MOST_LEFT_OUT = 0.5
"""So much of a box may lie outside of the picture and be cut off; with more the label is of another picture."""
MAX_POINTS = 10_000


class BadGeometry(ValueError):
    """Numbers that are no Region; the sentence says why."""


def box_around(points: Sequence[Point]) -> BoxXywh:
    """The smallest box with all `points` in it. Raises BadGeometry."""
    if len(points) < 3:
        raise BadGeometry(f"A polygon has three points or more, this one has {len(points)}.")
    if len(points) > MAX_POINTS:
        raise BadGeometry(f"A polygon has at most {MAX_POINTS:,} points, this one has {len(points):,}.")
    check_finite([value for point in points for value in point])
    xs, ys = [x for x, _ in points], [y for _, y in points]
    return checked_box((min(xs), min(ys), max(xs) - min(xs), max(ys) - min(ys)))


def box_of_corners(x1: float, y1: float, x2: float, y2: float) -> BoxXywh:
    """Raises BadGeometry where the corners are in the wrong order, or no numbers."""
    return checked_box((x1, y1, x2 - x1, y2 - y1))


def checked_box(box_xywh: BoxXywh) -> BoxXywh:
    """A box of some area. Raises BadGeometry."""
    check_finite(box_xywh)
    if not (box_xywh[2] > 0 and box_xywh[3] > 0):
        raise BadGeometry(f"The box is {box_xywh[2]:g} wide and {box_xywh[3]:g} high.")
    return box_xywh


def check_finite(values: Iterable[float]) -> None:
    if not all(math.isfinite(value) and abs(value) < 1e9 for value in values):
        raise BadGeometry("A coordinate is no number of any picture.")


def placed(frame: LabelledFrame, width: int, height: int) -> tuple[tuple[Region, ...], list[Trouble]]:
    """The frame's Regions in pixels, inside the picture of this size, and one Trouble for each that cannot be."""
    troubles = []
    if frame.stated_wh not in (None, (width, height)):
        stated = frame.stated_wh or (0, 0)
        troubles.append(_other_size(frame.place, stated, width, height))
        return (), troubles
    regions = []
    for region in frame.regions:
        try:
            regions.append(inside_picture(_in_pixels(region, frame, width, height), width, height))
        except BadGeometry as error:
            troubles.append(Trouble("bad_region", region.place or frame.place, str(error), "The region was left out."))
    return tuple(regions), troubles


def _other_size(place: Place, stated: tuple[int, int], width: int, height: int) -> Trouble:
    return Trouble(
        "other_size",
        place,
        f"The labels were made for a picture of {stated[0]} x {stated[1]} pixels; it has {width} x {height}.",
        "A turned picture, or one that was scaled later, needs its labels again.",
    )


def _in_pixels(region: Region, frame: LabelledFrame, width: int, height: int) -> Region:
    if frame.unit == "pixels":
        return region
    x, y, w, h = region.box_xywh
    polygon = region.polygon and tuple((px * width, py * height) for px, py in region.polygon)
    return replace(region, box_xywh=(x * width, y * height, w * width, h * height), polygon=polygon)


def inside_picture(region: Region, width: int, height: int) -> Region:
    """`region` cut to the picture. Raises BadGeometry where little or nothing of it is left."""
    x, y, w, h = checked_box(region.box_xywh)
    left, top, right, bottom = max(x, 0.0), max(y, 0.0), min(x + w, float(width)), min(y + h, float(height))
    if right - left < LEAST_SIDE_PX or bottom - top < LEAST_SIDE_PX:
        raise BadGeometry(
            f"The box {_words(region.box_xywh)} lies outside of the picture of {width} x {height} pixels."
        )
    if (right - left) * (bottom - top) < (1 - MOST_LEFT_OUT) * w * h:
        raise BadGeometry(f"Most of the box {_words(region.box_xywh)} lies outside of {width} x {height} pixels.")
    if (left, top, right, bottom) == (x, y, x + w, y + h):
        return region
    polygon = region.polygon and tuple((_within(px, width), _within(py, height)) for px, py in region.polygon)
    return replace(region, box_xywh=(left, top, right - left, bottom - top), polygon=polygon)


def _within(value: float, most: int) -> float:
    return min(max(value, 0.0), float(most))


def _words(box_xywh: BoxXywh) -> str:
    return f"[{', '.join(f'{value:g}' for value in box_xywh)}]"


def rounded(value: float) -> float:
    """As label files write it: whole where it is whole, else to a hundredth of a pixel."""
    near = round(value, 2)
    return int(near) if near == int(near) else near
