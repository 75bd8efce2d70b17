"""The contract's values as JSON and back: what travels in the BYTES tensors `meta`, `request` and `event`.

Whatever the other end wrote is checked field by field, and `ContractBroken` names the first that is wrong.
Knows the values of `contracts.py` and nothing of tensors or networks.
"""

import base64
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from scheduling.serving.contracts import (
    CONTRACT_VERSION,
    IDENTITY_LIMITS,
    MAX_PRODUCT_CHARS,
    MAX_PRODUCTS,
    MAX_REGIONS_PER_REQUEST,
    AnswerEvent,
    Appearance,
    BoxXyxy,
    ContractBroken,
    DescribeEvent,
    DescribeRequest,
    DescribeTimings,
    DetectMeta,
    DetectTimings,
    DoneEvent,
    RegionRequest,
    SizeWh,
    TokenEvent,
    class_names_fault,
    name_fault,
)

MAX_STATISTICS = 64
_COMPARED = ("distance", "limit")
_EVENT_TYPES = {TokenEvent: "token", AnswerEvent: "answer", DoneEvent: "done"}
_DETECT_MS = ("queue_ms", "decode_ms", "preprocess_ms", "infer_ms", "postprocess_ms", "service_ms")
_DESCRIBE_MS = ("queue_ms", "first_token_ms", "service_ms")


def encode_meta(meta: DetectMeta) -> str:
    return _dump({"contract": CONTRACT_VERSION, **asdict(meta)})


def encode_request(request: DescribeRequest) -> str:
    regions = [_region_fields(region) for region in request.regions]
    return _dump({"contract": CONTRACT_VERSION, **asdict(request), "regions": regions})


def _region_fields(region: RegionRequest) -> dict[str, Any]:
    """The template's cut travels as base64, and only where there is one: a node that does not know it reads on."""
    fields = asdict(region)
    if template := fields.pop("template"):
        fields["template"] = base64.b64encode(template).decode()
    return fields


def encode_event(event: DescribeEvent) -> str:
    return _dump(event_fields(event))


def event_fields(event: DescribeEvent) -> dict[str, Any]:
    """The event as the object that is sent: `{"type": "token" | "answer" | "done", ...}`."""
    return {"type": _EVENT_TYPES[type(event)], **asdict(event)}


def decode_meta(text: str | bytes) -> DetectMeta:
    fields = _object(text, "meta")
    _same_version(fields, "meta")
    timings = _member(fields, "timings", dict, "meta")
    return DetectMeta(
        **_identity(fields, "meta"),
        class_names=_class_names(fields, "meta"),
        size_wh=_size_wh(fields, "size_wh", "meta"),
        timings=DetectTimings(
            **{name: _number(timings, name, "meta.timings") for name in _DETECT_MS},
            batch=_member(timings, "batch", int, "meta.timings"),
        ),
        unplaced=_count(fields, "unplaced", "meta"),
        products=_products(fields),
        appearance=_appearance(fields),
    )


def _products(fields: Mapping[str, Any]) -> tuple[str, ...]:
    """What a model was trained for; a node that does not know of products names none."""
    products = _strings({"products": [], **fields}, "products", "meta")
    if len(products) > MAX_PRODUCTS or any(name_fault(name, MAX_PRODUCT_CHARS) for name in products):
        raise ContractBroken(f"meta.products holds a name that cannot be one, or more than {MAX_PRODUCTS}")
    return products


def _appearance(fields: Mapping[str, Any]) -> Appearance | None:
    if fields.get("appearance") is None:
        return None
    where = "meta.appearance"
    about = _member(fields, "appearance", dict, "meta")
    statistics = _member(about, "statistics", dict, where)
    if len(statistics) > MAX_STATISTICS:
        raise ContractBroken(f"{where}.statistics has {len(statistics)} entries, at most {MAX_STATISTICS} are taken")
    distance, limit = (None if about.get(name) is None else _number(about, name, where) for name in _COMPARED)
    if (distance is None) != (limit is None) or (distance is not None and distance < 0):
        raise ContractBroken(f"{where} has a distance without a limit, or one below 0")
    return Appearance({str(name): _number(statistics, name, where) for name in statistics}, distance, limit)


def decode_request(text: str | bytes) -> DescribeRequest:
    return request_from_fields(_object(text, "request"))


def request_from_fields(fields: Mapping[str, Any]) -> DescribeRequest:
    """A describe request from a plain object, as a client builds it; raises `ContractBroken`."""
    _same_version(fields, "request")
    regions = _member(fields, "regions", list, "request")
    if not 1 <= len(regions) <= MAX_REGIONS_PER_REQUEST:
        raise ContractBroken(f"request.regions has {len(regions)} entries, not 1..{MAX_REGIONS_PER_REQUEST}")
    request = DescribeRequest(
        prompt_version=_member(fields, "prompt_version", str, "request"),
        frame_size_wh=_size_wh(fields, "frame_size_wh", "request"),
        class_names=_strings(fields, "class_names", "request"),
        regions=tuple(_region(region, f"request.regions[{i}]") for i, region in enumerate(regions)),
    )
    if "max_tokens" not in fields:
        return request
    return replace(request, max_tokens=_member(fields, "max_tokens", int, "request"))


def decode_event(text: str | bytes) -> DescribeEvent:
    fields = _object(text, "event")
    kind = _member(fields, "type", str, "event")
    if kind == "token":
        return TokenEvent(_member(fields, "region_id", str, kind), _member(fields, "text", str, kind))
    if kind == "answer":
        return _answer(fields)
    if kind == "done":
        return _done(fields)
    raise ContractBroken(f"event.type is {kind!r}, expected token, answer or done")


def _answer(fields: Mapping[str, Any]) -> AnswerEvent:
    return AnswerEvent(
        region_id=_member(fields, "region_id", str, "answer"),
        answer=_member(fields, "answer", dict, "answer"),
        raw_text=_member(fields, "raw_text", str, "answer"),
        valid=_member(fields, "valid", bool, "answer"),
        errors=_strings(fields, "errors", "answer"),
        tokens=_member(fields, "tokens", int, "answer"),
    )


def _done(fields: Mapping[str, Any]) -> DoneEvent:
    timings = _member(fields, "timings", dict, "done")
    return DoneEvent(
        timings=DescribeTimings(
            **{name: _number(timings, name, "done.timings") for name in _DESCRIBE_MS},
            tokens=_member(timings, "tokens", int, "done.timings"),
        ),
        **_identity(fields, "done"),
    )


def _region(fields: Any, where: str) -> RegionRequest:
    if not isinstance(fields, Mapping):
        raise ContractBroken(f"{where} is {type(fields).__name__}, expected an object")
    return RegionRequest(
        region_id=_member(fields, "region_id", str, where),
        box_xyxy=_box(fields, "box_xyxy", where),
        detector_class=_member(fields, "detector_class", str, where),
        score=_number(fields, "score", where),
        template=_encoded_bytes({"template": "", **fields}, "template", where),
    )


def _encoded_bytes(fields: Mapping[str, Any], name: str, where: str) -> bytes:
    """As base64 from the wire, or as they are from a client's own object."""
    if isinstance(fields[name], bytes):
        return fields[name]
    text = _member(fields, name, str, where)
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise ContractBroken(f"{where}.{name} is not base64") from None


def _dump(fields: Mapping[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":"), allow_nan=False)


def _object(text: str | bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(text, parse_constant=_not_a_number)
    except (ValueError, RecursionError) as error:
        raise ContractBroken(f"{where} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise ContractBroken(f"{where} is {type(value).__name__}, expected an object")
    return value


def _not_a_number(word: str) -> Any:
    raise ValueError(f"{word} is not JSON")


def _same_version(fields: Mapping[str, Any], where: str) -> None:
    version = fields.get("contract", CONTRACT_VERSION)
    if version != CONTRACT_VERSION:
        raise ContractBroken(f"{where} speaks contract {version!r}, this side speaks {CONTRACT_VERSION!r}")


def _identity(fields: Mapping[str, Any], where: str) -> dict[str, str]:
    texts: dict[str, str] = {name: _member(fields, name, str, where) for name in IDENTITY_LIMITS}
    for name, text in texts.items():
        if len(text) > IDENTITY_LIMITS[name]:
            raise ContractBroken(f"{where}.{name} has {len(text)} characters, not up to {IDENTITY_LIMITS[name]}")
    return texts


def _member(fields: Mapping[str, Any], name: str, kind: type, where: str) -> Any:
    value = fields.get(name)
    if kind is list and isinstance(value, tuple):
        return list(value)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ContractBroken(f"{where}.{name} is {type(value).__name__}, expected {kind.__name__}")
    return value


def _count(fields: Mapping[str, Any], name: str, where: str) -> int:
    """A number of things; a node that does not count them says none."""
    value: int = _member({name: 0, **fields}, name, int, where)
    if value < 0:
        raise ContractBroken(f"{where}.{name} is {value}, expected 0 or more")
    return value


def _number(fields: Mapping[str, Any], name: str, where: str) -> float:
    return _finite(fields.get(name), f"{where}.{name}")


def _finite(value: Any, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ContractBroken(f"{where} is {value!r}, expected a finite number")
    return float(value)


def _strings(fields: Mapping[str, Any], name: str, where: str) -> tuple[str, ...]:
    values = _member(fields, name, list, where)
    if not all(isinstance(value, str) for value in values):
        raise ContractBroken(f"{where}.{name} holds something that is not a string")
    return tuple(values)


def _class_names(fields: Mapping[str, Any], where: str) -> tuple[str, ...]:
    """A model's classes; those that a line could not store are refused here, whatever loaded them."""
    names = _strings(fields, "class_names", where)
    if fault := class_names_fault(names):
        raise ContractBroken(f"{where}.class_names: {fault}")
    return names


def _box(fields: Mapping[str, Any], name: str, where: str) -> BoxXyxy:
    values = _member(fields, name, list, where)
    if len(values) != 4:
        raise ContractBroken(f"{where}.{name} has {len(values)} numbers, expected 4")
    x0, y0, x1, y1 = (_finite(value, f"{where}.{name}") for value in values)
    return (x0, y0, x1, y1)


def _size_wh(fields: Mapping[str, Any], name: str, where: str) -> SizeWh:
    values = _member(fields, name, list, where)
    if len(values) != 2 or not all(isinstance(n, int) and not isinstance(n, bool) and n > 0 for n in values):
        raise ContractBroken(f"{where}.{name} is {values!r}, expected [width, height] in pixels")
    return (values[0], values[1])
