"""The answer schema: what passes, what is refused with which sentence, and what the node adds."""

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduling.serving import answers
from scheduling.serving.answers import NO_DEFECT, clean_text, complete_answer, model_schema, read_answer
from tests.scheduling.serving.answer_schema import answer_schema

CLASSES = ("open", "short")
GOOD: dict[str, Any] = {
    "defect_class": "open",
    "appearance": "A gap in a trace.",
    "probable_cause": "A scratch.",
    "recommended_action": "Repair it.",
    "confidence": 0.9,
}


def text_of(**changes: Any) -> str:
    return json.dumps({key: value for key, value in (GOOD | changes).items() if value is not ...})


def test_a_good_answer_passes_here_and_in_the_json_schema() -> None:
    answer, errors = read_answer(text_of(), CLASSES)
    assert (answer, errors) == (GOOD, ())
    jsonschema.validate(answer, model_schema(CLASSES))


def test_no_defect_may_always_be_said() -> None:
    assert read_answer(text_of(defect_class=NO_DEFECT), CLASSES)[1] == ()


def test_a_fenced_answer_is_unwrapped() -> None:
    assert read_answer(f"```json\n{text_of()}\n```", CLASSES) == (GOOD, ())


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "not JSON"),
        ("Sure! " + text_of(), "not JSON"),
        (text_of()[:-1], "not JSON"),
        ("[1]", "a JSON list, not an object"),
        ("null", "a JSON null, not an object"),
        ("[" * 9000, "not JSON"),
        ('{"confidence": NaN}', "not JSON"),
        ("x" * 20_000, "longer than 16000"),
        (text_of(appearance=...), "'appearance' is missing"),
        (text_of(location="centre"), "'location' is not in the schema"),
        (text_of(defect_class="scratch"), "'scratch' is not one of open, short, no defect"),
        (text_of(defect_class=3), "is a number, not text"),
        (text_of(appearance=["a"]), "is a list, not text"),
        (text_of(appearance="a" * 1001), "1001 characters, more than 1000"),
        (text_of(confidence=1.2), "not a number in 0..1"),
        (text_of(confidence=True), "not a number in 0..1"),
        (text_of(confidence="0.5"), "not a number in 0..1"),
    ],
)
def test_a_faulty_answer_is_refused_with_a_sentence(text: str, sentence: str) -> None:
    _, errors = read_answer(text, CLASSES)
    assert any(sentence in error for error in errors), errors


def test_the_usable_fields_of_a_faulty_answer_are_kept() -> None:
    answer, errors = read_answer(text_of(confidence=7), CLASSES)
    assert answer == {key: value for key, value in GOOD.items() if key != "confidence"}
    assert len(errors) == 1


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("a\x00b\x1b[31mc", "ab[31mc"),
        ("one\n\ttwo  three ", "one two three"),
        ("safe\u202etxt.exe", "safetxt.exe"),
        ("grün 金属", "grün 金属"),
        ("\ud800x", "x"),
    ],
)
def test_control_characters_are_taken_out_of_texts(raw: str, clean: str) -> None:
    assert clean_text(raw) == clean


@given(st.text())
def test_whatever_is_sent_an_answer_without_errors_fits_the_schema(text: str) -> None:
    answer, errors = read_answer(text_of(appearance=text, probable_cause=text), CLASSES)
    if not errors:
        jsonschema.validate(answer, model_schema(CLASSES))
    assert (not errors) == (len(text) <= 1000)


@pytest.mark.parametrize(
    ("box", "location"),
    [
        ((0, 0, 10, 10), "upper left"),
        ((295, 295, 305, 305), "centre"),
        ((590, 290, 600, 310), "middle right"),
        ((290, 590, 310, 600), "lower centre"),
    ],
)
def test_location_is_the_ninth_of_the_frame(box: tuple[float, float, float, float], location: str) -> None:
    assert answers.location(box, (600, 600)) == location


@pytest.mark.parametrize(("side", "severity"), [(29, "minor"), (30, "moderate"), (59, "moderate"), (60, "major")])
def test_severity_follows_the_longer_side_against_the_frame(side: float, severity: str) -> None:
    assert answers.severity((0, 0, side, 5), (800, 600)) == severity


def test_the_node_completes_an_answer_from_the_box() -> None:
    whole = complete_answer(GOOD, box_xyxy=(0, 0, 60, 30), frame_size_wh=(600, 600))
    jsonschema.validate(whole, answer_schema(CLASSES))
    assert (whole["location"], whole["size"], whole["severity"]) == (
        "upper left",
        "60 x 30 px (0.50 % of the frame)",
        "major",
    )
    nothing = complete_answer(GOOD | {"defect_class": NO_DEFECT}, box_xyxy=(0, 0, 60, 30), frame_size_wh=(600, 600))
    assert nothing["severity"] == "none"
