"""Run a checked ONNX graph or OpenVINO IR with OpenVINO on the CPU."""

from typing import Any

import openvino

from scheduling.serving.detectors.model_file import BadModel, ModelFile
from scheduling.serving.preprocess import Tensor


class OpenVinoRunner:
    def __init__(self, model: ModelFile, *, threads: int) -> None:
        core: Any = openvino.Core()
        options = {"INFERENCE_NUM_THREADS": threads, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
        try:
            graph = core.read_model(model=model.data, weights=model.weights or b"")
            self._compiled: Any = core.compile_model(graph, "CPU", options)
        except RuntimeError as error:
            raise BadModel(f"OpenVINO cannot load {model.name}: {str(error)[:200]}") from error
        self._request: Any = self._compiled.create_infer_request()
        release = openvino.__version__.split("-")[0]
        self.runtime = f"openvino {release} cpu, {threads} threads"

    def run(self, batch: Tensor) -> Tensor:
        # The request's output memory is used again by the next call.
        table: Tensor = next(iter(self._request.infer([batch], share_inputs=True).values())).copy()
        return table


def open_runner(model: ModelFile, *, threads: int) -> OpenVinoRunner:
    return OpenVinoRunner(model, threads=threads)
