"""The defect classes of a Line: where a new line's come from, and how a name becomes a title. Knows no HTTP."""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aivd_web.kernel.errors import Unprocessable
from inspections.models import DefectClass, Line

MAX_LENGTH = 60
MAX_CLASSES = 100
COLOURS = 8
SHORT_ACRONYM = 3

_BETWEEN_WORDS = re.compile(r"[_./:]+")
# rolledInScale -> rolled In Scale; PCBShort -> PCB Short. Only between letters, so that "type2" stays one word.
_CAMEL = re.compile(r"(?<=[^\W\d_A-Z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][^\W\d_A-Z])")


@dataclass(frozen=True)
class ClassName:
    """One entry as it is typed or declared: the detector's name, and the title that people read."""

    name: str
    title: str = ""


def readable_title(name: str) -> str:
    """What people read for a class that a model calls `name`: "pin-hole" is "Pin-hole", "rolledIn_scale" "Rolled in
    scale". Words that somebody has put apart by blanks keep their case; what has no letter stays as it is."""
    text = " ".join(unicodedata.normalize("NFC", name).split())
    if " " not in text:
        words = [word for part in _BETWEEN_WORDS.split(text) for word in _CAMEL.split(part) if word]
        shouted = text.upper() == text
        text = " ".join(_calm(word, index, shouted) for index, word in enumerate(words)) or text
    return _first_letter_up(text)[:MAX_LENGTH].rstrip()


def _calm(word: str, index: int, shouted: bool) -> str:
    """A word inside a title is written small, unless it is an acronym."""
    if word.upper() != word:
        return word if index == 0 else word.lower()
    return word.lower() if shouted and len(word) > SHORT_ACRONYM else word


def _first_letter_up(text: str) -> str:
    first = text[:1].upper()
    return first + text[1:] if len(first) == 1 else text  # "ß" has no capital of one letter


def checked(entries: Iterable[ClassName]) -> list[ClassName]:
    """`entries` as a vocabulary may hold them: trimmed, titled, each name once. Raises Unprocessable in words."""
    kept: dict[str, ClassName] = {}
    for entry in entries:
        name = unicodedata.normalize("NFC", entry.name).strip()
        title = " ".join(entry.title.split()) or readable_title(name)
        _check_words(name, title)
        if name in kept:
            raise Unprocessable(f"The class '{name}' stands in the list twice.", hint="Name each class once.")
        kept[name] = ClassName(name, title)
    if not 1 <= len(kept) <= MAX_CLASSES:
        raise Unprocessable(
            f"A line's vocabulary has 1 to {MAX_CLASSES} classes, this one has {len(kept)}.",
            hint="Choose a product that a model here was trained for, copy another line's classes, or type them.",
        )
    return list(kept.values())


def _check_words(name: str, title: str) -> None:
    for text in (name, title):
        if not text or len(text) > MAX_LENGTH:
            hint = "Give it a shorter name." if text else "Leave the line out, or write a name."
            raise Unprocessable(f"A class name has 1 to {MAX_LENGTH} letters, not {len(text)}.", hint=hint)
        if any(unicodedata.category(letter).startswith("C") for letter in text):
            raise Unprocessable(f"The class name {text!a} holds a character that cannot be shown.")


def of_line(line: Line) -> list[ClassName]:
    """Another line's classes, in its order."""
    entries = DefectClass.objects.filter(line=line).order_by("position", "name").values_list("name", "title")
    return [ClassName(name, title) for name, title in entries]


def write(*, line: Line, entries: Sequence[ClassName]) -> None:
    """Give a Line that has none its classes. Call it in the transaction that makes the line."""
    DefectClass.objects.bulk_create(
        DefectClass(line=line, name=entry.name, title=entry.title, position=index + 1, colour_index=index % COLOURS)
        for index, entry in enumerate(checked(entries))
    )
