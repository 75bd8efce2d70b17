"""The node process: its command line and environment, and real servers that start from them."""

import importlib.metadata
import os
import signal
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from scheduling.client.answers import NodeError
from scheduling.client.triton import NodeClient
from scheduling.serving.nodes import (
    LEFT_AFTER_S,
    PLAIN_LINKS,
    NodeSetupError,
    NodeSpec,
    Wheel,
    clear_left_folders,
    clear_shared_memory,
    node_command,
    own_folder,
    prepare_node,
)
from tests.nodes import RunningNode, node_spec, picture, start_node

WHEEL = Wheel(Path("/w/tritonserver"), (Path("/w/a.so"), Path("/w/b.py")), Path("/w/stub"), Path("/w/libs"))
LAYOUT_DIR = Path("/var/aivd")
SPEC = NodeSpec("edge-1", ("edge_detector",), grpc_port=8101, http_port=8102, metrics_port=8103)


def command(spec: NodeSpec = SPEC, **base: str) -> tuple[list[str], dict[str, str]]:
    return node_command(spec, layout_dir=LAYOUT_DIR, wheel=WHEEL, base_environment=base)


def test_every_port_is_on_loopback() -> None:
    argv, _ = command()
    for port in ("grpc", "http", "metrics"):
        assert f"--{port}-address=127.0.0.1" in argv
    assert {"--grpc-port=8101", "--http-port=8102", "--metrics-port=8103"} <= set(argv)


def test_only_the_asked_models_are_loaded_and_a_failure_ends_the_server() -> None:
    argv, _ = command(replace(SPEC, models=("edge_detector", "describer")))
    loads = [argument for argument in argv if argument.startswith("--load-model")]
    assert loads == ["--load-model=edge_detector", "--load-model=describer"]
    assert {"--model-control-mode=explicit", "--exit-on-error=true"} <= set(argv)


def test_a_client_may_ping_every_second() -> None:
    argv, _ = command()
    assert "--grpc-keepalive-permit-without-calls=1" in argv
    assert "--grpc-http2-min-recv-ping-interval-without-data=500" in argv


def test_the_environments_python_comes_first_and_the_wheels_libraries_are_found() -> None:
    _, environment = command(PATH="/usr/bin", LD_LIBRARY_PATH="/opt/lib")
    first, *rest = environment["PATH"].split(os.pathsep)
    link, binaries = Path(first).parent, Path(first).name
    assert link.parent == LAYOUT_DIR
    assert (PLAIN_LINKS[link.name] / binaries / "python3").exists()
    assert rest == ["/usr/bin"]
    libraries = environment["LD_LIBRARY_PATH"].split(os.pathsep)
    assert (libraries[0], libraries[-1]) == ("/w/libs", "/opt/lib")


def test_secrets_of_the_application_stay_out_of_a_nodes_environment() -> None:
    _, environment = command(
        DATABASE_URL="postgres://u:secret@h/d", AIVD_SECRET_KEY="secret", HF_HOME="/models", AIVD_DETECTOR_CLASSES="a"
    )
    assert "secret" not in " ".join(environment.values())
    assert environment["HF_HOME"] == "/models"
    assert environment["AIVD_DETECTOR_CLASSES"] == "a"


def test_options_reach_the_models_by_environment_and_the_spec_wins() -> None:
    spec = replace(SPEC, threads=2, detector="yolo-openvino", slowdown=1.5, environment={"AIVD_MAX_WAITING": "9"})
    _, environment = command(spec, AIVD_DETECTOR="other", AIVD_DESCRIBER="mine")
    chosen = {name: environment[name] for name in environment if name.startswith(("AIVD_D", "AIVD_T", "AIVD_S"))}
    assert chosen == {
        "AIVD_DETECTOR": "yolo-openvino",
        "AIVD_DESCRIBER": "mine",
        "AIVD_THREADS": "2",
        "AIVD_SLOWDOWN": "1.5",
    }
    assert environment["OMP_NUM_THREADS"] == "2"
    assert environment["AIVD_MAX_WAITING"] == "9"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": "edge 1"}, "letters, digits"),
        ({"name": "../edge"}, "letters, digits"),
        ({"name": ""}, "letters, digits"),
        ({"models": ()}, "can serve edge_detector, describer"),
        ({"models": ("resnet",)}, "can serve edge_detector, describer"),
        ({"address": "0.0.0.0"}, "loopback only"),
        ({"address": "192.0.2.7"}, "loopback only"),
        ({"threads": 0}, "threads >= 1"),
        ({"slowdown": 0.5}, "slowdown >= 1.0"),
    ],
)
def test_a_node_that_must_not_start_is_refused(change: dict[str, object], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        replace(SPEC, **change)  # type: ignore[arg-type]


def test_preparing_twice_and_for_two_nodes_leaves_one_whole_backend(tmp_path: Path) -> None:
    for name in ("edge-1", "edge-1", "edge-2"):
        prepare_node(replace(SPEC, name=name), layout_dir=tmp_path)
    folder = tmp_path / "backends" / "python"
    names = {"libtriton_python.so", "triton_python_backend_utils.py", "triton_python_backend_stub"}
    assert {path.name for path in folder.iterdir()} == names
    assert all(path.resolve().is_file() for path in folder.iterdir())


def test_numpy_2_is_refused_because_this_triton_corrupts_its_tensors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "2.1.0")
    with pytest.raises(NodeSetupError, match=r"install numpy 1\.26"):
        prepare_node(SPEC, layout_dir=tmp_path)


def test_shared_memory_is_cleared_for_this_node_of_this_installation_alone(tmp_path: Path) -> None:
    argv, _ = command()
    (prefix,) = (argument.rpartition("=")[2] for argument in argv if "shm-region-prefix" in argument)
    other = replace(SPEC, name="edge-10")
    for name in (f"{prefix}1", f"{prefix}2", "PostgreSQL.1", prefix.replace("edge-1_", "edge-10_") + "1"):
        (tmp_path / name).touch()
    assert clear_shared_memory(SPEC, layout_dir=Path("/elsewhere"), shm_dir=tmp_path) == 0
    assert clear_shared_memory(SPEC, layout_dir=Path("/var/aivd"), shm_dir=tmp_path) == 2
    assert clear_shared_memory(other, layout_dir=Path("/var/aivd"), shm_dir=tmp_path) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["PostgreSQL.1"]


@pytest.mark.stack
def test_a_node_starts_in_a_folder_with_a_long_path(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 80) / ("e" * 80)
    deep.mkdir(parents=True)
    node = start_node(node_spec("deep"), layout_dir=deep)
    try:
        assert len(node.client.detect(picture(), min_score=0.0, timeout_s=5).regions) == 3
    finally:
        node.close()


@pytest.mark.stack
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/v2/health/ready", 200),
        ("/v2/repository/models/edge_detector/load", 403),
        ("/v2/repository/models/edge_detector/unload", 403),
        ("/v2/models/edge_detector/infer", 403),
        ("/v2/models/edge_detector/stats", 403),
        ("/v2/logging", 403),
    ],
)
def test_a_page_in_a_browser_can_do_nothing_to_a_node(constant_node: RunningNode, path: str, status: int) -> None:
    url = f"http://127.0.0.1:{constant_node.spec.http_port}{path}"
    method = "GET" if status == 200 else "POST"
    assert httpx.request(method, url, content="{}" if method == "POST" else None, timeout=5).status_code == status


@pytest.mark.stack
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"detector": "no-such-detector"}, "no-such-detector"),
        ({"environment": {"AIVD_ALLOW_TEST_MODELS": "0"}}, "AIVD_ALLOW_TEST_MODELS"),
    ],
)
def test_a_node_whose_model_cannot_load_exits_and_says_why(
    tmp_path: Path, options: dict[str, object], said: str
) -> None:
    spec = node_spec("broken", "edge_detector", **options)
    prepare_node(spec, layout_dir=tmp_path)
    argv, environment = node_command(spec, layout_dir=tmp_path)
    run = subprocess.run(argv, env=environment, capture_output=True, text=True, timeout=60)
    assert run.returncode != 0
    assert said in run.stdout + run.stderr


@pytest.mark.stack
def test_a_node_stops_cleanly_and_leaves_no_shared_memory(make_node: Callable[[NodeSpec], RunningNode]) -> None:
    node = make_node(node_spec("stopping"))
    node.client.detect(picture(), min_score=0.0, timeout_s=5)
    node.process.send_signal(signal.SIGTERM)
    assert node.process.wait(10) == 0
    assert clear_shared_memory(node.spec, layout_dir=node.layout_dir) == 0


@pytest.mark.stack
def test_a_model_whose_process_died_still_says_ready_until_it_is_loaded_again(
    make_node: Callable[[NodeSpec], RunningNode],
) -> None:
    node = make_node(node_spec("orphan", "edge_detector"))
    os.kill(node.model_process("edge_detector"), signal.SIGKILL)
    with pytest.raises(NodeError) as caught:
        node.client.canary("edge_detector", timeout_s=3)
    assert (caught.value.code, caught.value.needs_reload) == ("unavailable", True)
    assert node.client.probe(timeout_s=1).usable("edge_detector")
    node.client.reload("edge_detector", timeout_s=20)
    node.client.canary("edge_detector", timeout_s=5)


@pytest.mark.stack
@pytest.mark.parametrize("control", ["", "aivd-local", "1", "x" * 32])
def test_only_who_knows_the_secret_may_load_models(constant_node: RunningNode, control: str) -> None:
    stranger = NodeClient(constant_node.spec.grpc_url, name="stranger", control=control)
    with pytest.raises(NodeError, match="restricted"):
        stranger.reload("edge_detector", timeout_s=5)
    assert stranger.detect(picture(), min_score=0.0, timeout_s=10).regions
    stranger.close()


def test_a_nodes_secret_is_its_own_and_has_no_gaps() -> None:
    assert node_spec("one").control != node_spec("two").control
    with pytest.raises(ValueError, match="control secret"):
        replace(SPEC, control="two words")


def test_a_start_clears_what_the_last_one_left(tmp_path: Path) -> None:
    prepare_node(SPEC, layout_dir=tmp_path)
    left = own_folder(SPEC, layout_dir=tmp_path) / "left.bin"
    left.write_bytes(b"x")
    other = own_folder(replace(SPEC, name="other"), layout_dir=tmp_path)
    other.mkdir()
    prepare_node(SPEC, layout_dir=tmp_path)
    assert not left.exists()
    assert left.parent.is_dir()
    assert other.is_dir()
    assert command(SPEC)[1]["TMPDIR"].endswith(f"tmp/{SPEC.name}")


def test_folders_that_killed_backends_left_are_removed_and_nothing_else(tmp_path: Path) -> None:
    for name in ("python_env_a", "python_env_full", "python_env_young", "another"):
        (tmp_path / name).mkdir()
    (tmp_path / "python_env_full" / "file").touch()
    later = (tmp_path / "python_env_young").stat().st_mtime + LEFT_AFTER_S + 10
    os.utime(tmp_path / "python_env_young", (later, later))
    assert clear_left_folders(temporary=tmp_path, now=lambda: later) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["another", "python_env_full", "python_env_young"]
