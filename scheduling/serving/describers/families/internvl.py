"""InternVL: would cut each crop into up to 12 tiles; a crop is small, one look is enough."""

from typing import Final

from scheduling.serving.describers.families import Family

FAMILY: Final = Family(
    "InternVL",
    images={"crop_to_patches": False},
    chat_template=(
        "{% for message in messages %}<|im_start|>{{ message['role'] }}\n"
        "{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<IMG_CONTEXT>\n{% else %}{{ part['text'] }}{% endif %}"
        "{% endfor %}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
)
