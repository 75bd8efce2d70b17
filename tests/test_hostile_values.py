"""Whatever stands in an address, a header or a body: no operation of the API breaks, and its description tells of the
answer."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import yaml
from django.test import Client

from tests.cast import Cast, add_frame, add_node
from tests.learning import learning_ids

DESCRIPTION = yaml.safe_load((Path(__file__).parents[1] / "docs" / "openapi.yaml").read_text())
OPERATIONS = [(method, path) for path, methods in DESCRIPTION["paths"].items() for method in methods]
LONG_NUMBER = "9" * 5000
IN_ADDRESSES = [
    "0", "-1", str(2**31), str(2**63 - 1), str(2**63), str(10**30), LONG_NUMBER, "%00", "%ED%A0%80", "%FF", "NaN",
    "1e999", "%E2%80%8B", "%C2%B2", "",
]  # fmt: skip
IN_BODIES = ["\ud800", "\x00", "\u200b", "x" * 5000, 2**31, 2**63, 10**400, -1, 1e308, 0.1, True, None, [], [[]], {}]
RAW_BODIES = [
    b"", b"null", b"[]", b'"x"', b"\xff\xfe", b'{"a": NaN}', b'{"a": 1e999}', b"[" * 100_000, b'{"a": ' + b"9" * 5000,
    b'{"' + b"9" * 5000 + b'": 1}', LONG_NUMBER.encode(), b'"\\ud800"',
]  # fmt: skip
TYPES = [
    "", "text/html", "application/json; charset=utf-7", "application/json; charset=nonsense", "application/json;;=",
    "multipart/form-data", "multipart/form-data; boundary=\x00", "multipart/form-data; boundary=x; charset=nonsense",
    "application/x-www-form-urlencoded; charset=nonsense", "image/png; charset=idna", "*/*", "a/b/c", "\xff/\xff",
]  # fmt: skip
HEADERS = {
    "HTTP_RANGE": "bytes=\xff-",
    "HTTP_IF_NONE_MATCH": 'W/"\xff',
    "HTTP_IDEMPOTENCY_KEY": "\xff\x00" + "k" * 300,
    "HTTP_X_PART_ID": "\xed\xa0\x80",
    "HTTP_X_CAPTURED_AT": "9999-99-99T99:99:99+99:99",
    "HTTP_CONTENT_DISPOSITION": "attachment; filename*=nonsense'%FF",
    "HTTP_ACCEPT": "\xff/;q=nonsense",
}


@pytest.fixture
def known(cast: Cast) -> dict[str, Any]:
    frame = add_frame(cast.station)
    node = add_node()
    return {
        "station_id": cast.station.pk,
        "line_id": cast.line.pk,
        "frame_id": frame.pk,
        "replay_id": 1,
        "name": node.name,
        **learning_ids(cast),
    }


@pytest.mark.stack
@pytest.mark.parametrize(("method", "path"), OPERATIONS, ids=[f"{method} {path}" for method, path in OPERATIONS])
def test_no_value_breaks_an_operation(cast: Cast, known: dict[str, Any], method: str, path: str) -> None:
    client = Client(raise_request_exception=False)
    client.force_login(cast.ada)
    told = DESCRIPTION["paths"][path][method]
    surprises = []
    for case, address, more in calls(path, told, known):
        answer = client.generic(method.upper(), address, **more)
        statuses = {int(status) for status in told["responses"]}
        if answer.status_code not in statuses or answer.status_code >= 500:
            surprises.append((answer.status_code, case))
    assert not surprises


def calls(path: str, told: dict[str, Any], known: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """What is odd about it, its address, and the rest of a call."""
    right = path.format(**known)
    body = example(body_schema(told))
    json_call = {"data": json.dumps(body).encode(), "content_type": "application/json"}
    for parameter in told.get("parameters", []):
        for text in IN_ADDRESSES if parameter["in"] == "query" else ():
            yield f"{parameter['name']}={text[:20]}", f"{right}?{parameter['name']}={text}", json_call
        if parameter["in"] == "path":
            for text in filter(None, IN_ADDRESSES):
                yield f"{parameter['name']}: {text[:20]}", path.format(**known | {parameter["name"]: text}), json_call
    yield "an unknown filter", f"{right}?{quote(chr(0))}=%00&x[]=1", json_call
    for name, header in HEADERS.items():
        yield name, right, json_call | {name: header}
    for kind in TYPES:
        yield kind, right, {"data": b"\xff\x00", "content_type": kind}
    for raw in RAW_BODIES:
        yield repr(raw[:20]), right, {"data": raw, "content_type": "application/json"}
    for place in body if isinstance(body, dict) else ():
        for value in IN_BODIES:
            odd = json.dumps(body | {place: value}).encode()
            yield f"{place}: {value!r:.20}", right, {"data": odd, "content_type": "application/json"}


def body_schema(told: dict[str, Any]) -> dict[str, Any]:
    content = told.get("requestBody", {}).get("content", {})
    found: dict[str, Any] = content.get("application/json", {}).get("schema", {})
    return found


def example(schema: dict[str, Any]) -> Any:
    """A value that fits, as plain as can be."""
    if "$ref" in schema:
        return example(DESCRIPTION["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "allOf" in schema or "oneOf" in schema:
        return example((schema.get("allOf") or schema["oneOf"])[0])
    if "enum" in schema:
        return schema["enum"][0]
    if schema.get("type") == "object":
        return {name: example(one) for name, one in schema.get("properties", {}).items()}
    if schema.get("type") == "array":
        return [example(schema["items"])] * schema.get("minItems", 1)
    plain = {"integer": 1, "number": 1.0, "boolean": True, "string": "x"}
    return "01a21557-f52d-7fde-a579-b88456a4cc2d" if schema.get("format") == "uuid" else plain.get(schema.get("type"))
