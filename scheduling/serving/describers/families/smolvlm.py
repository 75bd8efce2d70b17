"""SmolVLM: would cut each crop into tiles and look at every one; a crop is small, one look is enough."""

from typing import Final

from scheduling.serving.describers.families import Family

FAMILY: Final = Family(
    "SmolVLM",
    images={"do_image_splitting": False},
    chat_template=(
        "<|im_start|>{% for message in messages %}{{ message['role'] | capitalize }}:"
        "{% for part in message['content'] %}"
        "{% if part['type'] == 'image' %}<image>{% else %}{{ part['text'] }}{% endif %}"
        "{% endfor %}<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
    ),
)
