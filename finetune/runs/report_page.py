"""A run's report as people read it: tables, the lines and squares of its plots, sentences. Computes no figure.

The same parts make the page and the file that can be kept: `templates/parts/report.html`.
"""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from finetune.models import FineTuneRun, State
from finetune.runs.gates import percent

WIDTH, HEIGHT, LEFT, BOTTOM = 360, 200, 36, 24
"""Of a plot in its own units: room for the numbers at its left and below."""
SHADES = 9
DETECTOR = "detector"
TITLES = {"0": "Boxes as drawn", DETECTOR: "The detector's own boxes"}
SHARES = (
    ("class_accuracy", "Class right"),
    ("field_f1", "Field F1"),
    ("json_valid", "Fits the schema"),
    ("good_called_defect", "Good crops called defects"),
    ("defect_called_good", "Defects called good"),
)
FIELDS = {
    "appearance": "Appearance",
    "probable_cause": "Probable cause",
    "recommended_action": "Recommended action",
}
Report = Mapping[str, Any]


def parts_of(run: FineTuneRun, report: Report, gates: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Everything that the template draws. Raises KeyError, TypeError or ValueError for what is no report of ours."""
    arms = _arms(run, report)
    return {
        "run": run,
        "sentence": _sentence(report),
        "gates": gates,
        "passed": bool(gates) and all(gate["passed"] for gate in gates),
        "arms": [title for title, _ in arms],
        "accuracy": [_accuracy_row(name, arms, report["gains"].get(name)) for name in report["trials"]],
        "noise": _noise_plot(report["trials"], arms),
        "shares": [_share_table(name, title, report["trials"], arms) for name, title in SHARES[1:]],
        "fields": _field_rows(report),
        "texts": _text_rows(report),
        "confusions": [_confusion(report["arms"][name]) for name in ("base", "version")],
        "calibrations": [_calibration(report["arms"][name]) for name in ("base", "version")],
        "worst": [_worst(number, one) for number, one in enumerate(report["worst"])],
        "cost": _cost(report),
        "digests": sorted((str(name), str(digest)) for name, digest in report["digests"].items()),
        "recipe": sorted((str(name), str(value)) for name, value in report["recipe"].items()),
        "packages": sorted((str(name), str(value)) for name, value in report["packages"].items()),
    }


def _arms(run: FineTuneRun, report: Report) -> list[tuple[str, Mapping[str, Any]]]:
    """Title and shares by trial: the base, the version, and what a sister of the other augmentation reached."""
    titles = {"co": "Augmented", "plain": "Plain"}
    mine = str(run.settings.get("augmentation", ""))
    found = [("Base", report["arms"]["base"]["trials"])]
    sister = _sister(run)
    if sister is not None:
        trials = (sister.report or {})["measured"]["arms"]["version"]
        found.append((titles.get(str(sister.settings.get("augmentation")), "Other"), trials))
    return [*found, (titles.get(mine, "Version"), report["arms"]["version"]["trials"])]


def _sister(run: FineTuneRun) -> FineTuneRun | None:
    """The newest run on the same version and seed with the other augmentation: measured on the very same crops."""
    others = FineTuneRun.objects.filter(version=run.version, kind=run.kind, seed=run.seed, state=State.SUCCEEDED)
    rows = others.exclude(pk=run.pk).exclude(settings__augmentation=run.settings.get("augmentation"))
    same = ("most_report_places", "good_share")
    for row in rows.filter(report__has_key="measured")[:20]:
        if all(row.settings.get(name) == run.settings.get(name) for name in same):
            return row
    return None


def _sentence(report: Report) -> str:
    base, mine = (report["arms"][name]["trials"]["0"] for name in ("base", "version"))
    if mine["class_accuracy"] is None:
        return "The test split has no crop to measure on."
    return (
        f"On {mine['crops']} crops that nothing was chosen by, the version names the class right in "
        f"{percent(mine['class_accuracy'])}, its base in {percent(base['class_accuracy'])}."
    )


def title_of(trial: str) -> str:
    return TITLES.get(trial, f"Box noise {trial}")


def shown(value: Any) -> str:
    return "–" if value is None else percent(float(value))


def _accuracy_row(name: str, arms: Sequence[tuple[str, Any]], gain: Mapping[str, float] | None) -> dict[str, Any]:
    values = [trials.get(name, {}).get("class_accuracy") for _, trials in arms]
    crops = arms[-1][1].get(name, {}).get("crops", 0)
    row: dict[str, Any] = {"title": title_of(name), "crops": crops, "values": [shown(value) for value in values]}
    if gain is not None:
        low, mean, high = (100 * gain[end] for end in ("low", "mean", "high"))
        row["gain"] = f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
        row["sure"] = "better" if low > 0 else "worse" if high < 0 else "open"
    return row


def _share_table(name: str, title: str, trials: Sequence[str], arms: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    values = [(title_of(t), [shown(of.get(t, {}).get(name)) for _, of in arms]) for t in trials]
    return {"title": title, "rows": values}


def _field_rows(report: Report) -> list[dict[str, Any]]:
    """Exact words of each text field on boxes as drawn; fields that nobody wrote are not there."""
    base, mine = (report["arms"][name]["trials"]["0"]["field_accuracy"] for name in ("base", "version"))
    return [{"title": FIELDS.get(name, name), "values": [shown(base.get(name)), shown(mine[name])]} for name in mine]


def _text_rows(report: Report) -> dict[str, Any]:
    base, mine = (report["arms"][name]["texts"] for name in ("base", "version"))
    rows = [(title, shown(base[key]), shown(mine[key])) for key, title in (("rouge_l", "ROUGE-L"), ("bleu", "BLEU"))]
    return {"pairs": mine["pairs"], "rows": rows}


# -- plots ------------------------------------------------------------------------------------------


def _x(share: float) -> float:
    return round(LEFT + share * (WIDTH - LEFT - 8), 1)


def _y(share: float) -> float:
    return round(8 + (1 - share) * (HEIGHT - BOTTOM - 8), 1)


def _noise_plot(trials: Sequence[str], arms: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    noises = [float(name) for name in trials if name != DETECTOR]
    most = max(noises) or 1.0
    lines = []
    for number, (title, of) in enumerate(arms):
        values = [(noise, of.get(f"{noise:g}", {}).get("class_accuracy")) for noise in noises]
        dots = [(_x(noise / most), _y(value), percent(value)) for noise, value in values if value is not None]
        path = " ".join(f"{x},{y}" for x, y, _ in dots)
        lines.append({"title": title, "number": number, "path": path, "dots": dots, "last": dots[-1] if dots else None})
    return {
        "width": WIDTH,
        "height": HEIGHT,
        "lines": lines,
        "down": [(f"{share:.0%}", _y(share)) for share in (0.0, 0.25, 0.5, 0.75, 1.0)],
        "across": [(f"{noise:g}", _x(noise / most)) for noise in noises],
    }


def _calibration(arm: Mapping[str, Any]) -> dict[str, Any]:
    found = arm["calibration"]
    most = max((each["crops"] for each in found["bins"]), default=1)
    dots = [
        {
            "x": _x(each["confidence"]),
            "y": _y(each["accuracy"]),
            "r": round(3 + 6 * (each["crops"] / most) ** 0.5, 1),
            "title": f"{each['crops']} crops: sure {percent(each['confidence'])}, right {percent(each['accuracy'])}",
        }
        for each in found["bins"]
    ]
    ticks = [(f"{share:.0%}", _x(share), _y(share)) for share in (0.0, 0.5, 1.0)]
    return {"title": arm["title"], "ece": shown(found["ece"]), "dots": dots, "ticks": ticks, "width": WIDTH,
            "height": HEIGHT, "from": (_x(0), _y(0)), "to": (_x(1), _y(1))}  # fmt: skip


def _confusion(arm: Mapping[str, Any]) -> dict[str, Any]:
    """A row for each class that is there; the shade of a square is its share of the row."""
    found = arm["confusion"]
    rows = []
    for name, counts in zip(found["true"], found["counts"], strict=True):
        whole = sum(counts)
        cells = [
            {"count": count, "shade": round(SHADES * count / whole) if whole else 0, "right": said == name}
            for said, count in zip(found["said"], counts, strict=True)
        ]
        rows.append({"name": name, "cells": cells, "whole": whole})
    return {"title": arm["title"], "said": found["said"], "rows": [row for row in rows if row["whole"]]}


# -- the rest ---------------------------------------------------------------------------------------


def _worst(number: int, one: Mapping[str, Any]) -> dict[str, Any]:
    said = str(one["said"]) if one["valid"] else "no answer that fits"
    return {"number": number, "truth": one["truth"], "said": said, "sure": percent(one["confidence"]),
            "base_said": one["base_said"] or "nothing", "frame": one["frame"]}  # fmt: skip


def _cost(report: Report) -> list[tuple[str, str]]:
    told = report["estimate"]
    rows = [
        ("Training", _time(report["trained_seconds"])),
        ("This report", _time(report["report_seconds"])),
        ("Foreseen, both together", _time(told["seconds"])),
        ("Steps", f"{report['steps']:,}"),
        ("Memory", f"{report['memory_mib']:,} MiB; {told['memory_mib']:,} foreseen"),
        ("Parameters", f"{told['trained_parameters']:,} trained of {told['parameters']:,}"),
        ("Answers kept", f"{report['answers']['rows']:,}"),
    ]
    return [(title, str(value)) for title, value in rows]


def _time(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
