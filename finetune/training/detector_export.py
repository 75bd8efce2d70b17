"""Turn trained weights into the one file a node serves: ONNX with the end-to-end head, classes and versions inside.

Weights come from this project's own safetensors; nothing is unpickled.
"""

import hashlib
import io
import json
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import onnx
import torch
from safetensors.torch import load_file

from finetune.training.detector_network import SHIPPED_DESIGN, build_network

SERVED_SIDE_PX: Final = 640
MOST_REGIONS: Final = 100
MODEL_NAME: Final = "aivd-detector"


def load_network(weights: Path, class_count: int, design: str = SHIPPED_DESIGN) -> Any:
    """The network for inference, batch norms folded into the convolutions."""
    network = build_network(class_count, design)
    network.load_state_dict(load_file(weights))
    network.model[-1].end2end = True  # before folding, which drops the head that is not asked for
    return network.eval().fuse(verbose=False)


def export_onnx(
    weights: Path,
    out: Path,
    *,
    class_names: Sequence[str],
    side_px: int = SERVED_SIDE_PX,
    design: str = SHIPPED_DESIGN,
    about: Mapping[str, str] | None = None,
) -> Path:
    """Write `out`: (batch, 3, side, side) in 0..1 to (batch, 100, 6), with class names and version as metadata.

    `about` is further metadata.
    """
    network = load_network(weights, len(class_names), design)
    head = network.model[-1]
    head.export, head.format, head.max_det = True, "onnx", MOST_REGIONS
    buffer = io.BytesIO()
    example = torch.zeros(2, 3, side_px, side_px)
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # the exporter warns about its own deprecation and constant folding
        torch.onnx.export(
            network,
            (example,),
            buffer,  # type: ignore[arg-type]  # the stub forgets file objects
            input_names=["images"],
            output_names=["regions"],
            dynamic_axes={"images": {0: "batch"}, "regions": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    graph = onnx.load_from_string(buffer.getvalue())
    _name_output(graph)
    version = hashlib.sha256(weights.read_bytes()).hexdigest()[:12]
    named = {"name": MODEL_NAME, "version": version, "class_names": json.dumps(list(class_names))}
    add_metadata(graph, named | dict(about or {}))
    out.write_bytes(graph.SerializeToString())
    return out


def add_metadata(graph: Any, entries: dict[str, str]) -> None:
    """Replace the file's metadata by `entries`."""
    del graph.metadata_props[:]
    for key, value in entries.items():
        entry = graph.metadata_props.add()
        entry.key, entry.value = key, value


def _name_output(graph: Any) -> None:
    """The tracer leaves the rows' sizes free; write down what the head always gives."""
    dims = graph.graph.output[0].type.tensor_type.shape.dim
    dims[1].dim_value, dims[2].dim_value = MOST_REGIONS, 6
