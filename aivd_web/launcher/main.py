"""`up` and `down`: one launcher for each installation, from the lock to the last child's end.

It knows the table of children by its names only; what they are is in stack.py.
"""

import asyncio
import contextlib
import fcntl
import json
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, TextIO

from aivd_web.launcher import addresses, layout, source
from aivd_web.launcher.children import PortTaken, refuse_taken_ports
from aivd_web.launcher.console import Console
from aivd_web.launcher.processes import ProcessMark, mark_of, wait_until
from aivd_web.launcher.stack import Stack
from aivd_web.launcher.supervisor import StartFailed, Supervisor, end_remains
from scheduling.serving.nodes import NodeSetupError

READY_LINE = "AIVD is ready: {url}"
IN_PART_LINE = "AIVD runs in part: {url} is there, {missing} not. Frames wait for what is missing; it is tried again."
IN_PART = 3
"""Exit status of `up --detach` where some nodes did not answer: the pages work, and nothing is inspected in full."""
FIRST_PAGE_WITHIN_S = 90
DOWN_WITHIN_S = 60
EXPECTED = (layout.LayoutError, addresses.AddressError, PortTaken, StartFailed, NodeSetupError)
"""Errors whose text is for the person at the console."""


@dataclass(frozen=True, slots=True)
class Running:
    """The launcher that holds the lock."""

    process: ProcessMark
    url: str
    ready: bool
    missing: tuple[str, ...] = ()

    @property
    def line(self) -> str:
        """What `up` says of it in the end."""
        if not self.missing:
            return READY_LINE.format(url=self.url)
        verb = "is" if len(self.missing) == 1 else "are"
        return IN_PART_LINE.format(url=self.url, missing=f"{', '.join(self.missing)} {verb}")


def up(*, environ: Mapping[str, str], stream: TextIO, mirror: TextIO | None = None, verbose: bool = False) -> int:
    """Bring everything up and stay until told to stop; returns the exit status."""
    console = Console(stream, verbose=verbose, mirror=mirror)
    try:
        place, where = layout.layout_from(environ), addresses.addresses_from(environ)
        place.ensure_folders()
        with _lock(place) as lock:
            if lock is None:
                return _say_running(place, console)
            return _up_alone(Stack(place, where, environ), console)
    except EXPECTED as error:
        console.say(f"AIVD cannot start. {error}")
        return 1


def up_detached(*, environ: Mapping[str, str], stream: TextIO) -> int:
    """Bring everything up behind this terminal's back; returns when it is ready, or has failed."""
    place = layout.layout_from(environ)
    place.ensure_folders()
    read_end, write_end = os.pipe()
    with (place.log_folder / "up.log").open("ab") as log:
        launcher = subprocess.Popen(
            source.manage("up", f"--mirror-fd={write_end}"),
            env={**environ, "AIVD_VAR": str(place.var)},  # it starts in another folder, and means this one
            cwd=place.root,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[write_end],
            start_new_session=True,
        )
    os.close(write_end)
    with os.fdopen(read_end) as lines:
        last = _copy_lines(lines, stream)
    for line, status in ((READY_LINE, 0), (IN_PART_LINE, IN_PART)):
        if last.startswith(line.partition("{")[0]):
            return status
    return launcher.wait(timeout=DOWN_WITHIN_S) or 1


def up_while(command: Sequence[str], *, environ: Mapping[str, str], stream: TextIO) -> int:
    """Run `command` with AIVD up; what was down before is down afterwards. Returns the command's exit status."""
    place = layout.layout_from(environ)
    was_up = find_running(place) is not None
    status = up_detached(environ=environ, stream=stream)
    try:
        there = source.HOME if source.IS_CLONE else None
        told = {**environ, "AIVD_VAR": str(place.var)}
        return status or subprocess.run(list(command), env=told, cwd=there, check=False).returncode
    finally:
        if not was_up:
            down(environ=environ, stream=stream)


def down(*, environ: Mapping[str, str], stream: TextIO) -> int:
    """Stop the launcher of this installation and wait until all of it has gone."""
    place = layout.layout_from(environ)
    console = Console(stream)
    running = find_running(place)
    if running is None:
        end_remains(place.run_folder / "children.json", console=console)
        console.say("AIVD is not running.")
        return 0
    os.kill(running.process.pid, signal.SIGTERM)
    if not wait_until(lambda: not running.process.alive(), within_s=DOWN_WITHIN_S):
        console.say(f"AIVD (process {running.process.pid}) did not stop within {DOWN_WITHIN_S} s.")
        return 1
    console.say("AIVD has stopped.")
    return 0


def find_running(place: layout.Layout) -> Running | None:
    """The launcher that is up now, if there is one."""
    try:
        state = json.loads((place.run_folder / "up.json").read_text())
        running = Running(
            ProcessMark.from_json(state["process"]), str(state["url"]), bool(state["ready"]), tuple(state["missing"])
        )
    except (FileNotFoundError, ValueError, KeyError):
        return None
    return running if running.process.alive() else None


def _up_alone(stack: Stack, console: Console) -> int:
    place = stack.layout
    control_file = place.run_folder / "children.json"
    end_remains(control_file, console=console)
    _note(stack, ready=False)
    if not source.has_front_end():
        console.say(f"{source.NO_FRONT_END} {source.GET_FRONT_END}")
    children = stack.children()
    refuse_taken_ports(children)
    supervisor = Supervisor(children, console=console, log_folder=place.log_folder, control_file=control_file)
    try:
        return asyncio.run(_run(stack, supervisor, console))
    finally:
        (place.run_folder / "up.json").unlink(missing_ok=True)


async def _run(stack: Stack, supervisor: Supervisor, console: Console) -> int:
    """Start, say so, wait, stop. A signal at any moment leads to the same orderly end."""
    stop = _stop_on_signals(supervisor, console)
    starting = asyncio.create_task(_start(stack, supervisor, console))
    waiting = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({starting, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if starting.done():
            starting.result()
            await waiting
        return 0
    finally:
        starting.cancel()
        console.say("AIVD is stopping ...")
        await supervisor.stop()
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await starting
        console.say("AIVD has stopped.")


async def _start(stack: Stack, supervisor: Supervisor, console: Console) -> None:
    late = await supervisor.start()
    for name in late:
        console.say(f"{name} did not answer. {supervisor.complaint_of(name)} (see {supervisor.log_of(name)})")
    if late:
        _say_up(stack, console, missing=late)
        await supervisor.all_ready(late)
    await _seed_first_page(stack, supervisor, console)
    _say_up(stack, console)


def _say_up(stack: Stack, console: Console, *, missing: Sequence[str] = ()) -> None:
    """The last line that whoever started it behind the terminal's back waits for, and the note for the next `up`."""
    running = _note(stack, ready=True, missing=missing)
    console.say(running.line)
    if console.mirror is not None:
        console.mirror.close()
        console.mirror = None


async def _seed_first_page(stack: Stack, supervisor: Supervisor, console: Console) -> None:
    """A few generated boards, once for each installation. A page that stays empty is not worth failing for."""
    done = stack.layout.run_folder / "first-page.done"
    if done.exists():
        return
    status = await supervisor.run_step(stack.first_page(), within_s=FIRST_PAGE_WITHIN_S)
    if status == 0:
        done.touch()
    else:
        console.say(f"No boards were inspected for the first page (see {supervisor.log_of('first-page')})")


def _stop_on_signals(supervisor: Supervisor, console: Console) -> asyncio.Event:
    stop = asyncio.Event()

    def told() -> None:
        if stop.is_set():
            console.say("Told again: every process is killed.")
            supervisor.kill()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, told)
    return stop


@contextlib.contextmanager
def _lock(place: layout.Layout) -> Iterator[IO[str] | None]:
    """Yield the held lock, or None where another launcher holds it. The kernel lets it go with the process."""
    with (place.run_folder / "up.lock").open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield file


def _say_running(place: layout.Layout, console: Console) -> int:
    """A second `up` succeeds if the first one is ready or gets there."""
    wait_until(lambda: (one := find_running(place)) is None or one.ready, within_s=180, every_s=0.2)
    running = find_running(place)
    if running is None or not running.ready:
        console.say("Another AIVD of this folder is starting or stopping; try again in a moment.")
        return 1
    console.say(f"AIVD is already running (process {running.process.pid}); stop it with: {source.says('down')}")
    console.say(running.line)
    return IN_PART if running.missing else 0


def _note(stack: Stack, *, ready: bool, missing: Sequence[str] = ()) -> Running:
    mark = mark_of(os.getpid())
    assert mark is not None
    running = Running(mark, stack.addresses.web_url, ready, tuple(missing))
    file = stack.layout.run_folder / "up.json"
    draft = file.with_name("up.json.new")
    state = {"process": mark.as_json(), "url": running.url, "ready": ready, "missing": running.missing}
    draft.write_text(json.dumps(state))
    draft.replace(file)
    return running


def _copy_lines(lines: IO[str], stream: TextIO) -> str:
    """Pass the launcher's words on until it closes its end; returns the last line."""
    last = ""
    for line in lines:
        last = line.rstrip("\n")
        print(last, file=stream, flush=True)
    return last
