"""Describe through an OpenAI-compatible endpoint (vLLM, SGLang, ...): streaming, with deadlines, trusting nothing.

The spec is `https://host:port/v1#model`; the key, where one is needed, is in AIVD_DESCRIBER_API_KEY. Each region is
one request, several at a time, since such servers batch by themselves. Knows nothing about model runtimes.
"""

import base64
import hashlib
import json
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from scheduling.serving.answers import MAX_RAW_CHARS, clean_text, complete_answer, read_answer
from scheduling.serving.contracts import IDENTITY_LIMITS, AnswerEvent, Describer, RegionRequest, Rgb, SizeWh, TokenEvent
from scheduling.serving.crops import encode_crop
from scheduling.serving.prompts import ask, response_format

KEY_VARIABLE: Final = "AIVD_DESCRIBER_API_KEY"
MAX_TOKENS: Final = 400
RETRIES: Final = 3
LONGEST_WAIT_S: Final = 10.0
RETRIED: Final = (429, 500, 502, 503, 504)

Pictures = Sequence[Rgb | None]
"""A crop, and the same cut of the golden template or None."""


@dataclass(frozen=True)
class Deadlines:
    """Seconds: to connect, between two pieces of a stream, and for one region with all its retries."""

    connect_s: float = 5.0
    idle_s: float = 20.0
    region_s: float = 90.0


class EndpointError(RuntimeError):
    """One region got no answer; the text is a sentence for a person. `wait_s` where it is worth trying again."""

    def __init__(self, sentence: str, *, wait_s: float | None = None) -> None:
        super().__init__(sentence)
        self.wait_s = wait_s


class Cancelled(Exception):
    """Whoever asked has gone."""


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
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.url, self.model, self.deadlines, self.parallel = url.rstrip("/"), model, deadlines, parallel
        self._clock, self._now = clock, now
        self._constrained = True
        self._client = httpx.Client(
            headers={"Authorization": f"Bearer {api_key}"} if api_key else {},
            timeout=httpx.Timeout(deadlines.idle_s, connect=deadlines.connect_s),
            limits=httpx.Limits(max_connections=parallel),
            follow_redirects=False,
            trust_env=False,
        )
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
        self._client.close()

    def health(self) -> str:
        """Why the endpoint cannot be used now, in a sentence; "" when it can."""
        try:
            response = self._client.get(f"{self.url}/models")
            names = [str(entry["id"]) for entry in response.json()["data"]] if response.is_success else []
        except httpx.ConnectTimeout:
            return f"{self.url} did not accept a connection within {self.deadlines.connect_s:g} s."
        except httpx.TimeoutException:
            return f"{self.url} accepted the connection but did not answer within {self.deadlines.idle_s:g} s."
        except (httpx.TransportError, httpx.InvalidURL, httpx.UnsupportedProtocol) as error:
            return f"{self.url} cannot be reached: {error}."
        except (ValueError, KeyError, TypeError):
            return f"{self.url}/models did not answer with a list of models: is this an OpenAI-compatible server?"
        if not response.is_success:
            return self._refusal(response.status_code)
        if self.model not in names:
            return f"{self.url} serves {', '.join(names) or 'no model'}, not {self.model}."
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
        if len(crops) != len(regions):
            raise ValueError(f"{len(crops)} crops for {len(regions)} regions")
        if not regions:
            return
        events: queue.Queue[TokenEvent | AnswerEvent | BaseException | None] = queue.Queue()
        gone = threading.Event()

        def work(pictures: Pictures, region: RegionRequest) -> None:
            try:
                for event in self._region(pictures, region, class_names, frame_size_wh, gone):
                    events.put(event)
                events.put(None)
            except BaseException as error:  # a fault of this code: raised where the answers are read
                events.put(error)

        with ThreadPoolExecutor(min(self.parallel, len(regions)), "describe") as pool:
            try:
                for *pictures, region in zip(crops, templates or [None] * len(crops), regions, strict=True):
                    pool.submit(work, pictures, region)
                yield from _until_done(events, len(regions), is_cancelled)
            finally:
                gone.set()
                pool.shutdown(wait=True, cancel_futures=True)

    def _region(
        self,
        pictures: Pictures,
        region: RegionRequest,
        class_names: Sequence[str],
        frame_size_wh: SizeWh,
        gone: threading.Event,
    ) -> Iterator[TokenEvent | AnswerEvent]:
        text, pieces = "", 0
        try:
            for piece in self._tried(self._body(pictures, region, class_names), gone):
                text, pieces = text + piece, pieces + 1
                yield TokenEvent(region.region_id, piece)
            answer, errors = read_answer(text, class_names)
        except EndpointError as error:
            answer, errors = {}, (str(error),)
        except Cancelled:
            return
        if not errors:
            answer = complete_answer(answer, box_xyxy=region.box_xyxy, frame_size_wh=frame_size_wh)
        yield AnswerEvent(region.region_id, answer, text, not errors, errors, pieces)

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

    def _tried(self, body: dict[str, Any], gone: threading.Event) -> Iterator[str]:
        """The pieces of one answer. Tries again only before the first piece: a text must not start twice.

        A loop of our own, because tenacity calls a function again and knows no stream that has begun.
        """
        give_up_at = self._clock() + self.deadlines.region_s
        for attempt in range(RETRIES + 1):
            began = False
            try:
                for piece in self._stream(body if self._constrained else _unconstrained(body), give_up_at, gone):
                    began = True
                    yield piece
                return
            except EndpointError as error:
                left = give_up_at - self._clock()
                if began or error.wait_s is None or attempt == RETRIES or error.wait_s >= left:
                    raise
                if gone.wait(error.wait_s):
                    raise Cancelled from None

    def _stream(self, body: dict[str, Any], give_up_at: float, gone: threading.Event) -> Iterator[str]:
        try:
            with self._client.stream("POST", f"{self.url}/chat/completions", json=body) as response:
                if response.status_code != 200:
                    self._raise_for(response, body)
                yield from self._pieces(response.iter_lines(), give_up_at, gone)
        except httpx.TimeoutException:
            raise EndpointError(f"The endpoint sent nothing for {self.deadlines.idle_s:g} s.") from None
        except (httpx.RemoteProtocolError, httpx.ReadError):
            raise EndpointError("The endpoint's stream was cut before the answer ended.") from None
        except httpx.TransportError as error:
            raise EndpointError(f"The endpoint cannot be reached: {error}.", wait_s=0.5) from None

    def _pieces(self, lines: Iterator[str], give_up_at: float, gone: threading.Event) -> Iterator[str]:
        finish, length = None, 0
        for line in lines:
            if gone.is_set():
                raise Cancelled
            if self._clock() > give_up_at:
                raise EndpointError(f"The endpoint did not finish within {self.deadlines.region_s:g} s.")
            if not line.startswith("data:"):
                continue
            data = line[5:].strip()
            if data == "[DONE]":
                break
            piece, finish = _chunk(data, finish)
            length += len(piece)
            if length > MAX_RAW_CHARS:
                raise EndpointError(f"The answer is longer than {MAX_RAW_CHARS} characters.")
            if piece:
                yield piece
        if finish is None:
            raise EndpointError("The endpoint's stream was cut before the answer ended.")
        if finish == "length":
            raise EndpointError(f"The answer was cut off at {MAX_TOKENS} tokens.")

    def _raise_for(self, response: httpx.Response, body: dict[str, Any]) -> None:
        status, told = response.status_code, _told(response)
        if status in (400, 422) and "response_format" in body and "response_format" in told:
            self._constrained = False  # the server cannot; validation still can
            raise EndpointError("The endpoint takes no answer schema.", wait_s=0.0)
        if status in RETRIED:
            wait_s = self._retry_after(response.headers.get("Retry-After", ""))
            raise EndpointError(self._refusal(status), wait_s=wait_s)
        raise EndpointError(f"{self._refusal(status)} {told}".strip())

    def _retry_after(self, value: str) -> float:
        """Seconds from a Retry-After header, which is a number or a date; half a second where there is none."""
        try:
            wait_s = float(value)
        except ValueError:
            try:
                wait_s = (parsedate_to_datetime(value) - self._now()).total_seconds()
            except (ValueError, TypeError):
                wait_s = 0.5
        return min(max(wait_s, 0.0), LONGEST_WAIT_S)

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


def _until_done(
    events: "queue.Queue[TokenEvent | AnswerEvent | BaseException | None]",
    workers: int,
    is_cancelled: Callable[[], bool],
) -> Iterator[TokenEvent | AnswerEvent]:
    while workers:
        if is_cancelled():
            return
        try:
            event = events.get(timeout=0.1)  # so that a cancellation is seen while nothing comes
        except queue.Empty:
            continue
        if isinstance(event, BaseException):
            raise event
        if event is None:
            workers -= 1
        else:
            yield event


def _chunk(data: str, finish: str | None) -> tuple[str, str | None]:
    """The text of one streamed chunk, and why the answer finished, once it has."""
    try:
        chunk = json.loads(data)
        if "error" in chunk:
            raise EndpointError(f"The endpoint reported: {clean_text(str(chunk['error']))[:200]}")
        if not chunk["choices"]:
            return "", finish
        choice = chunk["choices"][0]
        return str((choice.get("delta") or {}).get("content") or ""), choice.get("finish_reason") or finish
    except (ValueError, KeyError, TypeError, AttributeError, IndexError):
        raise EndpointError("The endpoint sent a piece that is not the JSON of a chat completion.") from None


def _unconstrained(body: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != "response_format"}


def _told(response: httpx.Response) -> str:
    """The start of what the endpoint said about a refusal, cleaned: it is somebody else's text."""
    start = b""
    for part in response.iter_bytes():
        start += part
        if len(start) >= 2000:
            break
    return clean_text(start[:2000].decode("utf-8", "replace"))[:200]
