"""Quantise an exported detector to INT8 with NNCF on generated boards. The head stays in full precision."""

import logging
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx

from finetune.boards import STYLES, generate_board
from finetune.training.detector_export import add_metadata
from scheduling.serving.preprocess import to_tensor

CALIBRATION_SEED: Final = 1 << 42


def quantise_onnx(source: Path, out: Path, *, boards: int = 48) -> Path:
    """Write `out`: the graph of `source` with 8-bit weights and activations, and the same metadata."""
    import nncf

    logging.getLogger("nncf").setLevel(logging.ERROR)
    graph = onnx.load(source, load_external_data=False)
    metadata = {entry.key: entry.value for entry in graph.metadata_props}
    input_name = graph.graph.input[0].name

    def tensor_of(number: int) -> dict[str, np.ndarray[Any, Any]]:
        board = generate_board(CALIBRATION_SEED + number, style=STYLES[number % len(STYLES)])
        return {input_name: to_tensor([board.image])}

    quantised = nncf.quantize(
        graph,
        nncf.Dataset(range(boards), tensor_of),
        subset_size=boards,
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(patterns=[HEAD_PATTERN], validate=False),
    )
    add_metadata(quantised, metadata | {"version": metadata["version"] + "-int8"})
    out.write_bytes(quantised.SerializeToString())
    return out


HEAD_PATTERN: Final = r".*/model\.14/.*"
"""Boxes and scores after the last convolutions: 8 bits hold no coordinate to the pixel."""
