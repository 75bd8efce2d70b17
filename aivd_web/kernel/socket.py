"""What every websocket of the site has in common: who is there, hints that may fail, and a beat.

A subclass says what to do on joining, on each message and on each beat; everything that is sent comes from one
task, so messages keep their order. It knows no lines, frames or nodes.
"""

import asyncio
import contextlib
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Coroutine
from typing import Any

from channels.exceptions import StopConsumer
from channels.generic.websocket import AsyncWebsocketConsumer
from channels.layers import get_channel_layer

log = logging.getLogger(__name__)

BEAT_S = 2.0
RECHECK_BEATS = 2  # every 4 s: who lost access is out within 5 s
INBOX = 1_000
SEND_TIMEOUT_S = 20.0
CLOSE_TIMEOUT_S = 0.5
LAYER_TIMEOUT_S = 2.0
LIMITS = "aivd.limits"  # of the server's websockets, see aivd_web/web_sockets.py
PLAIN_SUBPROTOCOL = "aivd.v1"
NO_LAYER = "none"  # of a socket that closes as it opens: it hears nobody, so it asks nothing of Redis

SIGNED_OUT = 4401
NOT_FOUND = 4404
TOO_SLOW = 4009
TROUBLE = 1011


class Refused(Exception):
    """The socket ends with this close code (4401 signed out, 4404 nothing here for you)."""

    def __init__(self, code: int) -> None:
        super().__init__(str(code))
        self.code = code


class LiveSocket(AsyncWebsocketConsumer):
    """One viewer. `scope["who"]` is an async callable that tells who is there *now*, or None."""

    group = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """As channels does it, but a channel layer that is away does not end the socket."""
        self.scope = scope
        self.base_send = send
        self.inbox: asyncio.Queue[dict[str, Any]] = asyncio.Queue(INBOX)
        self.work: asyncio.Task[None] | None = None
        self.given_up = asyncio.Event()
        self.channel_layer = get_channel_layer()
        self.channel_name = await self.channel_layer.new_channel()
        try:
            await self._dispatch_all([receive, self._hint, self._end])
        except StopConsumer:
            pass
        finally:
            await self._stop()

    # -- for subclasses -----------------------------------------------------------------------------

    async def allowed(self, who: Any) -> bool:
        """Whether `who` may be here now; asked on joining and again every few seconds."""
        raise NotImplementedError

    async def joined(self) -> None:
        """The first messages. The group is joined already, so nothing falls between these and the live ones."""

    async def heard(self, message: dict[str, Any]) -> None:
        """A message of the group."""

    async def beat(self) -> None:
        """Every two seconds."""

    async def tell(self, message: dict[str, Any]) -> None:
        """Send one JSON message; a client that reads nothing for a long time is let go."""
        try:
            async with asyncio.timeout(SEND_TIMEOUT_S):
                await self.send(text_data=json.dumps(message, separators=(",", ":")))
        except TimeoutError:
            raise Refused(TOO_SLOW) from None

    async def unreadable(self, *, is_text: bool, reason: str) -> None:
        """A message of the client that the server read over (`reason` is a sentence)."""

    def allow_messages(self, *, size: int) -> None:
        """From now on the client may send binary messages of `size` bytes; until then they are short."""
        limits = self.scope.get("extensions", {}).get(LIMITS)
        if limits is not None:
            limits.binary_bytes = size

    async def while_working(self, wait: Awaitable[None]) -> bool:
        """Whether `wait` ended before the socket's own work did, after which nothing is heard any more."""
        waiting = asyncio.ensure_future(wait)
        try:
            await asyncio.wait({waiting} | ({self.work} if self.work else set()), return_when=asyncio.FIRST_COMPLETED)
            return waiting.done() and not (self.work and self.work.done())
        finally:
            waiting.cancel()

    # -- the socket's life --------------------------------------------------------------------------

    async def connect(self) -> None:
        await self.accept(subprotocol=chosen_subprotocol(self.scope["subprotocols"]))
        self.work = asyncio.create_task(self._run())

    async def _run(self) -> None:
        try:
            await self._check()
            await self._join()
            await _first_to_end(self._live(), self._watch())
        except Refused as refused:
            await self._close(refused.code)
        except OSError:
            log.debug("The client has gone")
        except Exception:
            log.exception("A websocket ended")
            await self._close(TROUBLE)

    async def _live(self) -> None:
        await self.joined()
        clock = asyncio.get_running_loop().time
        next_beat, beats = clock() + BEAT_S, 0
        while True:
            left = next_beat - clock()
            if left > 0:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(left):
                        message = await self.inbox.get()
                    await self.heard(message)
                    continue
            next_beat, beats = clock() + BEAT_S, beats + 1
            if beats % RECHECK_BEATS == 0:
                await self._join()  # a Redis that was emptied has forgotten us
            await self.beat()

    async def _watch(self) -> None:
        """Beside what is sent: who reads nothing holds that up, and must be out as soon as everybody else."""
        while True:
            await asyncio.sleep(BEAT_S * RECHECK_BEATS)
            await self._check()

    async def _check(self) -> None:
        who = await self.scope["who"]()
        if who is None:
            raise Refused(SIGNED_OUT)
        if not await self.allowed(who):
            raise Refused(NOT_FOUND)

    async def _dispatch_all(self, sources: list[Callable[[], Coroutine[Any, Any, dict[str, Any]]]]) -> None:
        """Each message of each source as it comes. channels' own cancels only once at the end (see `_end_all`)."""
        tasks = [asyncio.create_task(source()) for source in sources]
        try:
            while True:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
                for n, task in enumerate(tasks):
                    if task.done():
                        await self.dispatch(task.result())
                        tasks[n] = asyncio.create_task(sources[n]())
        finally:
            await _end_all(tasks)

    async def _join(self) -> None:
        if not self.group:
            return
        try:
            async with asyncio.timeout(LAYER_TIMEOUT_S):
                await self.channel_layer.group_add(self.group, self.channel_name)
        except Exception as error:  # redis has many; whatever it is, the beat reads the database meanwhile
            log.warning("A websocket could not join %s: %s", self.group, type(error).__name__)

    async def _hint(self) -> dict[str, Any]:
        while True:
            try:
                message: dict[str, Any] = await self.channel_layer.receive(self.channel_name)
                return message
            except Exception as error:  # as above
                log.warning("The channel layer is away: %s", type(error).__name__)
                await asyncio.sleep(1)

    async def dispatch(self, message: dict[str, Any]) -> None:
        """What the client does is handled at once, what the group says goes to the inbox."""
        match message["type"]:
            case "websocket.connect":
                return await self.connect()
            case "websocket.receive" if "unreadable" in message:
                return await self.unreadable(is_text=message["text"] is not None, reason=message["unreadable"])
            case "websocket.receive":
                return await self.receive(message.get("text"), message.get("bytes"))
            case "websocket.disconnect" | "socket.end":
                raise StopConsumer
        # A full inbox drops the newest: a missing event shows as a gap and is read from the database.
        with contextlib.suppress(asyncio.QueueFull):
            self.inbox.put_nowait(message)

    async def _close(self, code: int) -> None:
        """Say so and go; who reads nothing cannot be told, and is left all the same."""
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self.close(code)
        except TimeoutError:
            self.given_up.set()
        except Exception as error:
            log.debug("It was closed already: %s", type(error).__name__)

    async def _end(self) -> dict[str, Any]:
        await self.given_up.wait()
        return {"type": "socket.end"}

    async def _stop(self) -> None:
        if self.work is not None:
            await _end_all([self.work])
        if self.group:
            with contextlib.suppress(Exception):
                async with asyncio.timeout(LAYER_TIMEOUT_S):
                    await self.channel_layer.group_discard(self.group, self.channel_name)


async def _first_to_end(*works: Coroutine[Any, Any, None]) -> None:
    """Run all until one ends, end the others, and raise what it raised."""
    tasks = [asyncio.create_task(work) for work in works]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        await _end_all(tasks)


async def _end_all(tasks: Collection[asyncio.Task[Any]]) -> None:
    """Cancel until they have ended: a cancellation that meets the end of a wait is swallowed by some libraries."""
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=0.2)


def chosen_subprotocol(offered: list[str]) -> str | None:
    """Browsers hang up unless one of what they offered is chosen; the token is echoed only where nothing else is."""
    if PLAIN_SUBPROTOCOL in offered:
        return PLAIN_SUBPROTOCOL
    return offered[0] if offered else None


class NoSuchSocket(AsyncWebsocketConsumer):
    """What answers at an address without a websocket, so that the client is told and nothing is logged as a crash."""

    channel_layer_alias = NO_LAYER

    async def connect(self) -> None:
        await self.accept(subprotocol=chosen_subprotocol(self.scope["subprotocols"]))
        await self.close(NOT_FOUND)
