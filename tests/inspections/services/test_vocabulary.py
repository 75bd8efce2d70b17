"""Titles of defect classes, and what may be a line's vocabulary."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aivd_web.kernel.errors import Unprocessable
from inspections.services.vocabulary import MAX_LENGTH, ClassName, checked, readable_title


@pytest.mark.parametrize(
    ("name", "title"),
    [
        ("pin-hole", "Pin-hole"),
        ("open", "Open"),
        ("copper", "Copper"),
        ("mouse_bite", "Mouse bite"),
        ("spurious_copper", "Spurious copper"),
        ("rolled-in_scale", "Rolled-in scale"),
        ("rolledInScale", "Rolled in scale"),
        ("OilSpot", "Oil spot"),
        ("OPEN_CIRCUIT", "Open circuit"),
        ("SCRATCH", "Scratch"),
        ("ESD", "ESD"),
        ("ESD_damage", "ESD damage"),
        ("PCBShort", "PCB short"),
        ("type2_crack", "Type2 crack"),
        ("class3", "Class3"),
        ("defect.surface", "Defect surface"),
        ("pcb/open", "Pcb open"),
        ("Kratzer", "Kratzer"),
        ("Öl Fleck", "Öl Fleck"),
        ("größe_zu_klein", "Größe zu klein"),
        ("ßzeichen", "ßzeichen"),
        ("  scratch   deep ", "Scratch deep"),
        ("царапина", "Царапина"),
        ("缺陷", "缺陷"),
        ("___", "___"),
        ("42", "42"),
    ],
)
def test_a_name_becomes_a_title_that_people_read(name: str, title: str) -> None:
    assert readable_title(name) == title


NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=80)


@given(NAMES)
def test_a_title_is_never_empty_never_too_long_and_begins_large(name: str) -> None:
    title = readable_title(name)
    assert 0 < len(title) <= MAX_LENGTH
    first = title[0]
    assert first.upper() == first or len(first.upper()) > 1


@given(st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=1, max_size=4))
def test_snake_and_camel_give_one_title(words: list[str]) -> None:
    camel = words[0] + "".join(word.capitalize() for word in words[1:])
    plain = " ".join(words)
    expected = plain[0].upper() + plain[1:]
    assert readable_title("_".join(words)) == expected
    if all(len(word) > 1 for word in words[1:]):
        assert readable_title(camel) == expected


def test_typed_classes_are_trimmed_and_titled() -> None:
    assert checked([ClassName(" pin-hole "), ClassName("cu", "Spurious  copper")]) == [
        ClassName("pin-hole", "Pin-hole"),
        ClassName("cu", "Spurious copper"),
    ]


@pytest.mark.parametrize(
    ("entries", "said"),
    [
        ([], "has 1 to 100 classes, this one has 0"),
        ([ClassName(f"c{n}") for n in range(101)], "this one has 101"),
        ([ClassName("open"), ClassName("open ")], "'open' stands in the list twice"),
        ([ClassName("  ")], "1 to 60 letters, not 0"),
        ([ClassName("x" * 75)], "1 to 60 letters, not 75"),
        ([ClassName("open", "t" * 61)], "1 to 60 letters, not 61"),
        ([ClassName("op\x07en")], "cannot be shown"),
        ([ClassName("open\u202e")], "cannot be shown"),
    ],
    ids=["none", "too many", "twice", "blank", "long", "long title", "bell", "reversed"],
)
def test_what_is_no_vocabulary_is_refused_in_a_sentence(entries: list[ClassName], said: str) -> None:
    with pytest.raises(Unprocessable, match=said) as refusal:
        checked(entries)
    assert refusal.value.detail.endswith(".")
