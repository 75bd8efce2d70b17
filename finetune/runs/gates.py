"""The gates before promotion: what a version's report must show before it may serve a Line.

Each gate has a threshold: the site's (setting LEARNING_GATES), or the Line's own. A gate whose trial the report does
not have is not asked, and the report says what it was measured on; without any report nothing is passed. Differences
are those of the version to its base.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from django.conf import settings

from aivd_web.kernel.errors import Conflict, Unprocessable
from finetune.models import GateThresholds, ModelVersion
from inspections.models import Line

Measured = Mapping[str, Any]
"""`reports.summary` of the run that made the version."""


class GateMissed(Conflict):
    code = "gate_missed"
    hint = "Improve it; or an admin gives a reason to promote it all the same."


class BadThreshold(Unprocessable):
    code = "bad_threshold"
    hint = "Thresholds are shares from -1 to 1: 0.02 is two points."


def percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def points(share: float) -> str:
    """A difference of two shares."""
    return f"{100 * share:+.1f} points"


@dataclass(frozen=True)
class Gate:
    """`figure` is None where the report does not have what it asks. `at_least`: else at most."""

    name: str
    title: str
    figure: Callable[[Measured], float | None]
    default: float
    at_least: bool = True
    words: Callable[[float], str] = percent

    def judged(self, measured: Measured, threshold: float) -> dict[str, Any] | None:
        figure = self.figure(measured)
        if figure is None:
            return None
        passed = figure >= threshold if self.at_least else figure <= threshold
        word = "at least" if self.at_least else "at most"
        detail = f"{self.title}: {self.words(figure)}; {word} {self.words(threshold)}."
        return {"name": self.name, "title": self.title, "passed": passed, "figure": figure, "threshold": threshold,
                "detail": detail}  # fmt: skip


def _gain(trial: str, end: str) -> Callable[[Measured], float | None]:
    return lambda measured: (measured["gains"].get(trial) or {}).get(end)


def _more(name: str) -> Callable[[Measured], float | None]:
    """How much more often than the base, on boxes as people drew them."""

    def figure(measured: Measured) -> float | None:
        before, after = (measured["arms"][arm].get("0", {}).get(name) for arm in ("base", "version"))
        return None if before is None or after is None else round(after - before, 4)

    return figure


def _least_valid(measured: Measured) -> float | None:
    found = [trial["json_valid"] for trial in measured["arms"]["version"].values() if trial["json_valid"] is not None]
    return min(found, default=None)


GATES = (
    Gate("clean_boxes", "Class accuracy on boxes as drawn, at worst (95 %)", _gain("0", "low"), -0.01, words=points),
    Gate("moved_boxes", "Class accuracy at box noise 0.3", _gain("0.3", "mean"), 0.0, words=points),
    Gate("detector_boxes", "Class accuracy on the detector's own boxes", _gain("detector", "mean"), 0.0, words=points),
    Gate("json_valid", "Answers that fit the schema, in the worst trial", _least_valid, 0.98),
    Gate("false_alarms", "Good crops called defects", _more("good_called_defect"), 0.02, at_least=False, words=points),
    Gate("missed_defects", "Defects called good", _more("defect_called_good"), 0.01, at_least=False, words=points),
)


def of(version: ModelVersion) -> list[dict[str, Any]]:
    """The version's gates by its Line's thresholds of now; as they were registered where no run of ours made it."""
    measured = ((version.run.report if version.run else None) or {}).get("measured")
    return judged(measured, thresholds_of(version.line)) if measured else list(version.gates)


def judged(measured: Measured, thresholds: Mapping[str, float]) -> list[dict[str, Any]]:
    found = (gate.judged(measured, thresholds[gate.name]) for gate in GATES)
    return [each for each in found if each is not None]


def passed(version: ModelVersion) -> bool:
    found = of(version)
    return bool(found) and all(gate.get("passed") is True for gate in found)


def require_passed(version: ModelVersion, *, reason: str = "") -> None:
    """Raises GateMissed where the version missed a gate or was never measured, and nobody says why all the same."""
    if reason.strip() or passed(version):
        return
    missed = [str(gate.get("name", "?")) for gate in of(version) if gate.get("passed") is not True]
    what = f"missed {', '.join(missed)}" if missed else "was not measured against its gates"
    raise GateMissed(f"{version} {what}.")


# -- thresholds -------------------------------------------------------------------------------------


def thresholds_of(line: Line) -> dict[str, float]:
    """The Line's own among the site's."""
    own = getattr(line, "gate_thresholds", None)
    site = {gate.name: site_threshold(gate) for gate in GATES}
    return site | {name: float(value) for name, value in (own.values if own else {}).items() if name in site}


def told(line: Line) -> list[dict[str, Any]]:
    """Each gate with the site's threshold and the one that holds for the Line."""
    holds = thresholds_of(line)
    return [
        {"name": gate.name, "title": gate.title, "at_least": gate.at_least, "site": site_threshold(gate),
         "threshold": holds[gate.name]}
        for gate in GATES
    ]  # fmt: skip


def site_threshold(gate: Gate) -> float:
    return float(settings.LEARNING_GATES.get(gate.name, gate.default))


def set_thresholds(*, line: Line, values: Mapping[str, Any], by: str) -> dict[str, float]:
    """Replace the Line's own thresholds; what is left out is the site's again. Raises BadThreshold."""
    known = {gate.name for gate in GATES}
    for name, value in values.items():
        if name not in known:
            raise BadThreshold(f"There is no gate '{name[:40]}'.", hint=f"There are {', '.join(sorted(known))}.")
        if isinstance(value, bool) or not isinstance(value, int | float) or not -1 <= value <= 1:
            raise BadThreshold(f"The threshold of {name} is a share from -1 to 1, not {value!r:.40}.")
    own, _ = GateThresholds.objects.update_or_create(
        line=line, defaults={"values": {name: float(value) for name, value in values.items()}, "changed_by": by}
    )
    line.gate_thresholds = own
    return thresholds_of(line)
