"""A whole installation for the browser tests, brought up by the launcher as a user would, and a browser.

It has a var folder and ports of its own and the shipped models. The tests here never touch Django's database:
they see what a person or a line sees.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from benchmarks.ports import free_ports

ROOT = Path(__file__).resolve().parents[2]
UP_WITHIN_S = 400
SEEN_WITHIN_MS = 30_000  # a page on a busy machine; whoever waits for a node says how long
expect.set_options(timeout=SEEN_WITHIN_MS)
CHROMIUM = next((found for name in ("chromium", "chromium-browser") if (found := shutil.which(name))), None)
CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]


@dataclass(frozen=True)
class RunningStack:
    """An installation that is up. `pause_file`: while it exists, a describer stops after its fifth token."""

    base_url: str
    username: str
    password: str
    var: Path
    pause_file: Path
    environ: dict[str, str]

    def pid(self, child: str) -> int:
        """The process id of one of the launcher's children, node-edge-1 for example."""
        rows = json.loads((self.var / "run" / "children.json").read_text())["children"]
        return int(next(row["pid"] for row in rows if row["name"] == child))

    def link_control_port(self, node: str) -> int:
        """Where the fault proxy in front of `node` takes commands."""
        from aivd_web.launcher.addresses import addresses_from

        embedded = addresses_from(self.environ).embedded
        port = next(one.link_control_port for one in embedded if one.name == node)
        assert port is not None, f"{node} has no link"
        return port


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """The installation that most tests share, with the shipped models."""
    with installation(tmp_path_factory) as running:
        yield running


@contextmanager
def installation(tmp_path_factory: pytest.TempPathFactory, **settings: str) -> Iterator[RunningStack]:
    """Bring one up in folders and on ports of its own, with these environment variables, and take it down again."""
    if not (ROOT / "frontend" / "dist" / "manifest.json").exists():
        pytest.skip("The front end is not built; `make test` builds it.")
    var = tmp_path_factory.mktemp("e2e") / "var"
    pause_file = tmp_path_factory.mktemp("hold") / "hold"
    web = free_ports(13)
    base = web + 1
    environ = {
        **os.environ,
        "AIVD_VAR": str(var),
        "AIVD_PORT": str(web),
        "AIVD_NODE_PORT_BASE": str(base),
        "AIVD_ALLOW_TEST_MODELS": "1",
        "AIVD_PAUSE_FILE": str(pause_file),
        "AIVD_STEP_BUDGET_S": "60",  # that the machine is busy is no fault of a picture's
        "DJANGO_SETTINGS_MODULE": "aivd_web.settings",
        "DATABASE_URL": "",
        "REDIS_URL": "",
        **settings,
    }
    _manage("up", "--detach", environ=environ, within_s=UP_WITHIN_S)
    try:
        username, password = (var / "admin.txt").read_text().split()
        yield RunningStack(f"http://127.0.0.1:{web}", username, password, var, pause_file, environ)
    finally:
        _manage("down", environ=environ, within_s=90)


def _manage(*command: str, environ: dict[str, str], within_s: float) -> None:
    done = subprocess.run(
        [sys.executable, "manage.py", *command],
        cwd=ROOT,
        env=environ,
        timeout=within_s,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"manage.py {command[0]} failed:\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}")


# Playwright keeps an event loop running in the thread, in which no other test could call asyncio.run: so it lives
# for a module at a time, and only the stack for the whole run.
@pytest.fixture(scope="module")
def playwright_session() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def browser(playwright_session: Playwright) -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("No Chromium on this machine: install Debian's package 'chromium' to run the browser tests.")
    launched = playwright_session.chromium.launch(executable_path=CHROMIUM, args=CHROMIUM_FLAGS)
    yield launched
    launched.close()


@pytest.fixture(scope="module")
def signed_in_state(browser: Browser, stack: RunningStack) -> dict[str, object]:
    """The cookies of one sign-in, shared by the tests so that each begins signed in."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{stack.base_url}/sign-in/")
    page.get_by_label("Username").fill(stack.username)
    page.get_by_label("Password").fill(stack.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/live/**")
    state = context.storage_state()
    context.close()
    return dict(state)


@pytest.fixture
def context(browser: Browser, signed_in_state: dict[str, object]) -> Iterator[BrowserContext]:
    made = browser.new_context(
        viewport={"width": 1366, "height": 768},
        storage_state=signed_in_state,  # type: ignore[arg-type]
        reduced_motion="reduce",
    )
    made.set_default_timeout(SEEN_WITHIN_MS)
    yield made
    made.close()


@pytest.fixture
def page(context: BrowserContext, stack: RunningStack) -> Iterator[Page]:
    """A signed-in page. What the browser complains about fails the test."""
    opened = context.new_page()
    troubles: list[str] = []
    opened.on("pageerror", lambda error: troubles.append(str(error)))
    yield opened
    assert not troubles, troubles


@pytest.fixture(scope="module")
def api(stack: RunningStack, signed_in_state: dict[str, object]) -> Iterator[httpx.Client]:
    """The REST API with the session of the first admin."""
    cookies = {cookie["name"]: cookie["value"] for cookie in signed_in_state["cookies"]}  # type: ignore[attr-defined]
    headers = {"X-CSRFToken": cookies.get("csrftoken", ""), "Referer": stack.base_url}
    with httpx.Client(base_url=stack.base_url, cookies=cookies, headers=headers, timeout=30, trust_env=False) as client:
        yield client
