"""Loaded by schemathesis itself: most calls go to a line, a station and frames that are there.

Which do is decided by the made value, so that the same seed makes the same calls. Knows no Django.
"""

import json
import os
import zlib
from typing import Any

import schemathesis

KNOWN: dict[str, list[Any]] = json.loads(os.environ["AIVD_KNOWN"])
MADE_UP = 4
"""One call in so many keeps its made id, which nearly always is nobody's."""


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    case.path_parameters = {name: _known(name, made) for name, made in (case.path_parameters or {}).items()}


def _known(name: str, made: Any) -> Any:
    number = zlib.crc32(repr(made).encode())
    there = KNOWN.get(name, [])
    return there[number // MADE_UP % len(there)] if there and number % MADE_UP else made
