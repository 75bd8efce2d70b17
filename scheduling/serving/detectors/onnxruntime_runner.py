"""Run a checked ONNX graph with ONNX Runtime, on a GPU where its provider is installed, else on the CPU."""

from typing import Any

import onnxruntime

from scheduling.serving.detectors.model_file import BadModel, ModelFile
from scheduling.serving.preprocess import Tensor

_PREFERRED = ("CUDAExecutionProvider", "CPUExecutionProvider")


class OnnxRuntimeRunner:
    def __init__(self, model: ModelFile, *, threads: int) -> None:
        if model.weights is not None:
            raise BadModel(f"{model.name} is an OpenVINO file; ONNX Runtime runs ONNX")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.log_severity_level = 3
        available = onnxruntime.get_available_providers()
        providers = [name for name in _PREFERRED if name in available]
        try:
            self._session: Any = onnxruntime.InferenceSession(model.data, options, providers=providers)
        except Exception as error:  # onnxruntime's error classes share no base but Exception
            raise BadModel(f"ONNX Runtime cannot load {model.name}: {str(error)[:200]}") from error
        self._input = model.input_name
        used = self._session.get_providers()[0].removesuffix("ExecutionProvider").lower()
        self.runtime = f"onnxruntime {onnxruntime.__version__} {used}, {threads} threads"

    def run(self, batch: Tensor) -> Tensor:
        table: Tensor = self._session.run(None, {self._input: batch})[0]
        return table


def open_runner(model: ModelFile, *, threads: int) -> OnnxRuntimeRunner:
    return OnnxRuntimeRunner(model, threads=threads)
