"""The small describer's architecture: a Qwen2-VL of a few million parameters, built from its real configuration.

The vision tower starts out looking at neighbours, as a convolution would, which saves it from having to find out
that pictures are local. Knows nothing about crops, texts or training.
"""

from collections.abc import Sequence
from typing import Any, Final

from scheduling.serving import torchvision_ops
from scheduling.serving.describers.small_forward import VISION_THETA, Layout
from scheduling.serving.describers.small_tokens import AnswerTokens

LAYOUT: Final = Layout(side_px=120, patch_px=10, merge=2, frames=2)
HINT_TOKENS: Final = 10
"""Room for what the detector said: "mousebite,0.9" takes 5 of them, a class of another product more."""

LONGEST_TOKENS: Final = 512

CROSS: Final = ((0, 1), (0, -1), (1, 0), (-1, 0))
CORNERS: Final = ((1, 1), (1, -1), (-1, 1), (-1, -1))
NEIGHBOURS: Final = (CROSS, CORNERS, CROSS)
"""The (row, column) offset that each head of the first blocks attends to at the start; later blocks look freely."""

PAIRS: Final = 3
STRENGTH: Final = 5.0


def new_model(tokens: AnswerTokens, layout: Layout = LAYOUT) -> Any:
    """A randomly initialised `Qwen2VLForConditionalGeneration`; seed torch before."""
    torchvision_ops.ensure()
    from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration

    text = {
        "vocab_size": tokens.size,
        "hidden_size": 192,
        "intermediate_size": 512,
        "num_hidden_layers": 4,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "max_position_embeddings": LONGEST_TOKENS,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 6, 6]},
        "bos_token_id": tokens.vision_start_id,
        "eos_token_id": tokens.frame_ids[-1],
        "pad_token_id": tokens.pad_id,
    }
    vision = {
        "depth": 4,
        "embed_dim": 128,
        "num_heads": 4,
        "hidden_size": 192,
        "mlp_ratio": 4,
        "in_channels": 3,
        "patch_size": layout.patch_px,
        "temporal_patch_size": layout.frames,
        "spatial_merge_size": layout.merge,
    }
    config = Qwen2VLConfig(
        text_config=text,
        vision_config=vision,
        image_token_id=tokens.image_id,
        video_token_id=tokens.special_ids[0],
        vision_start_token_id=tokens.vision_start_id,
        vision_end_token_id=tokens.vision_end_id,
        tie_word_embeddings=True,
    )
    model = Qwen2VLForConditionalGeneration(config)
    for block, offsets in zip(model.model.visual.blocks, NEIGHBOURS, strict=False):
        _look_at(block.attn, offsets)
    return model


def _look_at(attention: Any, offsets: Sequence[tuple[int, int]]) -> None:
    """Set the biases of query and key so that each head attends to the patch at its (row, column) offset.

    Rotary positions turn constant queries and keys into a score that depends on the offset alone: for a pair of
    dimensions of frequency f it is strength**2 * cos(f * (offset - wanted)).
    """
    import torch

    width = attention.head_dim
    quarter, half = width // 4, width // 2
    frequencies = VISION_THETA ** -(torch.arange(0, half, 2).float() / half)[:PAIRS]
    bias = attention.qkv.bias.data.view(3, attention.num_heads, width)
    for head, offset in enumerate(offsets):
        for axis, wanted in enumerate(offset):
            first = axis * quarter
            bias[0, head, first : first + PAIRS] = STRENGTH
            bias[1, head, first : first + PAIRS] = STRENGTH * torch.cos(frequencies * wanted)
            bias[1, head, half + first : half + first + PAIRS] = -STRENGTH * torch.sin(frequencies * wanted)
