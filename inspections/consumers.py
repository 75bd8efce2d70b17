"""The two websockets of a line: viewers follow its events, cameras stream frames in. REST says what things are."""

import asyncio
import contextlib
import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from aivd_web.kernel.errors import AivdError
from aivd_web.kernel.socket import TOO_SLOW, LiveSocket, Refused
from aivd_web.kernel.threads import in_thread, on_executor
from inspections import rules
from inspections.models import Station
from inspections.replay import Sequencer
from inspections.services import follow, stream

PAGE = 500
MAX_REPLAY = 5_000
WINDOW = 8
OVER_WINDOW = 4008
OVERSIZE = 1009
BAD_MESSAGE = 4400
# Taking in is hashing, a decode and two fsyncs: a few at a time, so that it cannot starve the viewers.
INGEST = ThreadPoolExecutor(max_workers=4, thread_name_prefix="stream-ingest")


class ViewerSocket(LiveSocket):
    """`/ws/v1/lines/ID/events?after_seq=N`: replay what came after N, then live. Without N: from now on."""

    async def connect(self) -> None:
        self.line_id: int = self.scope["url_route"]["kwargs"]["line_id"]
        self.group = follow.group(self.line_id)
        await super().connect()

    async def allowed(self, who: rules.Principal) -> bool:
        return await in_thread(follow.may_follow, who, self.line_id)

    async def joined(self) -> None:
        head = await in_thread(follow.head, self.line_id)
        after = _after_seq(self.scope["query_string"])
        # A number from the future belongs to a database that is gone; hello tells the client so.
        self.events = Sequencer(head.seq if after is None else min(after, head.seq))
        self.events.head(head.seq)
        await self.tell({"type": "hello", "head_seq": head.seq, "epoch": head.epoch})
        await self._catch_up()

    async def heard(self, message: dict[str, Any]) -> None:
        if message["type"] == "line.hint":
            await self.tell(message["hint"])
            return
        for heard in message["events"]:
            for event in self.events.live(heard):
                await self.tell(event)
        await self._catch_up()

    async def beat(self) -> None:
        head = await in_thread(follow.head, self.line_id)
        self.events.head(head.seq)
        await self._catch_up()
        await self.tell({"type": "head", "seq": self.events.delivered})

    async def _catch_up(self) -> None:
        if self.events.missing > MAX_REPLAY:
            await self.tell({"type": "resync"})
            raise Refused(TOO_SLOW)
        while self.events.is_behind:
            rows = await in_thread(follow.events_after, self.line_id, self.events.delivered, PAGE)
            for event in self.events.read(rows):
                await self.tell(event)


class BadMessage(AivdError):
    code = "bad_message"
    hint = 'Announce a picture with {"type": "frame", "key": "...", "part_id": "...", "captured_at": "..."}.'


@dataclass(frozen=True)
class Announced:
    """What a text message said about the picture that follows it."""

    key: str = ""
    part_id: str = ""
    captured_at: str = ""


class StreamSocket(LiveSocket):
    """`/ws/v1/stations/ID/stream`: binary pictures in, one answer for each after its COMMIT, in order.

    At most WINDOW pictures may be unanswered. One is taken in at a time, so frames get their numbers in the
    order in which the camera sent them.
    """

    async def connect(self) -> None:
        self.station_id: int = self.scope["url_route"]["kwargs"]["station_id"]
        self.announced = Announced()
        self.count = 0
        self.unanswered = 0
        self.station: Station | None = None
        self.sender = ""
        await super().connect()

    async def allowed(self, who: rules.Principal) -> bool:
        self.station = await in_thread(stream.station_for, who, self.station_id)
        if self.station is not None:
            self.sender = rules.sender(who)
        return self.station is not None

    async def joined(self) -> None:
        await self.tell({"type": "credit", "window": WINDOW})

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Only takes note; the answers come from the socket's own task."""
        if bytes_data is None:
            message: dict[str, Any] = {"type": "text", "text": text_data or ""}
        else:
            self.count += 1
            self.unanswered += 1
            message = {"type": "picture", "data": bytes_data, "n": self.count}
        if bytes_data is not None and len(bytes_data) > stream.MAX_PICTURE_BYTES:
            await self._end(OVERSIZE)
        elif self.unanswered > WINDOW:
            await self._end(OVER_WINDOW)
        else:
            self._note(message)

    def _note(self, message: dict[str, Any]) -> None:
        """There is room for the window and its announcements; whoever sends more has left the protocol."""
        with contextlib.suppress(asyncio.QueueFull):
            self.inbox.put_nowait(message)

    async def heard(self, message: dict[str, Any]) -> None:
        if message["type"] == "text":
            await self._announce(message["text"])
            return
        said, self.announced = self.announced, Announced()
        answer = await self._take_in(message["data"], said)
        self.unanswered -= 1
        await self.tell(answer | {"key": said.key, "n": message["n"]})

    async def _announce(self, text: str) -> None:
        """A picture must not go in under the wrong key, so a message that cannot be read ends the stream."""
        try:
            self.announced = announced(text)
        except BadMessage as error:
            await self.tell({"type": "refused", "key": "", "n": None, **error.as_dict()})
            raise Refused(BAD_MESSAGE) from None

    async def _take_in(self, data: bytes, said: Announced) -> dict[str, Any]:
        assert self.station is not None  # `allowed` found it before anything is heard
        try:
            frame_id = await on_executor(
                INGEST,
                stream.take_in,
                station=self.station,
                sender=self.sender,
                data=data,
                key=said.key,
                part_id=said.part_id,
                captured_at=said.captured_at,
            )
        except AivdError as error:
            return {"type": "refused", **error.as_dict()}
        return {"type": "ack", "frame": str(frame_id)}

    async def _end(self, code: int) -> None:
        if self.work is not None:
            self.work.cancel()
        await self._close(code)


def _after_seq(query: bytes) -> int | None:
    text = parse_qs(query.decode("latin1")).get("after_seq", [""])[0]
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise Refused(BAD_MESSAGE)
    return int(text)


def announced(text: str) -> Announced:
    """The announcement in a text message. Raises BadMessage."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        raise BadMessage("The message is not JSON.") from None
    if not isinstance(said, dict) or said.get("type") != "frame":
        raise BadMessage("The message's type is not 'frame'.")
    values = [said.get(name) for name in ("key", "part_id", "captured_at")]
    if not all(value is None or isinstance(value, str) for value in values):
        raise BadMessage("key, part_id and captured_at are texts.")
    return Announced(*(value or "" for value in values))
