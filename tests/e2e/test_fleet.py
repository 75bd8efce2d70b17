"""Fleet: nodes and decisions, live; an admin takes a node out and back in, and lets a line choose another way."""

import re
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from finetune.boards import encode_jpeg, generate_board
from tests.e2e.conftest import ROOT, RunningStack
from tests.e2e.screens import picture_of
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.e2e]
AXE = ROOT / "frontend" / "node_modules" / "axe-core" / "axe.min.js"


def send_board(api: httpx.Client, seed: int) -> str:
    station = api.get("/api/v1/stations").raise_for_status().json()[0]
    picture = encode_jpeg(generate_board(seed, defects=4, style="binary").image)
    sent = api.post(f"/api/v1/stations/{station['id']}/frames", content=picture, headers={"Content-Type": "image/jpeg"})
    return str(sent.raise_for_status().json()["frames"][0]["id"])


def node_of(api: httpx.Client, name: str) -> dict[str, Any]:
    nodes = api.get("/api/v1/nodes").raise_for_status().json()
    return dict(next(node for node in nodes if node["name"] == name))


def wait_until_described(api: httpx.Client) -> None:
    def done() -> bool:
        frames = api.get("/api/v1/frames?limit=20").raise_for_status().json()["frames"]
        return all(frame["state"] == "complete" for frame in frames)

    eventually(done, "frames are still under way")


def test_the_page_begins_with_how_things_stand(page: Page, stack: RunningStack) -> None:
    page.goto(f"{stack.base_url}/fleet/")
    standing = page.locator(".standing")
    expect(standing).to_contain_text(
        re.compile(r"^(All well, |All nodes work, but |2 of 3 nodes work)"), timeout=60_000
    )
    expect(standing).to_contain_text("in the last hour.")
    expect(page.locator(".node").first).to_contain_text("Accepting work")
    lateness = {"minutes": 60, "received": 40, "late": 3}
    page.route("**/api/v1/lateness", lambda route: route.fulfill(json=lateness))
    page.reload()
    expect(standing).to_contain_text("3 of 40 frames late in the last hour.")


def test_a_decision_appears_with_its_reason_and_what_else_was_possible(
    page: Page, api: httpx.Client, stack: RunningStack
) -> None:
    page.goto(f"{stack.base_url}/fleet/")
    expect(page.locator(".node")).to_have_count(3)
    expect(page.locator(".connection[data-state=open]")).to_be_visible()
    frame_id = send_board(api, 910)

    row = page.locator(".dispatches tr", has=page.locator(f"a[href='/frames/{frame_id}/']", has_text="detect")).first
    expect(row).to_be_visible(timeout=60_000)
    expect(row.locator(".why")).not_to_be_empty()
    expect(row.locator(".alternatives")).to_contain_text("not ")
    expect(row.locator(".chip")).to_have_text("Done", timeout=60_000)
    expect(row.locator("td").nth(5)).to_contain_text(" s")  # how long there was to the deadline


def test_an_admin_drains_a_node_by_keyboard_and_takes_it_back(
    page: Page, api: httpx.Client, stack: RunningStack
) -> None:
    page.goto(f"{stack.base_url}/fleet/")
    edge = page.locator(".node[data-node='edge-2']")
    edge.get_by_role("button", name="Drain edge-2").press("Enter")
    asked = page.get_by_role("dialog", name="Drain edge-2?")
    expect(asked).to_contain_text("gets no new work")
    page.keyboard.press("Escape")
    expect(asked).to_have_count(0)
    assert not node_of(api, "edge-2")["draining"]

    edge.get_by_role("button", name="Drain edge-2").press("Enter")
    asked.get_by_role("button", name="Drain edge-2").press("Enter")
    try:
        expect(edge.locator("header .chip")).to_have_text("Drained")
        expect(edge.locator(".facts")).to_contain_text(f"by {stack.username}")
        assert node_of(api, "edge-2")["draining"]
        page.get_by_role("button", name="Undo").press("Enter")
        expect(edge.locator("header .chip")).not_to_have_text("Drained")
    finally:
        api.post("/api/v1/nodes/edge-2/undrain").raise_for_status()


def test_draining_the_last_node_of_its_kind_says_what_that_means(page: Page, stack: RunningStack) -> None:
    page.goto(f"{stack.base_url}/fleet/")
    cloud = page.locator(".node[data-node='cloud-1']")
    expect(cloud.locator("header .chip")).to_have_text("Ready", timeout=60_000)
    cloud.get_by_role("button", name="Drain cloud-1").click()
    asked = page.get_by_role("dialog")
    expect(asked).to_contain_text("nothing in rotation describes")
    asked.get_by_role("button", name="Cancel").click()
    expect(asked).to_have_count(0)


def test_a_refused_drain_is_taken_back_and_explained(page: Page, stack: RunningStack) -> None:
    refusal = {"code": "unavailable", "detail": "The database is not reachable.", "hint": "Try again in a moment."}
    page.route("**/api/v1/nodes/edge-1/drain", lambda route: route.fulfill(status=503, json=refusal))
    page.goto(f"{stack.base_url}/fleet/")
    edge = page.locator(".node[data-node='edge-1']")
    edge.get_by_role("button", name="Drain edge-1").click()
    page.get_by_role("dialog").get_by_role("button", name="Drain edge-1").click()
    expect(page.locator(".toast.error")).to_contain_text("The database is not reachable.")
    expect(edge.locator("header .chip")).not_to_have_text("Drained")
    expect(edge.get_by_role("button", name="Drain edge-1")).to_be_enabled()


def test_a_line_gets_another_policy_and_the_page_says_who_chose_it(
    page: Page, api: httpx.Client, stack: RunningStack
) -> None:
    page.goto(f"{stack.base_url}/fleet/")
    row = page.locator(".policy").first
    expect(row.get_by_role("option", name="pct-lb (recommended)")).to_have_count(1)
    expect(row.get_by_role("option")).to_have_count(1)  # those of the benchmark stand behind "All"
    row.get_by_role("button", name="All").click()
    row.get_by_role("combobox").select_option("round-robin")
    expect(row).to_contain_text("Round robin")
    row.get_by_role("button", name="Use it").click()
    try:
        expect(row.locator(".changes summary")).to_contain_text(f"{stack.username} changed it from pct-lb")
        frame_id = send_board(api, 911)
        sent = page.locator(".dispatches tr", has=page.locator(f"a[href='/frames/{frame_id}/']")).last
        expect(sent).to_contain_text("by round-robin", timeout=60_000)
        page.get_by_role("button", name="Undo").first.click()
        expect(row.get_by_role("combobox")).to_have_value("pct-lb")
    finally:
        line = api.get("/api/v1/lines").raise_for_status().json()[0]["id"]
        api.put(f"/api/v1/lines/{line}/policy", json={"policy": "pct-lb"}).raise_for_status()


def test_the_page_shows_how_far_predictions_were_off(page: Page, api: httpx.Client, stack: RunningStack) -> None:
    for seed in range(912, 918):
        send_board(api, seed)
    page.goto(f"{stack.base_url}/fleet/")
    expect(page.locator(".scatter [role=img] .dot").nth(5)).to_be_attached(timeout=60_000)
    expect(page.locator(".scatter [role=img]")).to_have_attribute("aria-label", re.compile("half of them within .* ms"))
    expect(page.locator(".figures-table tr").last).to_contain_text("All")
    page.set_viewport_size({"width": 1366, "height": 1180})
    picture_of(page, "fleet")


def test_recorded_decisions_are_taken_again_by_another_policy(
    page: Page, api: httpx.Client, stack: RunningStack
) -> None:
    for seed in range(920, 926):
        send_board(api, seed)
    wait_until_described(api)
    page.goto(f"{stack.base_url}/fleet/")
    replay = page.get_by_role("region", name="What would another policy have done?")
    replay.get_by_label("decided again by").select_option("round-robin")
    replay.get_by_role("button", name="Replay").press("Enter")
    figures = replay.locator(".replay-figures")
    expect(figures).to_be_visible(timeout=60_000)
    expect(figures.locator("tr", has_text="Predicted in time")).to_contain_text("% of")
    expect(figures.locator("tr", has_text="edge-2").get_by_role("meter")).to_have_count(2)
    expect(replay).to_contain_text("are predictions, never measured")
    (run, *_) = api.get("/api/v1/replays").raise_for_status().json()["runs"]
    assert run["result"]["decisions"] > 0
    assert run["result"]["would"]["by_node"].keys() >= {"edge-1", "edge-2"}  # in turn, whatever is predicted
    replay.scroll_into_view_if_needed()
    picture_of(page, "replay")


def test_the_page_fits_a_tablet_and_a_panel(page: Page, stack: RunningStack) -> None:
    page.goto(f"{stack.base_url}/fleet/")
    expect(page.locator(".node")).to_have_count(3)
    for width in (820, 1366):
        page.set_viewport_size({"width": width, "height": 900})
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_on_the_page_or_in_its_dialog(page: Page, stack: RunningStack, theme: str) -> None:
    page.goto(f"{stack.base_url}/fleet/")
    expect(page.locator(".node")).to_have_count(3)
    expect(page.locator(".policy")).not_to_have_count(0)
    page.evaluate(f"document.documentElement.dataset.theme = '{theme}'")
    page.evaluate(AXE.read_text())
    assert violations(page) == []
    page.get_by_role("button", name="Drain cloud-1").click()
    assert violations(page) == []


def violations(page: Page) -> list[str]:
    found = page.evaluate("axe.run()")["violations"]
    return [f"{each['id']} ({each['impact']}): {each['nodes'][0]['html'][:120]}" for each in found]


def test_a_lost_connection_is_said_and_comes_back_by_itself(page: Page, stack: RunningStack) -> None:
    network = {"up": False}

    def carry(socket: WebSocketRoute) -> None:
        if network["up"]:
            socket.connect_to_server()
        else:
            socket.close(code=1011)

    page.route_web_socket("**/ws/v1/fleet", carry)
    page.goto(f"{stack.base_url}/fleet/")
    expect(page.locator(".connection[data-state=waiting]")).to_contain_text("Connection lost")
    expect(page.locator(".node")).to_have_count(3)  # REST still tells how things are
    network["up"] = True
    expect(page.locator(".connection[data-state=open]")).to_be_visible(timeout=40_000)
