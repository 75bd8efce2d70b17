"""Texts that come with a picture: the part's id and the file's name, the same by REST and by stream.

A part id decides which frames belong together, so it is refused where it cannot be read; a name is only shown, so
what cannot be printed is left out of it.
"""

import unicodedata

from .errors import IngestError

MAX_PART_ID_LENGTH = 100
MAX_NAME_LENGTH = 200
UP = {"", ".", ".."}


class BadPart(IngestError):
    code = "bad_part_id"
    hint = f"A part id is text of at most {MAX_PART_ID_LENGTH} letters, without control characters."


def part_id(text: str) -> str:
    """One spelling for what a person reads as one id: NFC, plain blanks, none around it. Raises BadPart."""
    if not _is_unicode(text):
        raise BadPart("This part id holds half a surrogate pair; it is not text.")
    cleaned = "".join(" " if unicodedata.category(letter) == "Zs" else letter for letter in text)
    cleaned = unicodedata.normalize("NFC", cleaned).strip()
    for letter in cleaned:
        if not letter.isprintable():
            raise BadPart(f"This part id holds the character U+{ord(letter):04X}, which cannot be seen.")
    if len(cleaned) > MAX_PART_ID_LENGTH:
        raise BadPart(f"This part id has {len(cleaned):,} characters.")
    return cleaned


def file_name(text: str) -> str:
    """The name as a person sees it, with its folder; it leads nowhere, whatever it says."""
    parts = [_printable(part) for part in text.replace("\\", "/").split("/")]
    parts = [part for part in parts if part not in UP]
    if len(parts) > 1 and len(parts[0]) == 2 and parts[0][1] == ":":  # a drive
        parts = parts[1:]
    return "/".join(parts)[-MAX_NAME_LENGTH:].lstrip("/")


def _printable(text: str) -> str:
    """NFC, since some systems write an umlaut as two characters; then nothing that is no character at all."""
    composed = unicodedata.normalize("NFC", text)
    return "".join(letter for letter in composed if letter.isprintable()).strip()


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
