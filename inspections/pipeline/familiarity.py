"""May the model's answer about this frame be believed? Its product, and how the frame looks, against what is known.

What nobody can vouch for is `hold`, whatever the model found: it answers for pictures of anything.
"""

from dataclasses import dataclass

from inspections.models import Frame, FrameAppearance, StationBaseline
from inspections.services import baselines
from scheduling.serving.contracts import Appearance, DetectMeta

from .decide import MachineDecision


@dataclass(frozen=True)
class Familiarity:
    """`doubt` is the Decision where the answer must not be believed; `row` what was measured, still to be stored."""

    doubt: MachineDecision | None
    row: FrameAppearance
    collecting: bool


def judge(frame: Frame, meta: DetectMeta) -> Familiarity:
    """Hold the frame's look against the model's training pictures and the Station's first frames."""
    baseline = baselines.of(frame.station)
    row = _measured(frame, meta.appearance, baseline)
    doubt = product_doubt(frame.station.product, meta.products) or look_doubt(row, baseline)
    return Familiarity(doubt, row, collecting=baseline.state == StationBaseline.State.COLLECTING)


def product_doubt(product: str, trained_for: tuple[str, ...]) -> MachineDecision | None:
    if not product:
        return MachineDecision(
            "hold",
            "product",
            "Nobody has said what this station looks at. Choose its product in the station's settings.",
        )
    if product in trained_for:
        return None
    known = f"it was trained for {', '.join(trained_for)}" if trained_for else "it does not say what it was trained for"
    return MachineDecision(
        "hold",
        "product",
        f"The station looks at '{product}', and the model that answered was not trained for that: {known}. "
        "Serve a model for it, or choose the right product in the station's settings.",
    )


def look_doubt(row: FrameAppearance, baseline: StationBaseline) -> MachineDecision | None:
    """None where the frame is like the training pictures or like the Station's first frames."""
    if row.model_distance is not None and row.model_limit is not None and row.model_distance <= row.model_limit:
        return None
    if row.station_distance is not None and row.station_limit is not None and row.station_distance <= row.station_limit:
        return None
    return MachineDecision("hold", "unlike", f"{_how_far(row)} {_what_to_do(baseline)}")


def _how_far(row: FrameAppearance) -> str:
    if not row.statistics:
        return "The node did not say how the frame looks, so nobody knows whether it shows the product."
    found = [
        f"{distance:.1f} from {what}, where up to {limit:.1f} is usual"
        for what, distance, limit in (
            ("the model's training pictures", row.model_distance, row.model_limit),
            ("this station's first frames", row.station_distance, row.station_limit),
        )
        if distance is not None and limit is not None
    ]
    if not found:
        return "There is nothing yet that the frame could be compared with."
    return f"The frame looks unlike anything known: {'; '.join(found)}."


def _what_to_do(baseline: StationBaseline) -> str:
    if baseline.state == StationBaseline.State.WAITING:
        return "Look at this station's first frames, and confirm them if they show the right product."
    if baseline.state == StationBaseline.State.COLLECTING:
        return "The station's first frames are still being collected; an engineer can confirm them."
    return "Look at camera, light and part. If it is the right product, begin the station's baseline again."


def _measured(frame: Frame, look: Appearance | None, baseline: StationBaseline) -> FrameAppearance:
    if look is None:
        return FrameAppearance(frame=frame)
    reference = baselines.reference_of(baseline)
    distance = None if reference is None else reference.distance(look.statistics)
    return FrameAppearance(
        frame=frame,
        statistics=dict(look.statistics),
        model_distance=look.distance,
        model_limit=look.limit,
        station_distance=distance,
        station_limit=None if reference is None or distance is None else reference.limit,
    )
