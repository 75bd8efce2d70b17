"""The detectors a node can serve. To add one: a file here with an `open_detector`, and a line in `DETECTORS`.

Importing this package imports no model runtime; `load_detector` does.
"""

import importlib
from pathlib import Path
from types import ModuleType
from typing import Final

from scheduling.serving.appearance import BadReference, TrainedOn, read_trained_on
from scheduling.serving.contracts import Detector
from scheduling.serving.detectors.fusion import judged_by_templates
from scheduling.serving.detectors.model_file import (
    SHIPPED_INT8_WEIGHTS,
    SHIPPED_TRAINED_ON,
    SHIPPED_WEIGHTS,
    BadModel,
)
from scheduling.serving.registry import file_for, names_of

# A name, the beginning of names (ends with a colon) or the end of file names (begins with a dot): the file here whose
# `open_detector(spec, threads=...)` opens it.
DETECTORS: Final = {
    "yolo-openvino": "yolo_file",
    "yolo-openvino-bf16": "yolo_file",
    "yolo-openvino-int8": "yolo_file",
    "yolo-onnxruntime": "yolo_file",
    ".onnx": "yolo_file",
    ".xml": "yolo_file",
    "hf:": "hub",
    "template-difference": "template_difference",
}

__all__ = ["SHIPPED_INT8_WEIGHTS", "SHIPPED_TRAINED_ON", "SHIPPED_WEIGHTS", "BadModel", "load_detector", "trained_on"]


def load_detector(spec: str, *, threads: int) -> Detector:
    """The detector `spec` names, ready to run on `threads` threads; a golden template judges what it proposes.

    `spec` is a name of `DETECTORS` ("yolo-openvino-bf16" computes in bfloat16 where the processor can) or the path of
    an ONNX or OpenVINO file with an end-to-end head and declared classes, served by OpenVINO; a path prefixed with
    "onnxruntime:" is served by ONNX Runtime. "hf:" before a folder or a hub id opens a detector of transformers.
    Raises BadModel with a sentence for anything else.
    """
    if threads < 1:
        raise ValueError(f"threads is {threads}: a detector needs at least one")
    detector: Detector = _file_of(spec).open_detector(spec, threads=threads)
    return judged_by_templates(detector)


def trained_on(spec: str) -> TrainedOn:
    """What the files beside a model say of its training: `trained-on.json` in its folder, `<file>.trained-on.json`.

    Raises BadModel for a file that cannot be read. A model without one may still declare products itself.
    """
    where = getattr(_file_of(spec), "trained_on_path", None)
    path: Path | None = where(spec) if where else None
    if path is None or not path.is_file():
        return TrainedOn()
    try:
        return read_trained_on(path)
    except (OSError, BadReference) as error:
        raise BadModel(f"{path.name} cannot be used: {error}") from error


def _file_of(spec: str) -> ModuleType:
    name = file_for(spec, DETECTORS)
    if name is None:
        raise BadModel(
            f"no detector is called {spec!r}: use {', '.join(names_of(DETECTORS))}, an .onnx or .xml file, "
            "or hf: and a model"
        )
    return importlib.import_module(f"{__name__}.{name}")
