"""The way to the cloud falls silent in the middle of a demo run: what a person sees then, and what is left afterwards.

Nodes that answer constants, everything else as it is in use. `AIVD_CUT_S=60` makes the cut as long as it was promised
to be survived; the default keeps the suite short.
"""

import json
import os
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Locator, Page, expect

from benchmarks.models import DESCRIBER, DETECTOR
from tests.e2e.conftest import RunningStack, installation
from tests.e2e.screens import picture_of
from tests.waiting import eventually
from tools.linkfault.proxy import ProxyControl

pytestmark = [pytest.mark.stack, pytest.mark.e2e]
CUT_S = float(os.environ.get("AIVD_CUT_S", "12"))
BOARDS_A_SECOND = 1
LOOK_EVERY_S = 4
AROUND_S = 8  # the run begins before the cut and goes on after it
BOARDS = int((CUT_S + 2 * AROUND_S) * BOARDS_A_SECOND)
PATIENCE_S = 150
SEEN_WITHIN_MS = 60_000


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """An installation for this file alone: the others must not see their cloud go."""
    with installation(tmp_path_factory, AIVD_DETECTOR=f"{DETECTOR}?service_ms=5", AIVD_DESCRIBER=DESCRIBER) as running:
        yield running


@pytest.fixture
def link(stack: RunningStack) -> Iterator[ProxyControl]:
    """The way to the cloud node; it speaks again at the end, whatever happened."""
    control = ProxyControl(stack.link_control_port("cloud-1"))
    yield control
    control.send("blackhole", on=False)


def demo_frames(api: httpx.Client) -> list[dict[str, Any]]:
    """The frames of the demo run, newest first."""
    frames: list[dict[str, Any]] = []
    before: dict[str, str] = {}
    while True:
        page = api.get("/api/v1/frames", params={"limit": 200, **before}).raise_for_status().json()
        frames += [frame for frame in page["frames"] if (frame["part_id"] or "").startswith("demo-")]
        if page["next_before"] is None:
            return frames
        before = {"before": page["next_before"]}


def described(frame: dict[str, Any]) -> bool:
    texts = [region["description"] for region in frame["regions"] if region["counts"]]
    return frame["decision"] is not None and all(text is not None and text["state"] == "done" for text in texts)


def test_with_the_cloud_cut_no_frame_is_blocked_and_every_description_is_filled_in_afterwards(
    page: Page, context: BrowserContext, api: httpx.Client, stack: RunningStack, link: ProxyControl
) -> None:
    station = api.get("/api/v1/stations").raise_for_status().json()[0]["id"]
    fleet = context.new_page()
    fleet.goto(f"{stack.base_url}/fleet/")
    page.goto(stack.base_url)
    demo = {"action": "start", "boards_per_s": BOARDS_A_SECOND, "count": BOARDS}
    api.post(f"/api/v1/stations/{station}/demo", json=demo).raise_for_status()
    eventually(
        lambda: sum(described(frame) for frame in demo_frames(api)) >= 4,
        "the demo run does not begin",
        within_s=PATIENCE_S,
    )
    expect(edge_only(page)).to_have_count(0)

    cut_at = time.monotonic()
    link.send("blackhole", on=True)

    # While it is cut: the page says so with the reason, and frames go on being decided.
    expect(edge_only(page)).to_contain_text("cloud unreachable", timeout=SEEN_WITHIN_MS)
    seen_after_s = time.monotonic() - cut_at
    waiting = page.locator(".frame-card", has_text="Description pending: cloud unreachable").first
    expect(waiting.locator(".chip").first).to_have_text("Fail", timeout=SEEN_WITHIN_MS)
    expect(edge_only(fleet)).to_contain_text("cloud-1", timeout=SEEN_WITHIN_MS)
    expect(fleet.locator(".node[data-node='cloud-1'] header .chip")).to_have_text("Unreachable")
    decided = [newest_decided(page)]
    while time.monotonic() - cut_at < CUT_S:
        time.sleep(LOOK_EVERY_S)
        decided.append(newest_decided(page))
    assert len(set(decided)) == len(decided), f"the newest decided frame stayed the same: {decided}"
    during = demo_frames(api)
    pending = [frame for frame in during if frame["decision"] and not described(frame)]
    assert len(pending) >= CUT_S * BOARDS_A_SECOND / 3
    picture_of(page, "cloud-cut")

    link.send("blackhole", on=False)
    back_at = time.monotonic()

    # Afterwards: the notices go, and what waited is filled in, on the page as well as in the rows.
    expect(edge_only(page)).to_have_count(0, timeout=PATIENCE_S * 1000)
    expect(edge_only(fleet)).to_have_count(0, timeout=PATIENCE_S * 1000)
    late = {frame["id"] for frame in pending}
    eventually(
        lambda: all(described(f) for f in demo_frames(api) if f["id"] in late),
        "descriptions are still missing",
        within_s=PATIENCE_S,
    )
    filled_after_s = time.monotonic() - back_at
    eventually(lambda: demo_has_ended(api, station), "the demo run does not end")
    eventually(
        lambda: all(frame["state"] == "complete" for frame in demo_frames(api)),
        "frames are still open",
        within_s=PATIENCE_S,
    )
    expect(page.locator(".frame-card[data-state=complete]").first).to_be_visible(timeout=SEEN_WITHIN_MS)
    expect(page.get_by_text("Description pending")).to_have_count(0, timeout=SEEN_WITHIN_MS)

    frames = demo_frames(api)
    parts = [frame["part_id"] for frame in frames]
    told = {
        "cut_s": round(back_at - cut_at, 1),
        "frames": len(frames),
        "lost": BOARDS - len(set(parts)),
        "doubled": len(parts) - len(set(parts)),
        "held": sum(frame["decision"]["outcome"] == "hold" for frame in frames),
        "described_late": len(late),
        "slowest_decision_ms": max(frame["decision"]["latency_ms"] for frame in frames),
        "notice_after_s": round(seen_after_s, 1),
        "filled_after_s": round(filled_after_s, 1),
    }
    print(json.dumps(told))
    assert (told["lost"], told["doubled"], told["held"]) == (0, 0, 0), told
    assert all(described(frame) for frame in frames)
    assert [frame["decision"]["code"] for frame in frames] == ["defect"] * BOARDS


def edge_only(page: Page) -> Locator:
    """What Live and Fleet say while no cloud node takes work."""
    return page.locator(".notice", has_text="Edge-only")


def newest_decided(page: Page) -> str | None:
    """The newest frame on the page that has its decision."""
    return page.locator(".frame-card", has=page.locator(".chip.tone-fail")).first.get_attribute("data-frame")


def demo_has_ended(api: httpx.Client, station: int) -> bool:
    return not api.get(f"/api/v1/stations/{station}/demo").raise_for_status().json()["running"]
