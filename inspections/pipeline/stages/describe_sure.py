"""The regions that the edge is sure of, where their Station lets them wait or be left out: a Step of their own.

They are described like the others, but when the cloud has room; or, where the Station says so, not at all when no
Node would answer in time. Nothing else of the Frame waits for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from aivd_web.kernel.database import Moment
from inspections.models import Detection, Frame, Station, Step
from inspections.pipeline.stage import WaitingStep
from scheduling.policy.items import Load, regions_load

from .describe import SURE_LOOK_AHEAD, DescribeStage


@dataclass
class DescribeSureStage(DescribeStage):
    kind = "describe_sure"
    title = "Describe what the edge is sure of"
    look_ahead = SURE_LOOK_AHEAD
    may_be_skipped = True

    def load(self, waiting: WaitingStep) -> Load:
        return regions_load(waiting.regions, sure=True, template=bool(waiting.template_sha256))

    def begun(self, frame: Frame, believed: Sequence[Detection], now: Moment) -> Step:
        step = super().begun(frame, believed, now)
        if frame.station.sure_regions == Station.SureRegions.LATER:
            step.deadline_at = now  # due at once is late from the start: it takes only spare capacity
        return step

    def among(self, believed: Sequence[Detection], station: Station) -> list[Detection]:
        return [detection for detection in self.counting(believed, station) if detection.sure]
