"""Describe through an OpenAI-compatible endpoint (vLLM, SGLang, ...): streaming, with deadlines, trusting nothing.

The spec is `https://host:port/v1#model`; the key, where one is needed, is in AIVD_DESCRIBER_API_KEY. Each region is
one request, several at a time, since such servers batch by themselves. The requests run on an event loop in a thread
of their own: only there can a deadline end a request at any moment. Knows nothing about model runtimes.
"""

import base64
import hashlib
import math
import os
import queue
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final, NoReturn, TypeAlias

import anyio
import anyio.to_thread
import httpx
import msgspec
from anyio.from_thread import start_blocking_portal
from httpx_sse import EventSource, SSEError, aconnect_sse
from tenacity import (
    AsyncRetrying,
    RetryCallState,
    retry_if_exception,
    stop_after_attempt,
    stop_before_delay,
    wait_random_exponential,
)

from scheduling.serving.answers import MAX_RAW_CHARS, clean_text, complete_answer, read_answer
from scheduling.serving.contracts import IDENTITY_LIMITS, AnswerEvent, Describer, RegionRequest, Rgb, SizeWh, TokenEvent
from scheduling.serving.crops import encode_crop
from scheduling.serving.prompts import ask, response_format

KEY_VARIABLE: Final = "AIVD_DESCRIBER_API_KEY"
MAX_TOKENS: Final = 400
MAX_ANSWER_BYTES: Final = 4 * 2**20
"""Longest response, with everything around its text; so long may one event or one line be, too."""

RETRIES: Final = 3
LONGEST_BACKOFF_S: Final = 10.0
RETRIED: Final = (429, 500, 502, 503, 504)

Pictures = Sequence[Rgb | None]
"""A crop, and the same cut of the golden template or None."""


@dataclass(frozen=True)
class Deadlines:
    """Seconds: to connect, between two pieces of a stream, and for one region with all its retries.

    A retry waits a random time, at first up to `backoff_s`, on top of what the endpoint asked for.
    """

    connect_s: float = 5.0
    idle_s: float = 20.0
    region_s: float = 90.0
    backoff_s: float = 0.5


class EndpointError(RuntimeError):
    """One region got no answer; the text is a sentence for a person.

    `wait_s` is set where the request may be sent again, after that time at the earliest.
    """

    def __init__(self, sentence: str, *, wait_s: float | None = None) -> None:
        super().__init__(sentence)
        self.wait_s = wait_s


class Delta(msgspec.Struct):
    content: str | None = None


class Choice(msgspec.Struct):
    delta: Delta | None = None
    finish_reason: str | None = None


class Chunk(msgspec.Struct):
    """One event of the stream: a piece of the answer, or an error."""

    choices: list[Choice] | None = None
    error: Any = None


class ModelEntry(msgspec.Struct):
    id: str


class ModelList(msgspec.Struct):
    data: list[ModelEntry]


Say: TypeAlias = Callable[[TokenEvent | AnswerEvent], None]


class Transcript:
    """What has come of one region's text; each piece is passed on."""

    def __init__(self, region_id: str, say: Say) -> None:
        self.region_id, self.text, self.pieces = region_id, "", 0
        self._say = say

    def take(self, piece: str) -> None:
        if len(self.text) + len(piece) > MAX_RAW_CHARS:
            raise EndpointError(f"The answer is longer than {MAX_RAW_CHARS} characters.")
        if piece:
            self.text, self.pieces = self.text + piece, self.pieces + 1
            self._say(TokenEvent(self.region_id, piece))


def open_describer(spec: str, *, threads: int) -> Describer:
    """The endpoint does the work, whatever threads there are here."""
    return EndpointDescriber.from_spec(spec)


class EndpointDescriber:
    """A model behind `POST {url}/chat/completions`."""

    def __init__(
        self,
        url: str,
        model: str,
        *,
        api_key: str = "",
        deadlines: Deadlines = Deadlines(),
        parallel: int = 8,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.url, self.model, self.deadlines, self.parallel = url.rstrip("/"), model, deadlines, parallel
        self._now = now
        self._constrained = True
        self._client = httpx.AsyncClient(
            headers={"Accept-Encoding": "identity"} | ({"Authorization": f"Bearer {api_key}"} if api_key else {}),
            timeout=httpx.Timeout(deadlines.idle_s, connect=deadlines.connect_s),
            limits=httpx.Limits(max_connections=parallel),
            event_hooks={"response": [_bound]},
            follow_redirects=False,
            trust_env=False,
        )
        self._exits = ExitStack()
        self._portal = self._exits.enter_context(start_blocking_portal(name="describe"))
        self._exits.callback(lambda: self._portal.call(self._client.aclose))
        self.name = model
        self.digest = hashlib.sha256(f"{self.url}#{model}".encode()).hexdigest()
        self.version = model if len(model) <= IDENTITY_LIMITS["version"] else self.digest[:12]
        self.runtime = f"endpoint {httpx.URL(self.url).host}"[: IDENTITY_LIMITS["runtime"]]

    @classmethod
    def from_spec(cls, spec: str) -> "EndpointDescriber":
        """Open the endpoint of a spec and check it. Raises ValueError with what is wrong."""
        url, _, model = spec.partition("#")
        if not model:
            raise ValueError(f"{url} names no model: write {url}#name-of-the-model.")
        describer = cls(url, model, api_key=os.environ.get(KEY_VARIABLE, ""))
        if fault := describer.health():
            describer.close()
            raise ValueError(fault)
        return describer

    def close(self) -> None:
        self._exits.close()

    def health(self) -> str:
        """Why the endpoint cannot be used now, in a sentence; "" when it can."""
        return self._portal.call(self._health)

    async def _health(self) -> str:
        try:
            with anyio.fail_after(self.deadlines.connect_s + self.deadlines.idle_s):
                response = await self._client.get(f"{self.url}/models")
            models = msgspec.json.decode(response.content, type=ModelList) if response.is_success else ModelList([])
        except httpx.ConnectTimeout:
            return f"{self.url} did not accept a connection within {self.deadlines.connect_s:g} s."
        except (httpx.TimeoutException, TimeoutError):
            return f"{self.url} accepted the connection but did not answer within {self.deadlines.idle_s:g} s."
        except (httpx.TransportError, httpx.InvalidURL) as error:
            return f"{self.url} cannot be reached: {error}."
        except EndpointError as error:
            return f"{self.url}/models: {error}"
        except (msgspec.DecodeError, RecursionError):
            return f"{self.url}/models did not answer with a list of models: is this an OpenAI-compatible server?"
        if not response.is_success:
            return self._refusal(response.status_code)
        names = [entry.id for entry in models.data]
        if self.model not in names:
            return f"{self.url} serves {clean_text(', '.join(names)) or 'no model'}, not {self.model}."
        return ""

    def describe(
        self,
        crops: Sequence[Rgb],
        regions: Sequence[RegionRequest],
        *,
        class_names: Sequence[str],
        frame_size_wh: SizeWh,
        is_cancelled: Callable[[], bool],
        templates: Sequence[Rgb | None] | None = None,
    ) -> Iterator[TokenEvent | AnswerEvent]:
        """See `Describer`. A region without a usable answer gets an invalid one that says why."""
        golden = templates or [None] * len(crops)
        asked = [((crop, template), one) for crop, template, one in zip(crops, golden, regions, strict=True)]
        events: queue.Queue[TokenEvent | AnswerEvent | Future[None]] = queue.Queue()
        work = self._portal.start_task_soon(self._all, asked, class_names, frame_size_wh, events.put)
        work.add_done_callback(events.put)
        try:
            yield from _until_done(events, is_cancelled)
        finally:
            work.cancel()

    async def _all(
        self,
        asked: Sequence[tuple[Pictures, RegionRequest]],
        class_names: Sequence[str],
        frame_size_wh: SizeWh,
        say: Say,
    ) -> None:
        limiter = anyio.CapacityLimiter(self.parallel)

        async def one(pictures: Pictures, region: RegionRequest) -> None:
            async with limiter:
                body = await anyio.to_thread.run_sync(self._body, pictures, region, class_names)
                say(await self._answer(body, region, class_names, frame_size_wh, Transcript(region.region_id, say)))

        async with anyio.create_task_group() as group:
            for pictures, region in asked:
                group.start_soon(one, pictures, region)

    async def _answer(
        self,
        body: dict[str, Any],
        region: RegionRequest,
        class_names: Sequence[str],
        frame_size_wh: SizeWh,
        transcript: Transcript,
    ) -> AnswerEvent:
        answer: dict[str, Any] = {}
        try:
            with anyio.fail_after(self.deadlines.region_s):
                await self._retrying()(self._ask, body, transcript)
            answer, errors = read_answer(transcript.text, class_names)
        except TimeoutError:
            errors = (f"The endpoint did not finish within {self.deadlines.region_s:g} s.",)
        except EndpointError as error:
            errors = (str(error),)
        if not errors:
            answer = complete_answer(answer, box_xyxy=region.box_xyxy, frame_size_wh=frame_size_wh)
        return AnswerEvent(region.region_id, answer, transcript.text, not errors, errors, transcript.pieces)

    def _body(self, pictures: Pictures, region: RegionRequest, class_names: Sequence[str]) -> dict[str, Any]:
        crop, template = pictures
        text = ask(
            class_names=class_names,
            detector_class=region.detector_class,
            score=region.score,
            template=template is not None,
        )
        content = [_picture(one) for one in (crop, template) if one is not None] + [{"type": "text", "text": text}]
        body: dict[str, Any] = {
            "model": self.model,
            "messages": [{"role": "user", "content": content}],
            "max_tokens": MAX_TOKENS,
            "temperature": 0,
            "stream": True,
        }
        return body | {"response_format": response_format(class_names)}

    def _retrying(self) -> AsyncRetrying:
        """Only what says so is tried again: a text that has begun must not start twice."""
        backoff = wait_random_exponential(multiplier=self.deadlines.backoff_s, max=LONGEST_BACKOFF_S)

        def wait(state: RetryCallState) -> float:
            return _wait_asked_for(state) + backoff(state)

        return AsyncRetrying(
            retry=retry_if_exception(lambda error: isinstance(error, EndpointError) and error.wait_s is not None),
            stop=stop_after_attempt(RETRIES + 1) | stop_before_delay(self.deadlines.region_s),
            wait=wait,
            sleep=anyio.sleep,
            reraise=True,
        )

    async def _ask(self, body: dict[str, Any], transcript: Transcript) -> None:
        """One request; its text goes into the transcript."""
        sent = body if self._constrained else _unconstrained(body)
        has_begun = False
        try:
            async with aconnect_sse(self._client, "POST", f"{self.url}/chat/completions", json=sent) as source:
                has_begun = True
                if source.response.status_code != 200:
                    await self._raise_for(source.response, sent)
                await _read(source, transcript)
        except SSEError:
            raise EndpointError("The endpoint's answer is not an event stream (text/event-stream).") from None
        except httpx.TransportError as error:
            raise self._broken(error, has_begun) from None

    def _broken(self, error: httpx.TransportError, has_begun: bool) -> EndpointError:
        if isinstance(error, httpx.ConnectTimeout):
            sentence = f"The endpoint did not accept a connection within {self.deadlines.connect_s:g} s."
            return EndpointError(sentence, wait_s=0.0)
        if isinstance(error, httpx.TimeoutException):
            return EndpointError(f"The endpoint sent nothing for {self.deadlines.idle_s:g} s.")
        if has_begun:
            return EndpointError("The endpoint's stream was cut before the answer ended.")
        return EndpointError(f"The endpoint cannot be reached: {error}.", wait_s=0.0)

    async def _raise_for(self, response: httpx.Response, body: dict[str, Any]) -> NoReturn:
        status, told = response.status_code, await _told(response)
        if status in (400, 422) and "response_format" in body and "response_format" in told:
            self._constrained = False  # the server cannot; validation still can
            raise EndpointError("The endpoint takes no answer schema.", wait_s=0.0)
        if status in RETRIED:
            wait_s = self._retry_after(response.headers.get("Retry-After", ""))
            raise EndpointError(self._refusal(status), wait_s=wait_s)
        raise EndpointError(f"{self._refusal(status)} {told}".strip())

    def _retry_after(self, value: str) -> float:
        """Seconds from a Retry-After header, which is a number or a date; 0 where there is none that can be read."""
        try:
            wait_s = float(value)
        except ValueError:
            try:
                wait_s = (parsedate_to_datetime(value) - self._now()).total_seconds()
            except (ValueError, TypeError, OverflowError):
                return 0.0
        return max(wait_s, 0.0) if math.isfinite(wait_s) else 0.0

    def _refusal(self, status: int) -> str:
        reasons = {
            401: f"refused the key: set {KEY_VARIABLE}",
            403: f"refused the key: set {KEY_VARIABLE}",
            404: "does not know this address: the URL should end in /v1",
            429: "is overloaded (429)",
        }
        return f"{self.url} {reasons.get(status, f'answered with status {status}')}."


def _picture(picture: Rgb) -> dict[str, Any]:
    data = base64.b64encode(encode_crop(picture, 90)).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/jpeg;base64,{data}"}}


class BoundedStream(httpx.AsyncByteStream):
    """A response's bytes, up to a limit: an event without an end would be collected without one."""

    def __init__(self, stream: httpx.AsyncByteStream) -> None:
        self._stream = stream

    async def __aiter__(self) -> AsyncIterator[bytes]:
        left = MAX_ANSWER_BYTES
        async for part in self._stream:
            left -= len(part)
            if left < 0:
                raise EndpointError(f"The endpoint sent more than {MAX_ANSWER_BYTES // 2**20} MiB.")
            yield part

    async def aclose(self) -> None:
        await self._stream.aclose()


async def _bound(response: httpx.Response) -> None:
    """Every response is bounded, and none unpacks into more than came."""
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise EndpointError("The endpoint compressed its answer, though it was asked not to.")
    assert isinstance(response.stream, httpx.AsyncByteStream)
    response.stream = BoundedStream(response.stream)


def _until_done(
    events: "queue.Queue[TokenEvent | AnswerEvent | Future[None]]", is_cancelled: Callable[[], bool]
) -> Iterator[TokenEvent | AnswerEvent]:
    while not is_cancelled():
        try:
            event = events.get(timeout=0.1)  # so that a cancellation is seen while nothing comes
        except queue.Empty:
            continue
        if isinstance(event, Future):
            return event.result()  # a fault of this code is raised here
        yield event


async def _read(source: EventSource, transcript: Transcript) -> None:
    """The pieces of a stream to its end; raises EndpointError where that is not the end of the answer."""
    finish = None
    async with aclosing(source.aiter_sse()) as events:
        async for event in events:
            if event.data.strip() == "[DONE]":
                break
            for choice in _choices(event.data)[:1] if event.data else ():
                transcript.take((choice.delta.content if choice.delta else None) or "")
                finish = choice.finish_reason or finish
    if finish is None:
        raise EndpointError("The endpoint's stream was cut before the answer ended.")
    if finish == "length":
        raise EndpointError(f"The answer was cut off at {MAX_TOKENS} tokens.")


def _choices(data: str) -> list[Choice]:
    try:
        chunk = msgspec.json.decode(data, type=Chunk)
    except (ValueError, RecursionError):
        raise EndpointError("The endpoint sent a piece that is not the JSON of a chat completion.") from None
    if chunk.error is not None:
        raise EndpointError(f"The endpoint reported: {clean_text(str(chunk.error))[:200]}")
    if chunk.choices is None:
        raise EndpointError("The endpoint sent a piece that is not the JSON of a chat completion.")
    return chunk.choices


def _wait_asked_for(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    return (error.wait_s or 0.0) if isinstance(error, EndpointError) else 0.0


def _unconstrained(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "response_format"}


async def _told(response: httpx.Response) -> str:
    """The start of what the endpoint said about a refusal, cleaned: it is somebody else's text."""
    start = b""
    async for part in response.aiter_bytes():
        start += part
        if len(start) >= 2000:
            break
    return clean_text(start[:2000].decode("utf-8", "replace"))[:200]
