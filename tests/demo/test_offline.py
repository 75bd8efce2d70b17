"""With nothing but loopback, the demo still runs: no part of it asks anything of the internet."""

import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
LIMIT_S = 420
# `lo` is down in a new namespace; without it nothing here could reach anything.
INSIDE = "ip link set lo up && exec"


def namespaces_allowed() -> bool:
    if shutil.which("unshare") is None or shutil.which("ip") is None:
        return False
    tried = subprocess.run(["unshare", "--net", "ip", "link", "set", "lo", "up"], capture_output=True, check=False)
    return tried.returncode == 0


@pytest.mark.stack
@pytest.mark.skipif(not namespaces_allowed(), reason="this user may not make a network namespace, or ip is missing")
def test_the_demo_runs_in_a_network_that_holds_only_loopback(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("AIVD_", "DJANGO_"))}
    port = free_ports(13)
    environ |= {"AIVD_VAR": str(tmp_path / "var"), "AIVD_PORT": str(port), "AIVD_NODE_PORT_BASE": str(port + 1)}
    manage = shlex.join([sys.executable, str(ROOT / "manage.py")])
    done = subprocess.run(
        ["unshare", "--net", "sh", "-c", f"{INSIDE} {manage} up --then {manage} demo --seed 7"],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=LIMIT_S,
        check=False,
    )
    said = f"{done.stdout[-4000:]}\n{done.stderr[-2000:]}"
    assert done.returncode == 0, said
    summary = next(json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"frames"'))
    assert summary["complete"] == summary["frames"] == 40, said
    assert summary["lost"] == summary["doubled"] == 0, said
