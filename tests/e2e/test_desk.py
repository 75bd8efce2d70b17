"""At the desk: Live stands still, lines and stations are set up on pages, and what went wrong is said in words."""

from typing import Any

import httpx
import pytest
from playwright.sync_api import BrowserContext, FilePayload, Page, expect

from finetune.boards import encode_jpeg, generate_board
from tests.e2e.conftest import ROOT, RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.e2e]
AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"
INSPECTED_WITHIN_MS = 120_000
WIDTHS = (1366, 1024, 390)
WATCH_SHIFTS = """
() => {
  window.shifted = 0;
  new PerformanceObserver((list) => {
    for (const entry of list.getEntries()) if (!entry.hadRecentInput) window.shifted += entry.value;
  }).observe({ type: "layout-shift", buffered: false });
}
"""


def board_file(name: str, seed: int) -> FilePayload:
    picture = encode_jpeg(generate_board(seed, defects=4, style="binary").image)
    return {"name": name, "mimeType": "image/jpeg", "buffer": picture}


def send(api: httpx.Client, seed: int, name: str, station: int | None = None) -> None:
    station = station or api.get("/api/v1/stations").raise_for_status().json()[0]["id"]
    file = board_file(name, seed)
    files = {"file": (name, file["buffer"], "image/jpeg")}
    api.post(f"/api/v1/stations/{station}/frames", files=files).raise_for_status()


def live_of_the_first_line(page: Page, api: httpx.Client, stack: RunningStack) -> int:
    line = int(api.get("/api/v1/stations").raise_for_status().json()[0]["line"]["id"])
    page.goto(f"{stack.base_url}/live/{line}/")
    return line


def test_frames_that_arrive_move_nothing(page: Page, api: httpx.Client, stack: RunningStack) -> None:
    for n in range(6):
        send(api, 1200 + n, f"before-{n}.jpg")
    live_of_the_first_line(page, api, stack)
    expect(page.locator(".frame-card").nth(5)).to_be_visible()
    expect(page.locator(".frame-card", has_text="before-5.jpg")).to_have_attribute(
        "data-state", "complete", timeout=INSPECTED_WITHIN_MS
    )
    page.evaluate(WATCH_SHIFTS)
    for n in range(8):
        send(api, 1220 + n, f"new-{n}.jpg")
        expect(page.locator(".frame-card").first).to_contain_text(f"new-{n}.jpg")
    expect(page.locator(".frame-card").first).to_have_attribute("data-state", "complete", timeout=INSPECTED_WITHIN_MS)
    assert page.evaluate("window.shifted") < 0.1


def test_the_card_under_the_pointer_stays_and_new_ones_wait_behind_a_count(
    page: Page, api: httpx.Client, stack: RunningStack
) -> None:
    for n in range(3):
        send(api, 1240 + n, f"there-{n}.jpg")
    live_of_the_first_line(page, api, stack)
    first = page.locator(".frame-card").first
    expect(first).to_contain_text("there-2.jpg")
    first.hover()
    expect(page.get_by_text("Held still while you look")).to_be_visible()
    page.evaluate(WATCH_SHIFTS)
    for n in range(3):
        send(api, 1250 + n, f"waiting-{n}.jpg")
    button = page.get_by_role("button", name="3 new frames")
    expect(button).to_be_visible()
    expect(first).to_contain_text("there-2.jpg")
    assert page.evaluate("window.shifted") < 0.1
    button.click()
    expect(first).to_contain_text("waiting-2.jpg")


def test_no_row_of_a_card_is_cut_through_at_any_width(page: Page, api: httpx.Client, stack: RunningStack) -> None:
    send(api, 1260, "A part with quite a long name, as scanners write them.jpg")
    live_of_the_first_line(page, api, stack)
    expect(page.locator(".frame-card .words").first).to_be_visible(timeout=INSPECTED_WITHIN_MS)
    for width in WIDTHS:
        page.set_viewport_size({"width": width, "height": 800})
        cut = page.evaluate(
            """() => [...document.querySelectorAll(".frame-card")].flatMap((card) => {
              const end = card.querySelector(".findings").getBoundingClientRect().bottom;
              return [...card.querySelectorAll(".findings li > *")].filter(
                (row) => row.getBoundingClientRect().bottom > end + 1).map((row) => row.textContent);
            })"""
        )
        assert cut == [], width
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width


def test_one_tab_stop_a_card_and_a_way_past_them(page: Page, api: httpx.Client, stack: RunningStack) -> None:
    send(api, 1270, "one-stop.jpg")
    live_of_the_first_line(page, api, stack)
    card = page.locator(".frame-card").first
    expect(card).to_be_visible()
    assert card.locator("a, button, [tabindex]").count() == 1
    page.get_by_role("link", name="Skip to sending frames").press("Enter")
    expect(page.locator("#send")).to_be_focused()
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('#send') !== null")


def test_a_lost_connection_never_says_live(
    page: Page, context: BrowserContext, api: httpx.Client, stack: RunningStack
) -> None:
    live_of_the_first_line(page, api, stack)
    expect(page.locator(".strip .connection")).to_have_text("Live")
    context.set_offline(True)
    expect(page.locator(".strip .connection")).to_contain_text("Connection lost")
    context.set_offline(False)
    expect(page.locator(".strip .connection")).to_have_text("Live", timeout=40_000)


def test_refused_files_are_named_with_their_reasons(page: Page, api: httpx.Client, stack: RunningStack) -> None:
    live_of_the_first_line(page, api, stack)
    files: list[FilePayload] = [
        {"name": name, "mimeType": "text/plain", "buffer": b"no picture " + name.encode()}
        for name in ("notes.txt", "table with a name that is much longer than its place.csv")
    ]
    page.get_by_label("Files to upload").set_input_files([*files, board_file("taken.jpg", 1280)])
    expect(page.get_by_text("1 frame stored, 2 files refused")).to_be_visible()
    refused = page.get_by_role("alert", name="Refused files").get_by_role("listitem")
    expect(refused).to_have_count(2)
    expect(refused.first).to_contain_text("notes.txt")
    first, second = refused.first.bounding_box(), refused.last.bounding_box()
    assert first is not None
    assert second is not None
    assert first["y"] + first["height"] <= second["y"] + 1
    assert page.evaluate("document.querySelector('#send').scrollWidth <= document.querySelector('#send').clientWidth")


def test_a_message_covers_no_button(page: Page, api: httpx.Client, stack: RunningStack) -> None:
    refusal = {"code": "unavailable", "detail": "The database is not reachable.", "hint": "Try again in a moment."}
    page.route("**/demo", lambda route: route.fulfill(status=503, json=refusal))
    live_of_the_first_line(page, api, stack)
    page.get_by_role("button", name="Start demo").click()
    expect(page.locator(".toast.error")).to_be_visible()
    covered = page.evaluate(
        """() => [...document.querySelectorAll("button, select, input")].filter((one) => {
          const box = one.getBoundingClientRect();
          const [x, y] = [box.x + box.width / 2, box.y + box.height / 2];
          return !one.closest(".toasts") && document.elementFromPoint(x, y)?.closest(".toasts");
        }).map((one) => one.textContent)"""
    )
    assert covered == []


@pytest.fixture
def new_line(page: Page, api: httpx.Client, stack: RunningStack) -> Any:
    """A line that somebody makes on the page, with one station and nothing chosen for it."""
    page.goto(f"{stack.base_url}/lines/new/")
    name = f"Strip {len(api.get('/api/v1/lines').json())}"
    page.get_by_label("Plant").fill("Dresden")
    page.get_by_label("Name of the line").fill(name)
    page.get_by_role("button", name="Make the line").click()
    page.wait_for_url("**/live/**")
    return next(line for line in api.get("/api/v1/lines").json() if line["name"] == name)


def test_from_a_new_line_to_its_first_frame(page: Page, api: httpx.Client, new_line: Any) -> None:
    expect(page.get_by_text("No frames yet")).to_be_visible()
    expect(page.get_by_role("button", name="Start demo")).to_have_count(0)
    notice = page.get_by_text("this camera has no product yet: every frame is held.")
    expect(notice).to_be_visible()
    page.get_by_role("link", name="Choose what it looks at.").click()
    page.get_by_label("Bare circuit boards").check()
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("status")).to_contain_text("Saved.")
    page.get_by_role("link", name="Back to Live").click()
    expect(page.get_by_text("No frames yet")).to_be_visible()
    expect(notice).to_have_count(0)
    page.get_by_label("Files to upload").set_input_files([board_file("first.jpg", 1290)])
    card = page.locator(".frame-card", has_text="first.jpg")
    expect(card.locator(".chip").first).to_have_text("Fail", timeout=INSPECTED_WITHIN_MS)
    (frame,) = api.get(f"/api/v1/frames?line={new_line['id']}").json()["frames"]
    titles = {region["defect_class"]["title"] for region in frame["regions"] if region["counts"]}
    assert any(title in frame["decision"]["reason"] for title in titles)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_live_settings_and_the_new_line(
    page: Page, context: BrowserContext, api: httpx.Client, stack: RunningStack, theme: str
) -> None:
    context.add_cookies([{"name": "aivd_theme", "value": theme, "url": stack.base_url}])
    send(api, 1300, "axe.jpg")
    station = api.get("/api/v1/stations").json()[0]
    for address in (f"live/{station['line']['id']}/", f"stations/{station['id']}/", "lines/new/", "no-such/"):
        page.goto(f"{stack.base_url}/{address}")
        expect(page.locator("h1").first).to_be_attached()
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 800})
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), (address, width)
        page.evaluate(AXE.read_text())
        found = page.evaluate("axe.run()")["violations"]
        assert [f"{each['id']}: {each['nodes'][0]['html'][:120]}" for each in found] == [], address
