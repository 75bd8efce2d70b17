"""Where the launcher is root its nodes are not: another user runs them, who reads the code and no secrets."""

import os
import subprocess
from pathlib import Path

import pytest

from aivd_web.launcher.addresses import addresses_from
from aivd_web.launcher.interpreter import python_for_others
from aivd_web.launcher.layout import Layout
from aivd_web.launcher.stack import NODE_USER, Stack
from aivd_web.launcher.users import closed_to_others

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has other users to choose from")


def stack(layout: Layout) -> Stack:
    return Stack(layout, addresses_from({}), dict(os.environ))


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o710])
def test_a_file_that_others_cannot_read_is_named(tmp_path: Path, mode: int) -> None:
    open_folder = Path("/usr")
    file = tmp_path / "model.onnx"
    file.touch(mode)
    file.chmod(mode)
    assert closed_to_others([open_folder, file]) == file
    assert closed_to_others([open_folder]) is None
    assert closed_to_others([tmp_path / "not there"]) == tmp_path / "not there"


@as_root
@pytest.mark.stack
def test_the_nodes_run_as_their_own_user_who_cannot_read_our_secrets(suite_layout: Layout) -> None:
    suite_layout.secrets()
    nodes = [child for child in stack(suite_layout).children() if child.name.startswith("node-")]
    assert len(nodes) == 3
    for child in nodes:
        if child.identity is None:
            pytest.skip("this clone lies where no other user can read it")
        assert child.identity.name == NODE_USER
        assert child.identity.uid != 0
        asked, who = ["cat", str(suite_layout.secrets_file)], child.identity.popen_arguments()
        read = subprocess.run(asked, capture_output=True, check=False, **who)
        assert read.returncode != 0


@as_root
@pytest.mark.stack
def test_its_python_finds_our_packages(suite_layout: Layout) -> None:
    node = next(child for child in stack(suite_layout).children() if child.name == "node-edge-1")
    if node.identity is None:
        pytest.skip("this clone lies where no other user can read it")
    python = python_for_others(suite_layout.state_folder) / "bin" / "python3"
    asked = [str(python), "-c", "import numpy, cv2, PIL; print(numpy.__version__)"]
    told = subprocess.run(
        asked, capture_output=True, text=True, check=False, env=dict(node.env), **node.identity.popen_arguments()
    )
    assert told.stdout.startswith("1.26"), told.stderr


def test_every_start_knows_the_same_secret_and_the_workers_are_told(suite_layout: Layout) -> None:
    children = {child.name: child for child in stack(suite_layout).children()}
    workers = [child for name, child in children.items() if name.startswith("worker-")]
    (secret,) = {child.env["AIVD_NODE_CONTROL"] for child in workers}
    assert len(secret) == 64
    assert any(f"aivd-control={secret}" in part for part in children["node-edge-1"].argv)
    assert "AIVD_NODE_CONTROL" not in children["node-edge-1"].env
