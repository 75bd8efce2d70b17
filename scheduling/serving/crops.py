"""Cut the context crop around a region: the one implementation for client, node, training and benchmarks.

A describer sees more than the box: `x = C(I, E(b; k))`, the box `b` grown by the context ratio `k` and cut
out of the frame `I` (AIVD, arXiv 2601.04734). Knows nothing about models or the network.
"""

import io
import math
from typing import Final

import numpy as np
from PIL import Image

from scheduling.serving.contracts import BoxXyxy, Rgb, SizeWh

CONTEXT_RATIO: Final = 1.5
"""How much larger than the box, per side, a crop is cut in service."""

JPEG_QUALITY: Final = 85

IntBox = tuple[int, int, int, int]


def context_box(box_xyxy: BoxXyxy, k: float = CONTEXT_RATIO, *, size_wh: SizeWh) -> IntBox:
    """The box grown `k` times about its centre, rounded outwards and clipped to the frame; at least 1x1 px.

    Pixels of the frame, end exclusive. A box outside the frame gives the nearest pixel of the frame. Raises
    ValueError for a box that is not finite or is upside down, for `k` < 1 and for an empty frame.
    """
    x0, y0, x1, y1 = (float(value) for value in box_xyxy)
    if not all(map(math.isfinite, (x0, y0, x1, y1))) or x1 < x0 or y1 < y0:
        raise ValueError(f"box {tuple(box_xyxy)} is not (left, top, right, bottom) in finite pixels")
    if not (math.isfinite(k) and k >= 1):
        raise ValueError(f"context ratio {k} is not a number of at least 1")
    width, height = size_wh
    if width < 1 or height < 1:
        raise ValueError(f"a frame of {width}x{height} px has nothing to crop")
    left, right = _grown(x0, x1, k, width)
    top, bottom = _grown(y0, y1, k, height)
    return left, top, right, bottom


def _grown(low: float, high: float, k: float, limit: int) -> tuple[int, int]:
    extra = (k - 1) / 2 * (high - low)
    first = min(max(math.floor(low - extra), 0), limit - 1)
    last = min(max(math.ceil(high + extra), first + 1), limit)
    return first, last


def cut_crop(image: Rgb, box_xyxy: BoxXyxy, k: float = CONTEXT_RATIO) -> Rgb:
    """The context crop of a box: a contiguous copy, (h, w, 3) uint8 RGB."""
    height, width = image.shape[:2]
    left, top, right, bottom = context_box(box_xyxy, k, size_wh=(width, height))
    return np.ascontiguousarray(image[top:bottom, left:right])


def encode_crop(crop: Rgb, quality: int = JPEG_QUALITY) -> bytes:
    """JPEG bytes of a crop; `quality` 1..95."""
    if not 1 <= quality <= 95:
        raise ValueError(f"JPEG quality {quality} is not in 1..95")
    stream = io.BytesIO()
    Image.fromarray(crop).save(stream, "JPEG", quality=quality)
    return stream.getvalue()


def letterbox(crop: Rgb, side_px: int, fill: int = 128) -> Rgb:
    """The crop scaled to fit a square of `side_px`, aspect kept, the rest grey: (side, side, 3)."""
    height, width = crop.shape[:2]
    scale = side_px / max(width, height)
    size_wh = max(1, round(width * scale)), max(1, round(height * scale))
    scaled = np.asarray(Image.fromarray(crop).resize(size_wh, Image.Resampling.BILINEAR))
    square = np.full((side_px, side_px, 3), fill, np.uint8)
    left, top = (side_px - size_wh[0]) // 2, (side_px - size_wh[1]) // 2
    square[top : top + size_wh[1], left : left + size_wh[0]] = scaled
    return square
