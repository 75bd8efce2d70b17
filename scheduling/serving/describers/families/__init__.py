"""What differs between families of multimodal models, as `transformers` serves them: one small file each.

A model without an entry is asked in the common way. Add a family: one file here, one line in `family_of`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Family:
    """How a family wants its picture and its text.

    `least_side_px` is the side under which its picture processor refuses or distorts a crop; smaller crops are
    enlarged. `images` go to the picture processor with each call, `chat_template` stands in where a checkpoint
    brings none.
    """

    name: str
    least_side_px: int = 56
    images: Mapping[str, Any] = field(default_factory=dict)
    chat_template: str = ""


def family_of(model_type: str) -> Family:
    """The family of a configuration's `model_type`; the common way where none is listed."""
    from scheduling.serving.describers.families import internvl, llava_next, qwen_vl, smolvlm

    families: dict[str, Family] = {
        "qwen2_vl": qwen_vl.FAMILY,
        "qwen2_5_vl": qwen_vl.FAMILY,
        "qwen3_vl": qwen_vl.QWEN3,
        "smolvlm": smolvlm.FAMILY,
        "llava_next": llava_next.FAMILY,
        "internvl": internvl.FAMILY,
    }
    return families.get(model_type, Family(model_type))
