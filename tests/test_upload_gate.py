"""A large body is read only from whom may upload there: the answer comes before a byte of it."""

import asyncio
import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.db import connections
from django.test import Client

from aivd_web.body_cap import FREE_BYTES
from inspections.models import ApiToken
from inspections.services import tokens
from tests.cast import Cast, token_for

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True)]

LARGE = str(200 * 1024 * 1024).encode()


class Request:
    """A POST through the whole application; `read` counts the bytes of the body that were asked for."""

    def __init__(self, path: str, *headers: tuple[bytes, bytes], length: bytes | None = LARGE) -> None:
        framing = (b"transfer-encoding", b"chunked") if length is None else (b"content-length", length)
        self.scope = {
            "type": "http",
            "method": "POST",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "http_version": "1.1",
            "scheme": "http",
            "server": ("testserver", 80),
            "client": ("127.0.0.1", 1),
            "headers": [(b"host", b"testserver"), framing, *headers],
        }
        self.read = 0
        self.read_when_answered: int | None = None
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.body = b""

    async def receive(self) -> dict[str, Any]:
        if self.read > 4 * FREE_BYTES:
            return {"type": "http.disconnect"}
        self.read += 65_536
        return {"type": "http.request", "body": bytes(65_536), "more_body": True}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status, self.headers = message["status"], dict(message["headers"])
            self.read_when_answered = self.read
        self.body += message.get("body", b"")

    async def answer(self) -> tuple[int, dict[str, Any]]:
        from aivd_web.asgi import application

        await application(self.scope, self.receive, self.send)
        return self.status, json.loads(self.body)


async def in_thread(function: Any, *args: Any, **kwargs: Any) -> Any:
    def work() -> Any:
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    return await sync_to_async(work, thread_sensitive=False)()


def bearer(text: str) -> tuple[bytes, bytes]:
    return (b"authorization", f"Bearer {text}".encode("latin-1"))


def session_of(user: Any) -> tuple[bytes, bytes]:
    client = Client()
    client.force_login(user)
    name = django_settings.SESSION_COOKIE_NAME
    return (b"cookie", f"{name}={client.cookies[name].value}".encode())


def revoked(cast: Cast) -> str:
    text = token_for(cast.line, "ingest")
    tokens.revoke(token=ApiToken.objects.latest("pk"))
    return text


WHO: dict[str, tuple[Any, int, str]] = {
    "nobody": (lambda cast: [], 401, "not_authenticated"),
    "a made-up token": (lambda cast: [bearer("aivd_abcdefgh_wrong")], 401, "token_invalid"),
    "no token at all": (lambda cast: [bearer("")], 401, "token_invalid"),
    "letters that are none": (lambda cast: [bearer("aivd_\xe4\xf6_\xff")], 401, "token_invalid"),
    "a revoked token": (lambda cast: [bearer(revoked(cast))], 401, "token_revoked"),
    "a token that may only read": (lambda cast: [bearer(token_for(cast.line, "read"))], 403, "forbidden"),
    "another line's token": (lambda cast: [bearer(token_for(cast.other_line, "ingest"))], 404, "not_found"),
    "another station's token": (
        lambda cast: [bearer(token_for(cast.line, "ingest", station=cast.second_station))],
        404,
        "not_found",
    ),
    "a viewer": (lambda cast: [session_of(cast.vera)], 403, "forbidden"),
    "somebody from another line": (lambda cast: [session_of(cast.charlie)], 404, "not_found"),
    "a made-up session": (lambda cast: [(b"cookie", b"sessionid=nonsense")], 401, "not_authenticated"),
}


@pytest.mark.parametrize("length", [LARGE, None], ids=["with a length", "in chunks"])
@pytest.mark.parametrize("who", WHO)
async def test_who_may_not_upload_is_told_before_the_body_is_read(cast: Cast, who: str, length: bytes | None) -> None:
    headers, status, code = WHO[who]
    sent = await in_thread(headers, cast)
    request = Request(f"/api/v1/stations/{cast.station.pk}/frames", *sent, (b"content-type", b"image/x"), length=length)
    answered, body = await request.answer()
    assert (answered, body["code"], request.read_when_answered) == (status, code, 0)
    assert body["detail"]
    assert body["hint"]
    assert (b"www-authenticate" in request.headers) == (status == 401)


@pytest.mark.parametrize("station", ["999999", "9" * 18, "9" * 30])
async def test_a_station_that_does_not_exist_gets_no_body_either(cast: Cast, station: str) -> None:
    request = Request(f"/api/v1/stations/{station}/frames", await in_thread(session_of, cast.ada))
    answered, body = await request.answer()
    assert answered in (404, 413), body
    assert request.read_when_answered == 0


async def test_over_the_cap_is_said_to_whom_may_upload(cast: Cast) -> None:
    path = f"/api/v1/stations/{cast.station.pk}/frames"
    request = Request(path, await in_thread(session_of, cast.bob), (b"content-type", b"image/jpeg"))
    answered, body = await request.answer()
    assert (answered, body["code"], request.read_when_answered) == (413, "body_too_large", 0)


async def test_who_may_upload_is_read(cast: Cast) -> None:
    path = f"/api/v1/stations/{cast.station.pk}/frames"
    length = str(2 * FREE_BYTES).encode()
    request = Request(path, bearer(await in_thread(token_for, cast.line, "ingest")), length=length)
    taken = 0

    async def receive() -> dict[str, Any]:
        nonlocal taken
        if taken == 2 * FREE_BYTES:
            await asyncio.Event().wait()  # the client stays
        taken += 65_536
        return {"type": "http.request", "body": bytes(65_536), "more_body": taken < 2 * FREE_BYTES}

    request.receive = receive  # type: ignore[method-assign]
    answered, body = await request.answer()
    assert (answered, body["code"], taken) == (415, "not_a_picture", 2 * FREE_BYTES)
