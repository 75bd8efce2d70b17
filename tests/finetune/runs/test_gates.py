"""Gates: what a report must show before its version may serve, at whose thresholds, and who goes past them."""

from pathlib import Path
from typing import Any

import pytest
from rest_framework.test import APIClient

from finetune.models import FineTuneRun, GateThresholds, ModelVersion, Promotion
from finetune.runs import gates
from finetune.runs.gates import BadThreshold, GateMissed
from inspections.models import Line
from tests.cast import Cast
from tests.learning import keep_weights, learning_ids

pytestmark = [pytest.mark.stack, pytest.mark.django_db]


def measured(**changes: Any) -> dict[str, Any]:
    """A report that passes every gate, but for `changes`: {path with underscores: value}."""

    def trial(accuracy: float) -> dict[str, Any]:
        return {"class_accuracy": accuracy, "json_valid": 1.0, "good_called_defect": 0.1, "defect_called_good": 0.05}

    found: dict[str, Any] = {
        "arms": {name: {"0": trial(0.9), "0.3": trial(0.8)} for name in ("base", "version")},
        "gains": {"0": {"mean": 0.02, "low": 0.0, "high": 0.04}, "0.3": {"mean": 0.05, "low": 0.0, "high": 0.1}},
    }
    for name, value in changes.items():
        found["arms"]["version"]["0"][name] = value
    return found


@pytest.fixture
def made(cast: Cast) -> ModelVersion:
    ids = learning_ids(cast)
    FineTuneRun.objects.filter(pk=ids["run_id"]).update(report={"measured": measured()})
    keep_weights(ids["version_id"])
    return ModelVersion.objects.select_related("line", "run").get(pk=ids["version_id"])


def missed(figures: dict[str, Any], line: Line) -> list[str]:
    return [gate["name"] for gate in gates.judged(figures, gates.thresholds_of(line)) if not gate["passed"]]


@pytest.mark.parametrize(
    ("figures", "names"),
    [
        (measured(), []),
        (measured(json_valid=0.9), ["json_valid"]),
        (measured(good_called_defect=0.13), ["false_alarms"]),
        (measured(defect_called_good=0.07), ["missed_defects"]),
        (measured() | {"gains": {"0": {"mean": 0, "low": -0.02, "high": 0.02}}}, ["clean_boxes"]),
        (measured() | {"gains": {"0.3": {"mean": -0.01, "low": -0.1, "high": 0.1}}}, ["moved_boxes"]),
        (measured() | {"gains": {"detector": {"mean": -0.01, "low": -0.1, "high": 0.1}}}, ["detector_boxes"]),
    ],
)
def test_each_gate_is_missed_by_its_own_figure(cast: Cast, figures: dict[str, Any], names: list[str]) -> None:
    assert missed(figures, cast.line) == names


def test_a_gate_whose_trial_is_not_there_is_not_asked(cast: Cast) -> None:
    names = [gate["name"] for gate in gates.judged(measured(), gates.thresholds_of(cast.line))]
    assert names == ["clean_boxes", "moved_boxes", "json_valid", "false_alarms", "missed_defects"]


def test_a_gate_says_its_figure_and_its_threshold(cast: Cast) -> None:
    found = gates.judged(measured(json_valid=0.9), gates.thresholds_of(cast.line))
    (gate,) = (one for one in found if one["name"] == "json_valid")
    assert (gate["figure"], gate["threshold"]) == (0.9, 0.98)
    assert gate["detail"] == "Answers that fit the schema, in the worst trial: 90.0 %; at least 98.0 %."


def test_the_site_sets_thresholds_and_a_line_its_own_among_them(cast: Cast, settings: Any) -> None:
    settings.LEARNING_GATES = {"json_valid": 0.5, "false_alarms": 0.2}
    gates.set_thresholds(line=cast.line, values={"json_valid": 1}, by="ada")

    line, other = Line.objects.get(pk=cast.line.pk), Line.objects.get(pk=cast.other_line.pk)
    assert (gates.thresholds_of(line)["json_valid"], gates.thresholds_of(line)["false_alarms"]) == (1, 0.2)
    assert gates.thresholds_of(other)["json_valid"] == 0.5
    assert GateThresholds.objects.get().changed_by == "ada"


@pytest.mark.parametrize("values", [{"speed": 1}, {"json_valid": True}, {"json_valid": "0.9"}, {"json_valid": 2}])
def test_a_threshold_that_cannot_be_is_refused(cast: Cast, values: dict[str, Any]) -> None:
    with pytest.raises(BadThreshold):
        gates.set_thresholds(line=cast.line, values=values, by="ada")
    assert not GateThresholds.objects.exists()


def test_a_version_is_judged_by_the_thresholds_of_now(made: ModelVersion) -> None:
    assert gates.passed(made)
    gates.set_thresholds(line=made.line, values={"moved_boxes": 0.2}, by="ada")
    with pytest.raises(GateMissed, match="missed moved_boxes"):
        gates.require_passed(made)


def test_a_version_without_a_report_has_passed_nothing(made: ModelVersion) -> None:
    FineTuneRun.objects.update(report=None)
    made = ModelVersion.objects.get(pk=made.pk)
    with pytest.raises(GateMissed, match="was not measured"):
        gates.require_passed(made)


# -- by REST ----------------------------------------------------------------------------------------


def client(who: Any) -> APIClient:
    found = APIClient()
    found.force_login(who)
    return found


def test_only_an_admin_goes_past_a_missed_gate_and_says_why(cast: Cast, made: ModelVersion, tmp_path: Path) -> None:
    gates.set_thresholds(line=made.line, values={"moved_boxes": 0.2}, by="ada")
    address, why = f"/api/v1/model-versions/{made.pk}/promote", {"reason": "The line stands still."}

    assert client(cast.ada).post(address, {}, format="json").json()["code"] == "gate_missed"
    assert client(cast.alice).post(address, why, format="json").status_code == 403
    assert client(cast.ada).post(address, why, format="json").status_code == 200
    assert (Promotion.objects.get().reason, Promotion.objects.get().by) == ("The line stands still.", "ada")


def test_what_passed_its_gates_needs_no_reason(cast: Cast, made: ModelVersion) -> None:
    told = client(cast.alice).get(f"/api/v1/model-versions/{made.pk}").json()
    assert (told["passed"], len(told["gates"])) == (True, 5)
    assert client(cast.alice).post(f"/api/v1/model-versions/{made.pk}/promote", {}, format="json").status_code == 200


def test_thresholds_are_read_by_all_and_set_by_admins(cast: Cast) -> None:
    address = f"/api/v1/lines/{cast.line.pk}/gates"
    assert client(cast.ada).put(address, {"thresholds": {"json_valid": 0.9}}, format="json").status_code == 200
    told = {gate["name"]: gate["threshold"] for gate in client(cast.vera).get(address).json()}
    assert told["json_valid"] == 0.9
    refused = client(cast.ada).put(address, {"thresholds": {"json_valid": 9}}, format="json")
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_threshold")
