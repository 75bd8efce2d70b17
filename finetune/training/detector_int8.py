"""Quantise an exported detector to INT8 with NNCF on generated boards, as OpenVINO IR. The head keeps full precision.

Activations are clipped nowhere: their ranges are the least and greatest values seen. Averages over boards, which is
NNCF's default, cut off what the few bright lands of a dark board give, and cost a point of mAP50; NNCF's ONNX form
puts the quantisers elsewhere and costs twelve.
"""

import json
import logging
from pathlib import Path
from typing import Any, Final

import numpy as np

from finetune.boards import STYLES, generate_board
from scheduling.serving.detectors.ir_file import METADATA
from scheduling.serving.detectors.model_file import read_model_file
from scheduling.serving.preprocess import to_tensor

CALIBRATION_SEED: Final = 1 << 42
CALIBRATION_BOARDS: Final = 24
HEAD_PATTERN: Final = r".*/model\.14/.*"
"""Boxes and scores after the last convolutions: 8 bits hold no coordinate to the pixel."""


def quantise(source: Path, out: Path, *, boards: int = CALIBRATION_BOARDS) -> Path:
    """Write `out` (.xml, with its .bin): `source` (.onnx) with 8-bit weights and activations, and its metadata."""
    import nncf
    import openvino
    from nncf.quantization.range_estimator import RangeEstimatorParametersSet

    logging.getLogger("nncf").setLevel(logging.ERROR)
    model = read_model_file(source)
    quantised: Any = nncf.quantize(
        openvino.Core().read_model(model=model.data, weights=b""),
        nncf.Dataset(range(boards), _calibration_tensor),
        subset_size=boards,
        preset=nncf.QuantizationPreset.MIXED,
        ignored_scope=nncf.IgnoredScope(patterns=[HEAD_PATTERN], validate=False),
        advanced_parameters=nncf.AdvancedQuantizationParameters(
            activations_range_estimator_params=RangeEstimatorParametersSet.MINMAX
        ),
    )
    about = {"name": model.name, "version": f"{model.version}-int8", "class_names": json.dumps(model.class_names)}
    for key, value in about.items():
        quantised.set_rt_info(value, [METADATA, key])
    openvino.save_model(quantised, out, compress_to_fp16=False)
    return out


def _calibration_tensor(number: int) -> np.ndarray[Any, Any]:
    board = generate_board(CALIBRATION_SEED + number, style=STYLES[number % len(STYLES)], facts=False)
    return to_tensor([board.image])
