"""Co-augmentation: seeded, true to the place, within its bounds; the detector's errors are fitted and drawn again."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.training.lora.box_errors import BoxErrors, fit_box_errors, matches, moved, offsets_of
from finetune.training.lora.coaugment import (
    DIRECTIONS,
    PLAIN,
    Augmentation,
    Example,
    Place,
    augmented,
    clipped,
    cut_place,
    disturbed_picture,
    other_words,
    preview,
    turned,
)
from finetune.training.lora.places import detected_places, places_of
from finetune.training.manifest import DetectorBox, MarkedRegion, read_manifest
from scheduling.serving.answers import NO_DEFECT, location, severity
from scheduling.serving.crops import cut_crop
from tests.finetune.training.lora.sealed import CLASSES, write_dataset

NOTHING = BoxErrors({}, {}, {})
TEXT = {"appearance": "A mark to the left.", "probable_cause": "A tool.", "recommended_action": "Polish it."}
FRAME = np.random.default_rng(3).integers(0, 256, (120, 160, 3), np.uint8)
BOX = (60.0, 40.0, 90.0, 60.0)
PLACE = cut_place("f", FRAME, FRAME[::-1].copy(), BOX, "dent", TEXT)
seeds = st.integers(0, 2**32 - 1)


def example(how: Augmentation = PLAIN, seed: int = 0, place: Place = PLACE, errors: BoxErrors = NOTHING) -> Example:
    return augmented(place, how, errors, CLASSES, np.random.default_rng(seed))


@settings(deadline=None, max_examples=30)
@given(seeds)
def test_the_same_seed_gives_the_same_example(seed: int) -> None:
    one, other = example(Augmentation(), seed), example(Augmentation(), seed)
    assert np.array_equal(one.crop, other.crop)
    assert (one.question, one.answer, one.hint, one.box_xyxy) == (
        other.question, other.answer, other.hint, other.box_xyxy,
    )  # fmt: skip


def test_a_plain_example_is_the_crop_that_service_sends() -> None:
    plain = example()
    assert np.array_equal(plain.crop, cut_crop(FRAME, BOX))
    assert plain.template is not None
    assert np.array_equal(plain.template, cut_crop(FRAME[::-1], BOX))
    assert plain.hint is None
    assert dict(plain.answer) == {"defect_class": "dent"} | TEXT


@settings(deadline=None, max_examples=60)
@given(seeds)
def test_whatever_changes_the_class_stays_and_what_is_computed_fits_the_box(seed: int) -> None:
    changed = example(Augmentation(), seed)
    assert changed.answer["defect_class"] == "dent"
    assert set(changed.answer) <= {"defect_class", *TEXT}
    assert changed.computed["location"] == location(changed.box_xyxy, (160, 120))
    assert changed.computed["severity"] == severity(changed.box_xyxy, (160, 120))
    x0, y0, x1, y1 = changed.box_xyxy
    assert 0 <= x0 < x1 <= 160
    assert 0 <= y0 < y1 <= 120
    assert all(f'"{name}"' in changed.question for name in (*CLASSES, NO_DEFECT))


@settings(deadline=None, max_examples=60)
@given(seeds)
def test_a_turned_crop_keeps_no_text_that_names_a_direction(seed: int) -> None:
    how = replace(PLAIN, turned=True)
    changed = example(how, seed)
    straight = np.array_equal(changed.crop, cut_crop(FRAME, BOX))
    assert ("appearance" in changed.answer) == straight
    assert "probable_cause" in changed.answer


@settings(deadline=None, max_examples=60)
@given(seeds, st.floats(0.01, 0.5))
def test_synthetic_noise_stays_within_its_bounds(seed: int, noise: float) -> None:
    changed = example(replace(PLAIN, box_noise=noise, far_share=1.0), seed)
    assert all(abs(value) <= noise + 1e-6 for value in offsets_of(changed.box_xyxy, BOX))


@settings(deadline=None, max_examples=40)
@given(seeds)
def test_a_disturbed_picture_stays_a_picture(seed: int) -> None:
    rng = np.random.default_rng(seed)
    crop = rng.integers(0, 256, (int(rng.integers(1, 60)), int(rng.integers(1, 60)), 3), np.uint8)
    how = replace(Augmentation(), light=1.0, texture=1.0, scale=1.0, jpeg=1.0)
    other = disturbed_picture(crop, how, rng)
    assert other.dtype == np.uint8
    assert other.ndim == 3
    assert min(other.shape[:2]) >= 1


@given(st.tuples(st.booleans(), st.booleans(), st.booleans()))
def test_turning_keeps_every_pixel(turn: tuple[bool, bool, bool]) -> None:
    assert np.array_equal(np.sort(turned(FRAME, turn), axis=None), np.sort(FRAME, axis=None))


def test_the_hint_is_missing_wrong_or_right_in_its_shares() -> None:
    how = replace(PLAIN, hint_missing=0.3, hint_wrong=0.2)
    hints = [example(how, seed).hint for seed in range(2000)]
    missing = sum(hint is None for hint in hints) / len(hints)
    right = sum(hint is not None and hint[0] == "dent" for hint in hints) / len(hints)
    assert abs(missing - 0.3) < 0.04
    assert abs(right - 0.7 * 0.9) < 0.04  # a wrong one is drawn among both classes


def test_a_good_place_never_hears_that_it_is_good() -> None:
    good = replace(PLACE, defect_class=NO_DEFECT, text={})
    hints = {example(replace(PLAIN, hint_missing=0.0), seed, good).hint[0] for seed in range(40)}
    assert hints == set(CLASSES)


def test_the_detectors_own_words_are_what_its_own_box_hears() -> None:
    own = replace(PLACE, said=("scratch", 0.77), own_box=True)
    assert example(replace(PLAIN, hint_missing=0.0), 1, own).hint == ("scratch", 0.77)
    assert example(replace(PLAIN, replayed_share=1.0), 1, own).box_xyxy == BOX


@pytest.mark.parametrize("text", ["A mark.", "Inspect it.", "The region looks good.", "Nothing known"])
def test_other_words_exchange_one_word_at_most(text: str) -> None:
    for seed in range(10):
        changed = other_words(text, np.random.default_rng(seed))
        assert (changed == text) == (text == "Nothing known")
        assert not DIRECTIONS.search(changed)


def test_a_preview_shows_every_class_sixteen_times_in_all(tmp_path: Path) -> None:
    manifest = read_manifest(write_dataset(tmp_path / "v"))
    frames = manifest.of("train")
    places = places_of(frames, seed=1, detector_boxes=True)
    shown = preview(places, Augmentation(), fit_box_errors(frames), manifest.classes, seed=1)
    assert len(shown) == 16
    assert {one.answer["defect_class"] for one in shown} == {*CLASSES, NO_DEFECT}
    again = preview(places, Augmentation(), fit_box_errors(frames), manifest.classes, seed=1)
    assert all(np.array_equal(one.crop, other.crop) for one, other in zip(shown, again, strict=True))


# --- the detector's errors


boxes = st.tuples(st.floats(0, 50), st.floats(0, 50), st.floats(5, 60), st.floats(5, 60)).map(
    lambda one: (one[0], one[1], one[0] + one[2], one[1] + one[3])
)


@given(boxes, boxes)
def test_a_box_moved_by_its_offsets_is_the_other_box(found: tuple, true: tuple) -> None:
    assert moved(true, offsets_of(found, true)) == pytest.approx(found, abs=1e-6)


@given(boxes)
def test_clipping_leaves_a_pixel_inside_the_frame(box: tuple) -> None:
    x0, y0, x1, y1 = clipped(box, (40, 30))
    assert 0 <= x0 < x1 <= 40
    assert 0 <= y0 < y1 <= 30


def test_fitted_errors_come_back_when_they_are_drawn(tmp_path: Path) -> None:
    frames = read_manifest(write_dataset(tmp_path / "v", frames=120)).of("train")
    errors = fit_box_errors(frames)
    assert errors.count == 60  # the detector finds every dent and calls it a scratch
    assert errors.missed == {"dent": 0.0, "scratch": 1.0}
    drawn = np.array([errors.draw("dent", np.random.default_rng(seed)) for seed in range(300)])
    fitted = errors.offsets["dent"]
    assert drawn.mean(axis=0) == pytest.approx(fitted.mean(axis=0), abs=0.02)
    assert drawn[:, 3].mean() == pytest.approx(math.log(18 / 16), abs=0.02)
    assert errors.draw_said("dent", np.random.default_rng(0)) == ("scratch", 0.8)
    assert errors.draw("scratch", np.random.default_rng(0)) is not None  # too few of its own: those of all


def test_boxes_are_matched_once_and_those_on_nothing_are_false() -> None:
    region = MarkedRegion((10, 10, 30, 30), "dent", {})
    sure, again, grazing, false = (
        DetectorBox(box, "dent", score)
        for box, score in (((11, 11, 30, 30), 0.9), ((10, 10, 29, 29), 0.8), ((28, 28, 60, 60), 0.7),
                           ((70, 70, 80, 80), 0.6))
    )  # fmt: skip
    assert matches([again, false, grazing, sure], [region]) == [(sure, region), (false, None)]


def test_a_datasets_places_hold_regions_false_boxes_and_good_places(tmp_path: Path) -> None:
    frames = read_manifest(write_dataset(tmp_path / "v")).of("train")
    detected = detected_places(frames)
    assert [place.defect_class for place in detected[:2]] == ["dent", NO_DEFECT]
    assert detected[1].said == ("dent", 0.6)
    places = places_of(frames, seed=1, detector_boxes=True)
    marked = [place for place in places if not place.own_box and place.defect_class != NO_DEFECT]
    assert len(marked) == 12
    assert sum(place.own_box for place in places) == 12
    good = [place for place in places if place.defect_class == NO_DEFECT and not place.own_box]
    assert good
    by_frame = {frame.id: frame for frame in frames}
    for place in good:
        for region in by_frame[place.frame].regions:
            x0, y0, x1, y1 = region.box_xyxy
            assert place.box_xyxy[0] >= x1 or place.box_xyxy[2] <= x0 or place.box_xyxy[1] >= y1 or (
                place.box_xyxy[3] <= y0
            )  # fmt: skip
