"""What the API reads and answers in. JSON both ways; pictures are sent by their views without being asked for."""

import math
from collections.abc import Mapping
from typing import IO, Any

from rest_framework.exceptions import NotAcceptable, ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.request import Request


class JsonForAll(DefaultContentNegotiation):
    """Who asks for `image/*`, as clients of pictures do, gets the picture, and of an error JSON."""

    def select_renderer(self, request: Request, renderers: Any, format_suffix: str | None = None) -> Any:
        try:
            return super().select_renderer(request, renderers, format_suffix)
        except NotAcceptable:
            return renderers[0], renderers[0].media_type


class BoundedJSONParser(JSONParser):
    """JSON as people and programs send it: not nested without end, and numbers that are numbers."""

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        try:
            found = super().parse(stream, media_type, parser_context)
            _refuse_infinity(found)
        except RecursionError:
            raise ParseError("The JSON is nested too deeply.") from None
        return found


def _refuse_infinity(value: Any) -> None:
    """A number such as 1e999 is read as infinity, which no field and no answer can hold."""
    if isinstance(value, float) and not math.isfinite(value):
        raise ParseError("The JSON holds a number that is too large.")
    children = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for child in children:
        _refuse_infinity(child)
