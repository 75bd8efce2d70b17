"""What a detector's training has come to: network, running average and optimisers, kept as one safetensors file.

A run that goes on from the file ends where an unbroken one does. Knows no pictures and no recipe.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file


@dataclass
class Training:
    """What a checkpoint holds: the network, its running average, the optimisers' states and the next step."""

    network: Any
    average: dict[str, torch.Tensor]
    optimisers: tuple[torch.optim.Optimizer, ...]
    step: int = 0


@torch.no_grad()
def follow(training: Training, decay: float) -> None:
    """Move the average towards the network; counters are copied."""
    now = training.network.state_dict()
    numbers = [name for name, value in now.items() if value.dtype.is_floating_point]
    torch._foreach_lerp_([training.average[name] for name in numbers], [now[name] for name in numbers], 1 - decay)
    for name in now.keys() - set(numbers):
        training.average[name].copy_(now[name])


def save_state(training: Training, path: Path, about: Mapping[str, str] | None = None) -> None:
    """`about` is kept with it, as metadata."""
    tensors = {f"network.{name}": value for name, value in training.network.state_dict().items()}
    tensors |= {f"average.{name}": value for name, value in training.average.items()}
    tensors |= {f"optimiser.{name}": value for name, value in _optimiser_tensors(training.optimisers)}
    save_atomically(tensors, path, {**(about or {}), "step": str(training.step)})


def load_state(training: Training, path: Path) -> None:
    tensors = load_file(path)
    parts: dict[str, dict[str, torch.Tensor]] = {"network": {}, "average": {}, "optimiser": {}}
    for name, value in tensors.items():
        part, key = name.split(".", 1)
        parts[part][key] = value
    training.network.load_state_dict(parts["network"])
    for name, value in parts["average"].items():
        training.average[name].copy_(value)
    states = [optimiser.state_dict() for optimiser in training.optimisers]
    for key, value in parts["optimiser"].items():
        number, index, field = key.split(".")
        states[int(number)]["state"].setdefault(int(index), {})[field] = value
    for optimiser, state in zip(training.optimisers, states, strict=True):
        optimiser.load_state_dict(state)
    with safe_open(path, "pt") as file:
        training.step = int(file.metadata()["step"])


def _optimiser_tensors(optimisers: tuple[torch.optim.Optimizer, ...]) -> Iterator[tuple[str, torch.Tensor]]:
    for number, optimiser in enumerate(optimisers):
        for index, fields in optimiser.state_dict()["state"].items():
            for field, value in fields.items():
                yield f"{number}.{index}.{field}", value


def save_atomically(tensors: dict[str, torch.Tensor], path: Path, metadata: dict[str, str] | None = None) -> None:
    """A reader, or a run that goes on after a power cut, never sees half a file."""
    partial = path.with_suffix(".partial")
    save_file({name: value.contiguous() for name, value in tensors.items()}, partial, metadata)
    partial.replace(path)
