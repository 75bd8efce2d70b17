"""The detectors a node can serve, by name. To add one: a file here, a line in `_KINDS`, a row in its test table."""

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Final

from scheduling.serving.appearance import BadReference, TrainedOn, read_trained_on
from scheduling.serving.contracts import TILE_PX, Detector
from scheduling.serving.detectors.model_file import BadModel, read_model_file
from scheduling.serving.tiling import Scale

SHIPPED_WEIGHTS: Final = Path(__file__).parents[1] / "weights" / "detector" / "detector.onnx"
SHIPPED_TRAINED_ON: Final = SHIPPED_WEIGHTS.with_name("trained-on.json")
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

__all__ = ["SHIPPED_INT8_WEIGHTS", "SHIPPED_TRAINED_ON", "SHIPPED_WEIGHTS", "BadModel", "load_detector", "trained_on"]


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


def trained_on(spec: str) -> TrainedOn:
    """What the files beside a model say of its training: `trained-on.json` in its folder, `<file>.trained-on.json`.

    Raises BadModel for a file that cannot be read. A model without one may still declare products itself.
    """
    path = _trained_on_path(spec)
    if path is None or not path.is_file():
        return TrainedOn()
    try:
        return read_trained_on(path)
    except (OSError, BadReference) as error:
        raise BadModel(f"{path.name} cannot be used: {error}") from error


def _trained_on_path(spec: str) -> Path | None:
    if spec in _KINDS:
        return SHIPPED_TRAINED_ON
    if spec.startswith(HUB_PREFIX):
        return Path(spec.removeprefix(HUB_PREFIX)) / SHIPPED_TRAINED_ON.name
    path = _runtime_and_path(spec)[1]
    return path.with_name(f"{path.stem}.{SHIPPED_TRAINED_ON.name}")


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
