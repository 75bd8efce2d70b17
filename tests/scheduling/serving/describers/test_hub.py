"""The door for big models: six families load, describe, are saved and loaded again; odd folders are refused."""

from pathlib import Path

import numpy as np
import pytest

from scheduling.serving.contracts import AnswerEvent, RegionRequest, TokenEvent
from scheduling.serving.describers import load_describer
from scheduling.serving.describers.hub import HubDescriber, enlarged
from tests.scheduling.serving.describers.tiny_models import BUILDERS, build

REGION = RegionRequest("r", (10, 10, 40, 30), "open", 0.5)
CROP = np.random.default_rng(2).integers(0, 256, (30, 45, 3), np.uint8)


def describe(describer: HubDescriber) -> list[TokenEvent | AnswerEvent]:
    return list(
        describer.describe(
            [CROP], [REGION], class_names=("open", "short"), frame_size_wh=(640, 480), is_cancelled=lambda: False
        )
    )


# transformers itself warns while it loads and saves: about its own deprecated names and torch's.
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("family", BUILDERS)
def test_a_family_describes_is_saved_and_describes_alike_when_loaded(family: str, tmp_path: Path) -> None:
    model, processor = build(family)
    first = HubDescriber(model, processor, name=family, version="1", digest="0", max_tokens=12)
    first.save(tmp_path / "saved")
    again = HubDescriber.open(str(tmp_path / "saved"), threads=1, max_tokens=12)

    events, events_again = describe(first), describe(again)
    pieces = [event.text for event in events if isinstance(event, TokenEvent)]
    answer = events[-1]
    assert isinstance(answer, AnswerEvent)
    assert len(pieces) > 1  # streamed, not handed over at the end
    assert "".join(pieces) == answer.raw_text
    assert not answer.valid  # random weights write no JSON, and the answer says so
    assert answer.errors == ("The answer is not JSON.",)
    assert events_again == events
    assert again.model.config.model_type == family
    assert len(again.digest) == 64


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
def test_cancelling_stops_generation_between_tokens() -> None:
    model, processor = build("qwen2_vl")
    describer = HubDescriber(model, processor, name="m", version="1", digest="0", max_tokens=5000)
    seen: list[TokenEvent | AnswerEvent] = []
    for event in describer.describe(
        [CROP], [REGION], class_names=(), frame_size_wh=(9, 9), is_cancelled=lambda: len(seen) >= 3
    ):
        seen.append(event)
    assert 3 <= len(seen) < 50
    assert not any(isinstance(event, AnswerEvent) for event in seen)


@pytest.mark.parametrize(
    ("size_wh", "expected"), [((45, 30), (84, 56)), ((200, 100), (200, 100)), ((1, 300), (56, 448))]
)
def test_small_crops_are_enlarged_to_what_a_family_takes(size_wh: tuple[int, int], expected: tuple[int, int]) -> None:
    picture = enlarged(np.zeros((size_wh[1], size_wh[0], 3), np.uint8), 56)
    assert picture.size == expected


@pytest.mark.parametrize("spec", ["no/such/folder/here", "a b", "../etc"])
def test_a_spec_that_names_nothing_is_refused(spec: str) -> None:
    with pytest.raises(ValueError, match="neither a folder here nor a hub id"):
        load_describer(spec, threads=1)
