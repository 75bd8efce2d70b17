"""The small describer while it learns: the model, label heads for its vision tower, losses, one optimiser step.

Knows nothing about folders, schedules or where batches come from.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812  (its name everywhere)
from torch import Tensor, nn

from finetune.boards import FACTS
from finetune.training.describer_crops import CELL_PX, LABELS, Square
from finetune.training.describer_model import HINT_TOKENS, LAYOUT, new_model
from finetune.training.describer_texts import answer_for
from scheduling.serving.describers.small_forward import BLANK, Layout, Shape, published_names, see
from scheduling.serving.describers.small_tokens import AnswerTokens

IGNORED: Final = -100
CELLS_WEIGHT: Final = (1.0, 4.0, 4.0)
"""Of designed, added and missing copper: of the latter two there is little in a crop."""


@dataclass(frozen=True)
class Batch:
    """Patches (B, P, C), ids (B, T) of prefix and answer, targets (B, T) shifted by one, labels (B) by name.

    `cells` (B, N, 3 * cells of an image token) is the share of designed, added and missing copper, 0..1.
    """

    patches: Tensor
    ids: Tensor
    targets: Tensor
    labels: dict[str, Tensor]
    cells: Tensor

    def to(self, device: torch.device) -> "Batch":
        labels = {name: value.to(device) for name, value in self.labels.items()}
        patches, ids, targets = self.patches.to(device), self.ids.to(device), self.targets.to(device)
        return Batch(patches, ids, targets, labels, self.cells.to(device))


def make_batch(crops: list[Square], tokens: AnswerTokens, layout: Layout = LAYOUT) -> Batch:
    prefixes = [tokens.prefix(layout.image_tokens, tokens.hint_ids(crop.hint, HINT_TOKENS)) for crop in crops]
    answers = [tokens.answer_ids(answer_for(crop.defect_class, crop.facts)) for crop in crops]
    length = len(prefixes[0]) + max(map(len, answers)) - 1
    ids = torch.full((len(crops), length), tokens.pad_id)
    targets = torch.full((len(crops), length), IGNORED)
    for row, (prefix, answer) in enumerate(zip(prefixes, answers, strict=True)):
        sequence = torch.tensor([*prefix, *answer])
        ids[row, : len(sequence) - 1] = sequence[:-1]
        targets[row, len(prefix) - 1 : len(sequence) - 1] = torch.tensor(answer)
    labels = {"class": torch.tensor([LABELS.index(crop.defect_class) for crop in crops])}
    for name, values in FACTS.items():
        labels[name] = torch.tensor([values.index(crop.facts[name]) if crop.facts else IGNORED for crop in crops])
    blank = np.full_like(crops[0].pixels, BLANK)
    golden = np.stack([blank if crop.template is None else crop.template for crop in crops])
    patches = layout.patches(np.stack([crop.pixels for crop in crops]), golden)
    return Batch(patches, ids, targets, labels, _by_token(np.stack([crop.cells for crop in crops]), layout))


def _by_token(cells: npt.NDArray[np.uint8], layout: Layout) -> Tensor:
    """(B, side, side, 3) cells to (B, N, -1): those that each image token covers, in the order of the tokens."""
    tokens_a_side = layout.grid // layout.merge
    each = cells.shape[1] // tokens_a_side
    blocks = torch.from_numpy(cells).float().div_(255).view(-1, tokens_a_side, each, tokens_a_side, each, 3)
    return blocks.permute(0, 1, 3, 2, 4, 5).reshape(len(cells), layout.image_tokens, -1)


class CellHead(nn.Module):
    """Designed, added and missing copper in each cell under an image token; only training needs it.

    A label says one thing about a crop; this says where everything is, so the tower learns from far fewer crops.
    """

    def __init__(self, token_width: int, layout: Layout = LAYOUT) -> None:
        super().__init__()
        cells = (layout.side_px // CELL_PX) ** 2 // layout.image_tokens
        self.head = nn.Linear(token_width, 3 * cells)

    def loss(self, image_tokens: Tensor, cells: Tensor) -> Tensor:
        each = F.binary_cross_entropy_with_logits(self.head(image_tokens), cells, reduction="none")
        return each.view(-1, 3).mean(0) @ torch.tensor(CELLS_WEIGHT, device=each.device)


class LabelHeads(nn.Module):
    """Class and facts from the image tokens in their places; only training needs them.

    From all places, not from their mean: the tower itself knows only relative positions, and what is judged lies
    in the middle of the crop.
    """

    CLASS_WEIGHT: Final = 3.0

    def __init__(self, token_width: int, layout: Layout = LAYOUT) -> None:
        super().__init__()
        width = layout.image_tokens * token_width
        self.heads = nn.ModuleDict({"class": nn.Linear(width, len(LABELS))})
        self.heads.update({name: nn.Linear(width, len(values)) for name, values in FACTS.items()})

    def loss(self, image_tokens: Tensor, labels: dict[str, Tensor]) -> Tensor:
        """Mean cross-entropy of the heads; the class counts as much as three facts."""
        seen = image_tokens.flatten(1)
        total = torch.zeros((), device=seen.device)
        for name, head in self.heads.items():
            weight = self.CLASS_WEIGHT if name == "class" else 1.0
            total = total + weight * F.cross_entropy(head(seen), labels[name], ignore_index=IGNORED)
        return total / (self.CLASS_WEIGHT + len(FACTS))

    def right(self, image_tokens: Tensor, labels: dict[str, Tensor]) -> dict[str, float]:
        """Share of right answers for each label, among the crops that have it."""
        seen = image_tokens.flatten(1)
        return {
            name: float((head(seen).argmax(1) == labels[name])[labels[name] != IGNORED].float().mean())
            for name, head in self.heads.items()
        }


class Learner:
    """The model, its heads, the running average of both, and one loss for each stage.

    The matrices inside the blocks are trained by Muon (orthogonalised momentum);
    embeddings, heads, norms and biases by AdamW.
    """

    def __init__(
        self,
        tokens: AnswerTokens,
        *,
        seed: int,
        weight_decay: float,
        layout: Layout = LAYOUT,
        device: torch.device | None = None,
    ) -> None:
        torch.manual_seed(seed)
        self.tokens, self.layout, self.device = tokens, layout, device or torch.device("cpu")
        self.model = new_model(tokens, layout).to(self.device)
        self.heads = LabelHeads(self.model.config.text_config.hidden_size, layout).to(self.device)
        self.cells = CellHead(self.model.config.text_config.hidden_size, layout).to(self.device)
        self.shape = Shape.read(self.model.config.to_dict(), layout.side_px)
        cosines, sines = self.shape.vision_tables()
        self.tables = cosines.to(self.device), sines.to(self.device)
        self.weights = published_names(dict(self.model.named_parameters()))
        parts = nn.ModuleDict({"model": self.model, "heads": self.heads, "cells": self.cells})
        self.named = dict(parts.named_parameters())
        self.average = {name: value.detach().clone() for name, value in self.named.items()}
        inner = {name for name, value in self.named.items() if value.ndim == 2 and "embed_tokens" not in name}
        inner -= {name for name in self.named if name.startswith(("heads.", "cells."))}
        others = [value for name, value in self.named.items() if name not in inner]
        self.optimizers: tuple[torch.optim.Optimizer, ...] = (
            torch.optim.Muon(
                [self.named[name] for name in inner],
                lr=0.0,
                weight_decay=weight_decay,
                adjust_lr_fn="match_rms_adamw",
            ),
            torch.optim.AdamW(others, lr=0.0, betas=(0.9, 0.98), weight_decay=0.0),
        )

    def vision_loss(self, batch: Batch) -> Tensor:
        return self._seen_loss(self.look(batch), batch)

    def words_loss(self, batch: Batch) -> Tensor:
        """Text only: what the tower sees is taken as it is."""
        with torch.no_grad():
            image = self.look(batch)
        return F.cross_entropy(*self.write(batch, image))

    def joint_loss(self, batch: Batch, labels_weight: float) -> Tensor:
        image = self.look(batch)
        return F.cross_entropy(*self.write(batch, image)) + labels_weight * self._seen_loss(image, batch)

    def _seen_loss(self, image: Tensor, batch: Batch) -> Tensor:
        return self.heads.loss(image, batch.labels) + self.cells.loss(image, batch.cells)

    def look(self, batch: Batch) -> Tensor:
        return see(self.weights, self.shape, batch.patches, self.tables)

    def write(self, batch: Batch, image: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, V) and targets (n) at every place where the answer's next token is known."""
        rows, length = batch.ids.shape
        words = self.model.get_input_embeddings()(batch.ids)
        inputs = torch.cat([words[:, :1], image, words[:, 1 + image.shape[1] :]], dim=1)
        positions = self.layout.positions(length)[:, None].expand(3, rows, length).to(self.device)
        hidden = self.model.model.language_model(
            inputs_embeds=inputs, position_ids=positions, use_cache=False
        ).last_hidden_state
        known = batch.targets != IGNORED
        return self.model.lm_head(hidden[known]), batch.targets[known]

    def step(self, loss: Tensor, *, rate: float, average_decay: float) -> None:
        for value in self.named.values():
            value.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(list(self.named.values()), 1.0)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
        with torch.no_grad():
            for name, value in self.named.items():
                self.average[name].lerp_(value, 1 - average_decay)

    def state(self) -> dict[str, Tensor]:
        """All tensors of the run by name, for one safetensors file."""
        state = {f"now.{name}": value.detach() for name, value in self.named.items()}
        state |= {f"average.{name}": value for name, value in self.average.items()}
        for optimizer in self.optimizers:
            for name, value in self.named.items():
                for key, kept in optimizer.state.get(value, {}).items():
                    state[f"optimizer.{key}.{name}"] = torch.as_tensor(kept)
        return {name: value.contiguous().clone().cpu() for name, value in state.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        owners = {id(value): one for one in self.optimizers for group in one.param_groups for value in group["params"]}
        with torch.no_grad():
            for name, value in self.named.items():
                value.copy_(state[f"now.{name}"])
                self.average[name].copy_(state[f"average.{name}"])
        for entry, kept in state.items():
            if entry.startswith("optimizer."):
                _, key, name = entry.split(".", 2)
                value = self.named[name]
                owners[id(value)].state[value][key] = kept

    def averaged(self) -> Any:
        """A copy of the model with the averaged weights."""
        model = new_model(self.tokens, self.layout)
        with torch.no_grad():
            for name, value in model.named_parameters():
                value.copy_(self.average[f"model.{name}"])
        return model.eval()
