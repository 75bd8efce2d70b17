"""The websockets of a line through the whole door: Origin, session or token, replay, live, stream."""

import asyncio
import contextlib
import json
import threading
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.db import connections, transaction
from django.test import Client

from aivd_web.kernel import publish
from aivd_web.kernel import socket as kernel_socket
from inspections import consumers
from inspections.events import numbering
from inspections.intake import ingest, stream
from inspections.models import ApiToken, Event, EventHead, Frame, Inspection, Membership
from inspections.services import tokens
from tests.cast import picture, token_for
from tests.websocket import WebsocketCommunicator

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]

OURS = (b"origin", b"http://testserver")
PATIENCE_S = 60.0


async def in_thread(function, *args, **kwargs):
    """Database work as another process would do it: on its own connection, committed."""

    def work():
        try:
            return function(*args, **kwargs)
        finally:
            connections.close_all()

    return await sync_to_async(work, thread_sensitive=False)()


def session_of(user):
    client = Client()
    client.force_login(user)
    return client.cookies[django_settings.SESSION_COOKIE_NAME].value


async def cookie_of(user):
    value = await in_thread(session_of, user)
    return (b"cookie", f"{django_settings.SESSION_COOKIE_NAME}={value}".encode())


def record(line, count=1, **data):
    with transaction.atomic():
        changes = [numbering.Change("frame.added", None, {"k": k, **data}) for k in range(count)]
        return numbering.record_all(line_id=line.pk, changes=changes)


class Socket:
    """A client of one websocket; every wait has a deadline."""

    def __init__(self, path, *, headers=(), subprotocols=()):
        from aivd_web.asgi import application

        self.inner = WebsocketCommunicator(
            application, path, headers=[(b"host", b"testserver"), *headers], subprotocols=list(subprotocols)
        )

    async def open(self):
        return await self.inner.connect(timeout=PATIENCE_S)

    async def message(self):
        return await self.inner.receive_output(timeout=PATIENCE_S)

    async def json(self):
        message = await self.message()
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def until(self, type_):
        """The first message of this type, and those before it."""
        before = []
        while (said := await self.json())["type"] != type_:
            before.append(said)
        return said, before

    async def closed(self):
        while (message := await self.message())["type"] != "websocket.close":
            pass
        return message["code"]


@pytest.fixture
async def sockets():
    opened = []

    async def open_socket(path, **kwargs):
        socket = Socket(path, **kwargs)
        opened.append(socket)
        accepted, _ = await socket.open()
        return socket if accepted else None

    yield open_socket
    for socket in opened:
        with contextlib.suppress(Exception):
            await socket.inner.disconnect(timeout=PATIENCE_S)


@pytest.fixture
def quick_beats(monkeypatch):
    monkeypatch.setattr(kernel_socket, "BEAT_S", 0.2)


# -- who gets in ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "origin",
    [
        None,
        b"http://evil.example",
        b"http://testserver.evil.example",
        b"http://testserver:81",
        b"null",
        b"",
        b"http://[::1",
        b"file://testserver",
    ],
)
async def test_a_session_from_elsewhere_is_refused(cast, sockets, origin):
    headers = [await cookie_of(cast.vera)] + ([(b"origin", origin)] if origin is not None else [])
    assert await sockets(f"/ws/v1/lines/{cast.line.pk}/events", headers=headers) is None


async def test_a_token_from_a_foreign_page_is_refused_too(cast, sockets):
    text = await in_thread(token_for, cast.line, "read")
    headers = [(b"origin", b"http://evil.example")]
    path = f"/ws/v1/lines/{cast.line.pk}/events"
    assert await sockets(path, headers=headers, subprotocols=[f"aivd.token.{text}"]) is None


async def test_nobody_and_strangers_are_told_by_the_close_code(cast, sockets):
    path = f"/ws/v1/lines/{cast.line.pk}/events"
    nobody = await sockets(path, headers=[OURS])
    assert await nobody.closed() == 4401
    stranger = await sockets(path, headers=[OURS, await cookie_of(cast.charlie)])
    assert await stranger.closed() == 4404
    wrong = await sockets(path, subprotocols=["aivd.token.aivd_abcdefgh_wrong"])
    assert await wrong.closed() == 4401
    nowhere = await sockets("/ws/v1/nothing", headers=[OURS])
    assert await nowhere.closed() == 4404


async def test_a_token_gets_in_by_header_or_subprotocol_but_not_with_the_wrong_scope(cast, sockets):
    path = f"/ws/v1/lines/{cast.line.pk}/events"
    text = await in_thread(token_for, cast.line, "read")
    by_header = await sockets(path, headers=[(b"authorization", f"Bearer {text}".encode())])
    assert (await by_header.json())["type"] == "hello"
    by_protocol = await sockets(path, subprotocols=["aivd.v1", f"aivd.token.{text}"])
    assert (await by_protocol.json())["type"] == "hello"
    ingest = await in_thread(token_for, cast.line, "ingest")
    refused = await sockets(path, subprotocols=[f"aivd.token.{ingest}"])
    assert await refused.closed() == 4404
    station = await in_thread(token_for, cast.line, "read", station=cast.station)
    refused = await sockets(path, subprotocols=[f"aivd.token.{station}"])
    assert await refused.closed() == 4404  # a line's events tell of all its stations


# -- following --------------------------------------------------------------------------------------


async def test_a_viewer_is_replayed_from_its_number_and_then_hears_live(cast, sockets):
    await in_thread(record, cast.line, 5)
    headers = [OURS, await cookie_of(cast.vera)]
    viewer = await sockets(f"/ws/v1/lines/{cast.line.pk}/events?after_seq=2", headers=headers)
    hello = await viewer.json()
    assert (hello["type"], hello["head_seq"]) == ("hello", 5)
    assert [(await viewer.json())["seq"] for _ in range(3)] == [3, 4, 5]
    await in_thread(record, cast.line, 2)
    assert [(await viewer.json())["seq"] for _ in range(2)] == [6, 7]


async def test_without_a_number_a_viewer_hears_from_now_on(cast, sockets):
    await in_thread(record, cast.line, 5)
    viewer = await sockets(f"/ws/v1/lines/{cast.line.pk}/events", headers=[OURS, await cookie_of(cast.vera)])
    assert (await viewer.json())["type"] == "hello"
    await in_thread(record, cast.line)
    assert (await viewer.json())["seq"] == 6


async def test_an_event_whose_message_was_lost_comes_with_the_next_beat(cast, sockets, quick_beats, monkeypatch):
    viewer = await sockets(
        f"/ws/v1/lines/{cast.line.pk}/events?after_seq=0", headers=[OURS, await cookie_of(cast.vera)]
    )
    await viewer.json()
    monkeypatch.setattr(numbering, "publish_on_commit", lambda group, message: None)
    await in_thread(record, cast.line, 3)
    head, before = await viewer.until("head")
    while head["seq"] < 3:
        head, more = await viewer.until("head")
        before += more
    assert [said["seq"] for said in before if said["type"] == "frame.added"] == [1, 2, 3]


async def test_hints_are_passed_on_as_they_are(cast, sockets):
    viewer = await sockets(f"/ws/v1/lines/{cast.line.pk}/events", headers=[OURS, await cookie_of(cast.vera)])
    await viewer.json()
    message = {"type": "describe.token", "id": "f", "region": "r", "text": "A ", "n": 1}
    await in_thread(numbering.hint, line_id=cast.line.pk, message=message)
    assert (await viewer.until("describe.token"))[0] == message


async def test_who_was_away_for_too_long_is_told_to_start_over(cast, sockets, monkeypatch):
    monkeypatch.setattr(consumers, "MAX_REPLAY", 3)
    await in_thread(record, cast.line, 5)
    viewer = await sockets(
        f"/ws/v1/lines/{cast.line.pk}/events?after_seq=0", headers=[OURS, await cookie_of(cast.vera)]
    )
    await viewer.until("resync")
    assert await viewer.closed() == 4009


@pytest.mark.parametrize("after", ["x", "-1", "1e9", "9" * 30])
async def test_a_number_that_is_none_ends_the_socket(cast, sockets, after):
    viewer = await sockets(
        f"/ws/v1/lines/{cast.line.pk}/events?after_seq={after}", headers=[OURS, await cookie_of(cast.vera)]
    )
    assert await viewer.closed() == 4400


@pytest.mark.parametrize("how", ["role taken", "switched off", "signed out", "new password"])
async def test_who_loses_access_is_out_within_five_seconds(cast, sockets, how, quick_beats):
    cookie = await cookie_of(cast.vera)
    viewer = await sockets(f"/ws/v1/lines/{cast.line.pk}/events", headers=[OURS, cookie])
    await viewer.json()

    def lose():
        from django.contrib.sessions.models import Session

        if how == "role taken":
            Membership.objects.filter(user=cast.vera).delete()
        elif how == "switched off":
            type(cast.vera).objects.filter(pk=cast.vera.pk).update(is_active=False)
        elif how == "signed out":
            Session.objects.all().delete()
        else:
            cast.vera.set_password("another-password")
            cast.vera.save()

    await in_thread(lose)
    assert await viewer.closed() in (4401, 4404)


def test_who_is_there_is_asked_often_enough_for_that():
    assert kernel_socket.BEAT_S * kernel_socket.RECHECK_BEATS <= 4


async def test_a_revoked_tokens_socket_closes(cast, sockets, quick_beats):
    text = await in_thread(token_for, cast.line, "read")
    viewer = await sockets(f"/ws/v1/lines/{cast.line.pk}/events", subprotocols=[f"aivd.token.{text}"])
    await viewer.json()
    await in_thread(lambda: tokens.revoke(token=ApiToken.objects.get()))
    assert await viewer.closed() == 4401


# -- streaming in -----------------------------------------------------------------------------------


@pytest.fixture
async def camera(cast, sockets):
    text = await in_thread(token_for, cast.line, "ingest", station=cast.station)
    socket = await sockets(f"/ws/v1/stations/{cast.station.pk}/stream", subprotocols=[f"aivd.token.{text}"])
    assert await socket.json() == {"type": "credit", "window": 8}
    return socket


async def announce(socket, key, **more):
    await socket.inner.send_to(text_data=json.dumps({"type": "frame", "key": key, **more}))


async def test_pictures_are_acknowledged_in_order_once_they_are_committed(cast, camera):
    for n in range(4):
        await announce(camera, f"k{n}", part_id="board-1")
        await camera.inner.send_to(bytes_data=picture(n))
    answers = [await camera.json() for _ in range(4)]
    assert [(said["type"], said["key"], said["n"]) for said in answers] == [("ack", f"k{n}", n + 1) for n in range(4)]
    for said in answers:
        assert await in_thread(Frame.objects.filter(pk=said["frame"]).exists)
    ids = [said["frame"] for said in answers]
    assert len(set(ids)) == 4


async def test_a_picture_without_announcement_is_taken_in(cast, camera):
    await camera.inner.send_to(bytes_data=picture(1))
    said = await camera.json()
    assert (said["type"], said["key"], said["n"]) == ("ack", "", 1)


async def test_a_picture_that_is_sent_again_is_the_same_frame(cast, camera):
    frames = []
    for _ in range(2):
        await announce(camera, "k")
        await camera.inner.send_to(bytes_data=picture(1))
        frames.append((await camera.json())["frame"])
    assert frames[0] == frames[1]
    assert await in_thread(Frame.objects.count) == 1


async def test_a_refusal_is_a_sentence_and_the_stream_goes_on(cast, camera):
    await announce(camera, "bad")
    await camera.inner.send_to(bytes_data=b"not a picture")
    said = await camera.json()
    assert (said["type"], said["key"], said["code"]) == ("refused", "bad", "not_a_picture")
    assert said["detail"]
    assert said["hint"]
    await camera.inner.send_to(bytes_data=picture(1))
    assert (await camera.json())["type"] == "ack"


UNREADABLE = [
    "{",
    "[]",
    "",
    "null",
    "7",
    '"frame"',
    '{"type": "hello"}',
    '{"type": null}',
    '{"type": "frame", "key": 7}',
    '{"type": "frame", "key": {}}',
    '{"type": "frame", "key": "k", "part_id": 5}',
    '{"type": "frame", "key": "k", "captured_at": ["2026-01-31T12:00:00Z"]}',
    '{"type": "frame", "key": "k", "part_id": {"a": 1}}',
    "[" * 7_000,
    '{"a":' * 1_000,
    "9" * 8_000,
    '{"type": "frame", "key": "' + "k" * 9_000 + '"}',
    "x" * 100_000,
]


@pytest.mark.parametrize("text", UNREADABLE, ids=range(len(UNREADABLE)))
async def test_a_message_that_cannot_be_read_is_answered_and_the_stream_goes_on(cast, camera, text):
    await camera.inner.send_to(text_data=text)
    said = await camera.json()
    assert (said["type"], said["code"], said["n"], said["text"]) == ("refused", "bad_message", None, 1)
    assert said["detail"]
    assert said["hint"]
    await camera.inner.send_to(bytes_data=picture(1))  # it may have been meant for this one
    said = await camera.json()
    assert (said["type"], said["code"], said["n"]) == ("refused", "bad_message", 1)
    await announce(camera, "good")
    await camera.inner.send_to(bytes_data=picture(2))
    said = await camera.json()
    assert (said["type"], said["key"], said["n"]) == ("ack", "good", 2)
    assert await in_thread(Frame.objects.count) == 1


async def test_the_picture_after_a_bad_announcement_is_refused_under_its_key(cast, camera):
    await camera.inner.send_to(text_data='{"type": "frame", "key": "k7", "part_id": 5}')
    assert (await camera.json())["n"] is None
    await camera.inner.send_to(bytes_data=picture(1))
    said = await camera.json()
    assert (said["code"], said["key"], said["n"]) == ("bad_message", "k7", 1)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"part_id": "A\ud83d"}, "bad_part_id"),
        ({"part_id": "A\x00B"}, "bad_part_id"),
        ({"part_id": "p" * 101}, "bad_part_id"),
        ({"captured_at": "0001-01-01T00:00:00+01:00"}, "bad_captured_at"),
        ({"captured_at": "9999-12-31T23:59:59-05:00"}, "bad_captured_at"),
        ({"captured_at": "A\ud83d"}, "bad_captured_at"),
        ({"key": "A\ud83d"}, "bad_idempotency_key"),
        ({"key": "\x00"}, "bad_idempotency_key"),
        ({"key": "k" * 181}, "bad_idempotency_key"),
    ],
)
async def test_what_is_wrong_with_one_announcement_is_the_answer_to_its_picture(cast, camera, more, code):
    await announce(camera, **({"key": "k"} | more))
    await camera.inner.send_to(bytes_data=picture(1))
    said = await camera.json()
    assert (said["type"], said["code"], said["n"]) == ("refused", code, 1)
    await announce(camera, "next", part_id="Gehäuse-Nr 5")
    await camera.inner.send_to(bytes_data=picture(2))
    assert (await camera.json())["type"] == "ack"


async def test_an_error_that_nobody_foresaw_is_an_answer_too(cast, camera, monkeypatch):
    def breaks(**kwargs):
        raise KeyError("MPO")

    with monkeypatch.context() as patch:
        patch.setattr(ingest, "add_frame", breaks)
        await announce(camera, "k")
        await camera.inner.send_to(bytes_data=picture(1))
        said = await camera.json()
    assert (said["type"], said["key"], said["code"]) == ("refused", "k", "not_taken_in")
    await camera.inner.send_to(bytes_data=picture(1))
    assert (await camera.json())["type"] == "ack"


async def test_who_sends_more_than_the_window_waits_and_loses_nothing(cast, camera, monkeypatch):
    gate, real, started = threading.Event(), stream.take_in, []

    def slow(**kwargs):
        started.append(kwargs["key"])
        gate.wait(PATIENCE_S)
        return real(**kwargs)

    monkeypatch.setattr(stream, "take_in", slow)
    for n in range(20):
        await announce(camera, f"k{n}")
        await camera.inner.send_to(bytes_data=picture(n))
    gate.set()
    answers = [await camera.json() for _ in range(20)]
    assert [(said["type"], said["key"]) for said in answers] == [("ack", f"k{n}") for n in range(20)]


async def test_an_oversize_picture_is_answered_and_the_stream_goes_on(cast, camera, monkeypatch):
    monkeypatch.setattr(stream, "MAX_PICTURE_BYTES", 1000)
    await announce(camera, "big")
    await camera.inner.send_to(bytes_data=bytes(1001))
    said = await camera.json()
    assert (said["type"], said["key"], said["n"], said["code"]) == ("refused", "big", 1, "picture_too_large")
    await announce(camera, "small")
    await camera.inner.send_to(bytes_data=picture(1))
    said = await camera.json()
    assert (said["type"], said["key"], said["n"]) == ("ack", "small", 2)


async def test_what_the_server_read_over_is_answered_too(cast, camera):
    for message in (
        {"text": "", "bytes": None, "unreadable": "Too long."},
        {"text": None, "bytes": b"", "unreadable": "Too long."},
        {"text": None, "bytes": b"", "unreadable": "Too long."},
    ):
        await camera.inner.send_input({"type": "websocket.receive", **message})
    answers = [await camera.json() for _ in range(3)]
    assert [(said["code"], said["n"]) for said in answers] == [
        ("bad_message", None),
        ("bad_message", 1),  # the announcement before it was not read
        ("picture_too_large", 2),
    ]


async def test_one_part_is_one_inspection_by_rest_and_stream(cast, camera):
    text = await in_thread(token_for, cast.line, "ingest", station=cast.station)
    await announce(camera, "k", part_id="Geha\u0308use-Nr 5")
    await camera.inner.send_to(bytes_data=picture(1))
    assert (await camera.json())["type"] == "ack"

    def by_rest():
        header = "Gehäuse-Nr 5".encode().decode("latin-1")  # as a server hands on the bytes of a header
        return Client().post(
            f"/api/v1/stations/{cast.station.pk}/frames",
            picture(2),
            content_type="image/jpeg",
            headers={"X-Part-Id": header, "Authorization": f"Bearer {text}"},
        )

    assert (await in_thread(by_rest)).status_code == 201
    assert await in_thread(lambda: Inspection.objects.get().part_id) == "Gehäuse-Nr 5"


@pytest.mark.parametrize(("person", "code"), [("vera", 4404), ("charlie", 4404)])
async def test_who_may_not_upload_may_not_stream(cast, sockets, person, code):
    cookie = await cookie_of(getattr(cast, person))
    socket = await sockets(f"/ws/v1/stations/{cast.station.pk}/stream", headers=[OURS, cookie])
    assert await socket.closed() == code


# -- many at once -----------------------------------------------------------------------------------


async def test_every_viewer_ends_with_the_databases_list_whatever_is_dropped(cast, sockets, quick_beats, monkeypatch):
    """One in three messages is lost, viewers come and go with their last number."""
    import random

    rng = random.Random(7)
    real = publish.publish_on_commit
    monkeypatch.setattr(numbering, "publish_on_commit", lambda *args: real(*args) if rng.random() > 0.33 else None)
    cookie = await cookie_of(cast.vera)
    total, path = 60, f"/ws/v1/lines/{cast.line.pk}/events?after_seq="

    async def follow(drops):
        got: list[Any] = []
        for stop_at in [*drops, total]:
            socket = await sockets(f"{path}{len(got)}", headers=[OURS, cookie])
            while len(got) < stop_at:
                said = await socket.json()
                got += [said["seq"]] if "data" in said else []
            await socket.inner.disconnect(timeout=5)
        return got

    async def write():
        for _ in range(total // 3):
            await in_thread(record, cast.line, 3)
            await asyncio.sleep(0)

    viewers = [follow([]), follow([10, 30]), follow([5, 20, 40, 50])]
    *lists, _ = await asyncio.gather(*viewers, write())
    truth = await in_thread(lambda: list(Event.objects.order_by("seq").values_list("seq", flat=True)))
    assert truth == list(range(1, total + 1))
    assert await in_thread(lambda: EventHead.objects.get(line=cast.line).seq) == total
    for got in lists:
        assert got == truth
