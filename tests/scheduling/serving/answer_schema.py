"""What a whole answer looks like, as a JSON schema that tests hold answers against."""

from collections.abc import Sequence
from typing import Any

from scheduling.serving.answers import model_schema


def answer_schema(class_names: Sequence[str]) -> dict[str, Any]:
    """JSON schema of a whole answer: the model's fields and those the node adds."""
    schema = model_schema(class_names)
    schema["properties"] |= {
        "location": {"type": "string"},
        "size": {"type": "string"},
        "severity": {"type": "string", "enum": ["none", "minor", "moderate", "major"]},
    }
    schema["required"] = list(schema["properties"])
    return schema
