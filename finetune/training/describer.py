"""Train the small describer from scratch on generated boards: learn to see first, then to write.

`python -m finetune.training describer --out DIR [--resume]`. The vision tower first learns the generator's labels
(class and facts, one linear head each), which a small model cannot learn through text alone in reasonable time;
then everything learns to write the answers. An average of the weights over the last steps is what is exported.
One thread, resumable: all of a run's state is in DIR as safetensors and JSON.
"""

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812  (its name everywhere)
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from finetune.boards import FACTS
from finetune.training.describer_crops import CLEAN, LABELS, CropStore, Noise
from finetune.training.describer_export import export_model
from finetune.training.describer_model import LAYOUT, new_model
from finetune.training.describer_texts import all_texts, answer_for
from scheduling.serving import torchvision_ops
from scheduling.serving.describers.small_forward import Shape, published_names, see
from scheduling.serving.describers.small_tokens import AnswerTokens, learn_tokenizer

IGNORED: Final = -100
FIRST_TRAINING_SEED: Final = 1_000_000
FIRST_VALIDATION_SEED: Final = 900_000


@dataclass(frozen=True)
class Recipe:
    """Everything that decides the result, apart from the code."""

    seed: int = 0
    boards: int = 6000
    validation_boards: int = 80
    vision_steps: int = 2200
    text_steps: int = 1500
    batch: int = 32
    vision_rate: float = 8.0e-4
    text_rate: float = 8.0e-4
    warmup_steps: int = 100
    weight_decay: float = 0.05
    average_decay: float = 0.995
    labels_weight: float = 0.3
    vocabulary: int = 1024
    box_noise: float = 0.2
    context: tuple[float, float] = (1.0, 2.5)
    checkpoint_steps: int = 250

    @property
    def steps(self) -> int:
        return self.vision_steps + self.text_steps


class LabelHeads(nn.Module):
    """Class and facts from the mean image token; only training needs them."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = nn.ModuleDict({"class": nn.Linear(width, len(LABELS))})
        self.heads.update({name: nn.Linear(width, len(values)) for name, values in FACTS.items()})

    def loss(self, image_tokens: Tensor, labels: dict[str, Tensor]) -> Tensor:
        mean = image_tokens.mean(1)
        losses = [F.cross_entropy(head(mean), labels[name], ignore_index=IGNORED) for name, head in self.heads.items()]
        return torch.stack(losses).mean()

    def right(self, image_tokens: Tensor, labels: dict[str, Tensor]) -> dict[str, float]:
        """Share of right answers for each label, among the crops that have it."""
        mean = image_tokens.mean(1)
        return {
            name: float((head(mean).argmax(1) == labels[name])[labels[name] != IGNORED].float().mean())
            for name, head in self.heads.items()
        }


@dataclass(frozen=True)
class Batch:
    """Patches (B, P, C), ids (B, T) of prefix and answer, targets (B, T) shifted by one, labels (B) by name."""

    patches: Tensor
    ids: Tensor
    targets: Tensor
    labels: dict[str, Tensor]


def make_batch(crops: list[tuple[Any, str, dict[str, str]]], tokens: AnswerTokens) -> Batch:
    prefix = tokens.prefix(LAYOUT.image_tokens)
    answers = [tokens.answer_ids(answer_for(defect_class, facts)) for _, defect_class, facts in crops]
    length = len(prefix) + max(map(len, answers)) - 1
    ids = torch.full((len(crops), length), tokens.pad_id)
    targets = torch.full((len(crops), length), IGNORED)
    for row, answer in enumerate(answers):
        sequence = torch.tensor([*prefix, *answer])
        ids[row, : len(sequence) - 1] = sequence[:-1]
        targets[row, len(prefix) - 1 : len(sequence) - 1] = torch.tensor(answer)
    labels = {"class": torch.tensor([LABELS.index(defect_class) for _, defect_class, _ in crops])}
    for name, values in FACTS.items():
        labels[name] = torch.tensor([values.index(facts[name]) if facts else IGNORED for _, _, facts in crops])
    squares = np.stack([square for square, _, _ in crops])
    return Batch(LAYOUT.patches(squares), ids, targets, labels)


class Learner:
    """The model, its heads and the average of both, with one loss for each stage."""

    def __init__(self, recipe: Recipe, tokens: AnswerTokens) -> None:
        torch.manual_seed(recipe.seed)
        self.tokens = tokens
        self.model = new_model(tokens)
        self.heads = LabelHeads(self.model.config.text_config.hidden_size)
        self.shape = Shape.read(self.model.config.to_dict(), LAYOUT.side_px)
        self.tables = self.shape.vision_tables()
        self.weights = published_names(dict(self.model.named_parameters()))
        self.named = dict(nn.ModuleDict({"model": self.model, "heads": self.heads}).named_parameters())
        self.average = {name: value.detach().clone() for name, value in self.named.items()}
        decayed = [value for value in self.named.values() if value.ndim > 1]
        plain = [value for value in self.named.values() if value.ndim <= 1]
        groups = [
            {"params": decayed, "weight_decay": recipe.weight_decay},
            {"params": plain, "weight_decay": 0.0},
        ]
        self.optimizer = torch.optim.AdamW(groups, lr=0.0, betas=(0.9, 0.98))

    def vision_loss(self, batch: Batch) -> Tensor:
        return self.heads.loss(self.look(batch), batch.labels)

    def text_loss(self, batch: Batch, labels_weight: float) -> Tensor:
        image = self.look(batch)
        logits, targets = self.write(batch, image)
        return F.cross_entropy(logits, targets) + labels_weight * self.heads.loss(image, batch.labels)

    def look(self, batch: Batch) -> Tensor:
        return see(self.weights, self.shape, batch.patches, self.tables)

    def write(self, batch: Batch, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, V) and targets (n) at every place where the answer's next token is known."""
        rows, length = batch.ids.shape
        words = self.model.get_input_embeddings()(batch.ids)
        inputs = torch.cat([words[:, :1], image, words[:, 1 + image.shape[1] :]], dim=1)
        positions = LAYOUT.positions(length)[:, None].expand(3, rows, length)
        hidden = self.model.model.language_model(
            inputs_embeds=inputs, position_ids=positions, use_cache=False
        ).last_hidden_state
        known = batch.targets != IGNORED
        return self.model.lm_head(hidden[known]), batch.targets[known]

    def step(self, loss: Tensor, rate: float, average_decay: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(list(self.named.values()), 1.0)
        self.optimizer.step()
        with torch.no_grad():
            for name, value in self.named.items():
                self.average[name].lerp_(value, 1 - average_decay)

    def state(self) -> dict[str, Tensor]:
        """All tensors of the run by name, for one safetensors file."""
        state = {f"now.{name}": value.detach() for name, value in self.named.items()}
        state |= {f"average.{name}": value for name, value in self.average.items()}
        for name, value in self.named.items():
            kept = self.optimizer.state.get(value, {})
            state |= {f"adam.{name}.{key}": kept[key] for key in kept}
        return {name: value.contiguous().clone() for name, value in state.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in self.named.items():
                value.copy_(state[f"now.{name}"])
                self.average[name].copy_(state[f"average.{name}"])
                keys = {
                    key: state[f"adam.{name}.{key}"]
                    for key in ("step", "exp_avg", "exp_avg_sq")
                    if f"adam.{name}.{key}" in state
                }
                if keys:
                    self.optimizer.state[value] = keys

    def averaged(self) -> Any:
        """A copy of the model with the averaged weights."""
        model = new_model(self.tokens)
        own = dict(model.named_parameters())
        with torch.no_grad():
            for name, value in own.items():
                value.copy_(self.average[f"model.{name}"])
        return model.eval()


def rate_at(step: int, *, first: int, last: int, peak: float, warmup: int) -> float:
    """Linear warm-up from `first`, then a cosine down to 2 % of the peak at `last`."""
    done = step - first
    if done < warmup:
        return peak * (done + 1) / warmup
    share = (done - warmup) / max(1, last - first - warmup)
    return peak * (0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(1.0, share))))


class Run:
    """One training run in one folder."""

    def __init__(self, folder: Path, recipe: Recipe) -> None:
        self.folder, self.recipe = folder, recipe
        self.tokens = AnswerTokens(learn_tokenizer(list(all_texts()), recipe.vocabulary))
        self.learner = Learner(recipe, self.tokens)
        self.step = 0
        self.noise = Noise(box=recipe.box_noise, context=recipe.context)

    def prepare(self, say: Callable[..., None]) -> None:
        """Generate the boards, or read those that an earlier start of this run generated."""
        path = self.folder / "crops.npz"
        if not path.exists():
            say(event="generating", boards=self.recipe.boards)
            first = FIRST_TRAINING_SEED + self.recipe.seed * 100_000
            CropStore.generate(range(first, first + self.recipe.boards)).save(path)
        self.crops = CropStore.load(path)
        seeds = range(FIRST_VALIDATION_SEED, FIRST_VALIDATION_SEED + self.recipe.validation_boards)
        held_out = CropStore.generate(seeds)
        rng = np.random.default_rng(1)
        squares = [held_out.square(i, LAYOUT.side_px, rng, CLEAN) for i in range(len(held_out.windows))]
        self.validation = make_batch(squares, self.tokens)

    def train(self, say: Callable[..., None]) -> None:
        recipe, started, losses = self.recipe, time.monotonic(), []
        for batch in self.batches():
            losses.append(self.learn(batch))
            self.step += 1
            if self.step % 50 == 0:
                say(
                    event="step",
                    step=self.step,
                    loss=round(float(np.mean(losses)), 4),
                    seconds=time.monotonic() - started,
                )
                losses = []
            if self.step % recipe.checkpoint_steps == 0 or self.step == recipe.steps:
                self.save()
                say(event="validated", step=self.step, **self.validate())

    def batches(self) -> Iterator[Batch]:
        """Batches from the current step on; each step draws from its own stream, so a resumed run goes on alike."""
        for step in range(self.step, self.recipe.steps):
            rng = np.random.default_rng((self.recipe.seed, step))
            chosen = rng.integers(0, len(self.crops.windows), self.recipe.batch)
            yield make_batch([self.crops.square(int(i), LAYOUT.side_px, rng, self.noise) for i in chosen], self.tokens)

    def learn(self, batch: Batch) -> float:
        recipe, learner = self.recipe, self.learner
        seeing = self.step < recipe.vision_steps
        if seeing:
            loss = learner.vision_loss(batch)
            rate = rate_at(
                self.step, first=0, last=2 * recipe.vision_steps, peak=recipe.vision_rate, warmup=recipe.warmup_steps
            )
        else:
            loss = learner.text_loss(batch, recipe.labels_weight)
            rate = rate_at(
                self.step,
                first=recipe.vision_steps,
                last=recipe.steps,
                peak=recipe.text_rate,
                warmup=recipe.warmup_steps,
            )
        learner.step(loss, rate, recipe.average_decay)
        return float(loss.detach())

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """On clean crops of held-out boards, with the weights as they are: heads, and next-token accuracy."""
        image = self.learner.look(self.validation)
        right = self.learner.heads.right(image, self.validation.labels)
        if self.step > self.recipe.vision_steps:
            logits, targets = self.learner.write(self.validation, image)
            right["token"] = float((logits.argmax(1) == targets).float().mean())
        return {name: round(value, 4) for name, value in right.items()}

    def save(self) -> None:
        """The checkpoint for --resume, and the model as it would ship."""
        partial = self.folder / "checkpoint.partial"
        save_file(self.learner.state(), partial, metadata={"step": str(self.step)})
        partial.replace(self.folder / "checkpoint.safetensors")
        export_model(self.learner.averaged(), self.tokens, self.folder / "model")

    def resume(self) -> None:
        from safetensors import safe_open

        path = self.folder / "checkpoint.safetensors"
        with safe_open(path, "pt") as file:
            self.step = int(file.metadata()["step"])
        self.learner.restore(load_file(path))


def main(argv: list[str]) -> None:
    recipe, folder, resume = _arguments(argv)
    torchvision_ops.ensure()
    torch.set_num_threads(1)
    folder.mkdir(parents=True, exist_ok=True)
    stored = folder / "recipe.json"
    if resume and stored.exists():
        recipe = Recipe(
            **{**json.loads(stored.read_text()), "context": tuple(json.loads(stored.read_text())["context"])}
        )
    stored.write_text(json.dumps(asdict(recipe), indent=2) + "\n")
    run = Run(folder, recipe)
    with (folder / "events.jsonl").open("a") as events:

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
    for name in ("seed", "boards", "vision_steps", "text_steps", "batch"):
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=getattr(Recipe(), name))
    options = vars(parser.parse_args(argv))
    folder, resume = options.pop("out"), options.pop("resume")
    return replace(Recipe(), **options), folder, resume
