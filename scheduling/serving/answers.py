"""The one answer schema: what a describer must write, how it is checked, and what the node adds from the box.

Everything a model writes is untrusted: it is parsed, checked against the schema and cleaned here, for every
describer alike. Location, size and severity are computed from the box, never taken from a model. Knows no model.

Own code, because text that is still being written is shown and never parsed, so a library of partial JSON has no use;
and because each field that is wrong gets its sentence, where msgspec would stop at the first.
"""

import json
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

from scheduling.serving.contracts import MAX_TEXT_CHARS, BoxXyxy, SizeWh

NO_DEFECT: Final = "no defect"
"""The class a describer may always choose, whatever the line's classes are."""

TEXT_FIELDS: Final = ("appearance", "probable_cause", "recommended_action")
MODEL_FIELDS: Final = ("defect_class", *TEXT_FIELDS, "confidence")

MAX_RAW_CHARS: Final = 16_000
"""A longer answer is refused before it is parsed."""

MODERATE_SHARE: Final = 0.05
MAJOR_SHARE: Final = 0.10
"""Severity by the box's longer side against the frame's shorter side: below 5 % minor, from 10 % major."""


def class_options(class_names: Sequence[str]) -> tuple[str, ...]:
    """The classes an answer may name: the line's and "no defect", each once, in order."""
    return tuple(dict.fromkeys((*class_names, NO_DEFECT)))


def model_schema(class_names: Sequence[str]) -> dict[str, Any]:
    """JSON schema (draft 2020-12) of the five fields that a model writes."""
    text = {"type": "string", "maxLength": MAX_TEXT_CHARS}
    properties: dict[str, Any] = {
        "defect_class": {"type": "string", "enum": list(class_options(class_names))},
        **dict.fromkeys(TEXT_FIELDS, text),
        "confidence": {"type": "number", "minimum": 0, "maximum": 1},
    }
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def read_answer(raw_text: str, class_names: Sequence[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Parse and check what a model wrote: its usable fields, cleaned, and one sentence for each fault.

    The answer is valid when there are no sentences. A fence around the JSON (```json) is tolerated, as chat
    models add one; any other text around it is a fault.
    """
    try:
        found = json.loads(_unfenced(raw_text[: MAX_RAW_CHARS + 1]), parse_constant=_no_constant)
    except (ValueError, RecursionError):
        if len(raw_text) > MAX_RAW_CHARS:
            return {}, (f"The answer is longer than {MAX_RAW_CHARS} characters.",)
        return {}, ("The answer is not JSON.",)
    if not isinstance(found, dict):
        return {}, (f"The answer is a JSON {_kind(found)}, not an object.",)
    return _checked(found, class_options(class_names))


def complete_answer(answer: dict[str, Any], *, box_xyxy: BoxXyxy, frame_size_wh: SizeWh) -> dict[str, Any]:
    """The answer with location, size and severity of its box."""
    nothing = answer.get("defect_class") == NO_DEFECT
    return answer | {
        "location": location(box_xyxy, frame_size_wh),
        "size": size(box_xyxy, frame_size_wh),
        "severity": "none" if nothing else severity(box_xyxy, frame_size_wh),
    }


def location(box_xyxy: BoxXyxy, frame_size_wh: SizeWh) -> str:
    """In which ninth of the frame the box's centre lies: "upper left" ... "centre" ... "lower right"."""
    x = (box_xyxy[0] + box_xyxy[2]) / 2 / frame_size_wh[0]
    y = (box_xyxy[1] + box_xyxy[3]) / 2 / frame_size_wh[1]
    column = "left" if x < 1 / 3 else "right" if x >= 2 / 3 else "centre"
    row = "upper" if y < 1 / 3 else "lower" if y >= 2 / 3 else "middle"
    if (row, column) == ("middle", "centre"):
        return "centre"
    return f"{row} {column}"


def size(box_xyxy: BoxXyxy, frame_size_wh: SizeWh) -> str:
    """The box in pixels and as a share of the frame's area: "36 x 24 px (0.21 % of the frame)"."""
    width, height = _sides(box_xyxy)
    share = 100 * width * height / (frame_size_wh[0] * frame_size_wh[1])
    return f"{width:.0f} x {height:.0f} px ({share:.2f} % of the frame)"


def severity(box_xyxy: BoxXyxy, frame_size_wh: SizeWh) -> str:
    """minor, moderate or major by the box's longer side against the frame's shorter side."""
    share = max(_sides(box_xyxy)) / min(frame_size_wh)
    if share < MODERATE_SHARE:
        return "minor"
    return "moderate" if share < MAJOR_SHARE else "major"


def clean_text(text: str) -> str:
    """The text without control and direction-changing characters, blanks run together, cut at the limit."""
    kept = "".join(" " if character.isspace() else character for character in text)
    kept = "".join(character for character in kept if unicodedata.category(character) not in ("Cc", "Cf", "Cs"))
    return " ".join(kept.split())[:MAX_TEXT_CHARS]


def _checked(found: dict[str, Any], options: Sequence[str]) -> tuple[dict[str, Any], tuple[str, ...]]:
    answer: dict[str, Any] = {}
    errors = [f"The field {clean_text(key)[:60]!r} is not in the schema." for key in found.keys() - set(MODEL_FIELDS)]
    for field in MODEL_FIELDS:
        if field not in found:
            errors.append(f"The field {field!r} is missing.")
            continue
        value, error = _field(field, found[field], options)
        if error:
            errors.append(error)
        else:
            answer[field] = value
    return answer, tuple(errors)


def _field(field: str, value: Any, options: Sequence[str]) -> tuple[Any, str]:
    if field == "confidence":
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
            return None, "The confidence is not a number in 0..1."
        return float(value), ""
    if not isinstance(value, str):
        return None, f"The field {field!r} is a {_kind(value)}, not text."
    if field == "defect_class":
        return (
            (value, "")
            if value in options
            else (None, f"The class {clean_text(value)[:60]!r} is not one of {', '.join(options)}.")
        )
    if len(value) > MAX_TEXT_CHARS:
        return None, f"The field {field!r} has {len(value)} characters, more than {MAX_TEXT_CHARS}."
    return clean_text(value), ""


def _unfenced(text: str) -> str:
    text = text.strip()
    if text.startswith("```") and text.endswith("```") and "\n" in text:
        return text[text.index("\n") : -3]
    return text


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")


def _kind(value: Any) -> str:
    names = {dict: "object", list: "list", str: "text", bool: "boolean", int: "number", float: "number"}
    return names.get(type(value), "null")


def _sides(box_xyxy: BoxXyxy) -> tuple[float, float]:
    return box_xyxy[2] - box_xyxy[0], box_xyxy[3] - box_xyxy[1]
