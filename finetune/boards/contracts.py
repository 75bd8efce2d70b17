"""What a synthetic board is made of: the defect classes, the facts about a defect, and the values handed out.

Knows nothing about how boards are drawn or who trains on them.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Final

import numpy as np
import numpy.typing as npt

from scheduling.serving.contracts import SHIPPED_CLASSES

Picture = npt.NDArray[np.uint8]
"""(H, W, 3) RGB, or (H, W) for a mask with 0 and 255."""

CLASSES: Final = tuple(SHIPPED_CLASSES)
"""The six bare-board defect classes in the order of DeepPCB; the index is the class id."""

STYLES: Final = ("binary", "grey", "colour")

BOX_MARGIN_PX: Final = 10
"""A box is the bounding box of the changed pixels grown by this much on each side.

A defect is often only seven pixels wide; people who mark boards draw the box so that the copper edges it
belongs to can be seen, and a detector needs them to tell the classes apart.
"""

CONTEXT_RATIO: Final = 1.5
"""Facts are measured in the box grown by this ratio: what a context crop shows."""

FACTS: Final[dict[str, tuple[str, ...]]] = {
    # How many separate pieces of the designed copper (the template's) reach into the context crop.
    "nets": ("no net", "one net", "two nets", "three or more nets"),
    # Where the designed copper of the context crop lies as seen from the middle of the mark.
    "side": ("left", "right", "above", "below", "both sides"),
    # The longer side of the mark against the width of the copper beside it.
    "relative_size": (
        "under half the copper width",
        "about the copper width",
        "wider than the copper",
        "no copper to compare",
    ),
    # The direction in which the copper's edges run in the context crop.
    "orientation": ("horizontal", "vertical", "diagonal", "mixed", "no edge"),
    # What the nearest copper is: every round land counts as a via, every angular one as a pad, letters as traces.
    "feature": ("trace", "pad", "via", "pour", "bare board"),
    # The outline of the mark itself.
    "shape": ("compact", "elongated", "thin"),
    # The direction of the mark's longer axis; a compact mark has none.
    "lie": ("flat", "upright", "slanted", "round"),
}
"""The closed set of each fact. None follows from the class; all can be read off a context crop of 96 px."""


@dataclass(frozen=True)
class Defect:
    """One defect: its class, its box in pixels of the frame (x right, y down, end exclusive), its facts."""

    defect_class: str
    box_xyxy: tuple[float, float, float, float]
    facts: dict[str, str]


@dataclass(frozen=True, eq=False)
class Board:
    """A picture of a board and what is known about it; `template` shows the same board as it should be.

    `design_copper` and `copper` are masks (H, W) of 0 and 255, aligned with `image`: the copper that should be
    there and the copper that is. The template is aligned with the image up to `misregistration_xy` pixels.
    """

    image: Picture
    design_copper: Picture
    copper: Picture
    defects: tuple[Defect, ...]
    style: str
    seed: int
    misregistration_xy: tuple[float, float]
    take_template: Callable[[], Picture] = field(repr=False)
    """Takes the template's picture; a picture costs as much as the layout, and few callers want both."""

    @cached_property
    def template(self) -> Picture:
        return self.take_template()
