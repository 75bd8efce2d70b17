"""The two websockets of a line: viewers follow its events, cameras stream frames in. REST says what things are."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from aivd_web.kernel.errors import AivdError
from aivd_web.kernel.room import Room
from aivd_web.kernel.socket import TOO_SLOW, LiveSocket, Refused
from aivd_web.kernel.threads import in_thread, on_executor
from inspections import rules
from inspections.events import follow
from inspections.events.replay import Sequencer
from inspections.intake import stream
from inspections.models import Station

PAGE = 500
MAX_REPLAY = 5_000
WINDOW = 8
MAX_TEXT_LENGTH = 8 * 1024
MAX_UNDER_WAY = 4 * WINDOW
MAX_UNDER_WAY_BYTES = 32 * 1024**2
TOO_LONG = f"A message has at most {MAX_TEXT_LENGTH:,} characters."
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
    """What a text message said about the picture that follows it; with `error` that picture is refused."""

    key: str = ""
    part_id: str = ""
    captured_at: str = ""
    error: AivdError | None = None


class StreamSocket(LiveSocket):
    """`/ws/v1/stations/ID/stream`: binary pictures in, one answer for each after its COMMIT, in order.

    At most WINDOW pictures are under way; what is sent beyond waits in the network. One is taken in at a time, so
    frames get their numbers in the order in which the camera sent them. No message ends the stream: what cannot be
    read is refused with its number, and with it the picture that it may have announced.
    """

    async def connect(self) -> None:
        self.station_id: int = self.scope["url_route"]["kwargs"]["station_id"]
        self.announced = Announced()
        self.pictures = 0
        self.texts = 0
        self.room = Room(messages=MAX_UNDER_WAY, size=MAX_UNDER_WAY_BYTES)
        self.window = Room(messages=WINDOW, size=sys.maxsize)
        self.station: Station | None = None
        self.sender = ""
        await super().connect()

    async def allowed(self, who: rules.Principal) -> bool:
        self.station = await in_thread(stream.station_for, who, self.station_id)
        if self.station is not None:
            self.sender = rules.sender(who)
        return self.station is not None

    async def joined(self) -> None:
        self.allow_messages(size=stream.MAX_PICTURE_BYTES)
        await self.tell({"type": "credit", "window": WINDOW})

    async def receive(self, text_data: str | None = None, bytes_data: bytes | None = None) -> None:
        """Only takes note, once there is room; the answers come from the socket's own task."""
        if bytes_data is None:
            text = text_data or ""
            await self._note_text(text if len(text) <= MAX_TEXT_LENGTH else None, TOO_LONG)
        else:
            await self._note_picture(bytes_data if len(bytes_data) <= stream.MAX_PICTURE_BYTES else None)

    async def unreadable(self, *, is_text: bool, reason: str) -> None:
        """A message that the server read over, because it was too long or no text."""
        if is_text:
            await self._note_text(None, reason)
        else:
            await self._note_picture(None)

    async def _note_text(self, text: str | None, reason: str) -> None:
        self.texts += 1
        await self._note({"type": "text", "text": text, "reason": reason, "n": self.texts}, len(text or ""))

    async def _note_picture(self, data: bytes | None) -> None:
        """Without `data` it was too large, and nothing of it is kept."""
        self.pictures += 1
        if await self.while_working(self.window.take(0)):
            await self._note({"type": "picture", "data": data, "n": self.pictures}, len(data or b""))

    async def _note(self, message: dict[str, Any], size: int) -> None:
        if await self.while_working(self.room.take(size)):
            self.inbox.put_nowait(message | {"size": size})

    async def heard(self, message: dict[str, Any]) -> None:
        try:
            if message["type"] == "text":
                await self._announce(message)
            else:
                await self._answer(message)
        finally:
            self.room.give(message["size"])

    async def _announce(self, message: dict[str, Any]) -> None:
        """A picture must not go in under the wrong key: after a message that cannot be read it is refused as well."""
        text = message["text"]
        error = BadMessage(message["reason"])
        self.announced = announced(text) if text is not None else Announced(error=error)
        if self.announced.error is not None:
            refusal = {"type": "refused", "key": "", "n": None, "text": message["n"]}
            await self.tell(refusal | self.announced.error.as_dict())

    async def _answer(self, message: dict[str, Any]) -> None:
        said, self.announced = self.announced, Announced()
        answer = await self._take_in(message["data"], said)
        self.window.give(0)
        await self.tell(answer | {"key": said.key, "n": message["n"]})

    async def _take_in(self, data: bytes | None, said: Announced) -> dict[str, Any]:
        assert self.station is not None  # `allowed` found it before anything is heard
        try:
            if said.error is not None:
                raise said.error
            if data is None:
                raise stream.too_large()
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


def _after_seq(query: bytes) -> int | None:
    text = parse_qs(query.decode("latin1")).get("after_seq", [""])[0]
    if not text:
        return None
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise Refused(BAD_MESSAGE)
    return int(text)


def announced(text: str) -> Announced:
    """The announcement in a text message; where it cannot be read, the error and what can be known of its key."""
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return Announced(error=BadMessage("The message is not JSON."))
    if not isinstance(said, dict):
        return Announced(error=BadMessage("The message is no JSON object."))
    values = (said.get(name) for name in ("key", "part_id", "captured_at"))
    key, part_id, captured_at = ("" if value is None else value for value in values)
    if not isinstance(key, str):
        return Announced(error=BadMessage("The key is no text."))
    if said.get("type") != "frame":
        return Announced(key=key, error=BadMessage("The message's type is not 'frame'."))
    if not isinstance(part_id, str) or not isinstance(captured_at, str):
        return Announced(key=key, error=BadMessage("part_id and captured_at are texts."))
    return Announced(key, part_id, captured_at)
