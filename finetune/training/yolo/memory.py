"""Whether a training step fits into memory, from a small one that is computed and thrown away."""

from collections.abc import Callable
from typing import Final

import psutil
import torch

from finetune.training.faults import TrainingFault
from finetune.training.resources import ADAM_BYTES, MIB, available_bytes

PROBE: Final = 2


def check_memory(loss_of: Callable[[int], torch.Tensor], batch: int, parameters: int, device: torch.device) -> int:
    """Bytes that the run needs. Raises TrainingFault with a batch that fits where they are more than is free."""
    count = min(PROBE, batch)
    before = _used(device)
    loss = loss_of(count)  # its graph, which holds what the way back needs, lives as long as it does
    a_picture = max(0, _used(device) - before) / count
    del loss
    fixed = ADAM_BYTES * parameters
    needed, free = round(fixed + batch * a_picture), available_bytes()
    if needed > free:
        fits = max(0, int((free - fixed) // max(a_picture, 1)))
        raise TrainingFault(
            "out_of_memory",
            f"A step of {batch} pictures needs about {needed // MIB} MiB, {free // MIB} MiB are free.",
            f"Use a batch of {fits} or less." if fits else "Use smaller pictures, or a machine with more memory.",
        )
    return needed


def _used(device: torch.device) -> int:
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated())
    return int(psutil.Process().memory_info().rss)
