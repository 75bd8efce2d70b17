"""Triton's side of the describer: crops and a request in, a stream of events out.

The work itself is in `describing.py`. Importable only inside Triton's Python process.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scheduling.serving import wire
from scheduling.serving.backend import triton_api
from scheduling.serving.backend.describing import DescribeWork, StreamPause, describe_events, read_work
from scheduling.serving.backend.options import NodeOptions, open_adapted, open_describer, refuse_numpy_2
from scheduling.serving.backend.versions import VersionRefused, VersionShelf
from scheduling.serving.backend.work_queue import Abandoned, QueuedItem, WorkQueue
from scheduling.serving.bringing import BringStep, decode_step, encode_state
from scheduling.serving.contracts import (
    BAD_FRAME,
    BRING_PARAMETER,
    CANCELLED,
    OVERLOADED,
    STOP_PARAMETER,
    VERSION_MISSING,
    VERSION_PARAMETER,
    VERSION_REFUSED,
    BadFrame,
    ContractBroken,
)

STOPS_KEPT = 10_000
DIGEST = re.compile("[0-9a-f]{64}")


class LatestNames(Set[str]):
    """The last `most` names that were added; older ones are forgotten."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._names: dict[str, None] = {}

    def add(self, name: str) -> None:
        self._names[name] = None
        if len(self._names) > self._most:
            del self._names[next(iter(self._names))]

    def __contains__(self, name: object) -> bool:
        return name in self._names

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@dataclass(frozen=True, slots=True)
class _Waiting:
    request: Any
    sender: Any
    work: DescribeWork
    stopped: Set[str]
    version: str

    def is_given_up(self) -> bool:
        """Whether the asker said so, hung up, or has let its deadline pass."""
        return self.request.request_id() in self.stopped or self.request.is_cancelled()


class TritonPythonModel:
    """One instance; requests wait in a queue of its own and are described one after the other.

    A version that is brought, or that is on disk alone, is opened beside that queue: the others do not wait for it.
    """

    def initialize(self, args: dict[str, str]) -> None:
        refuse_numpy_2(os.environ)
        self._options = NodeOptions.from_environment(os.environ)
        self._pause = None
        if self._options.pause_file is not None:
            self._pause = StreamPause(self._options.pause_file, self._options.pause_after_tokens)
        self._describer = open_describer(self._options)
        self._folder = Path(tempfile.mkdtemp(prefix="versions-"))  # this node's own: nothing in it outlives the process
        self._shelf = VersionShelf(
            self._folder, open_adapted(self._describer), resident=self._options.resident_versions
        )
        self._opening = ThreadPoolExecutor(1, thread_name_prefix="versions")
        self._stopped = LatestNames(STOPS_KEPT)
        self._queue: WorkQueue[_Waiting] = WorkQueue(
            self._answer, max_waiting=self._options.max_waiting, broken=triton_api.give_up
        )
        triton_api.log_info(f"{self._describer.name} {self._describer.version} on {self._describer.runtime}")

    def execute(self, requests: list[Any]) -> None:
        """Queue the requests; a stream's responses follow from the queue's thread."""
        for request in requests:
            sender = request.get_response_sender()
            if given_up := triton_api.text_parameter(request, STOP_PARAMETER):
                self._stopped.add(given_up)
                triton_api.end(sender)
            elif digest := triton_api.text_parameter(request, BRING_PARAMETER):
                self._bring(request, sender, digest)
            else:
                self._ask(request, sender)

    def _ask(self, request: Any, sender: Any) -> None:
        version = triton_api.text_parameter(request, VERSION_PARAMETER)
        try:
            waiting = _Waiting(request, sender, _read(request), self._stopped, version)
        except BadFrame as error:
            triton_api.refuse(sender, BAD_FRAME, str(error))
            return
        if version and not self._shelf.has(version):
            triton_api.refuse(sender, VERSION_MISSING, f"Version {version[:12]} is not on this node.")
        elif version and self._shelf.resident(version) is None:
            self._opening.submit(self._answering, sender, lambda: self._open_and_queue(waiting))
        else:
            self._put(waiting)

    def _put(self, waiting: _Waiting) -> None:
        if not self._queue.put(waiting):
            sentence = f"{self._options.max_waiting} requests wait here already."
            triton_api.refuse(waiting.sender, OVERLOADED, sentence)

    def _open_and_queue(self, waiting: _Waiting) -> None:
        self._shelf.open(waiting.version)
        self._put(waiting)

    def _bring(self, request: Any, sender: Any, digest: str) -> None:
        """One step of a version's way to this node."""
        try:
            if not DIGEST.fullmatch(digest):
                raise BadFrame(f"{digest[:80]!r} is no digest of a version.")
            step = decode_step(_only(triton_api.read_tensor(request, "request")))
            piece = _only(triton_api.read_tensor(request, "crops"))
        except (ContractBroken, BadFrame) as error:
            triton_api.refuse(sender, BAD_FRAME, str(error))
            return
        if step.act == "seal":
            self._opening.submit(self._answering, sender, lambda: self._seal(step, digest, sender))
        else:
            self._answering(sender, lambda: self._take(step, piece, digest, sender))

    def _take(self, step: BringStep, piece: bytes, digest: str, sender: Any) -> None:
        if step.act == "piece":
            self._shelf.put(step, piece)
        self._tell_state(sender, has=self._shelf.has(digest))

    def _seal(self, step: BringStep, digest: str, sender: Any) -> None:
        self._shelf.seal(step, digest)
        triton_api.log_info(f"version {digest[:12]} was brought and is ready")
        self._tell_state(sender, has=True)

    def _tell_state(self, sender: Any, *, has: bool) -> None:
        triton_api.respond(sender, {"event": triton_api.text_tensor(encode_state(has=has), (1,))}, last=False)
        triton_api.end(sender)

    def _answering(self, sender: Any, act: Callable[[], None]) -> None:
        """Do it, and answer whatever happens: nobody may wait for a version for ever."""
        try:
            act()
        except VersionRefused as error:
            triton_api.log_error(str(error))
            triton_api.refuse(sender, VERSION_REFUSED, str(error))
        except Exception as error:
            triton_api.log_error(f"bringing a version failed: {error!r}")
            triton_api.fail(sender, f"The version was not taken: {type(error).__name__}: {error}")

    def finalize(self) -> None:
        self._opening.shutdown(wait=False, cancel_futures=True)
        for waiting in self._queue.close(timeout_s=4.0):
            triton_api.refuse(waiting.sender, CANCELLED, "The node is stopping.")
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answer(self, batch: list[QueuedItem[_Waiting]]) -> None:
        for arrived in batch:
            sender = arrived.item.sender
            if arrived.item.is_given_up():
                triton_api.refuse(sender, CANCELLED, "The request was given up while it waited.")
                continue
            try:
                self._stream(arrived.item, arrived.queue_ms)
            except Abandoned:
                triton_api.refuse(sender, CANCELLED, "The request was given up.")
            except BadFrame as error:
                triton_api.refuse(sender, BAD_FRAME, str(error))
            except VersionRefused as error:
                triton_api.refuse(sender, VERSION_REFUSED, str(error))
            except Exception as error:
                triton_api.log_error(f"describing failed: {error!r}")
                triton_api.fail(sender, f"The describer failed: {type(error).__name__}: {error}")
            else:
                triton_api.end(sender)

    def _stream(self, waiting: _Waiting, queue_ms: float) -> None:
        # It may have left the memory while this request waited; then it is read again here.
        describer = self._shelf.open(waiting.version) if waiting.version else self._describer
        events = describe_events(
            describer,
            waiting.work,
            queue_ms=queue_ms,
            is_cancelled=waiting.is_given_up,
            slowdown=self._options.slowdown,
            pause=self._pause,
        )
        for event in events:
            text = triton_api.text_tensor(wire.encode_event(event), (1,))
            triton_api.respond(waiting.sender, {"event": text}, last=False)


def _read(request: Any) -> DescribeWork:
    crops = [bytes(crop) for crop in triton_api.read_tensor(request, "crops")]
    return read_work(crops, _only(triton_api.read_tensor(request, "request")))


def _only(entries: Any) -> bytes:
    if len(entries) != 1:
        raise BadFrame(f"A tensor of the request has {len(entries)} entries, expected one.")
    return bytes(entries[0])
