"""Run a checked ONNX graph or OpenVINO IR with OpenVINO on the CPU.

A single picture, which is what most requests bring, gets a graph of its own with all sizes fixed: it is planned once
and faster for it.
"""

from typing import Any, Literal

import openvino

from scheduling.serving.detectors.model_file import BadModel, ModelFile
from scheduling.serving.preprocess import Tensor

Precision = Literal["f32", "bf16"]


class OpenVinoRunner:
    """`precision` "bf16" halves the time where the processor computes in bfloat16; elsewhere it stays float32."""

    def __init__(self, model: ModelFile, *, threads: int, precision: Precision = "f32") -> None:
        core: Any = openvino.Core()
        if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            precision = "f32"
        options = {
            "INFERENCE_NUM_THREADS": threads,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": precision,
        }
        try:
            graph = core.read_model(model=model.data, weights=model.weights or b"")
            self._any: Any = core.compile_model(graph, "CPU", options).create_infer_request()
            self._single: Any = None
            if model.batch is None:
                graph.reshape([1, 3, model.side_px, model.side_px])
                self._single = core.compile_model(graph, "CPU", options).create_infer_request()
        except RuntimeError as error:
            raise BadModel(f"OpenVINO cannot load {model.name}: {str(error)[:200]}") from error
        release = openvino.__version__.split("-")[0]
        self.runtime = f"openvino {release} cpu, {threads} threads" + ", bf16" * (precision == "bf16")

    def run(self, batch: Tensor) -> Tensor:
        request = self._single if len(batch) == 1 and self._single is not None else self._any
        # The request's output memory is used again by the next call.
        table: Tensor = next(iter(request.infer([batch], share_inputs=True).values())).copy()
        return table


def open_runner(model: ModelFile, *, threads: int, precision: Precision = "f32") -> OpenVinoRunner:
    return OpenVinoRunner(model, threads=threads, precision=precision)
