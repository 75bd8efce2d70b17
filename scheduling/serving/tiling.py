"""Look at a large frame in overlapping tiles, at the scale that the model was trained on, and put the regions together.

A frame that is shrunk to a model's input loses its small defects; here each tile is shown to the model as if it were a
frame, with the same part of the template. Done once for every detector: what a detector needs to say is `tile_px`.
Knows no network and no node.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from scheduling.serving.contracts import (
    TILE_FROM_RATIO,
    BadFrame,
    BoxXyxy,
    DetectedRegion,
    Detector,
    Rgb,
    SizeWh,
    tiles_along,
)

TILES_AT_ONCE = 4
"""How many tiles are detected between two looks at whether anybody still waits, or waits for a turn."""

EDGE_PX = 3
"""A region that comes so near to an inner edge of its tile may go on beyond it."""
CONTEXT_PX = 16
"""What a tile must show around a region to have seen it as a whole."""

SAME_IOU = 0.45
CONTAINED_SHARE = 0.7
"""Two tiles mean one region where they agree on its box so far, or where so much of the smaller lies in the larger."""


@dataclass(frozen=True, slots=True)
class Tile:
    """A part of a frame in its pixels. `overview` is the whole frame, shrunk: it has no inner edges."""

    x0: int
    y0: int
    x1: int
    y1: int
    overview: bool = False

    def of(self, picture: Rgb) -> Rgb:
        return picture if self.overview else np.ascontiguousarray(picture[self.y0 : self.y1, self.x0 : self.x1])

    def moved(self, region: DetectedRegion) -> DetectedRegion:
        """The region in pixels of the frame."""
        x0, y0, x1, y1 = region.box_xyxy
        return replace(region, box_xyxy=(x0 + self.x0, y0 + self.y0, x1 + self.x0, y1 + self.y0))

    def cuts(self, box: BoxXyxy, size_wh: SizeWh) -> bool:
        """Whether the box reaches an edge behind which the frame goes on."""
        if self.overview:
            return False
        return (
            (self.x0 > 0 and box[0] <= self.x0 + EDGE_PX)
            or (self.y0 > 0 and box[1] <= self.y0 + EDGE_PX)
            or (self.x1 < size_wh[0] and box[2] >= self.x1 - EDGE_PX)
            or (self.y1 < size_wh[1] and box[3] >= self.y1 - EDGE_PX)
        )

    def shows(self, box: BoxXyxy, size_wh: SizeWh) -> bool:
        """Whether the box lies in this tile with what is around it."""
        return (
            not self.overview
            and (self.x0 == 0 or box[0] >= self.x0 + CONTEXT_PX)
            and (self.y0 == 0 or box[1] >= self.y0 + CONTEXT_PX)
            and (self.x1 == size_wh[0] or box[2] <= self.x1 - CONTEXT_PX)
            and (self.y1 == size_wh[1] or box[3] <= self.y1 - CONTEXT_PX)
        )


@dataclass(frozen=True, slots=True)
class Scale:
    """At which scale a detector looks: tiles of `tile_px` pixels of the frame; 0 is the whole frame at any size.

    `overview`: it did not say so itself, so that it is shown the shrunk frame as well.
    """

    tile_px: int = 0
    overview: bool = False


def scale_of(detector: Detector) -> Scale:
    """What the detector declares; one that declares nothing is shown whole frames."""
    scale = getattr(detector, "scale", None)
    return scale if isinstance(scale, Scale) else Scale()


def tiles_of(size_wh: SizeWh, scale: Scale) -> list[Tile]:
    """The parts in which a frame is looked at; one, the frame itself, where it is not much larger than a tile."""
    width, height = size_wh
    whole = Tile(0, 0, width, height, overview=True)
    if not scale.tile_px or max(size_wh) <= TILE_FROM_RATIO * scale.tile_px:
        return [whole]
    parts = [
        Tile(x, y, min(x + scale.tile_px, width), min(y + scale.tile_px, height))
        for y in _starts(height, scale.tile_px)
        for x in _starts(width, scale.tile_px)
    ]
    return [*parts, whole] if scale.overview else parts


def _starts(length_px: int, tile_px: int) -> list[int]:
    """Where tiles begin along a side: evenly, from edge to edge, overlapping by at least the agreed part."""
    count = tiles_along(length_px, tile_px)
    if count == 1:
        return [0]
    return [round(index * (length_px - tile_px) / (count - 1)) for index in range(count)]


def detect_in_tiles(
    detector: Detector, image: Rgb, template: Rgb | None, *, min_score: float
) -> Iterator[list[DetectedRegion] | None]:
    """Detect tile by tile: yields None after every few tiles, and at the end the frame's regions, best first.

    Raises BadFrame for a template of another size than the frame.
    """
    if template is not None and template.shape != image.shape:
        raise BadFrame(
            f"the template is {template.shape[1]} x {template.shape[0]}, the frame {image.shape[1]} x "
            f"{image.shape[0]}; they must be the same size"
        )
    size_wh = (image.shape[1], image.shape[0])
    tiles = tiles_of(size_wh, scale_of(detector))
    found: list[list[DetectedRegion]] = []
    for at in range(0, len(tiles), TILES_AT_ONCE):
        now = tiles[at : at + TILES_AT_ONCE]
        goldens = [None if template is None else tile.of(template) for tile in now]
        found += detector.detect([tile.of(image) for tile in now], min_score=min_score, templates=goldens)
        yield None
    yield merged(tiles, found, size_wh)


@dataclass(slots=True)
class _Piece:
    """A region in the frame, and which of the tiles showed it."""

    region: DetectedRegion
    tiles: frozenset[int]
    cut: bool


def merged(tiles: Sequence[Tile], found: Sequence[Sequence[DetectedRegion]], size_wh: SizeWh) -> list[DetectedRegion]:
    """The regions of all tiles in pixels of the frame, each once, best first.

    Of one class, what two tiles saw is one region: where the boxes agree, where one lies in the other, and where a
    seam cut a long one in pieces that touch. A piece at a tile's edge that another tile shows whole is left to that.
    What lies nowhere (without an area, or with numbers that are not finite) is passed on as it is.
    """
    if len(tiles) == 1:
        return list(found[0])
    pieces, lost = [], []
    for index, (tile, regions) in enumerate(zip(tiles, found, strict=True)):
        for region in map(tile.moved, regions):
            if not np.isfinite((*region.box_xyxy, region.score)).all() or _area(region.box_xyxy) <= 0:
                lost.append(region)
                continue
            cut = tile.cuts(region.box_xyxy, size_wh)
            if not (cut and any(other.shows(region.box_xyxy, size_wh) for other in tiles)):
                pieces.append(_Piece(region, frozenset({index}), cut))
    return lost + [piece.region for piece in _joined(pieces)]


def _joined(pieces: list[_Piece]) -> list[_Piece]:
    """Each piece is joined to the best of its class that means the same, until nothing can be joined any more."""
    waiting = sorted(pieces, key=lambda piece: -piece.region.score)
    kept: list[_Piece] = []
    while waiting:
        best = waiting.pop(0)
        same = next((other for other in waiting if _same(best, other)), None)
        if same is None:
            kept.append(best)
            continue
        waiting.remove(same)
        waiting.insert(0, _union(best, same))
    return kept


def _same(one: _Piece, two: _Piece) -> bool:
    if one.region.class_index != two.region.class_index or one.tiles & two.tiles:
        return False
    common = _overlap(one.region.box_xyxy, two.region.box_xyxy)
    if not common:
        return False
    areas = _area(one.region.box_xyxy), _area(two.region.box_xyxy)
    if common >= CONTAINED_SHARE * min(areas) or common >= SAME_IOU * (sum(areas) - common):
        return True
    return one.cut and two.cut and _in_line(one.region.box_xyxy, two.region.box_xyxy)


def _in_line(one: BoxXyxy, two: BoxXyxy) -> bool:
    """Whether the two lie one behind the other, as the pieces of what a seam cut do: alike across or along."""
    shares = []
    for low, high in ((0, 2), (1, 3)):
        common = min(one[high], two[high]) - max(one[low], two[low])
        shares.append(common / max(min(one[high] - one[low], two[high] - two[low]), 1e-6))
    return max(shares) >= CONTAINED_SHARE


def _union(one: _Piece, two: _Piece) -> _Piece:
    """The better region; with the box around both where a seam cut them, for neither shows the whole."""
    better, other = (one, two) if one.region.score >= two.region.score else (two, one)
    box = better.region.box_xyxy
    if better.cut and other.cut:
        a, b = box, other.region.box_xyxy
        box = (min(a[0], b[0]), min(a[1], b[1]), max(a[2], b[2]), max(a[3], b[3]))
    elif better.cut:
        box = other.region.box_xyxy
    return _Piece(replace(better.region, box_xyxy=box), one.tiles | two.tiles, one.cut and two.cut)


def _overlap(one: BoxXyxy, two: BoxXyxy) -> float:
    width = min(one[2], two[2]) - max(one[0], two[0])
    height = min(one[3], two[3]) - max(one[1], two[1])
    return width * height if width > 0 and height > 0 else 0.0


def _area(box: BoxXyxy) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
