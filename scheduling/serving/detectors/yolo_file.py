"""A YOLO-style network from a file: the shipped ones by name, any other by its path. Knows runtimes by name only."""

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Final

from scheduling.serving.contracts import TILE_PX, Detector
from scheduling.serving.detectors.ir_file import read_ir_file
from scheduling.serving.detectors.model_file import (
    SHIPPED_INT8_WEIGHTS,
    SHIPPED_TRAINED_ON,
    SHIPPED_WEIGHTS,
    BadModel,
    read_model_file,
)
from scheduling.serving.detectors.yolo import YoloDetector
from scheduling.serving.tiling import Scale

BFLOAT16: Final = "yolo-openvino-bf16"
SHIPPED: Final = {
    "yolo-openvino": ("openvino", SHIPPED_WEIGHTS),
    BFLOAT16: ("openvino", SHIPPED_WEIGHTS),
    "yolo-openvino-int8": ("openvino", SHIPPED_INT8_WEIGHTS),
    "yolo-onnxruntime": ("onnxruntime", SHIPPED_WEIGHTS),
}


def open_detector(spec: str, *, threads: int) -> Detector:
    """Raises BadModel for a file that is no such network."""
    runtime, path = _runtime_and_path(spec)
    model = read_ir_file(path) if path.suffix == ".xml" else read_model_file(path)
    if path in (SHIPPED_WEIGHTS, SHIPPED_INT8_WEIGHTS):
        model = replace(model, scale=Scale(TILE_PX))  # the generated boards that it was trained on, pixel for pixel
    runner = importlib.import_module(f"scheduling.serving.detectors.{runtime}_runner")
    more = {"precision": "bf16"} if spec == BFLOAT16 else {}
    return YoloDetector(model, runner.open_runner(model, threads=threads, **more))


def trained_on_path(spec: str) -> Path:
    path = _runtime_and_path(spec)[1]
    if spec in SHIPPED:
        return SHIPPED_TRAINED_ON
    return path.with_name(f"{path.stem}.{SHIPPED_TRAINED_ON.name}")


def _runtime_and_path(spec: str) -> tuple[str, Path]:
    if spec in SHIPPED:
        return SHIPPED[spec]
    runtime, _, path = spec.rpartition(":")
    if runtime not in ("", "openvino", "onnxruntime"):
        raise BadModel(f"no detector is called {spec!r}: before the colon of a file stands openvino or onnxruntime")
    return runtime or "openvino", Path(path)
