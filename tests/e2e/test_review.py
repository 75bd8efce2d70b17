"""Frame, as an inspector uses it: with the keyboard."""

import httpx
import pytest
from playwright.sync_api import Page, expect

from finetune.boards import encode_jpeg, generate_board
from tests.e2e.conftest import RunningStack
from tests.e2e.screens import picture_of

pytestmark = [pytest.mark.stack, pytest.mark.e2e]
INSPECTED_WITHIN_S = 120


@pytest.fixture
def frame(api: httpx.Client, page: Page, stack: RunningStack) -> dict:
    """A board with regions whose way is complete, open in the browser."""
    station = api.get("/api/v1/stations").raise_for_status().json()[0]
    picture = encode_jpeg(generate_board(810, defects=6, style="binary").image)
    headers = {"Content-Type": "image/jpeg", "X-File-Name": "review.jpg"}
    sent = api.post(f"/api/v1/stations/{station['id']}/frames", content=picture, headers=headers)
    frame_id = sent.raise_for_status().json()["frames"][0]["id"]
    page.goto(f"{stack.base_url}/frames/{frame_id}/")
    expect(page.locator(".region").first).to_be_visible(timeout=INSPECTED_WITHIN_S * 1000)
    expect(page.locator(".region .machine-label").first).to_be_visible(timeout=INSPECTED_WITHIN_S * 1000)
    return dict(api.get(f"/api/v1/frames/{frame_id}").raise_for_status().json())


def reviews_of(api: httpx.Client, frame: dict) -> list[dict]:
    return list(api.get(f"/api/v1/frames/{frame['id']}").raise_for_status().json()["reviews"])


def other_class(api: httpx.Client, frame: dict) -> tuple[int, dict]:
    """A class that the first region does not have, and its key."""
    classes = api.get(f"/api/v1/defect-classes?line={frame['line']['id']}").raise_for_status().json()
    detected = frame["regions"][0]["defect_class"]["id"]
    return next((key, row) for key, row in enumerate(classes, start=1) if row["id"] != detected)


def select_the_first(page: Page) -> None:
    """The first region, once its classes can be chosen: until then their keys mean nothing."""
    page.keyboard.press("ArrowDown")
    expect(page.locator(".region[data-selected=true] option").first).to_be_attached()


def test_a_class_is_corrected_and_the_decision_agreed_with_by_keys_alone(
    page: Page, api: httpx.Client, frame: dict
) -> None:
    key, wanted = other_class(api, frame)
    select_the_first(page)
    page.keyboard.press(str(key))
    expect(page.locator(".region[data-selected=true]")).to_contain_text("corrected")
    picture_of(page, "frame")
    page.keyboard.press("n")
    page.keyboard.type("a quiet note")
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    expect(page.locator(".reviews")).to_contain_text("stands")

    (review,) = reviews_of(api, frame)
    assert (review["verdict"], review["part"], review["note"]) == ("accept", "defective", "a quiet note")
    marks = {mark["detection"]: mark for mark in review["marks"]}
    assert set(marks) == {region["id"] for region in frame["regions"] if region["counts"]}
    corrected = marks[frame["regions"][0]["id"]]
    assert (corrected["defect_class"], corrected["from_model"]) == (wanted["id"], False)


def test_undo_takes_back_my_last_change_only(page: Page, api: httpx.Client, frame: dict) -> None:
    key, _ = other_class(api, frame)
    select_the_first(page)
    page.keyboard.press(str(key))
    page.keyboard.press("Delete")
    selected = page.locator(".region[data-selected=true]")
    expect(selected).to_have_attribute("data-dismissed", "true")
    page.keyboard.press("Control+z")
    expect(selected).to_have_attribute("data-dismissed", "false")
    expect(selected).to_contain_text("corrected")
    page.keyboard.press("Control+z")
    expect(selected).not_to_contain_text("corrected")
    assert reviews_of(api, frame) == []


def test_held_h_hides_the_overlays_and_the_question_mark_shows_the_keys(page: Page, frame: dict) -> None:
    overlay = page.locator(".viewer-overlay").first
    expect(overlay).to_have_css("visibility", "visible")
    page.keyboard.down("h")
    expect(overlay).to_have_css("visibility", "hidden")
    page.keyboard.up("h")
    expect(overlay).to_have_css("visibility", "visible")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_contain_text("Agree with the decision")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)


def test_j_and_k_walk_through_the_frames(page: Page, api: httpx.Client, frame: dict, stack: RunningStack) -> None:
    newest = api.get(f"/api/v1/frames?line={frame['line']['id']}&limit=2").raise_for_status().json()["frames"]
    if len(newest) < 2:
        pytest.skip("There is no other frame.")
    page.goto(f"{stack.base_url}/frames/{newest[0]['id']}/")
    expect(page.locator(".frame-header h1")).to_be_visible()
    page.keyboard.press("j")
    page.wait_for_url(f"**/frames/{newest[1]['id']}/")
    expect(page.locator(".frame-header h1")).to_be_visible()
    page.keyboard.press("k")
    page.wait_for_url(f"**/frames/{newest[0]['id']}/")
