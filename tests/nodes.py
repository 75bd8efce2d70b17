"""Real Triton nodes for tests: fixtures that start `tritonserver` from the wheel on free loopback ports.

`constant_node` serves models with known answers and is shared by the whole run; a test that kills or stops a
node makes its own with `make_node`.
"""

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.ports import free_ports
from scheduling.client.tls import NodeTls
from scheduling.client.triton import NodeClient
from scheduling.serving.nodes import NodeSpec, clear_shared_memory, node_command, prepare_node
from tests.suite import shared
from tests.waiting import eventually

__all__ = ["constant_node", "make_node", "node_layout", "template_node"]

CONSTANT_DETECTOR = "python:tests.node_fakes:ConstantDetector"
CONSTANT_DESCRIBER = "python:tests.node_fakes:ConstantDescriber"
TEST_MODELS = {"AIVD_ALLOW_TEST_MODELS": "1"}


@dataclass
class RunningNode:
    """A node process that a test started, and a client of it."""

    spec: NodeSpec
    layout_dir: Path
    log_path: Path
    process: subprocess.Popen[bytes]
    client: NodeClient

    @property
    def name(self) -> str:
        return self.spec.name

    @property
    def grpc_url(self) -> str:
        return self.spec.grpc_url

    def running_pid(self) -> int | None:
        return self.process.pid if self.process.poll() is None else None

    def wait_ready(self) -> None:
        def ready_or_ended() -> bool:
            ready = self.client.probe(timeout_s=1.0, models=self.spec.models).ready
            return ready or self.process.poll() is not None

        def log() -> str:
            return f"node {self.name} did not become ready:\n{self.log_path.read_text()[-4000:]}"

        eventually(ready_or_ended, log)
        assert self.process.poll() is None, log()

    def kill(self) -> None:
        """SIGKILL to the server process alone, as an out-of-memory killer would."""
        self.process.kill()
        self.process.wait(10)

    def freeze(self) -> None:
        """SIGSTOP; returns when every thread of the server stands still, which on busy cores is not at once."""
        self.process.send_signal(signal.SIGSTOP)
        tasks = Path(f"/proc/{self.process.pid}/task")
        eventually(lambda: all(_state(task) in "Tt" for task in tasks.iterdir()), f"node {self.name} did not stop")

    def thaw(self) -> None:
        self.process.send_signal(signal.SIGCONT)

    def model_process(self, model: str) -> int:
        """The process id of the Python process that serves the model."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        for child in children:
            if f"/{model}/" in Path(f"/proc/{child}/cmdline").read_text():
                return int(child)
        raise AssertionError(f"node {self.name} has no process for {model}")

    def close(self) -> None:
        """End the node and its model processes without waiting for what they do."""
        self.client.close()
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(10)
        clear_shared_memory(self.spec, layout_dir=self.layout_dir)


def _state(task: Path) -> str:
    """The letter of a thread's state in /proc; what has ended counts as stopped."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return (task / "stat").read_text().rsplit(")", 1)[1].split()[0]
    return "T"


def node_spec(name: str, *models: str, **options: object) -> NodeSpec:
    """A spec on free ports, with the constant test models unless `options` say otherwise."""
    first = free_ports(3)
    spec = NodeSpec(
        name=name,
        models=models or ("edge_detector", "describer"),
        grpc_port=first,
        http_port=first + 1,
        metrics_port=first + 2,
        detector=CONSTANT_DETECTOR,
        describer=CONSTANT_DESCRIBER,
        environment=TEST_MODELS,
    )
    return replace(spec, **options)  # type: ignore[arg-type]


def start_node(spec: NodeSpec, *, layout_dir: Path, tls: NodeTls | None = None) -> RunningNode:
    """Start the node and wait until it is ready; the caller closes it."""
    prepare_node(spec, layout_dir=layout_dir)
    argv, environment = node_command(spec, layout_dir=layout_dir)
    log_path = layout_dir / f"{spec.name}.log"
    with log_path.open("ab") as log:
        process = subprocess.Popen(
            argv, env=environment, cwd="/", stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True
        )
    node = RunningNode(
        spec, layout_dir, log_path, process, NodeClient(spec.grpc_url, name=spec.name, control=spec.control, tls=tls)
    )
    try:
        node.wait_ready()
    except BaseException:
        node.close()
        raise
    return node


@pytest.fixture(scope="session")
def node_layout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nodes")


@pytest.fixture(scope="session")
def constant_node(node_layout: Path) -> Iterator[RunningNode]:
    """One node with both models, whose answers are constant. Leave it as you found it."""
    yield from _shared_node(node_spec("constant"), node_layout)


@pytest.fixture(scope="session")
def template_node(node_layout: Path) -> Iterator[RunningNode]:
    """One edge node with the classical detector that compares a frame with its golden template."""
    spec = node_spec("template", "edge_detector", detector="template-difference", environment={})
    yield from _shared_node(spec, node_layout)


def _shared_node(spec: NodeSpec, layout_dir: Path) -> Iterator[RunningNode]:
    node = start_node(spec, layout_dir=layout_dir)
    try:
        with shared(f"node {spec.name}", pid=node.running_pid, log=node.log_path):
            yield node
    finally:
        node.close()


@pytest.fixture
def make_node(node_layout: Path) -> Iterator[Callable[[NodeSpec], RunningNode]]:
    """Starts nodes of the test's own and closes them after it."""
    started: list[RunningNode] = []

    def make(spec: NodeSpec) -> RunningNode:
        node = start_node(spec, layout_dir=node_layout)
        started.append(node)
        return node

    yield make
    for node in started:
        node.close()


def picture(width: int = 64, height: int = 48, picture_format: str = "JPEG", mode: str = "RGB") -> bytes:
    """An encoded picture with a gradient."""
    buffer = BytesIO()
    Image.linear_gradient("L").resize((width, height)).convert(mode).save(buffer, picture_format)
    return buffer.getvalue()
