"""What both kinds of base have in common while an adapter over them learns: peft's layers, optimiser, state, files.

The base is frozen; only LoRA's matrices move. All of the state that a resumed run needs is tensors by name, in one
safetensors file, and the random streams follow from the seed and the step alone. Knows no folders of runs.
"""

import importlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import torch
from safetensors.torch import save_file
from torch import Tensor

from finetune.training.lora.coaugment import Example
from finetune.training.lora.recipe import LoraRecipe
from scheduling.serving.contracts import Describer
from scheduling.serving.describers.adapters import CONFIG_FILE, WEIGHTS_FILE

CLIP: Final = 1.0


class Learner(ABC):
    """A frozen base with a trainable adapter."""

    peak_rate: float
    base_spec: str
    base_digest: str

    def __init__(self, model: Any, recipe: LoraRecipe, targets: str) -> None:
        peft = importlib.import_module("peft")
        torch.manual_seed(recipe.seed)
        config = peft.LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            lora_dropout=0.0,
            use_rslora=recipe.rank >= 32,
            target_modules=targets,
        )
        self.model: Any = peft.get_peft_model(model, config)
        self.trained = {name: value for name, value in self.model.named_parameters() if value.requires_grad}
        self.optimizer = torch.optim.AdamW(
            list(self.trained.values()), lr=0.0, betas=(0.9, 0.98), weight_decay=recipe.weight_decay
        )

    @abstractmethod
    def loss(self, examples: Sequence[Example]) -> Tensor:
        """Mean cross-entropy of the answers' tokens, and of nothing else."""

    @abstractmethod
    def describer(self, adapter: Path) -> Describer:
        """What a node would serve with this adapter."""

    def step(self, loss: Tensor, rate: float) -> None:
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(list(self.trained.values()), CLIP)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()

    def state(self) -> dict[str, Tensor]:
        """The adapter and the optimiser's moments by name."""
        state = {f"now.{name}": value.detach() for name, value in self.trained.items()}
        for name, value in self.trained.items():
            for key, kept in self.optimizer.state.get(value, {}).items():
                state[f"optimizer.{key}.{name}"] = torch.as_tensor(kept)
        return {name: value.contiguous().clone().cpu() for name, value in state.items()}

    def restore(self, state: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, value in self.trained.items():
                value.copy_(state[f"now.{name}"])
        for entry, kept in state.items():
            if entry.startswith("optimizer."):
                _, key, name = entry.split(".", 2)
                self.optimizer.state[self.trained[name]][key] = kept

    def save_adapter(self, folder: Path) -> None:
        """peft's two files; the base is named by the lineage beside them, never by a path of this machine."""
        folder.mkdir(parents=True, exist_ok=True)
        config = self.model.peft_config["default"]
        config.base_model_name_or_path, config.inference_mode = self.base_spec, True
        config.save_pretrained(str(folder))
        assert (folder / CONFIG_FILE).is_file()
        tensors = {
            name.replace(".default.", "."): value.detach().contiguous().clone().cpu()
            for name, value in self.trained.items()
        }
        partial = folder / (WEIGHTS_FILE + ".partial")
        save_file(tensors, partial, metadata={"format": "pt"})
        partial.replace(folder / WEIGHTS_FILE)

    def parameters(self) -> tuple[int, int]:
        """All parameters and those that are trained."""
        return sum(value.numel() for value in self.model.parameters()), sum(v.numel() for v in self.trained.values())
