"""Train the edge detector from scratch on generated boards; read it from top to bottom.

Every step draws its tiles from the seed and its own number, so a run that was stopped goes on exactly where its last
checkpoint was. Checkpoints are safetensors. Knows nothing about Django, nodes or real boards.
"""

import json
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import numpy as np
import torch

from finetune.boards import CLASSES
from finetune.training.detector_network import build_network, loss_of, set_loss_stage
from finetune.training.detector_optimiser import optimisers_of
from finetune.training.detector_state import Training, follow, load_state, save_atomically, save_state
from finetune.training.detector_tiles import Tile, tiles_of_step
from scheduling.serving.preprocess import to_tensor

CHECKPOINT: Final = "checkpoint.safetensors"
WEIGHTS: Final = "weights.safetensors"


@dataclass(frozen=True)
class DetectorRecipe:
    """Everything that decides what a run becomes, beside the versions of the packages."""

    seed: int = 26
    steps: int = 3600
    tiles_a_step: int = 16
    tile_px: int = 320
    learning_rate: float = 0.02
    adam_rate: float = 3e-3
    weight_decay: float = 0.02
    warmup_steps: int = 150
    cooldown_steps: int = 1500
    handover_steps: int = 2300
    average_decay: float = 0.998
    gradient_limit: float = 10.0
    checkpoint_every: int = 200
    threads: int = 1

    def __post_init__(self) -> None:
        if self.tiles_a_step % 4 or self.tile_px % 16:
            raise ValueError("tiles_a_step must be a multiple of 4 and tile_px one of 16")

    def pace_at(self, step: int) -> float:
        """The share of the learning rates: linear warm-up, a plateau, and a linear cool-down at the end."""
        warm = min(1.0, (step + 1) / self.warmup_steps)
        cool = min(1.0, (self.steps - step) / self.cooldown_steps)
        return warm * cool


def train_detector(recipe: DetectorRecipe, out: Path, *, resume: bool = False) -> Path:
    """Train to the recipe's last step; return the averaged weights (safetensors) under `out`.

    `resume` goes on from the folder's checkpoint where there is one. Progress is written to `events.jsonl`.
    """
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(recipe.threads)
    torch.manual_seed(recipe.seed)
    training = _start(recipe)
    if resume and (out / CHECKPOINT).exists():
        load_state(training, out / CHECKPOINT)
    (out / "recipe.json").write_text(json.dumps(asdict(recipe), indent=2) + "\n")

    losses: list[float] = []
    started = time.perf_counter()
    with (out / "events.jsonl").open("a") as events:
        while training.step < recipe.steps:
            losses.append(_one_step(training, recipe))
            if training.step % 50 == 0:
                event = {
                    "step": training.step,
                    "loss": round(float(np.mean(losses)), 4),
                    "learning_rate": round(recipe.learning_rate * recipe.pace_at(training.step), 7),
                    "s_a_step": round((time.perf_counter() - started) / len(losses), 3),
                }
                events.write(json.dumps(event) + "\n")
                events.flush()
                losses, started = [], time.perf_counter()
            if training.step % recipe.checkpoint_every == 0 or training.step == recipe.steps:
                save_state(training, out / CHECKPOINT)
                save_atomically(training.average, out / WEIGHTS)
    return out / WEIGHTS


def _start(recipe: DetectorRecipe) -> Training:
    network = build_network(len(CLASSES)).to(memory_format=torch.channels_last).train()
    average = {name: value.detach().clone() for name, value in network.state_dict().items()}
    optimisers = optimisers_of(
        network, muon_rate=recipe.learning_rate, adam_rate=recipe.adam_rate, weight_decay=recipe.weight_decay
    )
    return Training(network, average, optimisers)


def _one_step(training: Training, recipe: DetectorRecipe) -> float:
    """One batch, one update; returns the loss."""
    tiles = tiles_of_step(seed=recipe.seed, step=training.step, count=recipe.tiles_a_step, side_px=recipe.tile_px)
    pictures, targets = _batch(tiles)
    set_loss_stage(training.network, min(1.0, training.step / recipe.handover_steps))
    loss = loss_of(training.network, pictures, targets)
    training.network.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    torch.nn.utils.clip_grad_norm_(training.network.parameters(), recipe.gradient_limit)
    for optimiser in training.optimisers:
        for group in optimiser.param_groups:
            group["lr"] = optimiser.defaults["lr"] * recipe.pace_at(training.step)
        optimiser.step()
    training.step += 1
    follow(training, min(recipe.average_decay, training.step / (training.step + 20)))
    return float(loss.detach())


def _batch(tiles: list[Tile]) -> tuple[torch.Tensor, torch.Tensor]:
    """Pictures (B, 3, H, W) in 0..1 and targets (n, 6) with the row of each in front."""
    pictures = torch.from_numpy(to_tensor([tile.picture for tile in tiles]))
    rows = [np.insert(tile.targets, 0, index, axis=1) for index, tile in enumerate(tiles)]
    return pictures.contiguous(memory_format=torch.channels_last), torch.from_numpy(np.concatenate(rows))
