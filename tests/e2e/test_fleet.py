"""Fleet: nodes and decisions, live; an engineer takes a node out and back in."""

import httpx
import pytest
from playwright.sync_api import Page, expect

from finetune.boards import encode_jpeg, generate_board
from tests.e2e.conftest import RunningStack
from tests.e2e.screens import picture_of

pytestmark = [pytest.mark.stack, pytest.mark.e2e]


def send_board(api: httpx.Client, seed: int) -> str:
    station = api.get("/api/v1/stations").raise_for_status().json()[0]
    picture = encode_jpeg(generate_board(seed, defects=4, style="binary").image)
    sent = api.post(f"/api/v1/stations/{station['id']}/frames", content=picture, headers={"Content-Type": "image/jpeg"})
    return str(sent.raise_for_status().json()["frames"][0]["id"])


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
    picture_of(page, "fleet")


def test_an_engineer_drains_a_node_and_takes_it_back(page: Page, api: httpx.Client, stack: RunningStack) -> None:
    page.goto(f"{stack.base_url}/fleet/")
    edge = page.locator(".node[data-node='edge-2']")
    edge.get_by_role("button", name="Drain").click()
    try:
        expect(edge.locator("header .chip")).to_have_text("Drained")
    finally:
        edge.get_by_role("button", name="Undrain").click()
    expect(edge.locator("header .chip")).not_to_have_text("Drained")
