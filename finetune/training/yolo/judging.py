"""How good a detector is on frames that people have marked: what chooses a run's best weights, and its report.

A network in training is looked at as a node would: the same tiles, the same enlarging, the same table of boxes.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from finetune.training.detector_export import MOST_REGIONS
from finetune.training.detector_metrics import (
    COCO_IOUS,
    Truth,
    average_precision,
    match,
    mean_average_precision,
)
from finetune.training.manifest import ManifestFrame
from finetune.training.yolo.pictures import FrameStore
from scheduling.serving.answers import NO_DEFECT
from scheduling.serving.contracts import DetectedRegion, Detector
from scheduling.serving.detectors.model_file import ModelFile
from scheduling.serving.detectors.yolo import YoloDetector
from scheduling.serving.preprocess import Tensor
from scheduling.serving.tiling import Scale, detect_in_tiles

LEAST_SCORE = 0.01
SURE_PRECISION = 0.9
"""A template doubts what it does not confirm besides, so a network may be trusted before it is right nearly always: on
two sets of 50 boards that it had not seen, the score that this gives was among the best three of 0.3, 0.4, ... 0.9."""
SURE_IOU = 0.5
LEAST_SURE_SCORE = 0.3
LOOSE_IOU = 0.33
"""The overlap that the authors of DeepPCB count from."""


@dataclass(frozen=True)
class Judged:
    """Mean average precisions over the classes, at three overlaps, and each class's at 0.5; shares in 0..1."""

    frames: int
    map_iou33: float
    map50: float
    map50_95: float
    classes: dict[str, float]
    ms_per_frame: float


def regions_of(
    detector: Detector, frames: Sequence[ManifestFrame], store: FrameStore
) -> tuple[list[list[DetectedRegion]], float]:
    """What the detector finds on each frame, without its template, and the seconds that it took."""
    found, spent = [], 0.0
    for frame in frames:
        picture = store.picture(frame)
        started = time.monotonic()
        *_, regions = detect_in_tiles(detector, picture, None, min_score=LEAST_SCORE)
        spent += time.monotonic() - started
        found.append(regions or [])
    return found, spent


def judge(
    found: Sequence[Sequence[DetectedRegion]],
    frames: Sequence[ManifestFrame],
    class_names: Sequence[str],
    seconds: float,
) -> Judged:
    truths = [truths_of(frame, class_names) for frame in frames]
    count = len(class_names)
    loose, *strict = (match(found, truths, iou=iou, classes=count) for iou in (LOOSE_IOU, *COCO_IOUS))
    means = [mean_average_precision(matches) for matches in strict]
    by_class = {name: round(average_precision(one), 4) for name, one in zip(class_names, strict[0], strict=True)}
    return Judged(
        frames=len(frames),
        map_iou33=round(mean_average_precision(loose), 4),
        map50=round(means[0], 4),
        map50_95=round(sum(means) / len(means), 4),
        classes=by_class,
        ms_per_frame=round(1000 * seconds / max(1, len(frames)), 1),
    )


def sure_score(
    found: Sequence[Sequence[DetectedRegion]], frames: Sequence[ManifestFrame], class_names: Sequence[str]
) -> float | None:
    """The lowest score from which on so many of the regions are of the right class and lie where somebody marked one.

    None where there is no such score: then the detector is not to be trusted above a golden template.
    """
    matches = match(found, [truths_of(frame, class_names) for frame in frames], iou=SURE_IOU, classes=len(class_names))
    scores = np.concatenate([one.scores for one in matches])
    order = np.argsort(-scores, kind="stable")
    hits, scores = np.concatenate([one.hits for one in matches])[order], scores[order]
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    good = np.flatnonzero((precision >= SURE_PRECISION) & (scores >= LEAST_SURE_SCORE))
    return round(float(scores[good[-1]]), 3) if len(good) else None


def truths_of(frame: ManifestFrame, class_names: Sequence[str]) -> list[Truth]:
    """The regions of a frame; a place that a person cleared is none."""
    marked = (region for region in frame.regions if region.defect_class != NO_DEFECT)
    return [Truth(class_names.index(region.defect_class), region.box_xyxy) for region in marked]


class _TorchRunner:
    """See `Runner`: the network as it is in memory."""

    def __init__(self, network: Any, device: torch.device) -> None:
        self.runtime = f"torch {torch.__version__} {device.type}"
        self._network, self._device = network, device

    @torch.inference_mode()
    def run(self, batch: Tensor) -> Tensor:
        pictures = torch.from_numpy(batch).to(self._device, memory_format=torch.channels_last)
        table: Tensor = self._network(pictures).float().cpu().numpy()
        return table


def detector_in_training(
    network: Any,
    weights: Mapping[str, torch.Tensor],
    class_names: Sequence[str],
    *,
    side_px: int,
    scale: Scale,
    device: torch.device,
) -> Detector:
    """`network`, which is only there to be looked at, with these weights."""
    network.load_state_dict(weights)
    network.eval()
    head = network.model[-1]
    head.end2end, head.export, head.max_det = True, True, MOST_REGIONS
    about = ModelFile("training", "0", "", b"", tuple(class_names), side_px, None, "images", scale=scale)
    return YoloDetector(about, _TorchRunner(network, device))


def sample_of(frame: ManifestFrame, regions: Sequence[DetectedRegion]) -> dict[str, Any]:
    """The frame's first region and what was found there, in the fields that the page shows of an answer."""
    marked = [region for region in frame.regions if region.defect_class != NO_DEFECT]
    if not marked:
        best = max(regions, key=lambda region: region.score, default=None)
        told = _told(best, 0.0) if best is not None and best.score >= 0.5 else {"defect_class": NO_DEFECT}
        box = best.box_xyxy if best is not None else (0.0, 0.0, 0.0, 0.0)
        return {"frame": frame.id, "box": _xywh(box), "truth": {"defect_class": NO_DEFECT}, "answer": told}
    region = marked[0]
    overlaps = [_iou(region.box_xyxy, one.box_xyxy) for one in regions]
    near = [one for one, overlap in zip(regions, overlaps, strict=True) if overlap >= LOOSE_IOU]
    best = max(near, key=lambda one: one.score, default=None)
    told = {"defect_class": "nothing"} if best is None else _told(best, _iou(region.box_xyxy, best.box_xyxy))
    truth = {"defect_class": region.defect_class}
    return {"frame": frame.id, "box": _xywh(region.box_xyxy), "truth": truth, "answer": told}


def _told(region: DetectedRegion, overlap: float) -> dict[str, str]:
    return {"defect_class": region.class_name, "appearance": f"score {region.score:.2f}, overlap {overlap:.2f}"}


def _iou(one: tuple[float, float, float, float], two: tuple[float, float, float, float]) -> float:
    low, high = np.maximum(one[:2], two[:2]), np.minimum(one[2:], two[2:])
    shared = float(np.clip(high - low, 0, None).prod())
    areas = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, two))
    return shared / (areas - shared) if areas > shared else 0.0


def _xywh(box: tuple[float, float, float, float]) -> list[float]:
    x0, y0, x1, y1 = (round(value, 1) for value in box)
    return [x0, y0, round(x1 - x0, 1), round(y1 - y0, 1)]
