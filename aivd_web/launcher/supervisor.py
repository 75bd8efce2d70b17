"""Start children in the order of their needs, keep them running, and stop them in the reverse order.

One asyncio task for each child; every process is forked by the main thread, because the kernel's promise to end a
child with its parent holds for the thread that forked it. It knows what a Child is and nothing about any of them.
"""

import asyncio
import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from aivd_web.launcher.children import Child
from aivd_web.launcher.console import Console, LogFile, last_problem
from aivd_web.launcher.processes import ProcessMark, die_with_parent, end_group, mark_of, signal_group

FIRST_BACKOFF_S = 0.2
MAX_BACKOFF_S = 10.0
STEADY_AFTER_S = 20.0
"""A child that ran this long has recovered: its next crash is met with the first backoff again."""
ASK_EVERY_S = 0.1
MAX_CRASHES_BEFORE_READY = 5
CRASHES_WAITED_FOR = 2
"""A start does not wait any longer for an optional child that crashed so often before it was ever ready."""
LOG_TAIL_LINES = 12
LAST_LINE_CHARS = 200
MAX_LINE_BYTES = 2**20
PIPE_CLOSES_WITHIN_S = 1.0


class StartFailed(RuntimeError):
    """A required child did not become ready; the text holds the end of its log."""


class Supervised:
    """One child and the process that stands for it at the moment."""

    def __init__(self, child: Child, log: LogFile) -> None:
        self.child = child
        self.log = log
        self.process: subprocess.Popen[bytes] | None = None
        self.mark: ProcessMark | None = None
        self.ready = asyncio.Event()
        self.ended = asyncio.Event()
        self.troubled = asyncio.Event()
        self.complaint = ""
        self.been_ready = False
        self.stopping = False
        self.restarts = 0

    @property
    def state(self) -> str:
        if self.mark is None:
            return "done" if self.been_ready and self.child.once else "waiting"
        return "ready" if self.ready.is_set() else "starting"


class Supervisor:
    """Runs a table of children. `start` returns when all required ones are ready; then `stop` ends all."""

    def __init__(self, children: Sequence[Child], *, console: Console, log_folder: Path, control_file: Path) -> None:
        _refuse_unmet_needs(children)
        self.console = console
        self._log_folder = log_folder
        self._control_file = control_file
        self._all = {child.name: Supervised(child, LogFile(self.log_of(child.name))) for child in children}
        self._failed: asyncio.Future[None] | None = None
        self._tasks: dict[str, asyncio.Task[Any]] = {}

    async def start(self) -> list[str]:
        """Start everything; returns the names of the optional children that are not ready in their time."""
        self._failed = asyncio.get_running_loop().create_future()
        for name, one in self._all.items():
            self._tasks[name] = asyncio.create_task(self._keep(one), name=name)
        waits = [asyncio.create_task(self._wait_ready(one)) for one in self._all.values()]
        everything = asyncio.gather(*waits)
        either: list[asyncio.Future[Any]] = [everything, self._failed]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if self._failed.done():
                self._failed.result()
            return [name for name in await everything if name]
        finally:
            everything.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await everything

    async def all_ready(self, names: Sequence[str]) -> None:
        """Wait until each of these children is ready, however long that takes."""
        await asyncio.gather(*(self._all[name].ready.wait() for name in names))

    def complaint_of(self, name: str) -> str:
        """The last trouble that the child told, in its own words."""
        said = last_problem(self._all[name].log.last_lines(LOG_TAIL_LINES))[:LAST_LINE_CHARS]
        return f"It said: {said}" if said else "It said nothing."

    def log_of(self, name: str) -> Path:
        return self._log_folder / f"{name}.log"

    async def run_step(self, step: Child, *, within_s: float) -> int | None:
        """Do one more step beside the running children; returns its exit status, None if it took too long."""
        one = self._all.setdefault(step.name, Supervised(step, LogFile(self.log_of(step.name))))
        running = asyncio.create_task(self._run_once(one, time.monotonic()))
        self._tasks[step.name] = running
        try:
            await asyncio.wait_for(asyncio.shield(running), within_s)
        except TimeoutError:
            self._sweep_group(one)
            await running
        finally:
            one.ended.set()
        return one.process.returncode if one.process else None

    async def stop(self) -> None:
        """End all children; each goes only after everything that needs it has gone."""
        await asyncio.gather(*(self._stop_one(one) for one in self._all.values()))
        for task in self._tasks.values():
            task.cancel()
        await asyncio.gather(*self._tasks.values(), return_exceptions=True)
        for one in self._all.values():
            one.log.close()
        self._control_file.unlink(missing_ok=True)

    def kill(self) -> None:
        """Do not wait any longer: end every process at once. For a person who asks a second time."""
        for one in self._all.values():
            if one.mark is not None:
                signal_group(one.mark, signal.SIGKILL)

    async def _keep(self, one: Supervised) -> None:
        """The life of one child: start, wait, start again."""
        try:
            for need in one.child.needs:
                await self._all[need].ready.wait()
            backoff_s, crashes = FIRST_BACKOFF_S, 0
            while not one.stopping:
                began = time.monotonic()
                reason = await self._run_once(one, began)
                if one.child.once and one.been_ready:
                    return
                if one.stopping:
                    break
                crashes = 0 if one.been_ready else crashes + 1
                if one.child.required and crashes >= (1 if one.child.once else MAX_CRASHES_BEFORE_READY):
                    self._fail(one, reason)
                    return
                if crashes >= CRASHES_WAITED_FOR and not one.child.required:
                    one.troubled.set()
                if time.monotonic() - began > STEADY_AFTER_S:
                    backoff_s = FIRST_BACKOFF_S
                self._say_ended(one, reason, backoff_s)
                await asyncio.sleep(backoff_s)
                backoff_s = min(backoff_s * 2, MAX_BACKOFF_S)
                one.restarts += 1
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self._fail(one, str(error) or type(error).__name__)
        finally:
            one.ended.set()

    async def _run_once(self, one: Supervised, began: float) -> str:
        """One process from start to end; returns why it ended."""
        child = one.child
        if child.prepare is not None:
            await asyncio.to_thread(child.prepare)
        if one.stopping:
            return "stopping"
        one.process = _spawn(child)
        one.mark = mark_of(one.process.pid)
        self._record()
        pump = asyncio.create_task(self._pump(one, one.process))
        watch = asyncio.create_task(self._watch_ready(one, began)) if not child.once else None
        try:
            status = await _exit_status(one.process)
        finally:
            if watch is not None:
                watch.cancel()
        self._sweep_group(one)
        # Whoever left the process group keeps the pipe open; its lines are not waited for.
        await asyncio.wait([pump], timeout=PIPE_CLOSES_WITHIN_S)
        pump.cancel()
        one.mark = None
        if child.once and status == 0:
            if child.settle is not None:
                await asyncio.to_thread(child.settle)
            self.console.say(f"{child.name} is done ({time.monotonic() - began:.1f} s)")
            one.been_ready = True
            one.ready.set()
        elif not child.once:
            one.ready.clear()
        self._record()
        return describe_status(status)

    async def _watch_ready(self, one: Supervised, began: float) -> None:
        """Ask until the child says that it is ready, then let those start that need it."""
        child = one.child
        try:
            while child.ready is not None and not await child.ready():
                await asyncio.sleep(ASK_EVERY_S)
            if child.settle is not None:
                await asyncio.to_thread(child.settle)
        except Exception as error:
            self._fail(one, str(error) or type(error).__name__)
            return
        took = f"{time.monotonic() - began:.1f} s"
        self.console.say(f"{child.name} is {'back' if one.been_ready else 'ready'} ({took})")
        one.been_ready = True
        one.troubled.clear()
        one.ready.set()
        self._record()

    async def _wait_ready(self, one: Supervised) -> str | None:
        """None when it got ready; the name of an optional child that did not. A required one fails the start.

        A child's time begins when what it needs is there.
        """
        for need in one.child.needs:
            await self._all[need].ready.wait()
        moments = [asyncio.create_task(event.wait()) for event in (one.ready, one.troubled)]
        try:
            await asyncio.wait(moments, timeout=one.child.ready_within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for moment in moments:
                moment.cancel()
        if one.ready.is_set():
            return None
        if one.child.required:
            self._fail(one, f"not ready within {one.child.ready_within_s:g} s")
        return one.child.name

    def _say_ended(self, one: Supervised, reason: str, backoff_s: float) -> None:
        """Each crash, but the same complaint of a child that cannot get ready only once; its log has them all."""
        said = last_problem(one.log.last_lines(LOG_TAIL_LINES))[:LAST_LINE_CHARS]
        if one.troubled.is_set() and said == one.complaint:
            return
        one.complaint = said
        again = f"it is started again in {backoff_s:g} s"
        self.console.say(f"{one.child.name} ended ({reason}); {again}. It said: {said}")

    async def _pump(self, one: Supervised, process: "subprocess.Popen[bytes]") -> None:
        """Carry the child's lines to its log and to the console until the last writer closes its end."""
        reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(reader), process.stdout
        )
        try:
            while line := await _next_line(reader):
                self._keep_line(one, line)
        finally:
            transport.close()

    def _keep_line(self, one: Supervised, line: bytes) -> None:
        text = line.decode(errors="replace").rstrip()
        if one.child.announce:
            self.console.say(text)
            return
        one.log.write(line)
        self.console.show(one.child.name, text, which=one.child.console)

    def _sweep_group(self, one: Supervised) -> None:
        """What the process started itself must not outlive it and hold its pipe or port."""
        if one.process is not None:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(one.process.pid, signal.SIGKILL)

    async def _stop_one(self, one: Supervised) -> None:
        one.stopping = True
        for other in self._all.values():
            if one.child.name in other.child.needs:
                await other.ended.wait()
        if one.process is not None and one.mark is not None:
            await self._end_process(one, one.process, one.mark)
        elif one.child.name in self._tasks:
            self._tasks[one.child.name].cancel()
            await asyncio.gather(self._tasks[one.child.name], return_exceptions=True)
        one.ended.set()

    async def _end_process(self, one: Supervised, process: subprocess.Popen[bytes], mark: ProcessMark) -> None:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(one.child.stop_signal)
            process.send_signal(signal.SIGCONT)  # a stopped process takes no other signal
        try:
            await asyncio.wait_for(one.ended.wait(), one.child.stop_within_s)
        except TimeoutError:
            self.console.say(f"{one.child.name} did not end within {one.child.stop_within_s:g} s; killed")
            signal_group(mark, signal.SIGKILL)
            await one.ended.wait()

    def _fail(self, one: Supervised, reason: str) -> None:
        if self._failed is None or self._failed.done():
            if not one.stopping:
                self.console.say(f"{one.child.name} is given up: {reason}")
            return
        tail = "\n".join(f"  {line}" for line in one.log.last_lines(LOG_TAIL_LINES))
        self._failed.set_exception(
            StartFailed(f"{one.child.name} did not start: {reason}. The end of {one.log.path}:\n{tail}")
        )

    def _record(self) -> None:
        """Write down which process is which, for the next launcher and for tests that break things."""
        rows = [
            {
                "name": name,
                "state": one.state,
                "restarts": one.restarts,
                "log": str(one.log.path),
                "stop_signal": int(one.child.stop_signal),
                "process": one.mark.as_json() if one.mark else None,
                "pid": one.mark.pid if one.mark else None,
            }
            for name, one in self._all.items()
        ]
        draft = self._control_file.with_name(f"{self._control_file.name}.new")
        draft.write_text(json.dumps({"launcher": os.getpid(), "children": rows}, indent=1))
        draft.replace(self._control_file)


def _spawn(child: Child) -> "subprocess.Popen[bytes]":
    """In its own session, so that Ctrl+C reaches the launcher alone and a child's helpers end with it."""
    return subprocess.Popen(
        list(child.argv),
        env=dict(child.env),
        cwd=child.cwd,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
        preexec_fn=die_with_parent(child.death_signal),
        **(child.identity.popen_arguments() if child.identity else {}),
    )


async def _exit_status(process: "subprocess.Popen[bytes]") -> int:
    """Wait for the process itself. asyncio's own wait() goes on until every heir of its pipe has gone too."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    descriptor = os.pidfd_open(process.pid)
    loop.add_reader(descriptor, ended.set)
    try:
        await ended.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)
    return process.wait()


async def _next_line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:  # longer than the buffer, which asyncio has emptied
        return b"(a line of more than 1 MiB was left out)\n"


def _refuse_unmet_needs(children: Sequence[Child]) -> None:
    """A child may need required children only: nothing waits for one that may never come."""
    required = {child.name for child in children if child.required}
    for child in children:
        if unmet := set(child.needs) - required:
            raise ValueError(f"{child.name} needs {', '.join(sorted(unmet))}, which may never be there")


def end_remains(control_file: Path, *, console: Console) -> None:
    """End the children that outlived a killed launcher; a pid that went to another process is left alone."""
    try:
        rows = json.loads(control_file.read_text())["children"]
    except (FileNotFoundError, ValueError, KeyError):
        return
    for row in reversed(rows):
        mark = ProcessMark.from_json(row["process"]) if row["process"] else None
        if mark is not None and mark.alive():
            console.say(f"{row['name']} (process {mark.pid}) was left from an earlier run; it is ended")
            end_group(mark, stop_signal=row["stop_signal"], within_s=5)
    control_file.unlink(missing_ok=True)


def describe_status(status: int) -> str:
    """An exit status in words: asyncio gives a signal as its negative number."""
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"
