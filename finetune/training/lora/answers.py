"""What an answer says where nobody wrote it: about good places, and about products that the base knows nothing of.

A base that was trained on boards would describe steel in words about copper. So a region of a class that is new to
the base gets plain texts that follow from its class and its box, until people write better ones. Texts of a class
that the base knows are not made up: they stay what the base writes.
"""

from collections.abc import Sequence
from typing import Final

from finetune.training.describer_texts import NOTHING
from finetune.training.lora.coaugment import Example
from scheduling.serving.answers import NO_DEFECT, TEXT_FIELDS

GOOD: Final = {
    "appearance": "No mark; the surface looks as it should.",
    "probable_cause": "None, the region looks good.",
    "recommended_action": "Accept the region.",
}
LONG: Final = 1.6
"""Longer side over shorter side from which a region counts as longish."""


def answer_texts(example: Example, base_classes: Sequence[str], *, own_product: bool) -> dict[str, str]:
    """`defect_class` and every text that is known or may be stated plainly.

    `own_product`: whether the dataset's classes are the base's, so that its words fit.
    """
    answer = dict(example.answer)
    if answer["defect_class"] == NO_DEFECT and not answer.keys() & set(TEXT_FIELDS):
        texts = NOTHING if own_product else GOOD
        return answer | {name: texts[name] for name in TEXT_FIELDS}
    if answer["defect_class"] in base_classes or answer["defect_class"] == NO_DEFECT:
        return answer
    return _plain(example) | answer


def _plain(example: Example) -> dict[str, str]:
    x0, y0, x1, y1 = example.box_xyxy
    width, height = x1 - x0, y1 - y0
    form = "compact region"
    if width > LONG * height:
        form = "region that lies flat"
    elif height > LONG * width:
        form = "region that stands upright"
    defect_class = example.answer["defect_class"]
    return {
        "appearance": f"{defect_class}: a {form}.",
        "probable_cause": "Not known yet.",
        "recommended_action": "Show it to an inspector.",
    }
