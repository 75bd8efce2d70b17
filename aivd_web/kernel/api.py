"""What every REST view of the site shares: the shape of an error and how the schema tells of it."""

from collections.abc import Iterable
from typing import Any

from drf_spectacular.utils import OpenApiExample, OpenApiParameter, OpenApiResponse
from rest_framework import serializers

MEANINGS = {
    400: "The request is not understood.",
    401: "Not signed in, or the token is wrong, revoked or expired.",
    403: "Signed in, but without the role that allows it.",
    404: "No such thing, or not one that you may see.",
    409: "It does not fit what is there now.",
    408: "The body trickled, or its sender fell silent.",
    413: "The body is over the cap.",
    415: "Not a type that is taken in.",
    416: "No part of the picture lies in this range.",
    422: "Understood, but it cannot be done with this content.",
    429: "Too much at once; Retry-After says when to come again.",
    503: "A part is away; Retry-After says when to come again.",
}


def header(name: str, *, most: int, about: str, pattern: str = "", example: str = "") -> OpenApiParameter:
    """A header that a view reads, and the most letters that it may have."""
    schema: dict[str, Any] = {"type": "string", "maxLength": most} | ({"pattern": pattern} if pattern else {})
    examples = [OpenApiExample(example, example)] if example else []
    return OpenApiParameter(name, schema, OpenApiParameter.HEADER, description=about, examples=examples)


class FieldErrors(serializers.DictField):
    """By field: a list of sentences."""

    child = serializers.ListField(child=serializers.CharField())


class ErrorSerializer(serializers.Serializer):
    """What went wrong (`detail`), what to do about it (`hint`), and a `code` that stays the same."""

    code = serializers.CharField()
    detail = serializers.CharField()
    hint = serializers.CharField(allow_blank=True)
    retry_after_s = serializers.IntegerField(required=False)
    fields = FieldErrors(required=False)  # type: ignore[assignment]


def checked(serializer: type[serializers.Serializer], data: Any) -> dict[str, Any]:
    """A body or a query as its serializer reads it; raises the 400 that names each field that is wrong."""
    found = serializer(data=data)
    found.is_valid(raise_exception=True)
    return dict(found.validated_data)


def answers(success: int, body: Any, *, errors: Iterable[int] = ()) -> dict[int, Any]:
    """The `responses` of a view: its success and the errors it may give, besides 401 which all may."""
    described = {
        status: OpenApiResponse(ErrorSerializer, description=MEANINGS[status]) for status in sorted({401, *errors})
    }
    return {success: body, **described}
