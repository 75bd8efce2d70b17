"""Train the small describer from scratch on generated boards: learn to see, then to write, then both.

`python -m finetune.training describer --out DIR [--resume]`. The vision tower first learns the generator's labels
(class and facts, one linear head each), which a small model cannot learn through text alone in reasonable time;
the language side learns to put into words what the tower sees; then both go on together. An average of the last
steps' weights is exported. One thread, resumable: a run's state is in DIR as safetensors and JSON.
"""

import argparse
import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch.utils.data import DataLoader, Dataset

from finetune.training.describer_crops import CLEAN, CropStore, Noise, Window
from finetune.training.describer_export import export_model
from finetune.training.describer_learner import Batch, Learner, make_batch
from finetune.training.describer_model import LAYOUT
from finetune.training.describer_texts import all_texts
from scheduling.serving.answers import NO_DEFECT
from scheduling.serving.describers.small_tokens import AnswerTokens, learn_tokenizer
from scheduling.serving.detectors import load_detector

FIRST_TRAINING_SEED: Final = 1_000_000
FIRST_VALIDATION_SEED: Final = 900_000
SHARD_BOARDS: Final = 100
"""Boards that are generated and stored at once: a run that is stopped meanwhile keeps what is complete."""
DEFECTS_A_BOARD: Final = 12
STAGES: Final = ("vision", "words", "joint")


@dataclass(frozen=True)
class Stage:
    """A part of a run: its steps, its batch, its peak learning rate and the share of that left at the end."""

    steps: int
    batch: int
    rate: float
    last_share: float

    def rate_at(self, step: int, warmup_steps: int) -> float:
        """A linear warm-up, then a cosine."""
        if step < warmup_steps:
            return self.rate * (step + 1) / warmup_steps
        done = (step - warmup_steps) / max(1, self.steps - warmup_steps)
        return self.rate * (self.last_share + (1 - self.last_share) * 0.5 * (1 + math.cos(math.pi * done)))


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the result, apart from the code."""

    seed: int = 0
    boards: int = 2400
    validation_boards: int = 80
    vision: Stage = Stage(steps=1466, batch=64, rate=2e-3, last_share=0.3)
    words: Stage = Stage(steps=97, batch=32, rate=2e-3, last_share=0.5)
    joint: Stage = Stage(steps=1140, batch=64, rate=1.2e-3, last_share=0.02)
    warmup_steps: int = 50
    weight_decay: float = 0.05
    average_decay: float = 0.99
    labels_weight: float = 0.5
    vocabulary: int = 1024
    box_noise: float = 0.12
    far_box_noise: float = 0.35
    far_share: float = 0.35
    context: tuple[float, float] = (1.0, 2.5)
    template_missing: float = 0.35
    good_share: float = 0.0
    """Of a batch's crops; 0 leaves it as the boards have it."""
    free_lands: int = 0
    """Of a board, with its lone drill holes; and `wild_opens` is a share of its opens: see `generate_board`."""
    wild_opens: float = 0.0
    checkpoint_steps: int = 400
    side_px: int = LAYOUT.side_px
    detector: str = "yolo-openvino"

    @property
    def stages(self) -> dict[str, Stage]:
        return {name: getattr(self, name) for name in STAGES}

    @property
    def steps(self) -> int:
        return sum(stage.steps for stage in self.stages.values())

    def at(self, step: int) -> tuple[str, float]:
        """The stage that a step of the run belongs to, and the learning rate there."""
        within = step
        for name, stage in self.stages.items():
            if within < stage.steps:
                return name, stage.rate_at(within, self.warmup_steps)
            within -= stage.steps
        raise ValueError(f"a run of {self.steps} steps has no step {step}")

    @classmethod
    def read(cls, path: Path) -> "Recipe":
        stored = json.loads(path.read_text(encoding="utf-8"))
        stages = {name: Stage(**stored[name]) for name in STAGES}
        known = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        return cls(**{**known, **stages, "context": tuple(stored["context"])})

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")


class Run:
    """One training run in one folder."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder, self.recipe = folder, recipe
        self.tokens = AnswerTokens(learn_tokenizer(list(all_texts()), recipe.vocabulary))
        self.layout = replace(LAYOUT, side_px=recipe.side_px)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.learner = Learner(
            self.tokens,
            seed=recipe.seed,
            weight_decay=recipe.weight_decay,
            layout=self.layout,
            device=self.device,
        )
        self.noise = Noise(
            recipe.box_noise,
            recipe.far_box_noise,
            recipe.far_share,
            recipe.context,
            template_missing=recipe.template_missing,
        )
        self.step = 0

    def prepare(self, say: Callable[..., None]) -> None:
        """Generate the boards, or read those that an earlier start of this run generated."""
        first = FIRST_TRAINING_SEED + self.recipe.seed * 100_000
        seeds = range(first, first + self.recipe.boards)
        shards = [seeds[start : start + SHARD_BOARDS] for start in range(0, len(seeds), SHARD_BOARDS)]
        self.crops = CropStore([window for shard in shards for window in self._shard(shard, say)])
        good = np.array([window.defect_class == NO_DEFECT for window in self.crops.windows])
        self.good, self.faulty = np.flatnonzero(good), np.flatnonzero(~good)
        seeds = range(FIRST_VALIDATION_SEED, FIRST_VALIDATION_SEED + self.recipe.validation_boards)
        held_out = CropStore.generate(seeds)
        rng = np.random.default_rng(1)
        squares = [held_out.square(i, self.layout.side_px, rng, CLEAN) for i in range(len(held_out.windows))]
        self.validation = make_batch(squares, self.tokens, self.layout).to(self.device)

    def _shard(self, seeds: range, say: Callable[..., None]) -> list[Window]:
        path = shard_path(self.folder, seeds)
        if not path.exists():
            say(event="generating", boards=len(seeds))
            make_shard(seeds, path, self.recipe)
        return CropStore.load(path).windows

    def train(self, say: Callable[..., None]) -> None:
        started, losses = time.monotonic(), []
        for batch in self.batches():
            losses.append(self.learn(batch))
            self.step += 1
            if self.step % 50 == 0:
                seconds = round(time.monotonic() - started)
                say(event="step", step=self.step, loss=round(float(np.mean(losses)), 4), seconds=seconds)
                losses = []
            if self.step % self.recipe.checkpoint_steps == 0 or self.step == self.recipe.steps:
                self.save()
                say(event="validated", step=self.step, **self.validate())

    def batches(self) -> Iterator[Batch]:
        """From the current step on; each step draws from its own stream, so a resumed run goes on alike.

        Where a GPU computes, processes beside it make the batches; they are the same ones.
        """
        steps = range(self.step, self.recipe.steps)
        workers = max(1, (os.cpu_count() or 2) - 2) if self.device.type == "cuda" else 0
        loader = DataLoader(
            BatchOf(self), batch_size=None, sampler=steps, num_workers=workers, prefetch_factor=8 if workers else None
        )
        for batch in loader:
            yield batch.to(self.device)

    def batch_of(self, step: int) -> Batch:
        rng = np.random.default_rng((self.recipe.seed, step))
        stage = self.recipe.stages[self.recipe.at(step)[0]]
        chosen = self._chosen(stage.batch, rng)
        squares = [self.crops.square(i, self.layout.side_px, rng, self.noise) for i in chosen]
        return make_batch(squares, self.tokens, self.layout)

    def _chosen(self, count: int, rng: np.random.Generator) -> list[int]:
        """The windows of a batch: any of them, or as many good ones as the recipe wants."""
        if not self.recipe.good_share or not len(self.good):
            return [int(index) for index in rng.integers(0, len(self.crops.windows), count)]
        good = int((rng.random(count) < self.recipe.good_share).sum())
        groups = [(self.good, good), (self.faulty, count - good)]
        return [int(index) for group, of_it in groups if of_it for index in rng.choice(group, of_it)]

    def learn(self, batch: Batch) -> float:
        stage, rate = self.recipe.at(self.step)
        if stage == "vision":
            loss = self.learner.vision_loss(batch)
        elif stage == "words":
            loss = self.learner.words_loss(batch)
        else:
            loss = self.learner.joint_loss(batch, self.recipe.labels_weight)
        self.learner.step(loss, rate=rate, average_decay=self.recipe.average_decay)
        return float(loss.detach())

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """On clean crops of held-out boards, with the weights as they are: heads, and next-token accuracy."""
        image = self.learner.look(self.validation)
        right = self.learner.heads.right(image, self.validation.labels)
        if self.step > self.recipe.vision.steps:
            logits, targets = self.learner.write(self.validation, image)
            right["token"] = float((logits.argmax(1) == targets).float().mean())
        return {name: round(value, 4) for name, value in right.items()}

    def save(self) -> None:
        """The checkpoint for --resume, and the model as it would ship."""
        partial = self.folder / "checkpoint.partial"
        save_file(self.learner.state(), partial, metadata={"step": str(self.step)})
        partial.replace(self.folder / "checkpoint.safetensors")
        export_model(self.learner.averaged(), self.tokens, self.folder / "model", self.layout)

    def resume(self) -> None:
        path = self.folder / "checkpoint.safetensors"
        with safe_open(path, "pt") as file:
            self.step = int(file.metadata()["step"])
        self.learner.restore(load_file(path))


def shard_path(folder: Path, seeds: range) -> Path:
    return folder / f"crops-{seeds.start}.npz"


def make_shard(seeds: range, path: Path, recipe: Recipe) -> None:
    """Generate the boards of these seeds, with what the detector says of them; it is trained and shipped first."""
    CropStore.generate(
        seeds,
        detector=load_detector(recipe.detector, threads=1) if recipe.detector else None,
        defects=DEFECTS_A_BOARD,
        free_lands=recipe.free_lands,
        wild_opens=recipe.wild_opens,
    ).save(path)


class BatchOf(Dataset[Batch]):
    """A run's batches by the number of their step."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __getitem__(self, step: int) -> Batch:
        return self.run.batch_of(step)


def main(argv: list[str]) -> None:
    """The command's body; the run's events go to standard output and to DIR/events.jsonl."""
    recipe, folder, resume = _arguments(argv)
    run_in(folder, recipe, resume=resume)


def run_in(folder: Path, recipe: Recipe, *, resume: bool) -> None:
    """Train in `folder`, from its checkpoint and by its recipe where it has them and `resume` is set."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / "recipe.json"
    if resume and stored.exists():
        recipe = Recipe.read(stored)
    recipe.write(stored)
    run = Run(folder, recipe)
    with (folder / "events.jsonl").open("a", encoding="utf-8") as events:

        def say(**event: Any) -> None:
            line = json.dumps(event)
            events.write(line + "\n")
            events.flush()
            print(line, flush=True)

        run.prepare(say)
        if resume and (folder / "checkpoint.safetensors").exists():
            run.resume()
        say(event="started", step=run.step, steps=recipe.steps, windows=len(run.crops.windows))
        run.train(say)
        say(event="finished", step=run.step)


def _arguments(argv: list[str]) -> tuple[Recipe, Path, bool]:
    parser = argparse.ArgumentParser(prog="python -m finetune.training describer", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the run's folder")
    parser.add_argument("--resume", action="store_true", help="go on from the folder's checkpoint, with its recipe")
    for name in ("seed", "boards"):
        parser.add_argument(f"--{name}", type=int, default=getattr(Recipe(), name))
    options = vars(parser.parse_args(argv))
    folder, resume = options.pop("out"), options.pop("resume")
    return replace(Recipe(), **options), folder, resume
