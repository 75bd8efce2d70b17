"""The pool of decoder processes: the only way in which web and workers have a picture opened.

A child that takes too long or too much is ended and replaced, and the picture that it had is answered for. What is
in a picture is never the parent's concern: paths go in, JSON and files come out.
"""

import contextlib
import json
import logging
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any

from .faults import BROKEN, BUSY, COSTLY, OCCUPIED, Refused

ROOT = Path(__file__).resolve().parents[3]
CHILDREN = max(2, min(4, os.cpu_count() or 2))
WAIT_S = 5.0
"""How long a job waits for a free child before its sender is asked to come again."""

WALL_S = 20.0
"""How long a child may be at one job, also where the machine is busy with other things."""

AGAIN_S = 0.5
"""How soon a very large picture asks again for its turn."""

JOBS_PER_CHILD = 2_000
READ_BYTES = 2**18
THREADS = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
log = logging.getLogger(__name__)


class Gone(Exception):
    """The child ended, or was ended, before it answered."""


class Child:
    """One decoder process. Used by one thread at a time."""

    def __init__(self, limits: Mapping[str, float]) -> None:
        self.jobs = 0
        # A new interpreter and not a fork: nothing of this process, its threads and its patched libraries is in it.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "inspections.media.decoding.child", json.dumps(dict(limits))],
            cwd=ROOT,
            env=THREADS | {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LC_ALL": "C.UTF-8"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
        )

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def ask(self, job: Mapping[str, Any], *, wall_s: float) -> dict[str, Any]:
        """The answer. Raises Gone, or TimeoutError."""
        self.jobs += 1
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(json.dumps(job).encode() + b"\n")
        except BrokenPipeError:
            raise Gone from None
        answer: dict[str, Any] = json.loads(_line(stdout, time.monotonic() + wall_s))
        return answer

    def end(self) -> int:
        """Kill it and return how it ended; a signal is negative."""
        self._process.kill()
        with contextlib.suppress(OSError):
            for stream in (self._process.stdin, self._process.stdout):
                if stream is not None:
                    stream.close()
        return self._process.wait()

    def how_it_ended(self) -> int:
        try:
            return self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return self.end()


def _line(stream: IO[bytes], until: float) -> bytes:
    pieces: list[bytes] = []
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while not pieces or not pieces[-1].endswith(b"\n"):
            left = until - time.monotonic()
            if left <= 0 or not selector.select(left):
                raise TimeoutError
            piece = os.read(stream.fileno(), READ_BYTES)
            if not piece:
                raise Gone
            pieces.append(piece)
    return b"".join(pieces)


class Decoder:
    """At most `children` jobs at a time; children are started when they are first needed and kept."""

    def __init__(
        self,
        *,
        children: int = CHILDREN,
        wait_s: float = WAIT_S,
        wall_s: float = WALL_S,
        limits: Mapping[str, float] | None = None,
    ) -> None:
        self.wait_s = wait_s
        self.wall_s = wall_s
        self._limits = dict(limits or {})
        self._room = threading.BoundedSemaphore(children)
        self._lock = threading.Lock()
        self._idle: list[Child] = []
        self._all: set[Child] = set()

    def ask(self, job: Mapping[str, Any], *, wait_s: float | None = None) -> dict[str, Any]:
        """What the child answers as `ok`. Raises Refused, with BUSY where it is not the picture's fault."""
        until = time.monotonic() + (self.wait_s if wait_s is None else wait_s)
        while (answer := self._answer(job, until)).get("error") == OCCUPIED:
            if time.monotonic() >= until:
                raise Refused(BUSY, answer["detail"])
            threading.Event().wait(AGAIN_S)  # no child is kept from the others meanwhile
        if "error" in answer:
            if "cause" in answer:
                log.info("The decoder refused a picture: %s", answer["cause"])
            raise Refused(answer["error"], answer["detail"])
        found: dict[str, Any] = answer["ok"]
        return found

    def _answer(self, job: Mapping[str, Any], until: float) -> dict[str, Any]:
        if not self._room.acquire(timeout=max(0.01, until - time.monotonic())):
            raise Refused(BUSY, "Too many pictures are being decoded.")
        try:
            return self._asked(job)
        finally:
            self._room.release()

    def _asked(self, job: Mapping[str, Any]) -> dict[str, Any]:
        child = self._taken()
        try:
            answer = child.ask(job, wall_s=self.wall_s)
        except TimeoutError:
            self._drop(child)
            raise Refused(BUSY, f"The picture was not decoded within {self.wall_s:g} s.") from None
        except Gone:
            raise _why_gone(child.how_it_ended()) from None
        finally:
            self._put_back(child)
        return answer

    def _taken(self) -> Child:
        with self._lock:
            while self._idle:
                child = self._idle.pop()
                if child.alive and child.jobs < JOBS_PER_CHILD:
                    return child
                self._all.discard(child)
                child.end()
        child = Child(self._limits)
        with self._lock:
            self._all.add(child)
        return child

    def _put_back(self, child: Child) -> None:
        if child.alive:
            with self._lock:
                self._idle.append(child)
        else:
            self._drop(child)

    def _drop(self, child: Child) -> None:
        with self._lock:
            self._all.discard(child)
        child.end()

    def close(self) -> None:
        with self._lock:
            children, self._all, self._idle = self._all, set(), []
        for child in children:
            child.end()


def _why_gone(returncode: int) -> Refused:
    if returncode == -signal.SIGPROF:
        return Refused(COSTLY, "The picture takes longer to decode than one picture may.")
    if returncode == -signal.SIGKILL:  # somebody else's doing: the kernel, short of memory, or a person
        return Refused(BUSY, "The decoder was ended while it had the picture.")
    log.warning("A picture ended its decoder: %s", returncode)
    return Refused(BROKEN, "The picture cannot be decoded.")
