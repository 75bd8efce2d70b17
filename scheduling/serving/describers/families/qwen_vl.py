"""Qwen2-VL, Qwen2.5-VL and Qwen3-VL: any picture size, refused below one merged patch and at wild aspects.

Their processors scale a picture to whole merged patches (28 px, 32 px for Qwen3-VL) and raise for an aspect over
200, which an enlarged crop cannot have.
"""

from typing import Final

from scheduling.serving.describers.families import Family

CHAT: Final = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
    "{% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<|vision_start|><|image_pad|><|vision_end|>{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)

FAMILY: Final = Family("Qwen2-VL", least_side_px=112, chat_template=CHAT)
QWEN3: Final = Family("Qwen3-VL", least_side_px=128, chat_template=CHAT)
