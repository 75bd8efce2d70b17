"""LoRA adapters as a node takes them: a folder with peft's two files and a lineage; merged when they are loaded.

`adapter_model.safetensors` and `adapter_config.json` are peft's own format; `lineage.json` says what the adapter
lies over and what it was trained on: {"base": {"spec", "digest"}, "classes": [...], "dataset": digest, ...}. Merging
is W + s * B @ A, which needs neither peft nor transformers; serving then costs what the base costs. Knows no describer.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scheduling.serving.contracts import class_names_fault
from scheduling.serving.model_folder import (
    RefusedFiles,
    check_safetensors,
    digest_of,
    read_json,
    refuse_foreign,
)

CONFIG_FILE: Final = "adapter_config.json"
WEIGHTS_FILE: Final = "adapter_model.safetensors"
LINEAGE_FILE: Final = "lineage.json"
FILES: Final = (CONFIG_FILE, WEIGHTS_FILE, LINEAGE_FILE)
"""What makes an adapter; its digest is over all of them, since the two small ones change its answers as well."""


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter rather than a whole model."""
    return (folder / CONFIG_FILE).is_file() and not (folder / "config.json").is_file()


@dataclass(frozen=True)
class Adapter:
    """An adapter's folder that was looked through; its tensors are read when it is merged."""

    folder: Path
    digest: str
    base: str
    base_digest: str
    class_names: tuple[str, ...]
    scaling: float

    @classmethod
    def read(cls, folder: Path) -> "Adapter":
        """Raises RefusedFiles with a sentence for what is no plain LoRA adapter with a lineage."""
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            refuse_foreign(path)
        for name in FILES:
            if not (folder / name).is_file():
                raise RefusedFiles(f"{folder.name} has no {name}.")
        check_safetensors(folder / WEIGHTS_FILE)
        lineage = read_json(folder / LINEAGE_FILE)
        base, names = lineage.get("base"), lineage.get("classes")
        if not isinstance(base, dict) or not isinstance(names, list) or class_names_fault(names):
            raise RefusedFiles(f"{LINEAGE_FILE} does not say what the adapter lies over and which classes it names.")
        scaling = _scaling(read_json(folder / CONFIG_FILE))
        spec, digest = str(base.get("spec", "")), str(base.get("digest", ""))
        files = [folder / name for name in FILES]
        return cls(folder, digest_of(files), spec, digest, tuple(names), scaling)

    def check_base(self, folder: Path) -> None:
        """Raises RefusedFiles where the base is not the one that the adapter was trained over."""
        found = digest_of(sorted(folder.glob("*.safetensors")))
        if self.base_digest and found != self.base_digest:
            raise RefusedFiles(
                f"The adapter {self.folder.name} was trained over weights {self.base_digest[:12]}, not over "
                f"{found[:12]}: train it again over these, or serve those."
            )

    def merged(self, weights: Mapping[str, Any]) -> dict[str, Any]:
        """The base's tensors (by published names) with the adapter's products added."""
        from safetensors.torch import load_file

        tensors, merged = load_file(self.folder / WEIGHTS_FILE), dict(weights)
        for key in (key for key in tensors if key.endswith(".lora_A.weight")):
            name = published_name(key.removesuffix(".lora_A.weight")) + ".weight"
            if name not in merged:
                raise RefusedFiles(f"The adapter changes {name}, which its base does not have.")
            product = tensors[key.replace(".lora_A.", ".lora_B.")].float() @ tensors[key].float()
            if product.shape != merged[name].shape:
                raise RefusedFiles(f"The adapter's {name} has another shape than its base's.")
            if not product.isfinite().all():
                raise RefusedFiles(f"The adapter's {name} holds what is no number.")
            merged[name] = merged[name] + self.scaling * product
        return merged


def published_name(key: str) -> str:
    """A module's name in peft's file as the published checkpoint has it."""
    name = key.removeprefix("base_model.model.")
    return name.replace("model.visual.", "visual.", 1).replace("model.language_model.", "model.", 1)


def write_lineage(folder: Path, lineage: Mapping[str, Any]) -> None:
    (folder / LINEAGE_FILE).write_text(json.dumps(lineage, indent=2) + "\n", encoding="utf-8")


def _scaling(config: Mapping[str, Any]) -> float:
    """What the product is multiplied by; RefusedFiles for anything but plain or rank-stabilised LoRA."""
    if config.get("peft_type") != "LORA" or config.get("use_dora") or config.get("rank_pattern"):
        raise RefusedFiles(f"{CONFIG_FILE} is no plain LoRA: only that can be merged here.")
    rank, alpha = int(config.get("r", 0)), float(config.get("lora_alpha", 0))
    if not 1 <= rank <= 1024:
        raise RefusedFiles(f"{CONFIG_FILE} names rank {rank}.")
    return alpha / math.sqrt(rank) if config.get("use_rslora") else alpha / rank
