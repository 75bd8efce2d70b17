"""How good answers are, field by field: what chooses the best weights of a run, and what the report is made of.

Counts only what the model wrote. A field's score is the macro-F1 over its values: rare classes count as much as
frequent ones. Knows describers by their protocol alone.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from finetune.training.lora.coaugment import Example
from scheduling.serving.answers import TEXT_FIELDS
from scheduling.serving.contracts import AnswerEvent, RegionRequest

FIELDS: Final = ("defect_class", *TEXT_FIELDS)
BATCH: Final = 16


@dataclass(frozen=True)
class Judged:
    """Figures of a set of answers, as shares in 0..1."""

    field_f1: float
    class_accuracy: float
    json_valid: float
    fields: dict[str, float]


def answers_to(describer: Any, examples: Sequence[Example], class_names: Sequence[str]) -> list[AnswerEvent]:
    """The describer's answers in the order of the examples; asked as the node asks it."""
    found: list[AnswerEvent] = []
    for start in range(0, len(examples), BATCH):
        group = examples[start : start + BATCH]
        events = describer.describe(
            [example.crop for example in group],
            [
                RegionRequest(str(number), example.box_xyxy, *(example.hint or ("", 0.0)))
                for number, example in enumerate(group)
            ],
            class_names=class_names,
            frame_size_wh=(1 << 14, 1 << 14),
            is_cancelled=lambda: False,
            templates=[example.template for example in group],
        )
        by_id = {event.region_id: event for event in events if isinstance(event, AnswerEvent)}
        found += [by_id[str(number)] for number in range(len(group))]
    return found


def judge(examples: Sequence[Example], answers: Sequence[AnswerEvent]) -> Judged:
    """Fields that no example knows are left out."""
    fields: dict[str, float] = {}
    for name in FIELDS:
        rows = [
            (str(example.answer[name]), str(event.answer.get(name, "")))
            for example, event in zip(examples, answers, strict=True)
            if name in example.answer
        ]
        if rows:
            fields[name] = round(macro_f1(rows), 4)
    right = [
        event.answer.get("defect_class") == example.answer["defect_class"]
        for example, event in zip(examples, answers, strict=True)
    ]
    return Judged(
        field_f1=round(sum(fields.values()) / len(fields), 4) if fields else 0.0,
        class_accuracy=round(sum(right) / max(1, len(right)), 4),
        json_valid=round(sum(event.valid for event in answers) / max(1, len(answers)), 4),
        fields=fields,
    )


def macro_f1(rows: Sequence[tuple[str, str]]) -> float:
    """The mean over all true values of 2 * hits / (said + true)."""
    true, said = Counter(one for one, _ in rows), Counter(other for _, other in rows)
    hits = Counter(one for one, other in rows if one == other)
    return sum(2 * hits[value] / (true[value] + said[value]) for value in true) / max(1, len(true))
