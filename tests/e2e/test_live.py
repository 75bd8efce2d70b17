"""Live, as somebody uses it who has pictures to inspect."""

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import FilePayload, Page, expect

from finetune.boards import encode_jpeg, generate_board
from tests.e2e.conftest import RunningStack
from tests.e2e.screens import picture_of

pytestmark = [pytest.mark.stack, pytest.mark.e2e]
INSPECTED_WITHIN_MS = 120_000


def board_file(name: str, seed: int, *, defects: int = 5) -> FilePayload:
    picture = encode_jpeg(generate_board(seed, defects=defects, style="binary").image)
    return {"name": name, "mimeType": "image/jpeg", "buffer": picture}


def upload(page: Page, *files: FilePayload) -> None:
    page.get_by_label("Files to upload").set_input_files(list(files))


def test_uploaded_boards_show_boxes_text_and_a_decision(page: Page, stack: RunningStack) -> None:
    page.goto(stack.base_url)
    upload(page, *(board_file(f"seen-{n}.jpg", 700 + n) for n in range(3)))
    expect(page.get_by_text("3 frames stored")).to_be_visible()

    for n in range(3):
        card = page.locator(".frame-card", has_text=f"seen-{n}.jpg")
        expect(card.locator(".chip").first).to_have_text("Fail", timeout=INSPECTED_WITHIN_MS)
        expect(card.locator(".boxes rect.edge").first).to_be_attached()
        expect(card.locator(".words").first).not_to_be_empty()
        expect(card).to_have_attribute("data-state", "complete", timeout=INSPECTED_WITHIN_MS)
    picture_of(page, "live")


def test_a_file_that_is_no_picture_is_refused_in_a_sentence_and_the_others_go_on(
    page: Page, stack: RunningStack
) -> None:
    page.goto(stack.base_url)
    notes: FilePayload = {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no picture at all"}
    upload(page, notes, board_file("beside-notes.jpg", 710))

    refusal = page.get_by_role("alert")
    expect(refusal).to_contain_text(".")
    expect(refusal).not_to_contain_text("{")
    expect(page.locator(".upload[data-state=failed] .name")).to_have_text("notes.txt")
    expect(page.locator(".frame-card", has_text="beside-notes.jpg")).to_be_visible()


def test_paused_frames_wait_behind_a_count(page: Page, stack: RunningStack) -> None:
    page.goto(stack.base_url)
    upload(page, board_file("before-pause.jpg", 720))
    expect(page.locator(".frame-card", has_text="before-pause.jpg")).to_be_visible()
    page.get_by_role("button", name="Pause").click()
    upload(page, board_file("during-pause.jpg", 721))

    more = page.get_by_role("button", name="1 new frame")
    expect(more).to_be_visible()
    expect(page.locator(".frame-card", has_text="during-pause.jpg")).to_have_count(0)
    more.click()
    expect(page.locator(".frame-card", has_text="during-pause.jpg")).to_be_visible()


def test_nothing_on_the_page_moves_while_a_frame_goes_its_way(page: Page, stack: RunningStack) -> None:
    page.goto(stack.base_url)
    page.get_by_role("button", name="Pause").click()
    upload(page, board_file("still.jpg", 722))
    page.get_by_role("button", name="1 new frame").click()
    card = page.locator(".frame-card", has_text="still.jpg")
    before = card.bounding_box()
    expect(card).to_have_attribute("data-state", "complete", timeout=INSPECTED_WITHIN_MS)
    assert card.bounding_box() == before


def test_a_camera_streams_and_its_frames_are_stored(page: Page, stack: RunningStack) -> None:
    page.goto(stack.base_url)
    page.get_by_role("button", name="Camera").click()
    expect(page.get_by_text("2 frames stored")).to_be_visible(timeout=60_000)
    page.get_by_role("button", name="Stop", exact=True).click()
    expect(page.get_by_role("button", name="Camera")).to_be_visible()


def test_the_page_obeys_its_own_security_policy(page: Page, stack: RunningStack) -> None:
    complaints: list[str] = []
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.goto(stack.base_url)
    expect(page.get_by_text("Live", exact=True).last).to_be_visible()
    assert [text for text in complaints if "Content Security Policy" in text] == []


def test_a_pass_without_regions_says_why(page: Page, stack: RunningStack, api: httpx.Client, tmp_path: Path) -> None:
    page.goto(stack.base_url)
    upload(page, board_file("clean.jpg", 730, defects=0))
    card = page.locator(".frame-card", has_text="clean.jpg")
    expect(card).to_have_attribute("data-state", "complete", timeout=INSPECTED_WITHIN_MS)
    newest = api.get("/api/v1/frames?limit=50").raise_for_status().json()["frames"]
    frame = next(row for row in newest if row["name"] == "clean.jpg")
    expect(card.locator(".chip").first).to_have_text(frame["decision"]["outcome"].capitalize())
    if not frame["regions"]:
        expect(card).to_contain_text(frame["decision"]["reason"])
