"""Have the regions that count described by a cloud model; its text goes to the viewers while it is written."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from aivd_web.kernel.database import Moment
from aivd_web.kernel.publish import call_later
from inspections.events import numbering
from inspections.media import renditions
from inspections.models import Detection, Frame, Station, Step
from inspections.pipeline import findings, steps
from inspections.pipeline.stage import Stage, Stages, WaitingStep
from scheduling.client.answers import DescribeAnswer
from scheduling.client.inference import DescribeInference
from scheduling.dispatch.values import Answer
from scheduling.policy.items import LOOK_AHEAD, Load, regions_load
from scheduling.policy.types import FULL_QUALITY, Quality
from scheduling.serving import prompts
from scheduling.serving.contracts import DESCRIBER, DescribeRequest, RegionRequest

TOKEN_MESSAGES_A_SECOND = 10
SURE_LOOK_AHEAD = 6  # of the places that a look has for the describer
Later = Callable[[float, Callable[[], None]], None]


@dataclass
class DescribeStage(Stage[DescribeAnswer]):
    """`idle_s` is the longest silence within the stream of tokens."""

    budget_s: float = 60.0
    idle_s: float = 10.0

    kind = "describe"
    title = "Describe"
    contract = DESCRIBER
    look_ahead = LOOK_AHEAD[DESCRIBER.model] - SURE_LOOK_AHEAD
    has_ladder = True

    def load(self, waiting: WaitingStep) -> Load:
        return regions_load(waiting.regions, sure=False, template=bool(waiting.template_sha256))

    def wanted(self, frame: Frame, believed: Sequence[Detection]) -> bool:
        return frame.station.describe and bool(self.among(believed, frame.station))

    def begun(self, frame: Frame, believed: Sequence[Detection], now: Moment) -> Step:
        step = super().begun(frame, believed, now)
        step.deadline_at = now + timedelta(milliseconds=frame.station.describe_within_ms)
        step.regions = len(self.among(believed, frame.station))
        return step

    def among(self, believed: Sequence[Detection], station: Station) -> list[Detection]:
        """The regions that it is about; those that the edge is sure of have a stage of their own."""
        return [detection for detection in self.counting(believed, station) if not detection.sure]

    def counting(self, believed: Sequence[Detection], station: Station) -> list[Detection]:
        """Of the regions that count, best first, as many as the station wants described."""
        return [detection for detection in believed if detection.counts][: station.max_regions]

    def build(self, frame: Frame, quality: Quality = FULL_QUALITY) -> DescribeInference:
        detections = self.among(regions_of(frame), frame.station)
        boxes = [detection.box_xyxy for detection in detections]
        return DescribeInference(
            crops=renditions.context_crops(frame, boxes, quality=quality.jpeg_quality),
            request=_request(frame, detections, renditions.template_crops(frame, boxes, quality=quality.jpeg_quality)),
            timeout_s=self.budget_s,
            idle_s=self.idle_s,
            tokens=TokenListener(frame),
            version=frame.line.describer,
        )

    def build_in(self, frame: Frame, quality: Quality) -> DescribeInference:
        return self.build(frame, quality)

    def commit(
        self, *, claim: steps.Claim, frame: Frame, answer: Answer[DescribeAnswer], stages: Stages, now: Moment
    ) -> None:
        findings.commit_descriptions(
            claim=claim, frame=frame, answer=answer, prompt_version=prompts.PROMPT_VERSION, now=now
        )


def regions_of(frame: Frame) -> list[Detection]:
    """Best first."""
    return list(frame.detections.select_related("defect_class").order_by("index"))


def _request(frame: Frame, detections: Sequence[Detection], templates: Sequence[bytes]) -> DescribeRequest:
    names = tuple(frame.line.defect_classes.values_list("name", flat=True))
    return DescribeRequest(
        prompt_version=prompts.PROMPT_VERSION,
        frame_size_wh=(frame.width, frame.height),
        class_names=names,
        regions=tuple(
            RegionRequest(str(d.pk), d.box_xyxy, d.defect_class.name, d.score, template)
            for d, template in zip(detections, templates, strict=True)
        ),
    )


class TokenListener:
    """Passes tokens on as hints, gathered so that a region sends at most 10 messages a second.

    What was held back is sent when its time has come, also if the model writes nothing more for now.
    """

    def __init__(self, frame: Frame, *, clock: Callable[[], float] = time.monotonic, later: Later = call_later) -> None:
        self._frame = frame
        self._clock = clock
        self._later = later
        self._lock = threading.Lock()
        self._waiting: dict[str, str] = {}
        self._tokens: dict[str, int] = {}
        self._sent_at: dict[str, float] = {}

    def restart(self) -> None:
        """A new attempt begins, perhaps on another Node: what an earlier one wrote no longer counts."""
        with self._lock:
            self._waiting.clear()
            self._tokens.clear()

    def heard(self, event: Mapping[str, Any]) -> None:
        if event.get("type") != "token":
            return
        region = str(event["region_id"])
        with self._lock:
            held_back = region in self._waiting
            self._waiting[region] = self._waiting.get(region, "") + str(event["text"])
            self._tokens[region] = self._tokens.get(region, 0) + 1
            due_in_s = self._sent_at.get(region, -1.0) + 1 / TOKEN_MESSAGES_A_SECOND - self._clock()
            message = self._message(region) if due_in_s <= 0 else None
        if message:
            self._tell(message)
        elif not held_back:
            self._later(due_in_s, lambda: self.flush(region))

    def flush(self, region: str | None = None) -> None:
        """Send what is held back, of one region or of all."""
        for name in [region] if region else list(self._waiting):
            with self._lock:
                message = self._message(name)
            if message:
                self._tell(message)

    def _message(self, region: str) -> dict[str, Any] | None:
        text = self._waiting.pop(region, "")
        if not text:
            return None
        self._sent_at[region] = self._clock()
        return {"type": "describe.token", "region": region, "text": text, "n": self._tokens.get(region, 0)}

    def _tell(self, message: dict[str, Any]) -> None:
        numbering.hint(line_id=self._frame.line_id, message={**message, "id": str(self._frame.pk)})
