"""Part ids and file names at the door: one spelling for one part, and names that lead nowhere."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inspections.media import texts
from inspections.media.texts import BadPart, file_name, part_id


@pytest.mark.parametrize(
    "spelling",
    [
        "Gehäuse-Nr 5",
        "Geha\u0308use-Nr 5",
        " Gehäuse-Nr 5 ",
        "Gehäuse-Nr\u00a05",
        "Gehäuse-Nr\u20095",
        "\tGehäuse-Nr 5",
    ],
)
def test_what_reads_as_one_part_is_one_part(spelling: str) -> None:
    assert part_id(spelling) == "Gehäuse-Nr 5"


@pytest.mark.parametrize(
    "text", ["A\ud83d", "\udc00", "A\x00B", "A\x1fB", "A\u202eB", "A\u200bB", "A\u2028B", "p" * 101]
)
def test_a_part_id_that_cannot_be_read_is_refused_with_a_sentence(text: str) -> None:
    with pytest.raises(BadPart) as refused:
        part_id(text)
    refused.value.detail.encode()
    assert refused.value.hint


@given(st.text(st.characters()))
def test_any_text_is_refused_or_stays_as_it_is_once_it_is_clean(text: str) -> None:
    try:
        cleaned = part_id(text)
    except BadPart:
        return
    assert part_id(cleaned) == cleaned == unicodedata.normalize("NFC", cleaned)
    assert len(cleaned) <= texts.MAX_PART_ID_LENGTH
    cleaned.encode()


@pytest.mark.parametrize(
    ("sent", "shown"),
    [
        ("cam0/img.jpg", "cam0/img.jpg"),
        ("Pru\u0308fung/a.jpg", "Prüfung/a.jpg"),
        ("../../etc/passwd", "etc/passwd"),
        ("/etc/passwd", "etc/passwd"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("C:\\day\\x.jpg", "day/x.jpg"),
        ("a/./b//c.jpg", "a/b/c.jpg"),
        ("a\nb\x00.jpg", "ab.jpg"),
        ("A\ud83d.jpg", "A.jpg"),
    ],
)
def test_a_name_is_shown_with_its_folder(sent: str, shown: str) -> None:
    assert file_name(sent) == shown


@given(
    st.text(st.characters()) | st.lists(st.sampled_from(["..", ".", "/", "\\", "a", "C:", "\x00", " "])).map("".join)
)
def test_no_name_leads_anywhere(sent: str) -> None:
    shown = file_name(sent)
    assert not shown.startswith("/")
    assert "\\" not in shown
    assert not {"..", "."} & set(shown.split("/"))
    assert shown.isprintable()
    assert len(shown) <= texts.MAX_NAME_LENGTH
    shown.encode()
