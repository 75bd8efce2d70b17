"""What a general multimodal model is asked about a crop, with a version that is stored beside its answers.

The shipped small model needs no words; everything else does. Training draws among the paraphrases so that a model
does not hang on one wording; service uses the first. Knows no model and no transport.
"""

import json
from collections.abc import Sequence
from typing import Any, Final

from scheduling.serving.answers import class_options, model_schema

PROMPT_VERSION: Final = "2"

ASKS: Final = (
    "You inspect manufactured parts. The picture is a crop around a region that a detector marked.",
    "The picture shows part of a product around a place that an automatic detector found suspicious.",
    "Look at this crop from an inspection camera; its middle was marked by a detector.",
    "A detector on the line cut this crop out of a larger frame. Judge what is in its middle.",
    "This is a close view of a region that may be faulty. Describe it for the person who reviews the line.",
    "Examine the centre of this crop, which an edge detector proposed as a defect.",
    "You are a quality engineer. Name and describe what is at the centre of this crop.",
    "The crop comes from a production line. Say what you see in the marked region, and nothing you do not see.",
    "Decide whether the middle of this crop shows a defect, which one, and what it looks like.",
    "Assess the region in this crop as an inspector would write it into a report.",
)
"""Ways to ask; the first is the one in service."""

RULES: Final = (
    "Answer with one JSON object and nothing else. Fields: defect_class, one of {classes}; appearance, one sentence "
    "on what is visible; probable_cause, one sentence; recommended_action, one sentence; confidence, a number from "
    "0 to 1."
)
HINT: Final = 'The detector said "{detector_class}" with score {score:.2f}; it may be wrong.'

SECOND_PICTURE: Final = "The second picture shows the same place of a good part."


def ask(
    *,
    class_names: Sequence[str],
    detector_class: str = "",
    score: float = 0.0,
    ask: str = ASKS[0],
    hint: bool = True,
    template: bool = False,
) -> str:
    """The text that goes with a crop, and with the same cut of the `template` as a second picture where there is one.

    Names are quoted as JSON, so that none can break out of its place.
    """
    classes = ", ".join(json.dumps(name, ensure_ascii=False) for name in class_options(class_names))
    parts = [ask, RULES.format(classes=classes)]
    if template:
        parts.insert(0, SECOND_PICTURE)
    if hint and detector_class:
        quoted = json.dumps(detector_class, ensure_ascii=False)[1:-1]
        parts.insert(-1, HINT.format(detector_class=quoted, score=score))
    return " ".join(parts)


def response_format(class_names: Sequence[str]) -> dict[str, Any]:
    """The answer schema as an OpenAI-compatible server takes it for constrained decoding."""
    return {
        "type": "json_schema",
        "json_schema": {"name": "defect_description", "strict": True, "schema": model_schema(class_names)},
    }
