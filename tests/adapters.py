"""Adapters over the shipped describer that tests make: real files, with numbers of the test's own."""

import json
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from finetune.boards import CLASSES
from scheduling.serving.describers import SMALL, SMALL_FOLDER
from scheduling.serving.describers.adapters import CONFIG_FILE, FILES, WEIGHTS_FILE, Adapter, write_lineage
from scheduling.serving.model_folder import digest_of

RANK = 2
CHANGED = "mlp.down_proj.weight"


def write_adapter(folder: Path, *, seed: int = 0, strength: float = 1.0) -> str:
    """An adapter that changes what the language model says; at a strength of 0 it changes nothing. Its digest."""
    folder.mkdir(parents=True)
    numbers = torch.Generator().manual_seed(seed)
    tensors = {}
    for name, value in load_file(SMALL_FOLDER / "model.safetensors").items():
        if name.startswith("model.layers.") and name.endswith(CHANGED):
            out, inner = value.shape
            key = f"base_model.model.model.language_model.{name.removeprefix('model.').removesuffix('.weight')}"
            tensors[f"{key}.lora_A.weight"] = torch.randn(RANK, inner, generator=numbers)
            tensors[f"{key}.lora_B.weight"] = strength * torch.randn(out, RANK, generator=numbers)
    save_file(tensors, folder / WEIGHTS_FILE)
    (folder / CONFIG_FILE).write_text(json.dumps({"peft_type": "LORA", "r": RANK, "lora_alpha": RANK}))
    base = {"spec": SMALL, "digest": digest_of([SMALL_FOLDER / "model.safetensors"])}
    write_lineage(folder, {"base": base, "classes": list(CLASSES)})
    return Adapter.read(folder).digest


def files_of(folder: Path) -> dict[str, Path]:
    return {name: folder / name for name in FILES}
