"""What a wheel holds, and that each of its extras stands alone: a node without Django, a site without torch."""

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import httpx
import psycopg
import pytest

from aivd_web.launcher.layout import Layout
from benchmarks.ports import free_ports
from scheduling.client.triton import NodeClient
from scheduling.serving.contracts import DESCRIBER, EDGE_DETECTOR
from scheduling.serving.detectors import SHIPPED_WEIGHTS
from tests.install.environments import ROOT, Installed, clean
from tests.nodes import RunningNode, picture
from tests.services import Service
from tests.waiting import eventually

PACKAGES = ("aivd_web", "finetune", "inspections", "scheduling")
RUNTIMES = ("torch", "transformers", "ultralytics", "openvino", "onnxruntime")
LOADED = "import json, sys, aivd_web.asgi, aivd_web.celery; print(json.dumps(sorted(sys.modules)))"
FOUND = "import json, sys, importlib.util as u; print(json.dumps([n for n in sys.argv[1:] if u.find_spec(n)]))"
pytestmark = pytest.mark.stack


def test_the_wheel_holds_every_file_of_our_packages_and_what_the_pages_need(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    ours = {str(path.relative_to(ROOT)) for package in PACKAGES for path in (ROOT / package).rglob("*")}
    wanted = {name for name in ours if (ROOT / name).is_file() and "__pycache__" not in name}
    assert wanted - names == set()
    assert {"aivd_web/templates/base.html", "aivd_web/front_end/manifest.json"} <= names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/"))]


def test_a_wheel_of_a_source_without_a_front_end_is_made_and_says_so(tmp_path: Path) -> None:
    for name in ("setup.py", "pyproject.toml", "README.md", "LICENSE", *PACKAGES):
        (tmp_path / name).symlink_to(ROOT / name)
    command = [sys.executable, "setup.py", "-q", "build", f"--build-base={tmp_path / 'made'}"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=True)
    assert "There is no built front end" in done.stderr
    assert not list((tmp_path / "made").rglob("front_end"))


def test_a_node_of_the_node_extra_serves_a_frame_without_django(
    installed: Callable[[str], Installed], tmp_path: Path
) -> None:
    environment = installed("node")
    assert _there(environment, tmp_path, "django", "celery", "torch", "pytriton") == ["pytriton"]
    with _node(environment, tmp_path, "edge") as client:
        answer = client.detect(picture(640, 640), min_score=0.3, timeout_s=30)
    assert answer.meta.digest == json.loads((SHIPPED_WEIGHTS.with_name("metrics.json")).read_text())["digest"]


def test_a_describing_node_without_torch_says_which_extra_brings_it(
    installed: Callable[[str], Installed], tmp_path: Path
) -> None:
    environment = installed("node")
    with _process(environment, tmp_path, "cloud", free_ports(3)) as (process, log):
        assert process.wait(60) != 0
    assert "AIVD_DESCRIBER is 'aivd-small', which needs torch" in log.read_text()
    assert "pip install 'aivd[describer]'" in log.read_text()


def test_a_node_of_the_describer_extra_describes(installed: Callable[[str], Installed], tmp_path: Path) -> None:
    environment = installed("describer")
    assert _there(environment, tmp_path, "django", *RUNTIMES) == ["torch", "openvino", "onnxruntime"]
    with _node(environment, tmp_path, "cloud") as client:
        assert client.probe(timeout_s=5, models=(DESCRIBER.model,)).ready


def test_a_site_of_the_web_extra_starts_and_inspects_without_torch(
    installed: Callable[[str], Installed],
    tmp_path: Path,
    postgres: Service,
    redis_server: Service,
    suite_layout: Layout,
    constant_node: RunningNode,
) -> None:
    """With a PostgreSQL, a Redis and a node that run elsewhere, as a replica has them."""
    environment, port = installed("web"), free_ports(1)
    assert _there(environment, tmp_path, "django", *RUNTIMES, "pytriton") == ["django"]
    with _database("installed", suite_layout) as url:
        told = {
            "DATABASE_URL": url,
            "REDIS_URL": suite_layout.redis_url().replace("db=0", "db=9"),
            "AIVD_NODES": ",".join(f"{kind}-1={kind}@{constant_node.grpc_url}" for kind in ("edge", "cloud")),
            "AIVD_PORT": str(port),
        }
        try:
            up = environment.run(environment.command("aivd"), "up", "--detach", cwd=tmp_path, **told)
            assert up.returncode == 0, up.stdout + up.stderr
            health = httpx.get(f"http://127.0.0.1:{port}/health", timeout=30)
            page = httpx.get(f"http://127.0.0.1:{port}/sign-in/", headers={"accept": "text/html"}, timeout=30)
        finally:
            down = environment.run(environment.command("aivd"), "down", cwd=tmp_path, **told)
    assert (health.status_code, health.json()["status"]) == (200, "ok"), health.text
    assert page.status_code == 200
    assert "assets/shell-" in page.text
    assert down.returncode == 0, down.stdout
    assert (tmp_path / "var" / "secrets.json").exists()


def test_no_process_of_the_site_loads_a_model_runtime() -> None:
    """Also where everything is installed: it would cost each replica half a gigabyte and two seconds."""
    command = [sys.executable, "-W", "ignore", "-c", LOADED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=True)
    assert set(RUNTIMES) & set(json.loads(done.stdout)) == set()


def _there(environment: Installed, folder: Path, *names: str) -> list[str]:
    """Which of these packages can be imported there."""
    found = environment.run(str(environment.python), "-c", FOUND, *names, cwd=folder)
    return list(json.loads(found.stdout))


@contextmanager
def _node(environment: Installed, folder: Path, kind: str) -> Iterator[NodeClient]:
    port = free_ports(3)
    model = {"edge": EDGE_DETECTOR, "cloud": DESCRIBER}[kind].model
    with _process(environment, folder, kind, port) as (process, log):
        client = NodeClient(f"127.0.0.1:{port}", name="installed")
        there = lambda: process.poll() is not None or client.probe(timeout_s=1.0, models=(model,)).ready  # noqa: E731
        try:
            eventually(there, log.read_text)
            assert process.poll() is None, log.read_text()
            yield client
        finally:
            client.close()


@contextmanager
def _process(
    environment: Installed, folder: Path, kind: str, port: int
) -> Iterator[tuple["subprocess.Popen[bytes]", Path]]:
    command = [environment.command("aivd-node"), kind, f"--port={port}"]
    log = folder / "node.log"
    with log.open("wb") as lines:
        process = subprocess.Popen(command, cwd=folder, env=clean(), stdout=lines, stderr=lines, start_new_session=True)
    try:
        yield process, log
    finally:
        process.terminate()
        process.wait(30)


@contextmanager
def _database(name: str, layout: Layout) -> Iterator[str]:
    """A database of its own on the suite's server."""
    settings = layout.database_settings()
    who = f"{settings['USER']}:{settings['PASSWORD']}"
    where = urlencode({"host": settings["HOST"], "port": settings["PORT"]})
    with psycopg.connect(f"postgresql://{who}@/postgres?{where}", autocommit=True) as connection:
        connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        connection.execute(f'CREATE DATABASE "{name}"')
        try:
            yield f"postgres://{who}@/{name}?{where}"
        finally:
            connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
