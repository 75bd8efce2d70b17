"""A small describer's folder with random weights, as training writes it before its first step."""

from pathlib import Path
from typing import Any

from finetune.training.describer_export import export_model
from finetune.training.describer_model import new_model
from finetune.training.describer_texts import all_texts
from scheduling.serving import torchvision_ops
from scheduling.serving.describers.small_tokens import AnswerTokens, learn_tokenizer


def new_tokens() -> AnswerTokens:
    return AnswerTokens(learn_tokenizer(list(all_texts())[::40], 700))


def write_small_folder(folder: Path, *, seed: int = 0) -> Any:
    """Write the folder; the model itself, in float32 of the stored half precision."""
    torchvision_ops.ensure()
    import torch

    torch.manual_seed(seed)
    tokens = new_tokens()
    model = new_model(tokens).eval()
    for value in model.parameters():
        value.data = value.data.half().float()
    export_model(model, tokens, folder)
    return model.float()
