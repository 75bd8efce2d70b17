"""Detect with a transformer of the DETR line from transformers: a folder of safetensors, or the Hugging Face hub.

RT-DETR, RT-DETRv2 and D-FINE are Apache-2.0 and need no non-maximum suppression. The model's `id2label` is the class
list. Local folders are looked through before anything in them is opened, and no model brings its own code.
"""

import importlib
import os
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch

from scheduling.serving import torchvision_ops
from scheduling.serving.contracts import (
    DEFAULT_MIN_SCORE,
    TILE_PX,
    DetectedRegion,
    Detector,
    Rgb,
    StageTimings,
    class_names_fault,
)
from scheduling.serving.detectors.model_file import SHIPPED_TRAINED_ON, TILE_KEY, BadModel, scale_in
from scheduling.serving.model_folder import RefusedFiles, check_folder, digest_of
from scheduling.serving.preprocess import Fit, Tensor, to_regions

FAMILIES: Final = ("rt_detr", "rt_detr_v2", "d_fine")
HUB_ID: Final = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
PLACEHOLDER: Final = re.compile(r"LABEL_\d+")
NETWORK_TIMEOUT_S: Final = "30"
LARGEST_BATCH: Final = 8


def open_detector(spec: str, *, threads: int) -> Detector:
    """`hf:` and a folder or a hub id."""
    return HubDetector.open(spec.removeprefix("hf:"), threads=threads)


def trained_on_path(spec: str) -> Path:
    return Path(spec.removeprefix("hf:")) / SHIPPED_TRAINED_ON.name


class HubDetector:
    """See `Detector`: in float32 on a CPU, in bfloat16 on a GPU. It looks at no template."""

    def __init__(self, model: Any, processor: Any, *, name: str, version: str, digest: str, threads: int) -> None:
        if model.config.model_type not in FAMILIES:
            raise BadModel(f"{name} is a {model.config.model_type}; detectors of {', '.join(FAMILIES)} are served")
        self.class_names = class_names_of(model.config.id2label, name)
        self.scale = scale_in({TILE_KEY: str(getattr(model.config, TILE_KEY, ""))}, _side_px(processor), name)
        self.name, self.version, self.digest = name, version, digest
        self.runtime = f"transformers {_transformers().__version__} {model.device.type}, {threads} threads"
        self.last_timings = StageTimings(0.0, 0.0, 0.0)
        self._model, self._processor = model.eval(), processor

    @classmethod
    def open(cls, spec: str, *, threads: int) -> "HubDetector":
        """Load a folder or a hub id. Raises BadModel with a sentence when it cannot be served."""
        torch.set_num_threads(threads)
        folder = Path(spec)
        local = folder.exists()
        if not local and not HUB_ID.fullmatch(spec):
            raise BadModel(f"{spec!r} is neither a folder here nor a hub id such as PekingU/rtdetr_v2_r18vd")
        try:
            digest = digest_of(check_folder(folder)) if local else ""
            model, processor = _load(spec, offline=local)
        except RefusedFiles as error:
            raise BadModel(str(error)) from error
        except Exception as error:  # transformers raises nearly every kind; all mean that this model is not usable
            first = (str(error).strip().splitlines() or ["no reason given"])[0][:300]
            raise BadModel(f"{spec} cannot be loaded: {type(error).__name__}: {first}") from error
        revision = str(getattr(model.config, "_commit_hash", None) or "")
        digest = digest or revision
        detector = cls(
            model, processor, name=folder.name, version=(revision or digest)[:12], digest=digest, threads=threads
        )
        detector._refuse_what_does_not_run()
        return detector

    def save(self, folder: Path) -> None:
        """Write model and processor as a folder that `open` reads."""
        self._model.save_pretrained(folder)
        self._processor.save_pretrained(folder)

    def detect(
        self,
        images: Sequence[Rgb],
        *,
        min_score: float = DEFAULT_MIN_SCORE,
        templates: Sequence[Rgb | None] | None = None,
    ) -> list[list[DetectedRegion]]:
        spent = [0.0, 0.0, 0.0]
        found: list[list[DetectedRegion]] = []
        for at in range(0, len(images), LARGEST_BATCH):
            marks = [time.perf_counter()]
            batch = images[at : at + LARGEST_BATCH]
            tensors = self._processor(images=list(batch), return_tensors="pt").to(self._model.device)
            marks.append(time.perf_counter())
            with torch.inference_mode():
                outputs = self._model(pixel_values=tensors["pixel_values"].to(self._model.dtype))
            marks.append(time.perf_counter())
            for row, image in enumerate(batch):
                found.append(self._regions(outputs.logits[row], outputs.pred_boxes[row], image, min_score))
            marks.append(time.perf_counter())
            spent = [total + 1000 * (b - a) for total, a, b in zip(spent, marks, marks[1:], strict=False)]
        self.last_timings = StageTimings(*spent)
        return found

    def _refuse_what_does_not_run(self) -> None:
        """A configuration is a claim; what a grey picture gives is a fact. Warms the runtime up too."""
        try:
            self.detect([np.full((64, 64, 3), 127, np.uint8)])
        except (RuntimeError, ValueError, KeyError, AttributeError) as error:
            raise BadModel(f"{self.name} cannot look at a picture: {str(error).splitlines()[0][:300]}") from error

    def _regions(self, logits: torch.Tensor, boxes: torch.Tensor, image: Rgb, min_score: float) -> list[DetectedRegion]:
        size_wh = (image.shape[1], image.shape[0])
        table = table_of(logits, boxes, size_wh=size_wh)
        return to_regions(table, Fit(1.0, (0, 0), size_wh), min_score=min_score, class_names=self.class_names)


def table_of(logits: torch.Tensor, boxes: torch.Tensor, *, size_wh: tuple[int, int]) -> Tensor:
    """Rows `x0 y0 x1 y1 score class` in pixels from logits (queries, classes) and boxes (queries, 4) `cx cy w h`.

    As these families are trained: each query and class is a proposal of its own, and as many as queries are kept.
    """
    scores, at = torch.sigmoid(logits.float()).flatten().topk(len(logits))
    middle, size = torch.tensor_split(boxes.float()[at // logits.shape[1]], 2, dim=1)
    corners = torch.cat([middle - size / 2, middle + size / 2], dim=1) * torch.tensor(size_wh * 2, device=boxes.device)
    rows = torch.cat([corners, scores[:, None], (at % logits.shape[1])[:, None].float()], dim=1)
    table: Tensor = rows.cpu().numpy()
    return table


def class_names_of(id2label: dict[int, str], name: str) -> tuple[str, ...]:
    """The class list of a configuration; BadModel where it has gaps, placeholders or too much of anything."""
    labels = [id2label.get(index) for index in range(len(id2label))]
    if fault := class_names_fault(labels):
        raise BadModel(f"{name} has an id2label that is not a list of names for classes: {fault}")
    if any(PLACEHOLDER.fullmatch(str(label)) for label in labels):
        raise BadModel(f"{name} declares no classes: put their names into id2label of its config.json")
    return tuple(str(label) for label in labels)


def _side_px(processor: Any) -> int:
    """How large the processor makes each picture; its `size` is a mapping of heights and widths."""
    size = getattr(processor, "size", None) or {}
    return int(size.get("height") or size.get("longest_edge") or TILE_PX)


def _load(spec: str, *, offline: bool) -> tuple[Any, Any]:
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("HF_HUB_ETAG_TIMEOUT", NETWORK_TIMEOUT_S)
    os.environ.setdefault("HF_HUB_DOWNLOAD_TIMEOUT", NETWORK_TIMEOUT_S)
    transformers = _transformers()
    gpu = torch.cuda.is_available()
    common = {"local_files_only": offline, "trust_remote_code": False}
    processor = transformers.AutoImageProcessor.from_pretrained(spec, **common)
    model, report = transformers.AutoModelForObjectDetection.from_pretrained(
        spec,
        use_safetensors=True,
        dtype=torch.bfloat16 if gpu else torch.float32,
        output_loading_info=True,
        **common,
    )
    if report["missing_keys"]:  # they would be filled with random numbers
        raise RefusedFiles(f"{spec} lacks {len(report['missing_keys'])} of the weights that its config.json asks for.")
    return model.to("cuda") if gpu else model, processor


def _transformers() -> Any:
    torchvision_ops.ensure()
    return importlib.import_module("transformers")
