"""The detectors a node can serve, by name. To add one: a file here, a line in `_KINDS`, a row in its test table."""

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Final

from scheduling.serving.contracts import TILE_PX, Detector
from scheduling.serving.detectors.model_file import BadModel, read_model_file
from scheduling.serving.tiling import Scale

SHIPPED_WEIGHTS: Final = Path(__file__).parents[1] / "weights" / "detector" / "detector.onnx"
SHIPPED_INT8_WEIGHTS: Final = SHIPPED_WEIGHTS.with_name("detector-int8.xml")

HUB_PREFIX: Final = "hf:"
BFLOAT16: Final = "yolo-openvino-bf16"
_KINDS: Final = (
    "yolo-openvino",
    BFLOAT16,
    "yolo-openvino-int8",
    "yolo-onnxruntime",
    "template-difference",
)

__all__ = ["SHIPPED_INT8_WEIGHTS", "SHIPPED_WEIGHTS", "BadModel", "load_detector"]


def load_detector(spec: str, *, threads: int) -> Detector:
    """The detector `spec` names, ready to run on `threads` threads.

    `spec` is a name of `_KINDS` ("yolo-openvino-bf16" computes in bfloat16 where the processor can) or the path of an
    ONNX or OpenVINO file with an end-to-end head and declared classes, served by OpenVINO; a path prefixed with
    "onnxruntime:" is served by ONNX Runtime. "hf:" before a folder or a hub id opens a detector of transformers.
    Raises BadModel with a sentence for anything else.
    """
    if threads < 1:
        raise ValueError(f"threads is {threads}: a detector needs at least one")
    if spec == "template-difference":
        from scheduling.serving.detectors.template_difference import TemplateDifferenceDetector

        difference: Detector = TemplateDifferenceDetector(threads=threads)
        return difference
    if spec.startswith(HUB_PREFIX):
        from scheduling.serving.detectors.hub import HubDetector

        hub: Detector = HubDetector.open(spec.removeprefix(HUB_PREFIX), threads=threads)
        return hub
    runtime, path = _runtime_and_path(spec)
    from scheduling.serving.detectors.ir_file import read_ir_file
    from scheduling.serving.detectors.yolo import YoloDetector

    model = read_ir_file(path) if path.suffix == ".xml" else read_model_file(path)
    if path in (SHIPPED_WEIGHTS, SHIPPED_INT8_WEIGHTS):
        model = replace(model, scale=Scale(TILE_PX))  # the generated boards that it was trained on, pixel for pixel
    runner = importlib.import_module(f"scheduling.serving.detectors.{runtime}_runner")
    more = {"precision": "bf16"} if spec == BFLOAT16 else {}
    return YoloDetector(model, runner.open_runner(model, threads=threads, **more))


def _runtime_and_path(spec: str) -> tuple[str, Path]:
    shipped = {
        "yolo-openvino": ("openvino", SHIPPED_WEIGHTS),
        BFLOAT16: ("openvino", SHIPPED_WEIGHTS),
        "yolo-openvino-int8": ("openvino", SHIPPED_INT8_WEIGHTS),
        "yolo-onnxruntime": ("onnxruntime", SHIPPED_WEIGHTS),
    }
    if spec in shipped:
        return shipped[spec]
    runtime, _, path = spec.rpartition(":")
    if path.endswith((".onnx", ".xml")) and runtime in ("", "openvino", "onnxruntime"):
        return runtime or "openvino", Path(path)
    raise BadModel(
        f"no detector is called {spec!r}: use {', '.join(_KINDS)}, an .onnx or .xml file, or hf: and a model"
    )
