"""Tiny random models of the real configuration classes of six families, with processors made on the spot."""

from collections.abc import Callable
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers

from scheduling.serving import torchvision_ops
from scheduling.serving.describers.families import family_of

SPECIALS = [
    "<pad>", "<s>", "</s>", "<image>", "<video>", "<|image_pad|>", "<|video_pad|>", "<|vision_start|>",
    "<|vision_end|>", "<|im_start|>", "<|im_end|>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>",
    "<img>", "</img>", "<IMG_CONTEXT>",
]  # fmt: skip
TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 4096,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
MROPE = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [2, 1, 1]}
SIGLIP = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}


def new_tokenizer(**attributes: str) -> Any:
    """A byte-level tokenizer without merges: every text is its bytes."""
    from transformers import PreTrainedTokenizerFast

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate([*SPECIALS, *alphabet])}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens(SPECIALS)
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        pad_token="<pad>",
        bos_token="<s>",
        eos_token="</s>",
        extra_special_tokens=attributes,
    )


def token_id(token: str) -> int:
    return SPECIALS.index(token)


VOCABULARY = len(SPECIALS) + 256
QWEN_TOKENS: dict[str, Any] = {
    "image_token_id": token_id("<|image_pad|>"),
    "video_token_id": token_id("<|video_pad|>"),
    "vision_start_token_id": token_id("<|vision_start|>"),
    "vision_end_token_id": token_id("<|vision_end|>"),
}


def build(name: str) -> tuple[Any, Any]:
    """(model, processor) of a family, in float32."""
    torchvision_ops.ensure()
    import torch

    torch.manual_seed(3)
    model, processor = BUILDERS[name]()
    processor.chat_template = family_of(name).chat_template
    return model.eval(), processor


def _qwen_processor(kind: str, patch_px: int) -> Any:
    import transformers

    images = transformers.Qwen2VLImageProcessor(
        patch_size=patch_px, size={"shortest_edge": 28 * 28, "longest_edge": 9999}
    )
    video = "Qwen3VLVideoProcessor" if kind == "Qwen3VL" else "Qwen2VLVideoProcessor"
    videos = getattr(transformers, video)(patch_size=patch_px)
    return getattr(transformers, f"{kind}Processor")(images, new_tokenizer(), videos)


def _qwen2_vl() -> tuple[Any, Any]:
    import transformers

    config = transformers.Qwen2VLConfig(
        text_config=TEXT | {"vocab_size": VOCABULARY, "rope_parameters": MROPE},
        vision_config={"depth": 2, "embed_dim": 32, "num_heads": 4, "hidden_size": 32, "patch_size": 14},
        **QWEN_TOKENS,
    )
    return transformers.Qwen2VLForConditionalGeneration(config), _qwen_processor("Qwen2VL", 14)


def _qwen2_5_vl() -> tuple[Any, Any]:
    import transformers

    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 32,
        "patch_size": 14, "fullatt_block_indexes": [1], "window_size": 56,
    }  # fmt: skip
    config = transformers.Qwen2_5_VLConfig(
        text_config=TEXT | {"vocab_size": VOCABULARY, "rope_parameters": MROPE}, vision_config=vision, **QWEN_TOKENS
    )
    return transformers.Qwen2_5_VLForConditionalGeneration(config), _qwen_processor("Qwen2_5_VL", 14)


def _qwen3_vl() -> tuple[Any, Any]:
    import transformers

    vision = {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "num_heads": 4, "out_hidden_size": 32,
        "patch_size": 16, "num_position_embeddings": 64, "deepstack_visual_indexes": [0],
    }  # fmt: skip
    config = transformers.Qwen3VLConfig(
        text_config=TEXT | {"vocab_size": VOCABULARY, "rope_parameters": MROPE}, vision_config=vision, **QWEN_TOKENS
    )
    return transformers.Qwen3VLForConditionalGeneration(config), _qwen_processor("Qwen3VL", 16)


def _smolvlm() -> tuple[Any, Any]:
    import transformers

    config = transformers.SmolVLMConfig(
        text_config=TEXT | {"vocab_size": VOCABULARY, "model_type": "llama"},
        vision_config=SIGLIP | {"image_size": 64, "patch_size": 16},
        image_token_id=token_id("<image>"),
        scale_factor=2,
        pad_token_id=0,  # type: ignore[call-arg]  # it takes it, though its signature does not say so
    )
    images = transformers.SmolVLMImageProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 64})
    videos = transformers.SmolVLMVideoProcessor(size={"longest_edge": 64}, max_image_size={"longest_edge": 64})
    processor = transformers.SmolVLMProcessor(images, new_tokenizer(), videos, image_seq_len=4)
    return transformers.SmolVLMForConditionalGeneration(config), processor


def _llava_next() -> tuple[Any, Any]:
    import transformers

    pinpoints = [[32, 64], [64, 32], [64, 64]]
    config = transformers.LlavaNextConfig(
        text_config=TEXT | {"vocab_size": VOCABULARY, "model_type": "llama"},
        vision_config=SIGLIP | {"image_size": 32, "patch_size": 8, "model_type": "clip_vision_model"},
        image_token_index=token_id("<image>"),
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=-1,
    )
    images = transformers.LlavaNextImageProcessor(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}, image_grid_pinpoints=pinpoints
    )
    processor = transformers.LlavaNextProcessor(
        images, new_tokenizer(), patch_size=8, vision_feature_select_strategy="default", num_additional_image_tokens=1
    )
    return transformers.LlavaNextForConditionalGeneration(config), processor


def _internvl() -> tuple[Any, Any]:
    import transformers

    config = transformers.InternVLConfig(
        text_config=TEXT | {"vocab_size": VOCABULARY, "model_type": "qwen2"},
        vision_config=SIGLIP | {"image_size": [32, 32], "patch_size": [8, 8]},
        image_token_id=token_id("<IMG_CONTEXT>"),
        image_seq_length=4,
    )
    tokenizer = new_tokenizer(
        start_image_token="<img>", end_image_token="</img>", context_image_token="<IMG_CONTEXT>", video_token="<video>"
    )
    images = transformers.GotOcr2ImageProcessor(size={"height": 32, "width": 32})
    videos = transformers.InternVLVideoProcessor(size={"height": 32, "width": 32})
    processor = transformers.InternVLProcessor(images, tokenizer, videos, image_seq_length=4)
    return transformers.InternVLForConditionalGeneration(config), processor


BUILDERS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "qwen2_vl": _qwen2_vl,
    "qwen2_5_vl": _qwen2_5_vl,
    "qwen3_vl": _qwen3_vl,
    "smolvlm": _smolvlm,
    "llava_next": _llava_next,
    "internvl": _internvl,
}
