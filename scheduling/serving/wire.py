"""The contract's values as JSON and back: what travels in the BYTES tensors `meta`, `request` and `event`.

Whatever the other end wrote is checked: msgspec holds it to the types and limits that the values' own annotations
name, and `ContractBroken` names the place that is wrong. Knows the values of `contracts` and nothing of tensors or
networks.
"""

import base64
import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeVar

import msgspec

from scheduling.serving.contracts import (
    CONTRACT_VERSION,
    MAX_PRODUCT_CHARS,
    AnswerEvent,
    Appearance,
    ContractBroken,
    DescribeEvent,
    DescribeRequest,
    DetectMeta,
    DoneEvent,
    RegionRequest,
    TokenEvent,
    class_names_fault,
    name_fault,
)

Value = TypeVar("Value")

_EVENTS: dict[str, type[DescribeEvent]] = {"token": TokenEvent, "answer": AnswerEvent, "done": DoneEvent}
_EVENT_TYPES = {kind: word for word, kind in _EVENTS.items()}


class Speaker(msgspec.Struct):
    """Which contract the other end speaks; one that does not say speaks ours."""

    contract: Any = CONTRACT_VERSION


class EventType(msgspec.Struct):
    """Of which type an event is."""

    type: str


def encode_meta(meta: DetectMeta) -> str:
    return _dump({"contract": CONTRACT_VERSION, **asdict(meta)})


def encode_request(request: DescribeRequest) -> str:
    regions = [_region_fields(region) for region in request.regions]
    return _dump({"contract": CONTRACT_VERSION, **asdict(request), "regions": regions})


def _region_fields(region: RegionRequest) -> dict[str, Any]:
    """The template's cut only where there is one: a node that does not know of any reads on."""
    fields = asdict(region)
    return fields if region.template else {name: value for name, value in fields.items() if name != "template"}


def encode_event(event: DescribeEvent) -> str:
    return _dump(event_fields(event))


def event_fields(event: DescribeEvent) -> dict[str, Any]:
    """The event as the object that is sent: `{"type": "token" | "answer" | "done", ...}`."""
    return {"type": _EVENT_TYPES[type(event)], **asdict(event)}


def decode_meta(text: str | bytes) -> DetectMeta:
    _same_version(text, "meta")
    meta = decode(text, DetectMeta, "meta")
    if fault := class_names_fault(meta.class_names):  # those that a line could not store, whatever loaded them
        raise ContractBroken(f"meta.class_names: {fault}")
    for name in meta.products:
        if fault := name_fault(name, MAX_PRODUCT_CHARS):
            raise ContractBroken(f"meta.products: the product {name[:80]!r} {fault}")
    _check_limit(meta.appearance)
    return meta


def decode_request(text: str | bytes) -> DescribeRequest:
    _same_version(text, "request")
    return decode(text, DescribeRequest, "request")


def request_from_fields(fields: Mapping[str, Any]) -> DescribeRequest:
    """A describe request from a plain object, as a client builds it; raises `ContractBroken`."""
    try:
        text = _dump(fields)
    except (ValueError, TypeError, RecursionError) as error:
        raise ContractBroken(f"request: {error}") from error
    return decode_request(text)


def decode_event(text: str | bytes) -> DescribeEvent:
    said = decode(text, EventType, "event").type
    if said not in _EVENTS:
        raise ContractBroken(f"event.type is {said[:40]!r}, expected token, answer or done")
    return decode(text, _EVENTS[said], said)


def decode(text: str | bytes, kind: type[Value], where: str) -> Value:
    """A value of this type; `ContractBroken` names what in `where` is not as the type says."""
    try:
        return msgspec.json.decode(text, type=kind)
    except (ValueError, RecursionError) as error:
        fault, _, place = str(error).partition(" - at `$")
        raise ContractBroken(f"{where}{place.removesuffix('`')}: {fault}") from error


def _check_limit(appearance: Appearance | None) -> None:
    if appearance and (appearance.distance is None) != (appearance.limit is None):
        raise ContractBroken("meta.appearance has a distance without a limit, or a limit without a distance")


def _same_version(text: str | bytes, where: str) -> None:
    version = decode(text, Speaker, where).contract
    if version != CONTRACT_VERSION:
        raise ContractBroken(f"{where} speaks contract {str(version)[:40]!r}, this side speaks {CONTRACT_VERSION!r}")


def _dump(fields: Mapping[str, Any]) -> str:
    """By the standard library: msgspec writes null for what is no number, and knows no number of numpy's."""
    return json.dumps(fields, separators=(",", ":"), allow_nan=False, default=_base64)


def _base64(value: object) -> str:
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    raise TypeError(f"{type(value).__name__} has no place in JSON")
