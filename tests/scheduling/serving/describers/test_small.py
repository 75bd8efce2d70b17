"""The small describer: its forward pass is the real model's, its answers are valid whatever the weights are."""

import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
import torch

from finetune.boards import CLASSES as BOARD_CLASSES
from finetune.boards import generate_board
from scheduling.serving.answers import class_options
from scheduling.serving.contracts import AnswerEvent, RegionRequest, Rgb, TokenEvent
from scheduling.serving.crops import cut_crop, letterbox
from scheduling.serving.describers import SMALL, load_describer
from scheduling.serving.describers.small import BATCH, SmallDescriber, Writing
from scheduling.serving.describers.small_drafts import REMEMBERED, Drafts
from scheduling.serving.describers.small_forward import Writer, see
from scheduling.serving.nodes import PROJECT_ROOT
from tests.scheduling.serving.answer_schema import answer_schema
from tests.scheduling.serving.describers.small_folder import write_small_folder

CLASSES = ("open", "short", "pin", "pin-hole")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, SmallDescriber]:
    folder = tmp_path_factory.mktemp("small")
    model = write_small_folder(folder)
    describer = load_describer(str(folder), threads=1)
    assert isinstance(describer, SmallDescriber)
    return model, describer


def crops_of(count: int) -> list[Rgb]:
    rng = np.random.default_rng(count)
    return [
        rng.integers(0, 256, (int(rng.integers(8, 90)), int(rng.integers(8, 90)), 3), np.uint8) for _ in range(count)
    ]


def regions_of(count: int) -> list[RegionRequest]:
    return [RegionRequest(f"r{n}", (10.0 * n, 5.0, 10.0 * n + 9, 40.0), "open", 0.5) for n in range(count)]


def describe(describer: SmallDescriber, crops: Sequence[Rgb], **options: Any) -> list[TokenEvent | AnswerEvent]:
    settings: dict[str, Any] = {
        "class_names": CLASSES,
        "frame_size_wh": (640, 480),
        "is_cancelled": lambda: False,
    } | options
    return list(describer.describe(crops, regions_of(len(crops)), **settings))


def reference_logits(model: Any, describer: SmallDescriber, crops: Sequence[Rgb], ids: Any) -> Any:
    """transformers' own forward pass over the same squares: (B, T, V)."""
    layout = describer.shape.layout
    squares = np.stack([letterbox(crop, layout.side_px) for crop in crops])
    patches = layout.patches(squares)
    grid = torch.tensor([[1, layout.grid, layout.grid]] * len(crops))
    with torch.inference_mode():
        return model(
            input_ids=ids,
            pixel_values=patches.reshape(-1, patches.shape[-1]),
            image_grid_thw=grid,
            mm_token_type_ids=(ids == describer.tokens.image_id).int(),
            use_cache=False,
        ).logits


def squares_of(describer: SmallDescriber, crops: Sequence[Rgb]) -> Any:
    return np.stack([letterbox(crop, describer.shape.layout.side_px) for crop in crops])


@torch.inference_mode()
def test_the_forward_pass_gives_the_logits_of_transformers(small: tuple[Any, SmallDescriber]) -> None:
    """Prefix in one go, then chunks of which each row keeps another part, as when guesses fail."""
    model, describer = small
    crops, size = crops_of(3), describer.tokens.size
    rng = np.random.default_rng(5)
    text = torch.from_numpy(rng.integers(10, size - 10, (3, 6)))
    wrong = torch.from_numpy(rng.integers(10, size - 10, (3, 4)))
    read = describer.tokens.prefix(
        describer.shape.layout.image_tokens, describer.tokens.hint_ids(None, describer.hint_tokens)
    )
    prefix = torch.tensor([read] * 3)
    expected = reference_logits(model, describer, crops, torch.cat([prefix, text], dim=1))
    writer = Writer(describer._weights, describer.shape)
    words, write, length = writer.words, writer.forward, prefix.shape[1]

    image = see(
        describer._weights,
        describer.shape,
        describer.shape.layout.patches(squares_of(describer, crops)),
        describer.shape.vision_tables(),
    )
    cache = writer.start(3, 64)
    logits = write(torch.cat([words[prefix][:, :1], image, words[prefix][:, 1 + image.shape[1] :]], dim=1), cache)
    assert torch.allclose(logits[:, 0], expected[:, length - 1], atol=1e-4)
    cache.keep([length] * 3)

    done = [0, 0, 0]
    for right in ((1, 3, 2), (2, 1, 1), (1, 1, 1)):
        rows = [torch.cat([text[row, done[row] : done[row] + n], wrong[row, : 3 - n]]) for row, n in enumerate(right)]
        logits = write(words[torch.stack(rows)], cache, outputs=3)
        for row, n in enumerate(right):
            first = length + done[row]
            assert torch.allclose(logits[row, :n], expected[row, first : first + n], atol=1e-4), (right, row)
            done[row] += n
        cache.keep(right)
    single = write(words[torch.stack([text[row, n] for row, n in enumerate(done)])[:, None]], cache)
    for row, n in enumerate(done):
        assert torch.allclose(single[row, 0], expected[row, length + n], atol=1e-4)


@torch.inference_mode()
def test_half_precision_sees_nearly_what_full_precision_sees(small: tuple[Any, SmallDescriber]) -> None:
    describer = small[1]
    squares = squares_of(describer, crops_of(3))
    patches = describer.shape.layout.patches(squares)
    exact = see(describer._weights, describer.shape, patches, describer.shape.vision_tables())
    found = describer._read(squares)[:, 1 : 1 + exact.shape[1]]
    assert float((found - exact).norm() / exact.norm()) < 0.03


@pytest.fixture(scope="module")
def shipped() -> SmallDescriber:
    """The describer that ships: unlike random weights, it is hardly ever torn between two tokens."""
    describer = load_describer(SMALL, threads=1)
    assert isinstance(describer, SmallDescriber)
    return describer


def write(describer: SmallDescriber, drafts: Drafts) -> Writing:
    """The answers to crops of one board."""
    board = generate_board(12, style="grey")
    crops = [cut_crop(board.image, defect.box_xyxy) for defect in board.defects]
    inputs = describer._read(squares_of(describer, crops))
    names = class_options(BOARD_CLASSES)
    writing = Writing(describer._writer, inputs, describer._grammar(names), describer.tokens, drafts)
    while writing.step() is not None:
        pass
    return writing


def guessing(guess: Callable[[Sequence[int]], int | None]) -> Drafts:
    drafts = Drafts()
    drafts.next = guess  # type: ignore[method-assign, assignment]
    return drafts


def test_what_was_written_before_saves_passes_and_changes_no_text(shipped: SmallDescriber) -> None:
    plain = write(shipped, guessing(lambda before: None))
    drafts = Drafts()
    _, again = write(shipped, drafts), write(shipped, drafts)
    assert again.texts == plain.texts
    assert again._written == plain._written
    assert again.passes < 0.6 * plain.passes


@pytest.mark.parametrize("seed", range(3))
def test_wrong_guesses_change_no_text(shipped: SmallDescriber, seed: int) -> None:
    rng = np.random.default_rng(seed)
    misled = guessing(lambda before: int(rng.integers(0, shipped.tokens.size)))
    assert write(shipped, misled).texts == write(shipped, guessing(lambda before: None)).texts


def test_drafts_remember_what_came_last_after_three_tokens() -> None:
    drafts = Drafts()
    for before, token in (([], 1), ([1], 2), ([1, 2, 3], 4), ([9, 1, 2, 3], 5)):
        drafts.learn(before, token)
    assert [drafts.next(before) for before in ([], [1], [1, 2, 3], [7, 7, 1, 2, 3], [2], [1, 2])] == [
        1, 2, 5, 5, None, None,
    ]  # fmt: skip


def test_drafts_forget_what_was_not_seen_for_long() -> None:
    drafts = Drafts()
    for token in range(REMEMBERED + 2):
        drafts.learn([token, token, token], token)
        drafts.learn([0, 0, 0], 7)
    assert drafts.next([0, 0, 0]) == 7
    assert drafts.next([1, 1, 1]) is None
    assert drafts.next([REMEMBERED] * 3) == REMEMBERED


@pytest.mark.parametrize("count", [1, 3, BATCH + 2])
def test_every_answer_fits_the_schema_even_with_random_weights(small: tuple[Any, SmallDescriber], count: int) -> None:
    _, describer = small
    events = describe(describer, crops_of(count))
    answers = [event for event in events if isinstance(event, AnswerEvent)]
    assert sorted(event.region_id for event in answers) == sorted(region.region_id for region in regions_of(count))
    for event in answers:
        assert event.valid, event.errors
        jsonschema.validate(event.answer, answer_schema(CLASSES))
        assert json.loads(event.raw_text)["defect_class"] in class_options(CLASSES)


def test_the_tokens_of_a_region_join_to_its_raw_text(small: tuple[Any, SmallDescriber]) -> None:
    events = describe(small[1], crops_of(2))
    for answer in (event for event in events if isinstance(event, AnswerEvent)):
        pieces = [event for event in events if isinstance(event, TokenEvent) and event.region_id == answer.region_id]
        assert "".join(piece.text for piece in pieces) == answer.raw_text
        assert len(pieces) > 3
        assert events.index(pieces[-1]) < events.index(answer)


def test_a_crop_is_described_alike_alone_and_in_a_batch(small: tuple[Any, SmallDescriber]) -> None:
    crops = crops_of(4)
    together = [e.raw_text for e in describe(small[1], crops) if isinstance(e, AnswerEvent) and e.region_id == "r0"]
    alone = [e.raw_text for e in describe(small[1], crops[:1]) if isinstance(e, AnswerEvent)]
    assert together == alone


@pytest.mark.parametrize(
    "names",
    [(), ("scratch",), ('weld "A"', "Kratzer \\ größer", "划痕"), ("Open",), ("no defect",), ("pin hole", "opens")],
)
def test_of_classes_that_it_was_not_trained_for_it_says_so_and_never_no_defect(
    small: tuple[Any, SmallDescriber], names: tuple[str, ...]
) -> None:
    events = describe(small[1], crops_of(3), class_names=names)
    assert [type(event) for event in events] == [AnswerEvent] * 3
    for event in events:
        assert isinstance(event, AnswerEvent)
        assert (event.valid, event.answer) == (False, {})
        assert event.errors[0].startswith("unknown class list: this describer was trained for open, short")


def test_a_region_of_a_class_that_it_was_not_trained_for_is_left_open(small: tuple[Any, SmallDescriber]) -> None:
    names = ("open", "scratch", "")
    regions = [replace(region, detector_class=name) for region, name in zip(regions_of(3), names, strict=True)]
    events = small[1].describe(
        crops_of(3),
        regions,
        class_names=(*CLASSES, "scratch"),
        frame_size_wh=(640, 640),
        is_cancelled=lambda: False,
    )
    answers = {event.region_id: event for event in events if isinstance(event, AnswerEvent)}
    assert [answers[region.region_id].valid for region in regions] == [True, False, True]
    assert answers[regions[1].region_id].errors[0].startswith("unknown class 'scratch'")


def test_a_folder_that_does_not_say_its_classes_is_refused(small: tuple[Any, SmallDescriber], tmp_path: Path) -> None:
    write_small_folder(tmp_path)
    for content, said in (("{}", "no list"), ('{"class_names": []}', "0 classes"), ('{"class_names": [7]}', "no text")):
        (tmp_path / "classes.json").write_text(content)
        with pytest.raises(ValueError, match=said):
            SmallDescriber(tmp_path, threads=1, name="m")
    (tmp_path / "classes.json").unlink()
    with pytest.raises(ValueError, match=r"classes\.json is missing"):
        SmallDescriber(tmp_path, threads=1, name="m")


def test_the_confidence_is_the_share_of_the_chosen_class(small: tuple[Any, SmallDescriber]) -> None:
    event = describe(small[1], crops_of(1))[-1]
    assert isinstance(event, AnswerEvent)
    assert 0 < event.answer["confidence"] <= 1.0


def test_cancelling_stops_between_tokens_without_answers(small: tuple[Any, SmallDescriber]) -> None:
    asked = 0

    def is_cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > 10

    events = describe(small[1], crops_of(3), is_cancelled=is_cancelled)
    assert 0 < len(events) <= 10
    assert not any(isinstance(event, AnswerEvent) for event in events)


def test_crops_and_regions_must_match(small: tuple[Any, SmallDescriber]) -> None:
    with pytest.raises(ValueError, match="2 crops for 1 regions"):
        list(
            small[1].describe(
                crops_of(2), regions_of(1), class_names=CLASSES, frame_size_wh=(9, 9), is_cancelled=lambda: False
            )
        )


def test_looking_at_the_registry_loads_no_model_runtime() -> None:
    code = (
        "import sys; import scheduling.serving.describers; print({'torch', 'transformers', 'httpx'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr


def test_serving_the_small_describer_needs_no_transformers(tmp_path: Path) -> None:
    write_small_folder(tmp_path)
    code = (
        "import sys; from scheduling.serving.describers import load_describer;"
        f"load_describer({str(tmp_path)!r}, threads=1); print({{'transformers', 'torchvision'}} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == "set()", done.stderr
