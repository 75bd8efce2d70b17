"""The small describer's architecture: a Qwen2-VL of a few million parameters, built from its real configuration.

Knows nothing about crops, texts or training.
"""

from typing import Any, Final

from scheduling.serving.describers.small_forward import Layout
from scheduling.serving.describers.small_tokens import AnswerTokens

LAYOUT: Final = Layout(side_px=80, patch_px=10, merge=2)
LONGEST_TOKENS: Final = 512


def new_model(tokens: AnswerTokens, layout: Layout = LAYOUT) -> Any:
    """A randomly initialised `Qwen2VLForConditionalGeneration`; seed torch before."""
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
        "temporal_patch_size": 1,
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
    return Qwen2VLForConditionalGeneration(config)
