"""The training commands find their modules, and name what they do not know."""

import json
from types import SimpleNamespace

import pytest

from finetune.training import __main__ as commands


def test_check_prints_the_figures_of_all_models_as_its_last_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seeds = []

    def model(name: str) -> SimpleNamespace:
        return SimpleNamespace(
            check=lambda *, seed: seeds.append(seed) or {"extra_" + name: 1, name: 0.5},
            shipped_figures=lambda: {name: 0.75},
        )

    names = ("detector_map50", "describer_class_accuracy", "fact_accuracy", "fact_baseline", "json_valid")
    monkeypatch.setattr(commands, "_shipped", lambda: [model(name) for name in names])
    commands.main(["check"])
    lines = capsys.readouterr().out.splitlines()
    figures = json.loads(lines[-1])
    assert tuple(figures)[:6] == ("seed", *names)
    assert figures["seed"] == seeds[0] == seeds[1] >= 1 << 40
    assert {figures[name] for name in names} == {0.5}
    assert lines[0] == "detector_map50                 0.5000, in metrics.json 0.7500: -0.2500"


def test_check_takes_a_seed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(commands, "_shipped", list)
    commands.main(["check", "--seed", "12"])
    assert json.loads(capsys.readouterr().out) == {"seed": 12}


def test_an_unknown_command_ends_with_an_error(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="unknown command 'bake'"):
        commands.main(["bake"])
    assert "detector, describer" in capsys.readouterr().out


def test_help_ends_well(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        commands.main([])
    assert ended.value.code == 0
