"""Find regions in a Frame and decide. Every Frame begins with this stage."""

from dataclasses import dataclass

from aivd_web.kernel.database import Moment
from inspections.media import renditions
from inspections.models import Frame
from inspections.pipeline import findings, steps
from inspections.pipeline.stage import Stage, Stages, WaitingStep
from scheduling.client.answers import DetectAnswer
from scheduling.client.inference import DetectInference
from scheduling.dispatch.values import Answer
from scheduling.policy.items import DETECTOR, LOOK_AHEAD, Load, frame_load
from scheduling.policy.types import FULL_QUALITY, Quality
from scheduling.serving.contracts import EDGE_DETECTOR, detect_budget_s, tile_count

LEAST_SCORE = 0.05


@dataclass
class DetectStage(Stage[DetectAnswer]):
    """`budget_s` is for a frame of one tile; larger ones get more."""

    budget_s: float = 5.0

    kind = "detect"
    title = "Detect"
    contract = EDGE_DETECTOR
    has_ladder = True
    look_ahead = LOOK_AHEAD[DETECTOR]

    def load(self, waiting: WaitingStep) -> Load:
        tiles, template = tile_count((waiting.width, waiting.height)), renditions.template_size(waiting)
        return frame_load(waiting.frame_bytes, tiles, template)

    def build(self, frame: Frame, quality: Quality = FULL_QUALITY) -> DetectInference:
        lower = quality is not FULL_QUALITY
        return DetectInference(
            picture=renditions.lower_bytes(frame, quality.jpeg_quality) if lower else renditions.shown_bytes(frame),
            template=renditions.template_bytes(frame.station),
            # Below the threshold, so that a person can see what nearly counted.
            min_score=max(LEAST_SCORE, 0.5 * findings.thresholds_of(frame.station).lowest),
            timeout_s=detect_budget_s(self.budget_s, (frame.width, frame.height)),
        )

    def build_in(self, frame: Frame, quality: Quality) -> DetectInference:
        return self.build(frame, quality)

    def commit(
        self, *, claim: steps.Claim, frame: Frame, answer: Answer[DetectAnswer], stages: Stages, now: Moment
    ) -> None:
        findings.commit_detections(claim=claim, frame=frame, answer=answer, stages=stages, now=now)
