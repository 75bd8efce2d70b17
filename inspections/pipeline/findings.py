"""Commit what a model answered about a Frame, fenced by the claim under which it was asked."""

import math
from collections.abc import Sequence
from functools import cached_property, partial
from typing import TypeVar

from django.db import transaction

from aivd_web.kernel.database import Moment
from inspections.events import numbering
from inspections.models import DefectClass, Description, Detection, Frame, ShadowAnswer, Station, Step
from inspections.services import baselines, sureness
from inspections.services.vocabulary import COLOURS, readable_title
from scheduling.client.answers import DescribeAnswer, DetectAnswer, NodeAnswer
from scheduling.dispatch.values import Answer, Provenance
from scheduling.services import dispatching
from scheduling.serving.contracts import MAX_CLASS_NAME_CHARS, DetectedRegion, DetectMeta, name_fault

from . import decide, familiarity, steps, wake
from .decide import MachineDecision
from .stage import Stages

A = TypeVar("A", bound=NodeAnswer)


@transaction.atomic
def commit_detections(
    *, claim: steps.Claim, frame: Frame, answer: Answer[DetectAnswer], stages: Stages, now: Moment
) -> None:
    """Detections, the Decision and the next Steps in one transaction. Raises LateHolder.

    A frame that is unlike what is known is held whatever was found in it, and no later stage is asked about that.
    """
    steps.finish(claim=claim)
    content, provenance = answer.content, answer.provenance
    doubt = _doubt(frame, content.meta)
    detections = _kept(frame, content.regions, provenance)
    unplaced = content.meta.unplaced + len(content.regions) - len(detections)
    decision = doubt or decide.by_detections(detections, unplaced=unplaced)
    changes = [numbering.Change("frame.detected", frame.pk, {"regions": len(detections)})]
    if decide.write(frame=frame, decision=decision, now=now):
        changes.append(decide.change(frame.pk, decision))
    following = stages.after_first(frame, [] if doubt else detections)
    if following:
        Step.objects.bulk_create([stage.begun(frame, detections, now) for stage in following])
        transaction.on_commit(wake.workers, robust=True)
    end(frame, answer, changes, now)


@transaction.atomic
def commit_descriptions(
    *, claim: steps.Claim, frame: Frame, answer: Answer[DescribeAnswer], prompt_version: str, now: Moment
) -> None:
    """All Descriptions of a Frame in one transaction. Raises LateHolder."""
    steps.finish(claim=claim)
    provenance, described = answer.provenance, answer.content.answers
    Description.objects.bulk_create(
        [
            Description(
                detection_id=one.region_id,
                served_model_id=provenance.served_model_id,
                node=provenance.node,
                prompt_version=prompt_version,
                answer=one.answer,
                raw_text=one.raw_text,
                valid=one.valid,
                errors=list(one.errors),
                tokens=one.tokens,
                latency_ms=provenance.measured_ms,
            )
            for one in described
        ]
    )
    data = {"descriptions": len(described), "valid": sum(one.valid for one in described)}
    end(frame, answer, [numbering.Change("frame.described", frame.pk, data)], now)


@transaction.atomic
def commit_shadow(*, claim: steps.Claim, answer: Answer[DescribeAnswer]) -> None:
    """What a version in the shadow said, apart from what counts. Raises LateHolder."""
    steps.finish(claim=claim)
    provenance, content = answer.provenance, answer.content
    ShadowAnswer.objects.bulk_create(
        [
            ShadowAnswer(
                detection_id=one.region_id,
                digest=content.done.digest,
                served_model_id=provenance.served_model_id,
                node=provenance.node,
                answer=one.answer,
                valid=one.valid,
                latency_ms=provenance.measured_ms,
            )
            for one in content.answers
        ],
        ignore_conflicts=True,  # a trial that is begun anew does not ask again about what it has answered
    )
    dispatching.book(provenance)


def end(frame: Frame, answer: Answer[A], changes: list[numbering.Change], now: Moment) -> None:
    """The last act of every commit: the Dispatch is booked, the Frame is complete when no Step is open, and the
    viewers hear of it all.
    """
    dispatching.book(answer.provenance)
    if steps.complete_if_no_step_open(frame=frame, now=now):
        changes.append(numbering.Change("frame.complete", frame.pk))
    numbering.record_all(line_id=frame.line_id, changes=changes)


def _doubt(frame: Frame, meta: DetectMeta) -> MachineDecision | None:
    """Keep how the frame looks; the Decision where what was found in it must not be believed."""
    known = familiarity.judge(frame, meta)
    known.row.save(force_insert=True)
    if known.collecting:
        gather = partial(baselines.gather, station_id=frame.station_id)
        transaction.on_commit(gather, robust=True)
    return known.doubt


def _kept(frame: Frame, regions: Sequence[DetectedRegion], provenance: Provenance) -> list[Detection]:
    """The regions that can be stored, as rows."""
    thresholds, vocabulary = thresholds_of(frame.station), Vocabulary(frame.line_id)
    detections = [
        _detection(frame, index, region, vocabulary[region.class_name], thresholds, provenance)
        for index, region in enumerate(_sane(regions, frame))
    ]
    bound = sureness.threshold_of(frame.station, provenance.served_model_id) if detections else None
    for detection in detections:
        detection.sure = sureness.sure(detection, bound)
    return Detection.objects.bulk_create(detections) if detections else []


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
    provenance: Provenance,
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
        served_model_id=provenance.served_model_id,
        node=provenance.node,
    )
