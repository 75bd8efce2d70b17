"""A detector, a describer and a policy are added by what their how-tos say: the file that stands there, and a line."""

import importlib
import random
import re
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from scheduling.policy import POLICIES, FleetState, Item, NodeState, get_policy
from scheduling.policy import baselines as baseline_files
from scheduling.serving import describers, detectors
from scheduling.serving.backend.describing import DescribeWork, describe_events
from scheduling.serving.backend.detecting import Detected, DetectWork, detect_batch
from scheduling.serving.backend.options import NodeOptions, open_describer, open_detector, open_trained_on
from scheduling.serving.contracts import AnswerEvent, DescribeRequest, DoneEvent, RegionRequest
from tests.boards import file_of

HOW_TO = Path(__file__).resolve().parents[2] / "docs" / "how-to"
Written = Callable[[str, ModuleType, str], None]


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Written:
    """Puts the code of a how-to, indented in its list, into a file of that package."""

    def write(page: str, package: ModuleType, name: str) -> None:
        code = re.search(r"```python\n(.*?)\n *```", (HOW_TO / page).read_text(), re.DOTALL)
        assert code is not None
        (tmp_path / f"{name}.py").write_text(textwrap.dedent(code.group(1)))
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(tmp_path)])
        monkeypatch.delitem(sys.modules, f"{package.__name__}.{name}", raising=False)

    return write


def test_a_detector_is_a_file_and_a_line(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    written("add-a-detector.md", detectors, "brightest_spot")
    monkeypatch.setitem(detectors.DETECTORS, "brightest-spot", "brightest_spot")
    options = NodeOptions(detector="brightest-spot")
    picture = np.zeros((700, 1200, 3), np.uint8)  # large enough for tiles
    picture[640:656, 1100:1116] = 255

    detector = open_detector(options)
    trained_on = open_trained_on(options, detector)
    (answer,) = detect_batch(detector, [DetectWork(file_of(picture, "PNG"), b"", 0.9, 0.0)], trained_on=trained_on)

    assert isinstance(answer, Detected)
    (region,) = answer.regions
    assert (region.class_name, answer.meta.model, answer.meta.products) == ("glare", "brightest-spot", ("gear-wheel",))
    x0, y0, x1, y1 = region.box_xyxy
    assert 1090 <= x0 < x1 <= 1126
    assert 630 <= y0 < y1 <= 666


def test_a_describer_is_a_file_and_a_line(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    written("add-a-describer.md", describers, "plain_words")
    monkeypatch.setitem(describers.DESCRIBERS, "plain-words", "plain_words")
    region = RegionRequest("7", (8.0, 8.0, 16.0, 16.0), "scratch", 0.5)
    work = DescribeWork(
        (file_of(np.zeros((32, 32, 3), np.uint8), "PNG"),), DescribeRequest("1", (64, 64), ("scratch",), (region,))
    )

    describer = open_describer(NodeOptions(describer="plain-words"))
    *events, done = describe_events(describer, work, queue_ms=0.0, is_cancelled=lambda: False)

    (answer,) = [event for event in events if isinstance(event, AnswerEvent)]
    assert answer.valid, answer.errors
    assert answer.answer["appearance"] == "Looks like scratch."
    assert answer.answer["location"] == "upper left"
    assert isinstance(done, DoneEvent)
    assert done.model == "plain-words"


def test_a_policy_is_a_file_and_a_line(written: Written, monkeypatch: pytest.MonkeyPatch) -> None:
    written("add-a-policy.md", baseline_files, "fewest_bytes")
    added = importlib.import_module("scheduling.policy.baselines.fewest_bytes")
    monkeypatch.setitem(POLICIES, "fewest-bytes", lambda rng: added.FewestBytes())
    laden, idle = NodeState("laden", capacity=9), NodeState("idle", capacity=9)
    laden.sent("large", 0.0, 1e6, "edge_detector")
    idle.sent("small", 0.0, 1e3, "edge_detector")
    idle.sent("small too", 0.0, 1e3, "edge_detector")

    policy = get_policy("fewest-bytes", random.Random(1))
    (placed,) = policy.place([Item("1", "edge_detector", 1000, 2.0, 1.0)], FleetState.of([laden, idle]), 1.0)

    assert placed.node == "idle"
    assert policy.description == "Fewest bytes: the Node with the least on its way to it."


@pytest.mark.parametrize(
    ("page", "files"),
    [
        ("add-a-detector.md", ("serving/detectors/brightest_spot.py", "serving/detectors/__init__.py")),
        ("add-a-describer.md", ("serving/describers/plain_words.py", "serving/describers/__init__.py")),
        ("add-a-policy.md", ("policy/baselines/fewest_bytes.py", "policy/registry.py")),
    ],
)
def test_a_how_to_counts_its_files(page: str, files: tuple[str, str]) -> None:
    text = (HOW_TO / page).read_text()

    assert re.findall(r"^\d\. `scheduling/([^`]+\.py)`", text, re.MULTILINE) == list(files)
    assert "touches two files" in text
