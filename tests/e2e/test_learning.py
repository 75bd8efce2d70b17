"""The learning loop as an admin goes through it: pictures in, sealed, shown, trained on, watched; the report read."""

import io
import json
import re
import zipfile

import httpx
import pytest
from playwright.sync_api import BrowserContext, FilePayload, Page, expect

from finetune.boards import CLASSES, encode_png, generate_board
from tests.e2e.conftest import RunningStack
from tests.e2e.screens import picture_of
from tests.e2e.test_review_queue import findings

pytestmark = [pytest.mark.stack, pytest.mark.e2e]
FRAMES = 24
WORKED_WITHIN_MS = 900_000
SMALL = {"Most steps": 12, "Crops per step": 4, "Validate every": 4, "Checkpoint every": 4}
FEW = {"Crops to validate on": 12, "Crops in the report": 12}


def coco_zip() -> bytes:
    """Generated boards with their defects, as another tool would hand them over."""
    data, images = io.BytesIO(), []
    marks: list[dict[str, object]] = []
    with zipfile.ZipFile(data, "w") as archive:
        for number in range(FRAMES):
            board = generate_board(5100 + number, defects=4, style="binary")
            height, width = board.image.shape[:2]
            name = f"board-{number:02}.png"
            archive.writestr(name, encode_png(board.image))
            images.append({"id": number, "file_name": name, "width": width, "height": height})
            for defect in board.defects:
                x0, y0, x1, y1 = (float(value) for value in defect.box_xyxy)
                kind = CLASSES.index(defect.defect_class)
                box = [x0, y0, x1 - x0, y1 - y0]
                marks.append({"id": len(marks), "image_id": number, "category_id": kind, "bbox": box})
        kinds = [{"id": number, "name": name} for number, name in enumerate(CLASSES)]
        archive.writestr("labels.json", json.dumps({"images": images, "annotations": marks, "categories": kinds}))
    return data.getvalue()


def import_and_seal(page: Page, stack: RunningStack, name: str) -> None:
    page.goto(f"{stack.base_url}/datasets/")
    page.get_by_label("New dataset").fill(name)
    page.get_by_role("button", name="Make").click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()
    picked: FilePayload = {"name": "boards.zip", "mimeType": "application/zip", "buffer": coco_zip()}
    page.get_by_label("A zip of pictures and labels").set_input_files(picked)
    row = page.locator("[data-import]").first
    expect(row).to_have_attribute("data-state", "succeeded", timeout=WORKED_WITHIN_MS)
    expect(row).to_contain_text(f"{FRAMES} taken of {FRAMES}")
    page.get_by_label("Also where a class lacks samples in a split").check()
    page.get_by_role("button", name="Seal").click()
    expect(page.get_by_text("Version 1")).to_be_visible(timeout=WORKED_WITHIN_MS)


def promote_and_roll_back(page: Page) -> None:
    """Twelve steps pass or miss their gates as it comes; an admin may go past them with a reason."""
    made = page.get_by_role("region", name=re.compile("It made adapter"))
    reason = made.get_by_label("Why promote it all the same")
    if reason.count():
        reason.fill("To see the whole way in the browser.")
    made.get_by_role("button", name=re.compile("Promote")).click()
    expect(made).to_contain_text("serves")
    made.get_by_role("button", name="Roll back").click()
    expect(made.get_by_role("button", name=re.compile("Promote"))).to_be_visible()


def test_from_pictures_to_a_report(page: Page, context: BrowserContext, api: httpx.Client, stack: RunningStack) -> None:
    import_and_seal(page, stack, "Boards to learn from")

    page.goto(f"{stack.base_url}/runs/?run=new")
    for label, value in (SMALL | FEW).items():
        page.get_by_label(label).fill(str(value))
    page.get_by_label("Name").fill("A first try")
    assert findings(page) == []

    page.get_by_role("button", name="Preview").click()
    crops = page.locator(".preview-crops li")
    expect(crops).to_have_count(16, timeout=WORKED_WITHIN_MS)
    expect(page.get_by_label("Estimate")).to_contain_text("MiB")
    crops.first.get_by_text("Question and answer").click()
    expect(crops.first.locator(".machine-text")).not_to_be_empty()
    page.wait_for_function("[...document.querySelectorAll('.preview-crops img')].every(i => i.naturalWidth > 0)")
    picture_of(page, "run-preview")
    assert findings(page) == []

    page.get_by_role("button", name="Launch").click()
    shown = page.locator("[data-run-shown]")
    expect(shown).to_be_visible()
    expect(page.locator(".connection")).to_have_attribute("data-state", "open")
    expect(shown.locator(".plot svg").first).to_be_visible(timeout=WORKED_WITHIN_MS)  # by the socket: no reload
    expect(shown.get_by_role("heading", name="What its weights answer now")).to_be_visible(timeout=WORKED_WITHIN_MS)
    expect(page.locator("nav li[data-run]").first).to_have_attribute(
        "data-state", "succeeded", timeout=WORKED_WITHIN_MS
    )
    log = shown.locator(".log")
    expect(log).to_contain_text("After step 4: field F1")
    expect(log).to_contain_text("Report, 8 of 8")
    assert not re.search(r"[{}]", log.inner_text()), "a log is sentences"
    expect(shown.locator(".gates li")).to_have_count(5)
    assert findings(page) == []
    for width in (1366, 1024, 768):
        page.set_viewport_size({"width": width, "height": 768})
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
    page.set_viewport_size({"width": 1366, "height": 768})
    picture_of(page, "runs")

    promote_and_roll_back(page)
    shown.get_by_role("link", name="Read the report").click()
    expect(page.get_by_role("heading", name="Report of A first try")).to_be_visible()
    expect(page.get_by_role("table").first).to_contain_text("Box noise 0.5")
    assert findings(page) == []
    for width in (1366, 1024, 768):
        page.set_viewport_size({"width": width, "height": 768})
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), width
    picture_of(page, "run-report")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download the page").click()
    assert "Report of A first try" in download.value.path().read_text()


@pytest.mark.parametrize("theme", ["dark", "light"])
def test_a_new_run_says_what_is_missing(page: Page, context: BrowserContext, stack: RunningStack, theme: str) -> None:
    context.add_cookies([{"name": "aivd_theme", "value": theme, "url": stack.base_url}])
    page.goto(f"{stack.base_url}/runs/?run=new")
    expect(page.get_by_role("heading", name="New run")).to_be_visible()
    assert findings(page) == []
    page.get_by_label("LoRA rank").fill("0")
    assert page.get_by_label("LoRA rank").evaluate("field => !field.validity.valid")
