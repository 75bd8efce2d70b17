"""What the machine has left for a run: memory and disk."""

import shutil
from pathlib import Path
from typing import Final

import psutil
import torch

from finetune.training.faults import TrainingFault

MIB: Final = 1 << 20
ADAM_BYTES: Final = 16
"""Weight, gradient and two moments of a trained parameter in float32."""


def check_disk(out: Path, trained: int) -> None:
    """Raises TrainingFault where checkpoint, adapter and their copies would not fit on the disk."""
    needed = 6 * 4 * trained + 16 * MIB
    free = shutil.disk_usage(out).free
    if needed > free:
        raise TrainingFault(
            "disk_full",
            f"The run writes about {needed // MIB} MiB, the disk has {free // MIB} MiB free.",
            "Make room, or let it write elsewhere.",
        )


def available_bytes() -> int:
    """Memory that a run may still take: the GPU's where there is one."""
    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    return available_bytes_of_machine()


def available_bytes_of_machine() -> int:
    """Memory beside a GPU's, where decoded frames are kept."""
    return int(psutil.virtual_memory().available)
