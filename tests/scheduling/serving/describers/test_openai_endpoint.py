"""The endpoint describer against a real HTTP server: good answers, and each way in which one goes wrong."""

import base64
import gzip
import io
import json
import socket
import threading
import time
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import jsonschema
import numpy as np
import pytest
from PIL import Image

from scheduling.serving.contracts import AnswerEvent, RegionRequest, Rgb, TokenEvent
from scheduling.serving.describers import load_describer
from scheduling.serving.describers.openai_endpoint import KEY_VARIABLE, Deadlines, EndpointDescriber
from scheduling.serving.prompts import SECOND_PICTURE
from tests.scheduling.serving.answer_schema import answer_schema
from tests.scheduling.serving.describers.chat_server import Handler, Reply, Server, chat_server

CLASSES = ("open", "short")
ANSWER = json.dumps(
    {
        "defect_class": "open",
        "appearance": "A gap.",
        "probable_cause": "A scratch.",
        "recommended_action": "Repair.",
        "confidence": 0.8,
    }
)
PIECES = [ANSWER[:10], ANSWER[10:50], ANSWER[50:]]
QUICK = Deadlines(connect_s=2.0, idle_s=0.5, region_s=5.0, backoff_s=0.02)


def says(*pieces: str, **options: Any) -> Reply:
    return lambda handler: handler.stream(list(pieces), **options)


def answers(status: int, content: Any = None, **headers: str) -> Reply:
    return lambda handler: handler.send_json(status, content or {"error": "no"}, **headers)


def describe(
    server: Server, count: int = 1, *, template: Rgb | None = None, **options: Any
) -> list[TokenEvent | AnswerEvent]:
    describer = EndpointDescriber(server.url, "tiny", **({"deadlines": QUICK} | options))
    crops = [np.full((20, 30, 3), 90, np.uint8)] * count
    regions = [RegionRequest(f"r{n}", (0, 0, 30, 20), "open", 0.7) for n in range(count)]
    try:
        return list(
            describer.describe(
                crops,
                regions,
                class_names=CLASSES,
                frame_size_wh=(300, 200),
                is_cancelled=lambda: False,
                templates=[template] * count,
            )
        )
    finally:
        describer.close()


def only_answer(events: list[TokenEvent | AnswerEvent]) -> AnswerEvent:
    (event,) = [event for event in events if isinstance(event, AnswerEvent)]
    return event


def test_an_answer_is_streamed_checked_and_completed() -> None:
    with chat_server(says(*PIECES)) as server:
        events = describe(server)
    answer = only_answer(events)
    assert [event.text for event in events if isinstance(event, TokenEvent)] == PIECES
    assert (answer.valid, answer.raw_text, answer.tokens) == (True, ANSWER, 3)
    jsonschema.validate(answer.answer, answer_schema(CLASSES))


def test_the_request_carries_the_crop_the_classes_and_the_schema() -> None:
    with chat_server(says(*PIECES)) as server:
        describe(server, api_key="secret")
    (body,) = server.bodies
    picture, text = body["messages"][0]["content"]
    data = base64.b64decode(picture["image_url"]["url"].partition(",")[2])
    assert Image.open(io.BytesIO(data)).size == (30, 20)
    assert '"open", "short", "no defect"' in text["text"]
    assert body["response_format"]["json_schema"]["schema"]["properties"]["defect_class"]["enum"][0] == "open"
    assert (body["stream"], body["model"]) == (True, "tiny")
    assert server.headers_seen[0]["Authorization"] == "Bearer secret"


def test_a_template_goes_as_a_second_picture_that_the_text_names() -> None:
    with chat_server(says(*PIECES)) as server:
        describe(server, template=np.full((20, 30, 3), 200, np.uint8))
    (body,) = server.bodies
    kinds = [part["type"] for part in body["messages"][0]["content"]]
    assert kinds == ["image_url", "image_url", "text"]
    assert SECOND_PICTURE in body["messages"][0]["content"][-1]["text"]


def test_regions_are_asked_side_by_side() -> None:
    both = threading.Barrier(2)

    def together(handler: Handler) -> None:
        both.wait(5)
        handler.stream(PIECES)

    with chat_server(together) as server:
        events = describe(server, 2)
    assert [event.valid for event in events if isinstance(event, AnswerEvent)] == [True, True]


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (says(*PIECES[:2], finish=None, done=False), "cut before the answer ended"),
        (says(*PIECES, finish=None, done=True), "cut before the answer ended"),
        (says(*PIECES[:2], finish="length"), "cut off at 400 tokens"),
        (says("I see a gap."), "not JSON"),
        (says(ANSWER.replace("open", "scratch")), "'scratch' is not one of"),
        (says("x" * 17_000), "longer than 16000"),
        (lambda handler: handler.stream(["a"], finish=None, done=False) or handler.wfile.write(b"data: {oops\n\n"),
         "not the JSON of a chat completion"),
        (lambda handler: handler.stream([], finish=None, done=False) or handler.event({"error": {"message": "no GPU"}}),
         "no GPU"),
        (answers(401), KEY_VARIABLE),
        (answers(404), "should end in /v1"),
        (answers(400, {"error": "picture too large"}), "picture too large"),
        (answers(503), "status 503"),
    ],
)  # fmt: skip
def test_a_failing_endpoint_gives_an_invalid_answer_that_says_why(reply: Reply, sentence: str) -> None:
    with chat_server(reply) as server:
        answer = only_answer(describe(server))
    assert not answer.valid
    assert sentence in " ".join(answer.errors)


def test_a_silent_endpoint_is_given_up_after_the_idle_time() -> None:
    over = threading.Event()

    def silent(handler: Handler) -> None:
        handler.stream(PIECES[:1], finish=None, done=False)
        over.wait(10)

    with chat_server(silent) as server:
        answer = only_answer(describe(server, deadlines=Deadlines(idle_s=0.2)))
        over.set()
    assert "sent nothing for 0.2 s" in answer.errors[0]


def test_a_slow_endpoint_is_given_up_at_the_regions_deadline() -> None:
    over = threading.Event()

    def dripping(handler: Handler) -> None:
        handler.stream([], finish=None, done=False)
        while not over.wait(0.02):
            try:
                handler.event({"choices": [{"delta": {"content": "a"}}]})
            except OSError:
                return

    with chat_server(dripping) as server:
        answer = only_answer(describe(server, deadlines=Deadlines(idle_s=2.0, region_s=0.3)))
        over.set()
    assert "did not finish within 0.3 s" in answer.errors[0]


@pytest.mark.parametrize("wait", ["0", "0.05", "Wed, 01 Jan 2025 00:00:00 GMT", "soon"])
def test_an_overloaded_endpoint_is_asked_again_after_the_time_it_names(wait: str) -> None:
    with chat_server(answers(429, Retry_After=wait), says(*PIECES)) as server:
        answer = only_answer(describe(server, now=lambda: datetime(2025, 1, 1, tzinfo=UTC)))
    assert answer.valid
    assert len(server.bodies) == 2


def test_a_wait_longer_than_the_deadline_is_not_begun() -> None:
    with chat_server(answers(429, Retry_After="8")) as server:
        answer = only_answer(describe(server))
    assert "overloaded" in answer.errors[0]
    assert len(server.bodies) == 1


@pytest.mark.parametrize("wait", ["nan", "inf", "-3", "9" * 400, "Wed, 01 Jan 2025 99:00:00 GMT"])
def test_a_wait_that_is_none_is_not_believed(wait: str) -> None:
    with chat_server(answers(429, Retry_After=wait), says(*PIECES)) as server:
        assert only_answer(describe(server)).valid


def test_the_time_that_an_endpoint_names_is_kept() -> None:
    asked: list[float] = []

    def overloaded(handler: Handler) -> None:
        asked.append(time.monotonic())
        answers(429, Retry_After="0.4")(handler)

    def free(handler: Handler) -> None:
        asked.append(time.monotonic())
        handler.stream(PIECES)

    with chat_server(overloaded, free) as server:
        assert only_answer(describe(server)).valid
    assert asked[1] - asked[0] >= 0.4


@pytest.mark.parametrize(("status", "times"), [(429, 4), (503, 4), (400, 1), (401, 1), (404, 1)])
def test_a_refusal_is_tried_again_so_often_where_it_may_pass(status: int, times: int) -> None:
    with chat_server(answers(status)) as server:
        assert not only_answer(describe(server)).valid
    assert len(server.bodies) == times


def test_a_connection_that_closes_before_an_answer_is_tried_again() -> None:
    with chat_server(lambda handler: handler.connection.shutdown(socket.SHUT_RDWR), says(*PIECES)) as server:
        assert only_answer(describe(server)).valid
    assert len(server.bodies) == 2


def test_a_text_that_has_begun_is_not_asked_for_again() -> None:
    with chat_server(says(*PIECES[:1], finish=None, done=False), says(*PIECES)) as server:
        assert not only_answer(describe(server)).valid
    assert len(server.bodies) == 1


def test_an_endpoint_without_schemas_is_asked_without() -> None:
    refuses = answers(400, {"error": "unknown field response_format"})
    with chat_server(refuses, says(*PIECES)) as server:
        assert only_answer(describe(server)).valid
    assert ["response_format" in body for body in server.bodies] == [True, False]


def test_cancelling_ends_the_stream_soon() -> None:
    began = threading.Event()
    over = threading.Event()

    def endless(handler: Handler) -> None:
        handler.stream(PIECES[:1], finish=None, done=False)
        began.set()
        over.wait(10)

    with chat_server(endless) as server:
        describer = EndpointDescriber(server.url, "tiny", deadlines=QUICK)
        events = list(
            describer.describe(
                [np.zeros((9, 9, 3), np.uint8)],
                [RegionRequest("r", (0, 0, 9, 9), "open", 0.5)],
                class_names=CLASSES,
                frame_size_wh=(9, 9),
                is_cancelled=began.is_set,
            )
        )
        over.set()
        describer.close()
    assert not any(isinstance(event, AnswerEvent) for event in events)


# --- streams that are none, or do not end


def writes(*parts: bytes, again: bytes = b"", **headers: str) -> Reply:
    """A response of just these bytes; then `again`, without an end."""

    def reply(handler: Handler) -> None:
        handler.send_response(200)
        for name, value in {"Content_Type": "text/event-stream", "Connection": "close", **headers}.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        with suppress(OSError):
            handler.wfile.write(b"".join(parts))
            while again:
                handler.wfile.write(again)

    return reply


def event(content: str, finish: str = "null") -> bytes:
    return (
        f'data: {{"choices": [{{"delta": {{"content": {json.dumps(content)}}}, "finish_reason": {finish}}}]}}'.encode()
    )


@pytest.mark.parametrize(
    ("reply", "sentence"),
    [
        (writes(event(ANSWER, '"stop"')[:-20]), "cut before the answer ended"),
        (writes(event(ANSWER, '"stop"')), "cut before the answer ended"),
        (writes(b"data: ", again=b"x" * 65_536), "more than 4 MiB"),
        (writes(again=b"data: x\n" * 8_192), "more than 4 MiB"),
        (writes(again=b": still here\n\n" * 4_096), "more than 4 MiB"),
        (writes(again=event("") + b"\n\n"), "more than 4 MiB"),
        (writes(again=event("x" * 3_000) + b"\n\n"), "longer than 16000"),
        (writes(event("x" * 3_000_000) + b"\n\n"), "longer than 16000"),
        (writes(b"data: " + b"[" * 100_000 + b"\n\n"), "not the JSON of a chat completion"),
        (writes(b'data: {"choices": [{"delta": {"content": 7}}]}\n\n'), "not the JSON of a chat completion"),
        (writes(b"data: {}\n\n"), "not the JSON of a chat completion"),
        (writes(event(ANSWER, '"stop"') + b"\n\n", Content_Type="text/html"), "not an event stream"),
        (writes(gzip.compress(b"data: " + b"x" * 10**7), Content_Encoding="gzip"), "compressed"),
    ],
)  # fmt: skip
def test_a_stream_that_is_none_or_does_not_end_is_given_up(reply: Reply, sentence: str) -> None:
    with chat_server(reply) as server:
        answer = only_answer(describe(server, deadlines=Deadlines(idle_s=30.0)))
    assert not answer.valid
    assert sentence in answer.errors[0]
    assert len(answer.raw_text) <= 16_000


def test_signs_of_life_and_events_of_several_lines_are_read_as_the_standard_says() -> None:
    whole = event(ANSWER, '"stop"')
    lines = b"\r\n".join([b"id: 7", b"retry: 10", b"", b": alive", b"", whole[:7], b"data:" + whole[7:], b"", b""])
    with chat_server(writes(lines)) as server:
        assert only_answer(describe(server)).raw_text == ANSWER


@pytest.mark.parametrize(
    "start",
    [
        b"HTTP/1.1 200 OK\r\nX-Slow: ",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\ndata: ",
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\n\r\n",
    ],
)
def test_an_answer_that_comes_byte_by_byte_ends_at_the_regions_deadline(start: bytes) -> None:
    over = threading.Event()

    def dripping(handler: Handler) -> None:
        with suppress(OSError):
            handler.wfile.write(start)
            while not over.wait(0.02):
                handler.wfile.write(b"x")

    with chat_server(dripping) as server:
        answer = only_answer(describe(server, deadlines=Deadlines(idle_s=30.0, region_s=0.3)))
        over.set()
    assert "did not finish within 0.3 s" in answer.errors[0]


# --- health


def test_a_healthy_endpoint_is_opened_by_its_spec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KEY_VARIABLE, "secret")
    with chat_server(says(*PIECES)) as server:
        describer = load_describer(f"{server.url}#tiny", threads=1)
    assert (describer.name, describer.runtime) == ("tiny", "endpoint 127.0.0.1")
    assert len(describer.digest) == 64


@pytest.mark.parametrize(
    ("models", "sentence"),
    [
        (answers(200, {"data": [{"id": "big"}]}), "serves big, not tiny"),
        (answers(200, {"data": []}), "serves no model, not tiny"),
        (answers(200, {"hello": 1}), "OpenAI-compatible"),
        (answers(200, ["x"]), "OpenAI-compatible"),
        (answers(401), KEY_VARIABLE),
        (answers(404), "should end in /v1"),
        (answers(500), "status 500"),
        (answers(200, {"data": [{"id": 3}]}), "OpenAI-compatible"),
        (answers(200, {"data": [], "more": "x" * 5 * 2**20}), "more than 4 MiB"),
    ],
)
def test_the_health_check_says_what_is_wrong(models: Reply, sentence: str) -> None:
    with chat_server(says(), models=models) as server, pytest.raises(ValueError, match=sentence):
        load_describer(f"{server.url}#tiny", threads=1)


def test_an_address_where_nobody_listens_is_named() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ValueError, match=f"127.0.0.1:{port}/v1 cannot be reached"):
        load_describer(f"http://127.0.0.1:{port}/v1#tiny", threads=1)


def test_a_spec_without_a_model_says_how_to_write_one() -> None:
    with pytest.raises(ValueError, match=r"write http://127.0.0.1:1/v1#name"):
        load_describer("http://127.0.0.1:1/v1", threads=1)
