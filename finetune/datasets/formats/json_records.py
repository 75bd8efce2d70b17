"""Read a large JSON file record by record, with the line of each. Only the arrays that are asked for become objects.

The field's label files hold one object with long arrays in it. A JSON library tells a line only where the syntax is
broken; here each record has one, so that an error names it.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from .values import BrokenLabels

_decoder = json.JSONDecoder()
_SPACE = " \t\r\n"


@dataclass(frozen=True)
class Record:
    """`index` counts in its array from 0."""

    section: str
    index: int
    line: int
    value: Any


class _Reader:
    """A cursor over the text that knows its line."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self._counted = 0

    def skip(self) -> str:
        """Go to the next character that means something, and return it."""
        text, at = self.text, self.at
        while at < len(text) and text[at] in _SPACE:
            at += 1
        self.move(at)
        return text[at : at + 1]

    def move(self, at: int) -> None:
        self.line += self.text.count("\n", self._counted, at)
        self.at = self._counted = at

    def take(self, letter: str) -> None:
        if self.skip() != letter:
            raise BrokenLabels(f"'{letter}' is missing here.", self.line)
        self.move(self.at + 1)

    def value(self) -> Any:
        self.skip()
        try:
            value, end = _decoder.raw_decode(self.text, self.at)
        except (ValueError, RecursionError) as error:
            line = error.lineno if isinstance(error, json.JSONDecodeError) else self.line
            raise BrokenLabels("This is not JSON.", line) from None
        self.move(end)
        return value


def records(text: str) -> Iterator[Record]:
    """Each entry of each array of the object in `text`; a value that is no array is one record. Raises BrokenLabels."""
    reader = _Reader(text)
    reader.take("{")
    while reader.skip() != "}":
        section = reader.value()
        reader.take(":")
        if reader.skip() == "[":
            yield from _entries(reader, str(section))
        else:
            line = reader.line
            yield Record(str(section), 0, line, reader.value())
        if reader.skip() == ",":
            reader.take(",")
        elif reader.skip() != "}":
            raise BrokenLabels("',' or '}' is missing here.", reader.line)


def _entries(reader: _Reader, section: str) -> Iterator[Record]:
    reader.take("[")
    index = 0
    while reader.skip() != "]":
        line = reader.line
        yield Record(section, index, line, reader.value())
        index += 1
        if reader.skip() == ",":
            reader.take(",")
        elif reader.skip() != "]":
            raise BrokenLabels("',' or ']' is missing here.", reader.line)
    reader.take("]")
