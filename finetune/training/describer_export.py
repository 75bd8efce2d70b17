"""Write a small describer as a folder that the node, and `transformers` itself, can read.

Half-precision safetensors, the real configuration, the tokenizer and the picture settings. Knows no training.
"""

import json
from pathlib import Path
from typing import Any

from finetune.boards import CLASSES
from finetune.training.describer_model import HINT_TOKENS, LAYOUT, LONGEST_TOKENS
from scheduling.serving.describers.small import CLASSES_FILE
from scheduling.serving.describers.small_forward import Layout
from scheduling.serving.describers.small_tokens import IMAGE, PAD, VISION_END, VISION_START, AnswerTokens


def export_model(model: Any, tokens: AnswerTokens, folder: Path, layout: Layout = LAYOUT) -> None:
    """Weights as float16: half the download; the node computes in float32."""
    folder.mkdir(parents=True, exist_ok=True)
    model.half().save_pretrained(folder, safe_serialization=True)
    tokens.tokenizer.save(str(folder / "tokenizer.json"))
    _write(
        folder / "tokenizer_config.json",
        {
            "tokenizer_class": "PreTrainedTokenizerFast",
            "pad_token": PAD,
            "model_max_length": LONGEST_TOKENS,
            "additional_special_tokens": [IMAGE, VISION_START, VISION_END],
        },
    )
    _write(folder / CLASSES_FILE, {"class_names": list(CLASSES), "hint_tokens": HINT_TOKENS})
    side = layout.side_px
    _write(
        folder / "preprocessor_config.json",
        {
            "image_processor_type": "Qwen2VLImageProcessor",
            "patch_size": layout.patch_px,
            "temporal_patch_size": layout.frames,
            "merge_size": layout.merge,
            "size": {"shortest_edge": side * side, "longest_edge": side * side},
            "image_mean": [0.5, 0.5, 0.5],
            "image_std": [0.5, 0.5, 0.5],
            "do_rescale": True,
            "rescale_factor": 1 / 255,
        },
    )


def _write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content, indent=2) + "\n")
