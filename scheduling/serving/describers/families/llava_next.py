"""LLaVA-Next: older checkpoints bring no chat template; the one of its Mistral variant is used then."""

from typing import Final

from scheduling.serving.describers.families import Family

FAMILY: Final = Family(
    "LLaVA-Next",
    chat_template=(
        "{% for message in messages %}[INST] {% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}"
        "{% endfor %} [/INST]{% endfor %}"
    ),
)
