"""What one picture may cost and how long a name may be, the same at the door and on the node. Knows no model.

A limit in a `Meta` is checked where JSON becomes a value: see `wire.py`.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from msgspec import Meta

Rgb: TypeAlias = npt.NDArray[np.uint8]
"""A decoded picture: (height, width, 3), uint8, RGB."""

BoxXyxy: TypeAlias = tuple[float, float, float, float]
Pixels: TypeAlias = Annotated[int, Meta(gt=0)]
SizeWh: TypeAlias = tuple[Pixels, Pixels]
Count: TypeAlias = Annotated[int, Meta(ge=0, lt=2**31)]
"""How many of something, as a database stores it."""

MAX_FRAME_BYTES = 64 * 2**20
"""Longest encoded picture, frame or template; a longer one is a bad frame."""

MAX_FRAME_PIXELS = 100 * 2**20
"""Largest picture (width times height) that is decoded; a larger one is a bad frame. Cameras go to 102 million."""

MAX_JPEG_SCANS = 100
"""Most scans of a progressive JPEG. A camera writes ten or so, and each is a pass over the whole picture."""

MAX_SCANNED_PIXELS = 1_200_000_000
"""Scans times pixels of a JPEG: what decoding may cost all together, some 3 s on one core."""

TILE_PX = 640
"""Side, in pixels of the frame, of what the shipped detector looks at at once; a larger frame is cut into tiles."""

TILE_OVERLAP_PX = 128
"""How far two neighbouring tiles overlap: a region up to so long lies in one of them as a whole."""

TILE_FROM_RATIO = 1.25
"""A frame up to so many times as long as a tile is looked at as one."""

TILE_BUDGET_S = 0.5
"""How much longer a request may take for each tile more: ten times what a tile takes on one core."""

LARGE_FRAME_TILES = 8
"""A frame of more tiles is worked on beside the others: it holds them up for a few tiles at a time."""

STEP_BUDGET_S = 3.0
"""How long a node works on a batch, or on a few tiles of a large frame, before it says that a picture is too costly.
Ten times what it takes on one loaded core, and less than a request's deadline."""

MAX_BATCH = 8
MAX_REGIONS_PER_REQUEST = 64
MAX_TEXT_CHARS = 1000
DEFAULT_MIN_SCORE = 0.05

IDENTITY_LIMITS = {"model": 100, "version": 40, "digest": 64, "runtime": 60}
"""Longest texts, in characters, with which a model may say who it is."""

ModelName: TypeAlias = Annotated[str, Meta(max_length=IDENTITY_LIMITS["model"])]
ModelVersion: TypeAlias = Annotated[str, Meta(max_length=IDENTITY_LIMITS["version"])]
ModelDigest: TypeAlias = Annotated[str, Meta(max_length=IDENTITY_LIMITS["digest"])]
ModelRuntime: TypeAlias = Annotated[str, Meta(max_length=IDENTITY_LIMITS["runtime"])]

MAX_CLASS_NAME_CHARS = 60
"""Longest name of a defect class, in characters, as a line's vocabulary stores it."""

MAX_PRODUCT_CHARS = 40
"""Longest name of a product, in characters, as a station stores it."""

MAX_PRODUCTS = 50
"""Most products of one model."""

SHIPPED_PRODUCT = "bare-pcb"
"""What the models that come with AIVD were trained for."""

SHIPPED_CLASSES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "open": "Open",
        "short": "Short",
        "mousebite": "Mousebite",
        "spur": "Spur",
        "copper": "Spurious copper",
        "pin-hole": "Pin-hole",
    }
)
"""What they name there, in the order of DeepPCB, with the titles that people read. The one list of these classes."""

MAX_CLASSES = 1000
"""Most classes of one model."""

MAX_STATISTICS = 64
"""Most statistics of how a frame looks."""


def tile_count(size_wh: SizeWh, *, tile_px: int = TILE_PX) -> int:
    """In how many tiles a frame is looked at: 1 where it is not much larger than a tile."""
    width, height = size_wh
    if max(width, height) <= TILE_FROM_RATIO * tile_px:
        return 1
    return tiles_along(width, tile_px) * tiles_along(height, tile_px)


def tiles_along(length_px: int, tile_px: int) -> int:
    """How many overlapping tiles cover a side of the frame."""
    stride = tile_px - overlap_px(tile_px)
    return max(1, -(-(length_px - tile_px) // stride) + 1)


def overlap_px(tile_px: int) -> int:
    """The overlap of tiles that are not of the usual size, in proportion."""
    return TILE_OVERLAP_PX * tile_px // TILE_PX


def detect_budget_s(base_s: float, size_wh: SizeWh) -> float:
    """How long detecting in a frame may take where a frame of one tile may take `base_s`."""
    return base_s + TILE_BUDGET_S * (tile_count(size_wh) - 1)


def name_fault(name: object, limit: int) -> str:
    """Why a name cannot be stored and shown, as the end of a sentence; "" where it can."""
    if not isinstance(name, str):
        return "is no text"
    if not name.strip():
        return "is empty"
    if len(name) > limit:
        return f"has {len(name)} characters; at most {limit} are taken"
    if name != name.strip() or not name.isprintable():
        return "holds blanks at an end, or characters that cannot be shown"
    return ""


def class_names_fault(names: Sequence[object]) -> str:
    """Why these cannot be a model's classes, as a sentence; "" where they can."""
    if not 1 <= len(names) <= MAX_CLASSES:
        return f"{len(names)} classes are declared; expected 1 to {MAX_CLASSES}"
    for name in names:
        if fault := name_fault(name, MAX_CLASS_NAME_CHARS):
            return f"the class name {str(name)[:80]!r} {fault}"
    twice = sorted({str(name) for name in names if names.count(name) > 1})
    return f"the class name {twice[0]!r} is declared twice" if twice else ""
