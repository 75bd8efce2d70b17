"""Put a board together from a seed: layout, defects, facts, pictures."""

from functools import partial

import cv2
import numpy as np

from finetune.boards.contracts import STYLES, Board, Defect, Picture
from finetune.boards.defects import place_defects
from finetune.boards.facts import box_of, measure_facts
from finetune.boards.layout import add_free_lands, draw_layout
from finetune.boards.render import another_shot, random_optics, take_picture
from finetune.boards.terrain import Terrain


def generate_board(
    seed: int,
    *,
    style: str | None = None,
    defects: int | None = None,
    size_px: int = 640,
    facts: bool = True,
    free_lands: int = 0,
    wild_opens: float = 0.0,
) -> Board:
    """A synthetic bare board of `size_px` square at about 48 px/mm, the same for the same arguments.

    `style` is one of STYLES, drawn when None. `defects` is how many to place (fewer where the board has no
    room; 0 makes a good board); None draws 1 to 12. Without `facts`, which take time to measure, each defect's are
    empty. `free_lands` small lone lands and drill holes are added to the design, good but easily taken for defects, and
    `wild_opens` is the share of opens that are wide, slanted or ragged.
    Raises ValueError for an unknown style or a size under 160.
    """
    if style is not None and style not in STYLES:
        raise ValueError(f"unknown style {style!r}: use one of {', '.join(STYLES)}")
    if size_px < 160:
        raise ValueError(f"a board of {size_px} px is too small to hold a layout: use at least 160")
    # Each stage has its own stream, so that the good board of a seed is the design of the faulty one.
    layout, faults, camera = (np.random.default_rng((seed, stage)) for stage in range(3))
    drawn = str(camera.choice(STYLES, p=(0.5, 0.25, 0.25)))
    style = style or drawn
    count = int(faults.integers(1, 13)) if defects is None else defects

    canvas = draw_layout(layout, size_px)
    add_free_lands(canvas, np.random.default_rng((seed, 3)), free_lands)
    terrain = Terrain(canvas)
    design = terrain.canvas.copper
    copper = design.copy()
    marks = place_defects(terrain, copper, faults, count, wild_opens=wild_opens)
    optics = random_optics(camera, style)
    shift = (float(camera.uniform(-1.5, 1.5)), float(camera.uniform(-1.5, 1.5)))
    image = take_picture(camera, terrain.canvas, copper, optics, (0.0, 0.0))
    return Board(
        image=image,
        design_copper=_mask(design),
        copper=_mask(copper),
        defects=tuple(
            Defect(mark.defect_class, _floats(box_of(mark, size_px)), measure_facts(terrain, mark) if facts else {})
            for mark in marks
        ),
        style=style,
        seed=seed,
        misregistration_xy=shift,
        take_template=partial(take_picture, camera, terrain.canvas, design, another_shot(camera, optics), shift),
    )


def _mask(coverage: Picture) -> Picture:
    return cv2.threshold(coverage, 127, 255, cv2.THRESH_BINARY)[1].astype(np.uint8, copy=False)


def encode_jpeg(image: Picture, quality: int = 90) -> bytes:
    """RGB (H, W, 3) to JPEG bytes."""
    return _encode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])


def encode_png(image: Picture) -> bytes:
    """RGB (H, W, 3) to PNG bytes."""
    return _encode(".png", image, [cv2.IMWRITE_PNG_COMPRESSION, 3])


def _encode(kind: str, image: Picture, options: list[int]) -> bytes:
    ok, data = cv2.imencode(kind, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    if not ok:
        raise ValueError(f"could not encode a picture of shape {image.shape} as {kind}")
    return bytes(data)


def _floats(box: tuple[int, int, int, int]) -> tuple[float, float, float, float]:
    return float(box[0]), float(box[1]), float(box[2]), float(box[3])
