"""Build the edge detector's network and its loss, as ultralytics defines them."""

from pathlib import Path
from typing import Any, Final

import torch
import yaml

from finetune.training import ultralytics_import

SHIPPED_DESIGN: Final = "yolo26-p34"
DESIGNS: Final = {"yolo26n": "26/yolo26.yaml", "yolo12n": "12/yolo12.yaml", "yolo11n": "11/yolo11.yaml"}
"""Networks of ultralytics' own files, at the scale nano. Beside them stands the shipped one, `SHIPPED_DESIGN`."""

NETWORK_FILE: Final = Path(__file__).with_name(f"{SHIPPED_DESIGN}.yaml")
LOSS_STAGES: Final = 100
"""In how many steps the loss moves its weight from the one-to-many head to the one-to-one head."""


def build_network(class_count: int, design: str = SHIPPED_DESIGN) -> Any:
    """An untrained network with random weights; seed torch before.

    YOLO11 and YOLO12 get the end-to-end head of YOLO26 beside their own: what is served needs no suppression.
    """
    ultralytics_import.ensure()
    from ultralytics.cfg import get_cfg
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils import DEFAULT_CFG

    config = yaml.safe_load(_file_of(design).read_text()) | {"scale": "n", "nc": class_count, "end2end": True}
    network: Any = DetectionModel(config, ch=3, nc=class_count, verbose=False)  # type: ignore[no-untyped-call]
    network.args = get_cfg(DEFAULT_CFG, {"epochs": LOSS_STAGES + 1})
    network.criterion = network.init_criterion()
    return network


def _file_of(design: str) -> Path:
    if design == SHIPPED_DESIGN:
        return NETWORK_FILE
    import ultralytics

    return Path(ultralytics.__file__).parent / "cfg" / "models" / DESIGNS[design]


def loss_of(network: Any, pictures: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Mean loss of a batch: `pictures` (B, 3, H, W) in 0..1, `targets` (n, 6) `row class cx cy w h` in 0..1."""
    with torch.autocast(pictures.device.type, torch.bfloat16):
        outputs = network(pictures)
    batch = {"img": pictures, "batch_idx": targets[:, 0], "cls": targets[:, 1:2], "bboxes": targets[:, 2:]}
    loss, _ = network.loss(batch, _as_float32(outputs))
    mean: torch.Tensor = loss.sum() / len(pictures)
    return mean


def set_loss_stage(network: Any, progress: float) -> None:
    """Weigh the two heads as `progress` (0..1) through the training asks for."""
    criterion: Any = network.criterion
    while criterion.updates < int(progress * LOSS_STAGES):
        criterion.update()


def _as_float32(outputs: Any) -> Any:
    """The loss is computed in full precision: bfloat16 holds no box to the pixel."""
    if isinstance(outputs, dict):
        return {name: _as_float32(value) for name, value in outputs.items()}
    if isinstance(outputs, list | tuple):
        return [_as_float32(value) for value in outputs]
    return outputs.float()
