"""The supervisor with small real processes: order, crashes, stopping, and what a killed launcher leaves."""

import asyncio
import io
import json
import os
import signal
import socket
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from aivd_web.launcher.children import Child, PortClaim, PortTaken, file_exists, refuse_taken_ports
from aivd_web.launcher.console import Console
from aivd_web.launcher.processes import ProcessMark, mark_of, wait_until
from aivd_web.launcher.supervisor import StartFailed, Supervisor, end_remains
from tests.waiting import eventually_async

WITHIN_S = 60.0


class Bench:
    """A supervisor over children that note in one file what happens to them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.diary = folder / "diary"
        self.said = io.StringIO()
        self.console = Console(self.said)
        self.control_file = folder / "children.json"

    def child(self, name: str, script: str = "", **options: Any) -> Child:
        """Writes `+name` when it starts and `-name` when it is told to stop, then leaves."""
        body = f"""
            import os, signal, sys, time
            def note(sign):
                with open({str(self.diary)!r}, "a") as diary:
                    diary.write(sign + {name!r} + chr(10))
            def leave(*_):
                note("-")
                sys.exit(0)
            signal.signal(signal.SIGTERM, leave)
            note("+")
            open({str(self.ready_file(name))!r}, "w").close()
            exec({textwrap.dedent(script)!r})
            while True:
                signal.pause()
        """
        return Child(
            name=name,
            argv=[sys.executable, "-c", textwrap.dedent(body)],
            env={"PATH": os.defpath},
            ready=file_exists(self.ready_file(name)),
            prepare=lambda: self.ready_file(name).unlink(missing_ok=True),
            **{"ready_within_s": WITHIN_S, **options},
        )

    def ready_file(self, name: str) -> Path:
        return self.folder / f"{name}.ready"

    def supervisor(self, *children: Child) -> Supervisor:
        return Supervisor(children, console=self.console, log_folder=self.folder, control_file=self.control_file)

    def notes(self) -> list[str]:
        return self.diary.read_text().split() if self.diary.exists() else []

    def row(self, name: str) -> dict[str, Any]:
        rows = json.loads(self.control_file.read_text())["children"]
        return next(row for row in rows if row["name"] == name)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_children_start_after_what_they_need_and_stop_before_it(bench: Bench) -> None:
    children = [
        bench.child("web", needs=("store",)),
        bench.child("worker", needs=("web",)),
        bench.child("store"),
    ]
    supervisor = bench.supervisor(*children)
    assert await supervisor.start() == []
    await supervisor.stop()
    assert bench.notes() == ["+store", "+web", "+worker", "-worker", "-web", "-store"]


async def test_a_crashed_child_is_started_again_and_said_so(bench: Bench) -> None:
    supervisor = bench.supervisor(bench.child("node"), bench.child("other"))
    await supervisor.start()
    first = bench.row("node")["pid"]
    os.kill(first, signal.SIGKILL)
    await eventually_async(lambda: "node is back" in bench.said.getvalue())
    second = bench.row("node")
    await supervisor.stop()
    assert second["pid"] != first
    assert second["restarts"] == 1
    assert "node ended (killed by SIGKILL); it is started again in 0.2 s" in bench.said.getvalue()
    assert bench.notes().count("+other") == 1


async def test_a_crashed_child_leaves_no_grandchild_behind(bench: Bench) -> None:
    script = """
        import subprocess
        child = subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"])
        print("grandchild", child.pid, flush=True)
    """
    supervisor = bench.supervisor(bench.child("node", script))
    await supervisor.start()
    log = bench.folder / "node.log"
    await eventually_async(lambda: "grandchild" in log.read_text())
    grandchild = mark_of(int(log.read_text().split()[1]))
    assert grandchild is not None
    os.kill(bench.row("node")["pid"], signal.SIGKILL)
    await eventually_async(lambda: not grandchild.alive())
    await supervisor.stop()


async def test_a_child_that_keeps_crashing_fails_the_start_with_the_end_of_its_log(bench: Bench) -> None:
    broken = Child(
        name="broken",
        argv=[sys.executable, "-c", "import sys; sys.exit('the disk is full')"],
        env={},
        ready=file_exists(bench.ready_file("never")),
        ready_within_s=WITHIN_S,
    )
    supervisor = bench.supervisor(broken)
    with pytest.raises(StartFailed, match=r"(?s)broken did not start: exit status 1.*the disk is full"):
        await supervisor.start()
    await supervisor.stop()


async def test_a_required_child_that_is_never_ready_fails_the_start(bench: Bench) -> None:
    silent = bench.child("silent", f"os.remove({str(bench.ready_file('silent'))!r})", ready_within_s=1.0)
    supervisor = bench.supervisor(silent)
    with pytest.raises(StartFailed, match="silent did not start: not ready within 1 s"):
        await supervisor.start()
    await supervisor.stop()


async def test_an_optional_child_may_come_later(bench: Bench) -> None:
    node = Child(
        name="node",
        argv=[sys.executable, "-c", "raise SystemExit(3)"],
        env={},
        ready=file_exists(bench.ready_file("node")),
        ready_within_s=0.5,
        required=False,
    )
    supervisor = bench.supervisor(node, bench.child("web"))
    assert await supervisor.start() == ["node"]
    await supervisor.stop()


async def test_a_start_does_not_wait_out_the_time_of_an_optional_child_that_keeps_crashing(bench: Bench) -> None:
    broken = Child(
        name="node",
        argv=[sys.executable, "-c", "raise SystemExit('error: no weights')"],
        env={},
        ready=file_exists(bench.ready_file("node")),
        ready_within_s=600,
        required=False,
    )
    supervisor = bench.supervisor(broken)
    async with asyncio.timeout(WITHIN_S):
        assert await supervisor.start() == ["node"]
    await supervisor.stop()
    assert "It said: error: no weights" in bench.said.getvalue()


def test_nothing_may_need_an_optional_child(bench: Bench) -> None:
    with pytest.raises(ValueError, match="web needs node"):
        bench.supervisor(bench.child("node", required=False), bench.child("web", needs=("node",)))


async def test_a_step_is_done_once_before_what_needs_it(bench: Bench) -> None:
    migrate = bench.child("migrate", "sys.exit(0)", once=True)
    supervisor = bench.supervisor(bench.child("web", needs=("migrate",)), migrate)
    await supervisor.start()
    assert bench.row("migrate")["state"] == "done"
    await supervisor.stop()
    assert bench.notes() == ["+migrate", "+web", "-web"]


async def test_a_step_that_fails_fails_the_start(bench: Bench) -> None:
    migrate = bench.child("migrate", "sys.exit('no such column')", once=True)
    supervisor = bench.supervisor(migrate, bench.child("web", needs=("migrate",)))
    with pytest.raises(StartFailed, match=r"(?s)migrate.*no such column"):
        await supervisor.start()
    await supervisor.stop()
    assert bench.notes() == ["+migrate"]


async def test_a_child_that_ignores_the_stop_signal_is_killed(bench: Bench) -> None:
    deaf = bench.child("deaf", "signal.signal(signal.SIGTERM, signal.SIG_IGN)", stop_within_s=0.5)
    supervisor = bench.supervisor(deaf)
    await supervisor.start()
    pid = bench.row("deaf")["pid"]
    await supervisor.stop()
    assert mark_of(pid) is None
    assert "deaf did not end within 0.5 s; killed" in bench.said.getvalue()


async def test_a_stopped_child_still_ends_in_order(bench: Bench) -> None:
    supervisor = bench.supervisor(bench.child("frozen"))
    await supervisor.start()
    os.kill(bench.row("frozen")["pid"], signal.SIGSTOP)
    await supervisor.stop()
    assert bench.notes() == ["+frozen", "-frozen"]


async def test_output_goes_to_a_log_and_the_prefixed_console(bench: Bench) -> None:
    chatty = bench.child("chatty", "print('hello'); print('an error occurred', flush=True)", console="problems")
    supervisor = bench.supervisor(chatty)
    await supervisor.start()
    await eventually_async(lambda: "error" in bench.said.getvalue())
    await supervisor.stop()
    assert (bench.folder / "chatty.log").read_text() == "hello\nan error occurred\n"
    assert "         chatty | an error occurred" in bench.said.getvalue()
    assert "hello" not in bench.said.getvalue()
    assert "\x1b[" not in bench.said.getvalue()


def test_a_taken_port_is_named_with_its_variable_and_its_holder(bench: Bench) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        web = bench.child("web", ports=(PortClaim("127.0.0.1", port, "AIVD_PORT"),))
        with pytest.raises(PortTaken, match=rf"Port {port} .*web.*process {os.getpid()}.*AIVD_PORT={port + 1000}"):
            refuse_taken_ports([web])
    refuse_taken_ports([web])


LAUNCHER = """
    import asyncio, sys
    from pathlib import Path
    sys.path.insert(0, {root!r})
    from tests.launcher.test_supervisor import Bench
    async def main():
        bench = Bench(Path({folder!r}))
        supervisor = bench.supervisor(bench.child("one"), bench.child("two"))
        await supervisor.start()
        print("up", flush=True)
        await asyncio.Event().wait()
    asyncio.run(main())
"""


def test_a_killed_launcher_leaves_no_child(bench: Bench) -> None:
    root = str(Path(__file__).parents[2])
    script = textwrap.dedent(LAUNCHER).format(root=root, folder=str(bench.folder))
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True) as launcher:
        assert launcher.stdout is not None
        assert launcher.stdout.readline() == "up\n"
        marks = [ProcessMark.from_json(bench.row(name)["process"]) for name in ("one", "two")]
        assert all(mark.alive() for mark in marks)
        launcher.kill()
    assert wait_until(lambda: not any(mark.alive() for mark in marks), within_s=WITHIN_S)


def test_remains_of_a_crash_are_ended_and_strangers_are_left_alone(bench: Bench) -> None:
    with subprocess.Popen([sys.executable, "-c", "import signal; signal.pause()"]) as left:
        mark = mark_of(left.pid)
        stranger = mark_of(os.getpid())
        assert mark is not None
        assert stranger is not None
        older = ProcessMark(stranger.pid, stranger.started_ticks - 1, stranger.boot_id)
        rows = [
            {"name": "left", "process": mark.as_json(), "stop_signal": int(signal.SIGTERM)},
            {"name": "stranger", "process": older.as_json(), "stop_signal": int(signal.SIGTERM)},
            {"name": "never started", "process": None, "stop_signal": int(signal.SIGTERM)},
        ]
        bench.control_file.write_text(json.dumps({"children": rows}))
        end_remains(bench.control_file, console=bench.console)
        assert left.wait(timeout=WITHIN_S) == -signal.SIGTERM
    assert "left (process" in bench.said.getvalue()
    assert "stranger" not in bench.said.getvalue()
    assert not bench.control_file.exists()
