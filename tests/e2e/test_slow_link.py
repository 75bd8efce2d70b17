"""The way to the cloud is narrow: pictures go in lower quality, what the edge is sure of is left out, people see both.

Nodes that answer constants, everything else as it is in use: people prove by their reviews of what the edge is sure, an
engineer allows both, the link is throttled, and the line sends more than it carries. Nothing here counts seconds: the
queue grows until the scheduler has to choose, however fast the machine is.
"""

import io
import re
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect

from benchmarks.models import DESCRIBER
from finetune.boards import encode_jpeg, generate_board
from inspections.services.sureness import DELTA, EPSILON
from scheduling.policy import cloudskip
from tests.e2e.conftest import RunningStack, installation
from tests.node_fakes import GridDetector
from tests.waiting import eventually
from tools.linkfault.proxy import ProxyControl

pytestmark = [pytest.mark.stack, pytest.mark.e2e]
DETECTOR = "python:tests.node_fakes:GridDetector"
UP_BYTES_S = 25_000  # two crops take about as long as a short breath, so that the node still answers its probes
DESCRIBE_WITHIN_MS = 3_000
BURST = 24  # frames that come at once, while fewer than half as many wait: more than the link carries in that time
PATIENCE_S = 240
JUDGED = 2 * cloudskip.fewest(EPSILON, DELTA / 2)
"""The score is chosen when so many regions are judged, and anew when they have doubled: the first time too few of them
are sure ones."""
QUALITY = re.compile(r"in JPEG (75|50)")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """An installation for this file alone: the others must not see their cloud become slow."""
    with installation(tmp_path_factory, AIVD_DETECTOR=DETECTOR, AIVD_DESCRIBER=DESCRIBER) as running:
        yield running


@pytest.fixture
def link(stack: RunningStack) -> Iterator[ProxyControl]:
    """The way to the cloud node; it is wide again at the end, whatever happened."""
    control = ProxyControl(stack.link_control_port("cloud-1"))
    yield control
    control.send("set", up_bytes_s=None)


@pytest.fixture
def station(api: httpx.Client) -> str:
    """The address of the station, which has its regions described by nobody until the edge is proven."""
    url = f"/api/v1/stations/{api.get('/api/v1/stations').raise_for_status().json()[0]['id']}"
    api.patch(url, json={"describe": False, "sure_regions": "skipped", "max_regions": 64}).raise_for_status()
    return url


def board(side_px: int) -> bytes:
    image = generate_board(7, defects=4, style="binary").image
    return encode_jpeg(np.ascontiguousarray(image[:side_px, :side_px]))


def send_burst(api: httpx.Client, station: str, *, picture: bytes, count: int) -> None:
    """A zip with the picture so many times."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for n in range(count):
            archive.writestr(f"board-{n}.jpg", picture)
    headers = {"Content-Type": "application/zip"}
    api.post(f"{station}/frames", content=packed.getvalue(), headers=headers).raise_for_status()


def newest(api: httpx.Client) -> list[dict[str, Any]]:
    frames = api.get("/api/v1/frames", params={"limit": 2 * BURST}).raise_for_status().json()["frames"]
    return list(frames)


def decided(api: httpx.Client) -> bool:
    return all(frame["decision"] for frame in newest(api))


def review_until_the_edge_is_proven(api: httpx.Client, station: str) -> None:
    """A person confirms each region of which the detector is sure, and dismisses the others."""
    columns = 640 // GridDetector.CELL_PX
    sure_in_a_frame = columns * (columns - 1)
    send_burst(api, station, picture=board(640), count=-(-JUDGED // sure_in_a_frame))
    eventually(lambda: decided(api), "frames are not decided")
    for frame in newest(api):
        right = [region for region in frame["regions"] if region["score"] > GridDetector.UNSURE + 0.1]
        marks = [
            {"detection": r["id"], "defect_class": r["defect_class"]["id"], "box_xyxy": r["box_xyxy"]} for r in right
        ]
        assert len(marks) == sure_in_a_frame
        review = {"part": "defective", "marks": marks}
        api.post(f"/api/v1/frames/{frame['id']}/reviews", json=review).raise_for_status()


def lowered(api: httpx.Client) -> dict[str, Any] | None:
    """An answered request whose crops went in lower quality."""
    rows = api.get("/api/v1/dispatches", params={"limit": 200}).raise_for_status().json()
    return next((row for row in rows if row["quality"] and row["outcome"] == "ok"), None)


def waiting_to_be_described(api: httpx.Client) -> int:
    return int(api.get("/health").json()["backlog"]["waiting_to_describe"])


def left_out(api: httpx.Client) -> str | None:
    """A frame with a region that nobody describes."""
    for frame in newest(api):
        states = [one["state"] for region in frame["regions"] if (one := region["description"])]
        if "skipped" in states:
            return str(frame["id"])
    return None


def doings(api: httpx.Client) -> str:
    """What the scheduler did, for whoever reads why it never came to choose."""
    rows = api.get("/api/v1/dispatches", params={"limit": 60}).raise_for_status().json()
    return "\n".join(f"{r['model']} {r['outcome']} {r['quality']} {r['slack_ms']} {r['reason']}" for r in rows)


def saved(page: Page) -> Locator:
    return page.get_by_role("region", name="Saved in the last hour")


def test_over_a_narrow_link_pictures_get_smaller_and_sure_regions_are_left_out_and_people_see_both(
    page: Page, api: httpx.Client, stack: RunningStack, station: str, link: ProxyControl
) -> None:
    review_until_the_edge_is_proven(api, station)
    page.goto(f"{stack.base_url}/fleet/")
    expect(page.locator(".node")).to_have_count(3)
    expect(saved(page)).to_have_count(0)

    link.send("set", up_bytes_s=UP_BYTES_S)
    allowed = {"describe": True, "ladder": True, "describe_within_ms": DESCRIBE_WITHIN_MS}
    api.patch(station, json=allowed).raise_for_status()

    def both_happen() -> tuple[dict[str, Any], str] | None:
        smaller, undescribed = lowered(api), left_out(api)
        if smaller and undescribed:
            return smaller, undescribed
        if waiting_to_be_described(api) < BURST / 2:
            send_burst(api, station, picture=board(2 * GridDetector.CELL_PX), count=BURST)
        return None

    smaller, undescribed = eventually(both_happen, lambda: doings(api), within_s=PATIENCE_S)

    # Fleet tells of it without being asked again: bytes that were not sent, tokens and seconds that nobody spent.
    expect(saved(page)).to_contain_text(re.compile(r"\d+ requests? sent in lower quality: [1-9]"))
    expect(saved(page)).to_contain_text(re.compile(r"\d+ regions? not described, because the edge is sure"))

    page.goto(f"{stack.base_url}/frames/{smaller['subject']}/")
    expect(page.locator(".steps tr", has_text=QUALITY)).to_contain_text("cloud-1")
    page.goto(f"{stack.base_url}/frames/{undescribed}/")
    expect(page.locator(".region", has_text="Not described: the edge is sure").first).to_be_visible()
