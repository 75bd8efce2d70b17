"""Commit what a model said about a Frame, fenced by the claim under which it was asked."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import cached_property, partial
from typing import Any

from django.db import transaction

from aivd_web.kernel.database import Moment
from inspections.events import numbering
from inspections.models import DefectClass, Description, Detection, Frame, Station, Step
from inspections.services import baselines
from inspections.services.vocabulary import readable_title
from scheduling.serving.contracts import MAX_CLASS_NAME_CHARS, DetectedRegion, name_fault

from . import decide, familiarity, steps, wake

COLOURS = 8


@dataclass(frozen=True)
class Spoke:
    """Who said it: the served model's row, the node's name, and how to book the dispatch as answered."""

    served_model_id: int
    node: str
    latency_ms: float
    book: Callable[[], None]


@dataclass(frozen=True)
class Described:
    """One region's answer as the node sent it."""

    detection_id: str
    answer: dict[str, Any]
    raw_text: str
    valid: bool
    errors: tuple[str, ...]
    tokens: int
    latency_ms: float


@transaction.atomic
def commit_detections(
    *,
    claim: steps.Claim,
    frame: Frame,
    regions: Sequence[DetectedRegion],
    model_said: familiarity.ModelSaid,
    thresholds: decide.Thresholds,
    spoke: Spoke,
    now: Moment,
) -> None:
    """Detections, the Decision and the next Step in one transaction. Raises LateHolder.

    A frame that is unlike what is known is held whatever was found in it, and nobody is asked to describe that.
    """
    steps.finish(claim=claim)
    known = familiarity.judge(frame, model_said)
    known.row.save(force_insert=True)
    if known.collecting:
        gather = partial(baselines.gather, station_id=frame.station_id)
        transaction.on_commit(gather, robust=True)
    sane, vocabulary = _sane(regions, frame), Vocabulary(frame.line_id)
    unplaced = model_said.unplaced + len(regions) - len(sane)
    detections = [
        _detection(frame, index, region, vocabulary[region.class_name], thresholds, spoke)
        for index, region in enumerate(sane)
    ]
    if detections:
        Detection.objects.bulk_create(detections)
    spoke.book()
    changes = [numbering.Change("frame.detected", frame.pk, {"regions": len(detections)})]
    found = [decide.Finding(str(d.defect_class), d.score, d.counts) for d in detections]
    said = known.doubt or decide.by_findings(found, unplaced=unplaced)
    if decide.write(frame=frame, said=said, now=now):
        changes.append(numbering.Change("frame.decided", frame.pk, {"outcome": said.outcome, "code": said.code}))
    counting = sum(detection.counts for detection in detections)
    if frame.station.describe and known.doubt is None and counting:
        Step.objects.create(
            frame=frame,
            kind=Step.Kind.DESCRIBE,
            regions=min(counting, frame.station.max_regions),
            deadline_at=now + timedelta(milliseconds=frame.station.describe_within_ms),
        )
        transaction.on_commit(wake.workers, robust=True)
    elif steps.complete_if_no_step_open(frame=frame, now=now):
        changes.append(numbering.Change("frame.complete", frame.pk))
    numbering.record_all(line_id=frame.line_id, changes=changes)


@transaction.atomic
def commit_descriptions(
    *,
    claim: steps.Claim,
    frame: Frame,
    described: Sequence[Described],
    prompt_version: str,
    spoke: Spoke,
    now: Moment,
) -> None:
    """All Descriptions of a Frame in one transaction. Raises LateHolder."""
    steps.finish(claim=claim)
    Description.objects.bulk_create(
        [
            Description(
                detection_id=one.detection_id,
                served_model_id=spoke.served_model_id,
                node=spoke.node,
                prompt_version=prompt_version,
                answer=one.answer,
                raw_text=one.raw_text,
                valid=one.valid,
                errors=list(one.errors),
                tokens=one.tokens,
                latency_ms=one.latency_ms,
            )
            for one in described
        ]
    )
    spoke.book()
    valid = sum(one.valid for one in described)
    data = {"descriptions": len(described), "valid": valid}
    changes = [numbering.Change("frame.described", frame.pk, data)]
    if steps.complete_if_no_step_open(frame=frame, now=now):
        changes.append(numbering.Change("frame.complete", frame.pk))
    numbering.record_all(line_id=frame.line_id, changes=changes)


def thresholds_of(station: Station) -> decide.Thresholds:
    by_class = station.thresholds.values_list("defect_class__name", "min_score")
    return decide.Thresholds(station.min_score, dict(by_class))


class Vocabulary:
    """A Line's defect classes by name; a class that is new to the Line gets an entry at the end."""

    def __init__(self, line_id: int) -> None:
        self.line_id = line_id

    @cached_property
    def known(self) -> dict[str, DefectClass]:
        """Read when the first region asks: most frames of a good line have none."""
        return {entry.name: entry for entry in DefectClass.objects.filter(line_id=self.line_id)}

    def __getitem__(self, name: str) -> DefectClass:
        if name not in self.known:
            position = len(self.known) + 1
            self.known[name], _ = DefectClass.objects.get_or_create(
                line_id=self.line_id,
                name=name,
                defaults={
                    "title": readable_title(name),
                    "position": position,
                    "colour_index": (position - 1) % COLOURS,
                },
            )
        return self.known[name]


def _sane(regions: Sequence[DetectedRegion], frame: Frame) -> list[DetectedRegion]:
    """Regions with a finite score, a name and an area inside the frame, best first; the rest cannot be stored."""
    kept = []
    for region in regions:
        if name_fault(region.class_name, MAX_CLASS_NAME_CHARS):
            continue
        if not all(map(math.isfinite, (*region.box_xyxy, region.score))):
            continue  # before it is cut: max(0, NaN) is 0
        x1, y1, x2, y2 = region.box_xyxy
        x1, x2 = max(0.0, x1), min(float(frame.width), x2)
        y1, y2 = max(0.0, y1), min(float(frame.height), y2)
        if x2 > x1 and y2 > y1:
            score = min(1.0, max(0.0, region.score))
            kept.append(DetectedRegion((x1, y1, x2, y2), score, region.class_index, region.class_name))
    return sorted(kept, key=lambda region: -region.score)


def _detection(
    frame: Frame,
    index: int,
    region: DetectedRegion,
    defect_class: DefectClass,
    thresholds: decide.Thresholds,
    spoke: Spoke,
) -> Detection:
    x1, y1, x2, y2 = region.box_xyxy
    return Detection(
        frame=frame,
        index=index,
        defect_class=defect_class,
        x1=x1,
        y1=y1,
        x2=x2,
        y2=y2,
        score=region.score,
        counts=thresholds.counts(region.class_name, region.score),
        served_model_id=spoke.served_model_id,
        node=spoke.node,
    )
