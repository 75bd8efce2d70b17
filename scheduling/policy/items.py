"""What one Step asks of a Node, as a policy sees it: the only place where an Item is made.

The worker fills it from rows, the scenarios of the benchmarks from their dice, so that what is simulated is what
production sends. Knows no database and no scenario.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from scheduling.policy.types import Item, Quality

DETECTOR, DESCRIBER = "edge_detector", "describer"
CROP_BYTES = 6_000  # what a context crop weighs, near enough to predict its upload
TEMPLATE_CROP_BYTES = 8_000  # and the same cut of the golden template, which goes as base64
CROP_MORE = 0.15  # what one more crop in a batch adds to a describer's work for the first (decision 0030)
# Expected size against full quality: on the safe side. Over 60 generated boards the medians are 0.38 and 0.24 of the
# bytes at JPEG 95, and nine boards in ten stay under 0.63 and 0.51.
LADDER = (Quality("JPEG 75", 75, 0.62), Quality("JPEG 50", 50, 0.42))
LOOK_AHEAD = {DETECTOR: 32, DESCRIBER: 16}
"""How many waiting items of each model one look takes in: late descriptions must not hide the frames that wait to be
decided. Together no more than a policy looks at.
"""
LATE_SHARE = 4
"""One place in so many of a look is for what is late; all of them where nothing else waits."""


@dataclass(frozen=True, slots=True)
class Leeway:
    """What a Station lets the scheduler do to its requests when a link is too slow for them.

    ladder: send pictures as JPEG of a lower quality. skip: leave undescribed what the edge is sure of.
    """

    ladder: bool = False
    skip: bool = False

    @property
    def rungs(self) -> tuple[Quality, ...]:
        return LADDER if self.ladder else ()


AS_IT_IS = Leeway()


@dataclass(frozen=True, slots=True)
class Load:
    """How much a request is, near enough to predict its time: bytes to send, and work in units of the model's.

    sure: the edge is sure of all that it is about. fixed_bytes: those of `bytes` that no lower quality makes fewer.
    """

    bytes: int
    units: float = 1.0
    sure: bool = False
    fixed_bytes: int = 0


def frame_load(frame_bytes: int, tiles: int, template_bytes: int = 0) -> Load:
    """A frame for the detector; `tiles`: how many squares of the detector's side it is looked at in.

    The golden template goes with every request, and always as it is.
    """
    return Load(frame_bytes + template_bytes, float(tiles), fixed_bytes=template_bytes)


def regions_load(regions: int, *, sure: bool, template: bool = False) -> Load:
    """The crops of a frame's regions for the describer, as one batch: written side by side, they cost little more than
    the first. With a golden template each goes with the same cut of that, in the same quality.
    """
    each = CROP_BYTES + TEMPLATE_CROP_BYTES * template
    return Load(each * regions, crops_work(regions), sure)


def crops_work(crops: float) -> float:
    return 1.0 + CROP_MORE * (max(crops, 1.0) - 1.0)


def make_item(
    load: Load,
    *,
    id: str,
    model: str,
    arrived_at: float,
    deadline_at: float,
    leeway: Leeway = AS_IT_IS,
    scope: int | None = None,
) -> Item:
    """The Item of a Step of `model` that waits since `arrived_at`."""
    return Item(
        id=id,
        model=model,
        bytes=load.bytes,
        units=load.units,
        arrived_at=arrived_at,
        deadline_at=deadline_at,
        qualities=leeway.rungs,
        edge_sure=load.sure and leeway.skip,
        fixed_bytes=load.fixed_bytes,
        scope=scope,
    )


def looked_at(waiting: Iterable[Item], now: float) -> list[Item]:
    """The items that one look takes in, for whoever keeps no table of Steps: what the worker asks its table for."""
    ordered = sorted(waiting, key=lambda item: item.deadline_at)
    return [item for model, most in LOOK_AHEAD.items() for item in _of_model(ordered, model, most, now)]


def _of_model(ordered: Iterable[Item], model: str, most: int, now: float) -> list[Item]:
    mine = [item for item in ordered if item.model == model]
    late = [item for item in mine if item.deadline_at <= now][:most]
    live = [item for item in mine if item.deadline_at > now]
    found = live[: most - min(len(late), most // LATE_SHARE)]
    return found + late[: most - len(found)]
