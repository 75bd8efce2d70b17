"""Measure base and version on the test split and write it down: `report.json`, `answers.jsonl`, the worst crops.

Every figure of the report follows from `answers.jsonl`, which has a line for each crop of each trial. The page and
the file that people read are drawn from `report.json` elsewhere.
"""

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import cv2
import psutil

from finetune.training.lora.coaugment import Example
from finetune.training.lora.judging import answers_to, judge
from finetune.training.report import figures, texts
from finetune.training.report.figures import Answered
from finetune.training.report.trials import DETECTOR, Trial
from scheduling.serving.answers import NO_DEFECT, TEXT_FIELDS
from scheduling.serving.contracts import AnswerEvent, Describer

FORMAT: Final = 1
FILE: Final = "report.json"
ANSWERS: Final = "answers.jsonl"
CROPS: Final = "crops"
CHUNK: Final = 64
WORST: Final = 12
BASE, VERSION = "base", "version"
MIB: Final = 1 << 20


@dataclass(frozen=True)
class Arm:
    """Who answers: opened only when it is its turn, so that one model at a time is in memory."""

    name: str
    title: str
    open: Callable[[], Describer]


@dataclass(frozen=True)
class Measured:
    """The answers of an arm in a trial, in the order of its crops."""

    trial: Trial
    events: list[AnswerEvent]

    @property
    def rows(self) -> list[Answered]:
        return [_answered(*pair) for pair in zip(self.trial.examples, self.events, strict=True)]


def _answered(example: Example, event: AnswerEvent) -> Answered:
    said, sure = event.answer.get("defect_class"), event.answer.get("confidence")
    confidence = min(1.0, max(0.0, float(sure))) if isinstance(sure, int | float) else 0.0
    return Answered(example.frame, example.answer["defect_class"], str(said or ""), confidence, event.valid)


def write_report(
    folder: Path,
    trials: Sequence[Trial],
    arms: Sequence[Arm],
    class_names: Sequence[str],
    *,
    about: dict[str, Any],
    between: Callable[[], None],
    told: Callable[..., None],
) -> dict[str, Any]:
    """The report as it was written. `between` is called now and then and may raise; `told` hears each arm's trial."""
    started = time.monotonic()
    measured: dict[str, dict[str, Measured]] = {}
    for place, arm in enumerate(arms):
        describer = arm.open()
        measured[arm.name] = {}
        for number, trial in enumerate(trials, start=1):
            events = _answers(describer, trial, class_names, between)
            measured[arm.name][trial.name] = found = Measured(trial, events)
            accuracy = figures.shares(found.rows)["class_accuracy"]
            done, of = place * len(trials) + number, len(arms) * len(trials)
            told(arm=arm.name, trial=trial.name, class_accuracy=accuracy, done=done, of=of)
        del describer
    folder.mkdir(parents=True, exist_ok=True)
    report = {
        "format": FORMAT,
        "classes": list(class_names),
        "trials": [trial.name for trial in trials],
        "arms": {arm.name: _arm(arm, measured[arm.name], class_names) for arm in arms},
        "gains": _gains(measured),
        "worst": _worst(folder / CROPS, measured),
        "answers": _write_answers(folder / ANSWERS, measured),
        "report_seconds": round(time.monotonic() - started, 1),
        "memory_mib": psutil.Process().memory_info().rss // MIB,
        **about,
    }
    partial = folder / (FILE + ".partial")
    partial.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    partial.replace(folder / FILE)
    return report


def digest_of_file(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _answers(
    describer: Describer, trial: Trial, class_names: Sequence[str], between: Callable[[], None]
) -> list[AnswerEvent]:
    found: list[AnswerEvent] = []
    for start in range(0, len(trial.examples), CHUNK):
        between()
        found += answers_to(describer, trial.examples[start : start + CHUNK], class_names)
    return found


def _arm(arm: Arm, measured: dict[str, Measured], class_names: Sequence[str]) -> dict[str, Any]:
    """Shares by trial; confusion and texts on the boxes that people drew, calibration on the detector's, if any."""
    first = next(iter(measured.values()))
    own = measured.get(DETECTOR, first)
    return {
        "title": arm.title,
        "trials": {name: {**figures.shares(one.rows), **_fields(one)} for name, one in measured.items()},
        "confusion": figures.confusion(first.rows, class_names),
        "calibration": figures.calibration(own.rows),
        "texts": _texts(first),
    }


def _fields(one: Measured) -> dict[str, Any]:
    judged = judge(one.trial.examples, one.events)
    known: dict[str, list[bool]] = {}
    for example, event in zip(one.trial.examples, one.events, strict=True):
        for name in (name for name in TEXT_FIELDS if name in example.answer):
            known.setdefault(name, []).append(event.valid and event.answer.get(name) == example.answer[name])
    right = {name: figures.share(rows) for name, rows in known.items()}
    return {"field_f1": judged.field_f1, "fields": judged.fields, "field_accuracy": right}


def _texts(one: Measured) -> dict[str, Any]:
    """Of the words that somebody wrote about a place; None where nobody did."""
    pairs = [
        (example.answer[name], str(event.answer.get(name, "")))
        for example, event in zip(one.trial.examples, one.events, strict=True)
        for name in TEXT_FIELDS
        if name in example.answer
    ]
    if not pairs:
        return {"pairs": 0, "rouge_l": None, "bleu": None}
    return {"pairs": len(pairs), "rouge_l": round(texts.rouge_l(pairs), 4), "bleu": round(texts.bleu(pairs), 4)}


def _gains(measured: dict[str, dict[str, Measured]]) -> dict[str, Any]:
    """Of the version over the base, by trial."""
    before, after = measured[BASE], measured[VERSION]
    return {name: figures.gain(before[name].rows, after[name].rows) for name in before}


def _worst(folder: Path, measured: dict[str, dict[str, Measured]]) -> list[dict[str, Any]]:
    """Crops that the version names wrong, the surest first, and a defect called good before all others."""
    folder.mkdir(parents=True, exist_ok=True)
    name = DETECTOR if DETECTOR in measured[VERSION] else next(iter(measured[VERSION]))
    mine, base = measured[VERSION][name], measured[BASE][name]
    rows = list(zip(mine.trial.examples, mine.rows, base.rows, strict=True))
    wrong = [row for row in rows if not row[1].right]
    wrong.sort(key=lambda row: (row[1].said != NO_DEFECT, -row[1].confidence))
    return [_kept(folder, number, *row) for number, row in enumerate(wrong[:WORST])]


def _kept(folder: Path, number: int, example: Example, mine: Answered, base: Answered) -> dict[str, Any]:
    path = folder / f"{number}.png"
    path.write_bytes(png_of(example))
    said = {"said": mine.said, "confidence": round(mine.confidence, 4), "valid": mine.valid, "base_said": base.said}
    return {"picture": f"{CROPS}/{path.name}", "frame": example.frame, "truth": mine.truth, **said}


def png_of(example: Example) -> bytes:
    return bytes(cv2.imencode(".png", cv2.cvtColor(example.crop, cv2.COLOR_RGB2BGR))[1])


def _write_answers(path: Path, measured: dict[str, dict[str, Measured]]) -> dict[str, Any]:
    lines = []
    for arm, trials in measured.items():
        for name, one in trials.items():
            for example, row in zip(one.trial.examples, one.rows, strict=True):
                box = [round(value, 1) for value in example.box_xyxy]
                lines.append(json.dumps({"arm": arm, "trial": name, "box_xyxy": box, **asdict(row)}))
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return {"path": ANSWERS, "digest": digest_of_file(path), "rows": len(lines)}
