"""Review, as an inspector spends the day there; a station's first frames; and the pages while there is nothing yet."""

import json
import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, Page, Route, expect

from finetune.boards import encode_jpeg, generate_board
from tests.e2e.conftest import ROOT, RunningStack
from tests.e2e.screens import picture_of

pytestmark = [pytest.mark.stack, pytest.mark.e2e]
AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
INSPECTED_WITHIN_MS = 120_000
WORST = ("serious", "critical")


def send(api: httpx.Client, seed: int, name: str) -> str:
    """A board on the first station; its frame's id."""
    station = api.get("/api/v1/stations").raise_for_status().json()[0]["id"]
    picture = encode_jpeg(generate_board(seed, defects=3, style="binary").image)
    headers = {"Content-Type": "image/jpeg", "X-File-Name": name}
    sent = api.post(f"/api/v1/stations/{station}/frames", content=picture, headers=headers).raise_for_status()
    return str(sent.json()["frames"][0]["id"])


def decided(page: Page, stack: RunningStack, frame: str) -> None:
    page.goto(f"{stack.base_url}/frames/{frame}/")
    expect(page.locator(".decision .chip")).to_contain_text("Fail", timeout=INSPECTED_WITHIN_MS)


def reviews_of(api: httpx.Client, frame: str) -> list[dict[str, Any]]:
    return list(api.get(f"/api/v1/frames/{frame}").raise_for_status().json()["reviews"])


def findings(page: Page) -> list[str]:
    """What axe finds wrong with the page as it stands, of the graver kinds."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    result = page.evaluate("async () => await axe.run(document, { resultTypes: ['violations'] })")
    return [
        f"{found['id']}: {found['nodes'][0]['html'][:120]}"
        for found in result["violations"]
        if found["impact"] in WORST
    ]


def queue_of(page: Page, stack: RunningStack, part: str) -> None:
    page.goto(f"{stack.base_url}/review/?part={part}")
    expect(page.locator(".queue-list li").first).to_be_visible()
    expect(page.locator(".viewer-overlay").first).to_be_visible()


def test_three_frames_are_judged_with_three_keys(page: Page, api: httpx.Client, stack: RunningStack) -> None:
    frames = [send(api, 2300 + n, f"queue-{n}.jpg") for n in range(3)]
    for frame in frames:
        decided(page, stack, frame)
    queue_of(page, stack, "queue-")
    rows = page.locator(".queue-list li")
    expect(rows).to_have_count(3)
    picture_of(page, "review")
    for n in range(3):
        expect(rows.nth(n)).to_have_attribute("data-current", "true")
        page.keyboard.press("a")
        expect(rows.nth(n)).to_have_attribute("data-judged", "true")
    assert all(reviews_of(api, frame)[0]["part"] == "defective" for frame in frames)
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_role("heading", name="Nothing waits here")).to_be_visible()


def test_the_queue_is_walked_and_narrowed_and_its_address_comes_back_to_it(
    page: Page, api: httpx.Client, stack: RunningStack
) -> None:
    for n in range(2):
        decided(page, stack, send(api, 2320 + n, f"walk-{n}.jpg"))
    queue_of(page, stack, "walk-")
    page.keyboard.press("j")
    expect(page.locator(".frame-header h1")).to_have_text("walk-0.jpg")
    page.keyboard.press("k")
    expect(page.locator(".frame-header h1")).to_have_text("walk-1.jpg")
    page.get_by_label("Decision").select_option("pass")
    expect(page.get_by_role("heading", name="Nothing waits here")).to_be_visible()
    page.reload()
    expect(page.get_by_label("Decision")).to_have_value("pass")
    page.get_by_role("button", name="Clear all filters").click()
    expect(page.locator(".queue-list li").first).to_be_visible()
    assert page.evaluate("location.search") == ""


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_review_and_first_frames_are_accessible_and_fit_their_screens(
    page: Page, context: BrowserContext, api: httpx.Client, stack: RunningStack, theme: str
) -> None:
    context.add_cookies([{"name": "aivd_theme", "value": theme, "url": stack.base_url}])
    decided(page, stack, send(api, 2340 + len(theme), f"axe-{theme}.jpg"))
    queue_of(page, stack, f"axe-{theme}")
    page.get_by_text("More filters").click()
    assert findings(page) == []
    for width in (1366, 1024, 768):
        page.set_viewport_size({"width": width, "height": 768})
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
    page.set_viewport_size({"width": 1366, "height": 768})
    station = api.get("/api/v1/stations").raise_for_status().json()[0]["id"]
    page.goto(f"{stack.base_url}/stations/{station}/#baseline")
    expect(page.locator(".first-frames img").first).to_be_visible()
    assert findings(page) == []


def test_a_stations_first_frames_are_begun_again_after_a_sentence(
    page: Page, api: httpx.Client, stack: RunningStack
) -> None:
    made = {
        "site": "Plant",
        "name": "Baseline line",
        "classes_of_product": "bare-pcb",
        "station": {"name": "Camera B", "product": "bare-pcb"},
    }
    station = api.post("/api/v1/lines", json=made).raise_for_status().json()["station"]["id"]
    picture = encode_jpeg(generate_board(2360, defects=3, style="binary").image)
    headers = {"Content-Type": "image/jpeg", "X-File-Name": "first.jpg"}
    sent = api.post(f"/api/v1/stations/{station}/frames", content=picture, headers=headers).raise_for_status()
    decided(page, stack, sent.json()["frames"][0]["id"])
    page.goto(f"{stack.base_url}/stations/{station}/")
    section = page.locator("#baseline")
    expect(section).to_contain_text("1 of 100 collected")
    expect(section).to_contain_text("They can be confirmed from 20 frames on")
    section.get_by_text("Begin again…").click()
    expect(section).to_contain_text("This cannot be taken back.")
    section.get_by_role("button", name="Forget them and begin again").click()
    expect(page.locator(".notice.done")).to_contain_text("Begun again")
    expect(section).to_contain_text("0 of 100 collected")


def live_of(api: httpx.Client, stack: RunningStack) -> str:
    line = api.get("/api/v1/stations").raise_for_status().json()[0]["line"]["id"]
    return f"{stack.base_url}/live/{line}/"


BOOT = re.compile(r'(<script id="boot" type="application/json">)(.*?)(</script>)', re.DOTALL)


def answered_with(page: Page, address: str, **boot: Any) -> None:
    """The page as the server draws it for somebody else: with these values in what it tells the page at the start."""

    def changed(route: Route) -> None:
        drawn = route.fetch()
        found = BOOT.search(drawn.text())
        assert found is not None
        told = json.dumps(json.loads(found[2]) | boot)
        route.fulfill(response=drawn, body=drawn.text().replace(found[2], told))

    page.route(address, changed)


def test_without_a_line_each_page_says_what_to_do(page: Page, api: httpx.Client, stack: RunningStack) -> None:
    answered_with(page, "**/live/**", line=None, lines=[], may_make_lines=True)
    answered_with(page, "**/review/**", lines=[])
    page.goto(live_of(api, stack))
    expect(page.get_by_role("heading", name="No line to show")).to_be_visible()
    expect(page.get_by_role("link", name="Make the first line")).to_have_attribute("href", "/lines/new/")
    assert findings(page) == []
    page.goto(f"{stack.base_url}/review/?part=there-is-no-such-part")
    expect(page.get_by_role("heading", name="No line to review")).to_be_visible()
    assert findings(page) == []


def test_without_a_role_live_says_who_can_give_one(page: Page, api: httpx.Client, stack: RunningStack) -> None:
    answered_with(page, "**/live/**", line=None, lines=[], may_make_lines=False)
    page.goto(live_of(api, stack))
    expect(page.get_by_text("You have no role on any line yet.")).to_be_visible()
    expect(page.get_by_role("link", name="Make the first line")).to_have_count(0)


def test_a_line_without_a_station_leads_to_adding_one(page: Page, api: httpx.Client, stack: RunningStack) -> None:
    page.route("**/api/v1/stations?**", lambda route: route.fulfill(json=[]))
    page.goto(live_of(api, stack))
    send_here = page.get_by_label("Send frames")
    expect(send_here).to_contain_text("This line has no station yet")
    send_here.get_by_role("link", name="Add a station").click()
    expect(page.get_by_label("Name of the station")).to_be_visible()
