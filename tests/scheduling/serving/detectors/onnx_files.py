"""Build small ONNX detectors, good and hostile, without any training framework."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIDE_PX = 64
CLASSES = ("open", "short", "mousebite")


def graph_model(
    *,
    rows: np.ndarray | None = None,
    batch: int | str = "batch",
    output_shape: tuple[int | str, ...] | None = None,
    input_shape: tuple[int | str, ...] | None = None,
    class_names: object = CLASSES,
    **metadata: str,
) -> onnx.ModelProto:
    """A detector that answers the same rows (n, 6) for every picture, plus the picture's mean times zero."""
    table = np.zeros((1, 6), np.float32) if rows is None else np.asarray(rows, np.float32)
    nodes = [
        helper.make_node("ReduceMean", ["images"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Reshape", ["nothing", "column"], ["lifted"]),
        helper.make_node("Add", ["lifted", "rows"], ["regions"]),
    ]
    weights = [
        numpy_helper.from_array(np.array(0, np.float32), "zero"),
        numpy_helper.from_array(np.array([-1, 1, 1]), "column"),
        numpy_helper.from_array(table[None], "rows"),
    ]
    shape_in = input_shape or (batch, 3, SIDE_PX, SIDE_PX)
    shape_out = output_shape or (batch, len(table), 6)
    graph = helper.make_graph(
        nodes,
        "detector",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape_in)],
        [helper.make_tensor_value_info("regions", TensorProto.FLOAT, shape_out)],
        weights,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    if class_names is not None:
        text = class_names if isinstance(class_names, str) else json.dumps(class_names)
        helper.set_model_props(model, {"class_names": text, "name": "constant", "version": "3", **metadata})
    return model


def write(path: Path, model: onnx.ModelProto) -> Path:
    path.write_bytes(model.SerializeToString())
    return path
