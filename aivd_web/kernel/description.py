"""How the API's description is made: what every address can answer is told in one place, not by each view.

A view names its own errors with `answers()`. What follows from how it is called (it takes a body, it has an id in its
address, it changes something) is added here. Integers in an address and in a row are what PostgreSQL can hold.
"""

from collections.abc import Iterator
from typing import Any

from drf_spectacular.openapi import AutoSchema
from rest_framework.serializers import ListSerializer

from aivd_web.kernel.api import MEANINGS

ERROR = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
MOST = 2**63 - 1


class Description(AutoSchema):
    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        operation: dict[str, Any] | None = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        told = operation["responses"]
        for status in _follows(operation, self.method):
            told.setdefault(str(status), {"content": ERROR, "description": MEANINGS[status]})
        operation["responses"] = dict(sorted(told.items()))
        for parameter in operation.get("parameters", []):
            if parameter["in"] == "path" and parameter["schema"].get("type") == "integer":
                parameter["schema"] |= {"minimum": 0, "maximum": MOST}
        return operation

    def _map_serializer_field(self, field: Any, direction: Any, bypass_extensions: bool = False) -> Any:
        """Lists of objects tell how many they may be, as lists of plain values do by themselves."""
        schema = super()._map_serializer_field(field, direction, bypass_extensions)  # type: ignore[no-untyped-call]
        most = getattr(field, "max_length", None)
        if isinstance(field, ListSerializer) and most is not None and schema.get("type") == "array":
            schema["maxItems"] = most
        return schema


def _follows(operation: dict[str, Any], method: str) -> Iterator[int]:
    """Statuses that any view of this shape can give."""
    yield from (400, 503)  # an address or a header that is no text; the database is away
    if any(parameter["in"] == "path" for parameter in operation.get("parameters", [])):
        yield 404
    if method != "GET":
        yield from (403, 408, 413)  # no CSRF token for a session; a body comes whether or not one is asked for
    if "requestBody" in operation:
        yield from (415, 422)  # not a type that is read; a value that cannot be stored
