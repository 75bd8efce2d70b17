"""What is asked of a Node for each kind of Step, and what is done with its answer.

Runs in a worker's thread, after the Step was claimed. Raises RequestFailed (from scheduling), LateHolder, or
BadMedia (from renditions) where the stored picture itself is the trouble.
"""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models.functions import Now

from aivd_web.kernel.publish import call_later
from inspections.events import numbering
from inspections.media import renditions
from inspections.models import Detection, Frame
from scheduling.services.dispatching import Answered, Send
from scheduling.serving import prompts
from scheduling.serving.contracts import DescribeRequest, DetectMeta, RegionRequest, detect_budget_s

from . import familiarity, findings, steps

TOKEN_MESSAGES_A_SECOND = 10
CarryOut = Callable[[Send, float], Answered]


@dataclass(frozen=True)
class Budgets:
    """Deadlines of the calls, in seconds. `detect_s` is for a frame of one tile; larger ones get more.

    `idle_s`: the longest silence within a stream of tokens.
    """

    detect_s: float = 5.0
    describe_s: float = 60.0
    idle_s: float = 10.0


def detect(*, claim: steps.Claim, frame: Frame, carry_out: CarryOut, budgets: Budgets) -> None:
    """Find regions in the frame and commit them with the Decision."""
    picture, template = renditions.shown_bytes(frame), renditions.template_bytes(frame.station)
    thresholds = findings.thresholds_of(frame.station)
    # A little below the threshold, so that a person can see what nearly counted.
    min_score = max(0.05, thresholds.lowest * 0.5)
    answered = carry_out(
        lambda client, timeout_s: client.detect(picture, template=template, min_score=min_score, timeout_s=timeout_s),
        detect_budget_s(budgets.detect_s, (frame.width, frame.height)),
    )
    findings.commit_detections(
        claim=claim,
        frame=frame,
        regions=answered.answer.regions,
        model_said=_model_said(answered.answer.meta),
        thresholds=thresholds,
        spoke=_spoke(answered),
        now=Now(),
    )


def describe(*, claim: steps.Claim, frame: Frame, carry_out: CarryOut, budgets: Budgets) -> None:
    """Have the frame's counting regions described, stream the text as hints, and commit the answers."""
    detections = described_regions(frame)
    request = _describe_request(frame, detections)
    pictures = renditions.context_crops(frame, [detection.box_xyxy for detection in detections])
    listener = TokenListener(frame)
    answered = carry_out(
        lambda client, timeout_s: client.describe(
            pictures,
            request,
            timeout_s=timeout_s,
            idle_timeout_s=budgets.idle_s,
            on_event=listener.restarted().heard,
        ),
        budgets.describe_s,
    )
    listener.flush()
    findings.commit_descriptions(
        claim=claim,
        frame=frame,
        described=[_described(answer, answered.measured_ms) for answer in answered.answer.answers],
        prompt_version=request.prompt_version,
        spoke=_spoke(answered),
        now=Now(),
    )


def described_regions(frame: Frame) -> list[Detection]:
    """The regions that count, best first, as many as the station wants described."""
    counting = frame.detections.filter(counts=True).select_related("defect_class").order_by("index")
    return list(counting[: frame.station.max_regions])


Later = Callable[[float, Callable[[], None]], None]


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

    def restarted(self) -> "TokenListener":
        """A new attempt begins on another Node: what the first one wrote no longer counts."""
        with self._lock:
            self._waiting.clear()
            self._tokens.clear()
        return self

    def heard(self, event: dict[str, Any]) -> None:
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


def _model_said(meta: DetectMeta) -> familiarity.ModelSaid:
    return familiarity.ModelSaid(meta.products, meta.appearance, meta.unplaced)


def _describe_request(frame: Frame, detections: Sequence[Detection]) -> DescribeRequest:
    names = tuple(frame.line.defect_classes.values_list("name", flat=True))
    return DescribeRequest(
        prompt_version=prompts.PROMPT_VERSION,
        frame_size_wh=(frame.width, frame.height),
        class_names=names,
        regions=tuple(RegionRequest(str(d.pk), d.box_xyxy, d.defect_class.name, d.score) for d in detections),
    )


def _described(answer: Any, latency_ms: float) -> findings.Described:
    return findings.Described(
        detection_id=answer.region_id,
        answer=answer.answer,
        raw_text=answer.raw_text,
        valid=answer.valid,
        errors=tuple(answer.errors),
        tokens=answer.tokens,
        latency_ms=latency_ms,
    )


def _spoke(answered: Answered) -> findings.Spoke:
    return findings.Spoke(answered.served_model_id, answered.node, answered.measured_ms, answered.book)
