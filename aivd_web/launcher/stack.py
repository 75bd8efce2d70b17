"""The children of one installation: which processes AIVD consists of, in what order, ready when.

This table is the whole platform on one page. It builds values; the supervisor runs them.
"""

import hashlib
import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aivd_web.launcher import source
from aivd_web.launcher.addresses import LOOPBACK, Addresses, EmbeddedNode
from aivd_web.launcher.children import Child, PortClaim, answers_http, file_exists, in_thread, listens
from aivd_web.launcher.interpreter import python_for_others
from aivd_web.launcher.layout import Layout, open_to_others
from aivd_web.launcher.postgres import Postgres
from aivd_web.launcher.processes import Identity
from aivd_web.launcher.redis import EmbeddedRedis
from aivd_web.launcher.users import closed_to_others, service_user
from scheduling.serving import contracts
from scheduling.serving.nodes import NodeSpec, code_of_a_node, node_command, own_folder, prepare_node

CONTROL_VARIABLE = "AIVD_NODE_CONTROL"
NODE_USER = "aivd-node"
log = logging.getLogger(__name__)

MAX_SOCKET_MESSAGE_BYTES = 64 * 2**20
"""A picture on a stream's websocket is one message; as large as an upload may be."""

NODE_SETUPS: Mapping[str, Mapping[str, Any]] = {
    "edge-1": {"models": (contracts.EDGE_DETECTOR.model,), "detector": "yolo-openvino-bf16"},
    "edge-2": {"models": (contracts.EDGE_DETECTOR.model,), "detector": "yolo-onnxruntime"},
    "cloud-1": {"models": (contracts.DESCRIBER.model,), "describer": "aivd-small"},
}
"""Two edge nodes that differ by their runtime, so that one is really slower, and a cloud node."""


@dataclass(frozen=True, slots=True)
class Stack:
    """What the table is built from."""

    layout: Layout
    addresses: Addresses
    environ: Mapping[str, str]

    def children(self) -> list[Child]:
        """Everything, in an order that reads well; `needs` says what waits for what."""
        truth = [] if self.environ.get("DATABASE_URL") else [self._postgres()]
        hints = [] if self.environ.get("REDIS_URL") else [self._redis()]
        stores = tuple(child.name for child in (*truth, *hints))
        steps = [
            self._manage("static", "collectstatic", "--noinput", "--verbosity=0", settle=self._note_static),
            self._manage("prepare", "prepare", "--migrate", needs=stores, announce=True),
        ]
        if self._static_is_current():
            del steps[0]
        after = tuple(step.name for step in steps)
        nodes = [child for node in self.addresses.embedded for child in self._node(node)]
        return [*truth, *hints, *nodes, *steps, self._web(after), *self._workers(("prepare",))]

    def first_page(self) -> Child:
        """The step after everything is up that lets a new installation look at a few boards."""
        return self._manage("first-page", "demo", "--seed-first-page")

    def _postgres(self) -> Child:
        server = Postgres(self.layout)
        return Child(
            name="postgres",
            argv=server.argv(),
            env=server.environment(),
            prepare=server.prepare,
            ready=in_thread(server.is_ready),
            settle=server.ensure_database,
            ready_within_s=120,  # initdb, or the replay of a long log after a crash
            stop_signal=signal.SIGINT,  # its "fast" shutdown: sessions are ended, everything is written
            death_signal=signal.SIGINT,
            stop_within_s=20,
            identity=server.identity,
            console="none",
        )

    def _redis(self) -> Child:
        server = EmbeddedRedis(self.layout)
        return Child(
            name="redis",
            argv=server.argv(),
            env=server.environment(),
            prepare=server.prepare,
            ready=in_thread(server.is_ready),
            ready_within_s=20,
            console="none",
        )

    def _node(self, node: EmbeddedNode) -> list[Child]:
        spec = NodeSpec(
            name=node.name,
            http_port=node.http_port,
            grpc_port=node.grpc_port,
            metrics_port=node.metrics_port,
            control=self._node_control(),
            **{**NODE_SETUPS[node.name], **self._chosen_models(node)},
        )
        folder, identity = self.layout.nodes_folder, self._node_identity(spec)
        python = python_for_others(self.layout.state_folder) if identity else None
        argv, env = node_command(spec, layout_dir=folder, base_environment=self.environ, python=python)
        if identity:
            env |= {"HOME": env["TMPDIR"], "USER": identity.name, "LOGNAME": identity.name}
        triton = Child(
            name=f"node-{node.name}",
            argv=argv,
            env=env,
            prepare=lambda: _prepare_node(spec, folder, identity),
            identity=identity,
            ready=answers_http(LOOPBACK, node.http_port, "/v2/health/ready", ok=lambda status: status == 200),
            ready_within_s=90,
            required=False,  # without a node frames wait, visibly; the pages work
            ports=self._claims(node.http_port, node.grpc_port, node.metrics_port),
            death_signal=signal.SIGTERM,
            stop_within_s=12,
            console="none",
        )
        return [triton, *([self._link(node)] if node.link_port else [])]

    def _node_control(self) -> str:
        """What opens the nodes' control API to our workers and to nobody else; the same for each start."""
        return hashlib.sha256(f"node control {self.layout.secrets().secret_key}".encode()).hexdigest()

    def _node_identity(self, spec: NodeSpec) -> Identity | None:
        """Where we are root, a user who can read code and weights and none of our secrets.

        A clone under a folder that is closed to others, such as /root, cannot be read by another user: its nodes stay
        with root, and say so.
        """
        if not self.layout.as_root:
            return None
        chosen = [Path(name) for name in (spec.detector, spec.describer) if name and Path(name).exists()]
        closed = closed_to_others([*code_of_a_node(), *chosen])
        if closed is None and not open_to_others(self.layout.run_folder):
            closed = self.layout.run_folder
        if closed is not None:
            log.warning("node %s runs as root, for no other user can read %s", spec.name, closed)
            return None
        return service_user(NODE_USER)

    def _chosen_models(self, node: EmbeddedNode) -> dict[str, str]:
        """A detector or describer that the environment asks for goes before the one of the table."""
        option = "detector" if node.kind == "edge" else "describer"
        chosen = self.environ.get(f"AIVD_{option.upper()}")
        return {option: chosen} if chosen else {}

    def _link(self, node: EmbeddedNode) -> Child:
        """The way to a node that is far away, made by the fault proxy."""
        assert node.link_port is not None
        assert node.link_control_port is not None
        module = [sys.executable, "-m", source.LINK_FAULT]
        listen = ["--listen", f"{LOOPBACK}:{node.link_port}", "--to", f"{LOOPBACK}:{node.grpc_port}"]
        control = ["--control", f"{LOOPBACK}:{node.link_control_port}", "--delay-ms", str(node.link_delay_ms)]
        return Child(
            name=f"link-{node.name}",
            argv=[*module, *listen, *control],
            env=self._environment("command"),
            cwd=self.layout.root,
            ready=listens(LOOPBACK, node.link_control_port),
            ready_within_s=20,
            ports=self._claims(node.link_port, node.link_control_port),
            console="none",
        )

    def _manage(
        self,
        name: str,
        *command: str,
        needs: tuple[str, ...] = (),
        announce: bool = False,
        settle: Callable[[], None] | None = None,
    ) -> Child:
        """A step: one management command that must have succeeded before what needs it starts."""
        return Child(
            name=name,
            argv=source.manage(*command),
            env=self._environment("command"),
            cwd=self.layout.root,
            needs=needs,
            once=True,
            ready_within_s=180,
            announce=announce,
            settle=settle,
            console="problems",
        )

    def _web(self, needs: tuple[str, ...]) -> Child:
        host, port = self.addresses.host, self.addresses.port
        options = {
            "host": host,
            "port": port,
            "lifespan": "off",
            "timeout-graceful-shutdown": 5,
            # Messages over their limit are read over long before this; see aivd_web/web_sockets.py.
            "http": "aivd_web.web_requests:BoundedRequests",
            "ws": "aivd_web.web_sockets:BoundedWebSockets",
            "ws-max-size": MAX_SOCKET_MESSAGE_BYTES,
            "ws-per-message-deflate": "false",
            "log-level": "info",
        }
        flags = [f"--{name}={value}" for name, value in options.items()]
        return Child(
            name="web",
            argv=[
                *(sys.executable, "-m", "uvicorn", "aivd_web.asgi:application", *flags),
                *("--no-access-log", "--no-server-header", "--no-proxy-headers", "--no-use-colors"),
            ],
            env=self._environment("web"),
            cwd=self.layout.root,
            needs=needs,
            ready=answers_http(self.addresses.local_host, port, "/health", ok=lambda status: True),
            ports=(PortClaim(host, port, "AIVD_PORT"),),
            console="problems",
        )

    def _workers(self, needs: tuple[str, ...]) -> list[Child]:
        """Threads for what calls nodes: a gRPC client must not cross a fork. Training supervises a child.

        Two that dispatch, so that the lines go on while one of them is stopped or killed.
        """
        beat = ["beat", f"--schedule={self.layout.run_folder / 'beat'}"]
        return [
            *(self._worker(f"worker-dispatch-{n}", "dispatch", concurrency=4, needs=needs) for n in (1, 2)),
            self._worker("worker-housekeeping", "housekeeping", concurrency=4, needs=needs),
            self._worker("worker-training", "training", concurrency=1, needs=needs),
            self._celery("beat", [*beat, "--loglevel=WARNING"], needs=needs, ready=None),
        ]

    def _worker(self, name: str, queue: str, *, concurrency: int, needs: tuple[str, ...]) -> Child:
        ready_file = self.layout.run_folder / f"{name}.ready"
        command = ["worker", "--pool=threads", f"--queues={queue}", f"--concurrency={concurrency}"]
        command += [
            f"--hostname={name.removeprefix('worker-')}@%h",
            "--without-gossip",
            "--without-mingle",
            "--loglevel=INFO",
        ]
        command += ["--include=aivd_web.launcher.ready_signal"]
        return self._celery(name, command, needs=needs, ready=ready_file)

    def _celery(self, name: str, command: list[str], *, needs: tuple[str, ...], ready: Path | None) -> Child:
        told = {"AIVD_READY_FILE": str(ready)} if ready else {}
        return Child(
            name=name,
            argv=[sys.executable, "-m", "celery", "-A", "aivd_web.celery", *command],
            env={**self._environment("worker"), **told},
            cwd=self.layout.root,
            needs=needs,
            prepare=(lambda: ready.unlink(missing_ok=True)) if ready else None,
            ready=file_exists(ready) if ready else None,
            stop_within_s=15,
            console="problems",
        )

    def _environment(self, role: str) -> dict[str, str]:
        """Every process of ours comes to the same layout and the same nodes. Thread pools stay small: the
        nodes need the cores. `role` says how long it may wait for the database."""
        return {
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            **self.environ,
            "AIVD_ROLE": role,
            "AIVD_VAR": str(self.layout.var),
            "AIVD_NODES": self.addresses.node_list,
            CONTROL_VARIABLE: self._node_control(),
            "PYTHONUNBUFFERED": "1",
        }

    def _claims(self, *ports: int) -> tuple[PortClaim, ...]:
        return tuple(PortClaim(LOOPBACK, port, "AIVD_NODE_PORT_BASE") for port in ports)

    def _static_is_current(self) -> bool:
        """Whether the collected files are those of this front end and these packages."""
        stamp = self.layout.run_folder / "static.stamp"
        collected = self.layout.static_folder.is_dir() and stamp.exists()
        return collected and stamp.read_text() == self._static_digest()

    def _static_digest(self) -> str:
        """Changes when anything that collectstatic reads may have changed."""
        files = [*source.FRONT_END.rglob("*"), *(source.PACKAGE / "static").rglob("*")]
        return digest_of(sorted(path for path in files if path.is_file()), *source.versions())

    def _note_static(self) -> None:
        """Remember what the collected files were made from; called when they have been."""
        (self.layout.run_folder / "static.stamp").write_text(self._static_digest())


def digest_of(files: Iterable[Path], *more: str) -> str:
    """sha256 over names and contents, and over what `more` says."""
    total = hashlib.sha256("\n".join(more).encode())
    for path in files:
        total.update(f"{path}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _prepare_node(spec: NodeSpec, folder: Path, identity: Identity | None) -> None:
    """Lay the node out so that its user can read what is shared and write into its own folder alone."""
    prepare_node(spec, layout_dir=folder)
    if identity is None:
        return
    for shared in (folder, folder / "backends", folder / "backends" / "python", folder / "tmp"):
        shared.chmod(0o711 if shared.name == "tmp" else 0o755)
    own = own_folder(spec, layout_dir=folder)
    own.chmod(0o700)
    os.chown(own, identity.uid, identity.gid)
