"""At the desk: what a verdict means, that none is lost, golden templates, any keyboard, any width."""

import io
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from PIL import Image
from playwright.sync_api import BrowserContext, Locator, Page, Route, expect

from finetune.boards import encode_jpeg, generate_board
from tests.e2e.conftest import RunningStack
from tests.waiting import eventually

pytestmark = [pytest.mark.stack, pytest.mark.e2e]
INSPECTED_WITHIN_MS = 120_000
WIDTHS = [(1366, 768), (1024, 768), (390, 844)]
SEED = 4100


def board(seed: int, defects: int) -> Any:
    return generate_board(seed, defects=defects, style="binary")


def station_of(api: httpx.Client) -> dict:
    return dict(api.get("/api/v1/stations").raise_for_status().json()[0])


Send = Callable[..., dict]


@pytest.fixture
def send(api: httpx.Client, page: Page, stack: RunningStack) -> Send:
    """Send a picture and open its frame once it is decided."""

    def act(content: bytes, name: str = "desk.jpg") -> dict:
        headers = {"Content-Type": "image/jpeg", "X-File-Name": name}
        sent = api.post(f"/api/v1/stations/{station_of(api)['id']}/frames", content=content, headers=headers)
        frame = sent.raise_for_status().json()["frames"][0]["id"]
        page.goto(f"{stack.base_url}/frames/{frame}/")
        expect(page.locator(".bar-decision .chip.tone-pass, .bar-decision .chip.tone-fail")).to_be_visible(
            timeout=INSPECTED_WITHIN_MS
        )
        expect(page.locator(".connection")).to_have_text("Live")
        return dict(api.get(f"/api/v1/frames/{frame}").raise_for_status().json())

    return act


@pytest.fixture(scope="module")
def bad() -> bytes:
    return encode_jpeg(board(SEED, 6).image)


@pytest.fixture
def failed(send: Send, bad: bytes) -> dict:
    frame = send(bad)
    assert frame["decision"]["outcome"] == "fail"
    return frame


def reviews_of(api: httpx.Client, frame: dict) -> list[dict]:
    return list(api.get(f"/api/v1/frames/{frame['id']}").raise_for_status().json()["reviews"])


def judged(page: Page, words: str) -> None:
    """The newest review says this, and the server has it."""
    expect(page.locator(".reviews li").first).to_contain_text(re.compile(f"{words}.*stands", re.DOTALL))


def buttons(page: Page) -> list[str]:
    return [" ".join(text.split()) for text in page.locator(".verdicts button").all_inner_texts()]


def shown_as(page: Page, frame: dict, **change: Any) -> None:
    """Let the page see `frame` with these fields, as if the server had said so."""

    page.unroute_all(behavior="wait")
    page.route(f"**/api/v1/frames/{frame['id']}", lambda route: route.fulfill(json=frame | change))
    page.reload()
    expect(page.locator(".frame-header h1")).to_be_visible()


# -- what is meant ----------------------------------------------------------------------------------


def test_the_buttons_say_what_is_meant_by_the_decision_that_stands_there(page: Page, failed: dict) -> None:
    assert buttons(page) == ["Agree: Fail A", "Disagree: it is good X", "Unsure U"]
    decision = failed["decision"]
    shown_as(page, failed, decision=decision | {"outcome": "pass", "code": "clean"})
    expect(page.locator(".verdicts button").first).to_contain_text("Agree: Pass")
    assert buttons(page)[1] == "Disagree: it is defective X"
    for code in ("late", "product", "unlike", "unplaced", "unscaled"):
        shown_as(page, failed, decision=decision | {"outcome": "hold", "code": code})
        expect(page.locator(".verdicts button").first).to_contain_text("It is good")
        assert buttons(page) == ["It is good G", "It is defective D", "Unsure U"]


def test_on_hold_agreeing_judges_nothing(page: Page, api: httpx.Client, failed: dict) -> None:
    shown_as(page, failed, decision=failed["decision"] | {"outcome": "hold", "code": "late"})
    expect(page.locator(".verdicts button").first).to_contain_text("It is good")
    page.keyboard.press("a")
    expect(page.locator(".toast")).to_contain_text("has not judged this part")
    assert reviews_of(api, failed) == []


def test_disagreeing_with_fail_says_that_the_part_is_good(page: Page, api: httpx.Client, failed: dict) -> None:
    page.get_by_role("button", name="Disagree: it is good").click()
    judged(page, "Good")
    (review,) = reviews_of(api, failed)
    assert (review["verdict"], review["part"], review["marks"]) == ("reject", "good", [])
    # What was corrected stays in sight after judging, with whose word it is.
    page.reload()
    expect(page.locator(".region").first).to_contain_text("dismissed by admin")
    expect(page.locator(".viewer-region.dismissed").first).to_be_attached()


def test_a_correction_stays_in_sight_after_judging(page: Page, api: httpx.Client, failed: dict) -> None:
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Delete")
    page.keyboard.press("a")
    judged(page, "Defective")
    page.reload()
    expect(page.locator(".region").first).to_contain_text("dismissed by admin")
    expect(page.locator(".region").nth(1)).to_contain_text("confirmed by admin")
    (review,) = reviews_of(api, failed)
    counted = [region["id"] for region in failed["regions"] if region["counts"]]
    assert {mark["detection"] for mark in review["marks"]} == set(counted[1:])


def test_only_what_counted_is_confirmed_and_the_rest_is_drawn_apart(
    page: Page, api: httpx.Client, send: Send, bad: bytes
) -> None:
    station = station_of(api)
    scores = sorted((region["score"] for region in send(bad)["regions"]), reverse=True)
    threshold = (scores[0] + scores[1]) / 2  # all but one lie below it
    url = f"/api/v1/stations/{station['id']}"
    api.patch(url, json={"min_score": threshold}).raise_for_status()
    try:
        frame = send(bad, "faint.jpg")
    finally:
        api.patch(url, json={"min_score": station["min_score"]}).raise_for_status()
    below = [region for region in frame["regions"] if not region["counts"]]
    assert below
    expect(page.get_by_role("heading", name="Below the threshold")).to_be_visible()
    expect(page.locator(".viewer-region.below .edge").first).not_to_have_css("stroke-dasharray", "none")
    page.keyboard.press("a")
    judged(page, "1 mark")
    (review,) = reviews_of(api, frame)
    assert len(review["marks"]) == 1
    # ... unless the person names it.
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Delete")
    page.keyboard.press("a")
    judged(page, "2 marks")
    assert below[-1]["id"] in {mark["detection"] for mark in reviews_of(api, frame)[0]["marks"]}


def test_two_people_who_contradict_each_other_are_told(page: Page, failed: dict) -> None:
    word = {"note": "", "marks": [], "at": failed["received_at"]}
    alice = {"id": 2, "reviewer": "alice", "verdict": "reject", "part": "good", "stands": True, "contradicts": ["bob"]}
    bob = {"id": 1, "reviewer": "bob", "verdict": "accept", "part": "defective", "stands": False}
    shown_as(page, failed, reviews=[alice | word, bob | word | {"contradicts": ["alice"]}])
    notice = page.locator(".side .notice")
    expect(notice).to_contain_text("bob said defective")
    expect(notice).to_contain_text("alice says good")
    expect(notice).to_contain_text("The latest stands: good")


# -- nothing is lost --------------------------------------------------------------------------------


def test_a_verdict_given_offline_waits_and_is_sent_on_return(
    page: Page, context: BrowserContext, api: httpx.Client, failed: dict
) -> None:
    context.set_offline(True)
    expect(page.locator(".connection")).not_to_contain_text("Live")
    page.keyboard.press("n")
    page.keyboard.type("no network")
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    waiting = page.get_by_label("Verdicts on their way")
    expect(waiting).to_contain_text("Agree: Fail: waiting to be sent")
    expect(page.locator(".connection")).to_contain_text("Connection lost")
    assert reviews_of(api, failed) == []
    context.set_offline(False)
    expect(page.locator(".toast")).to_contain_text("Saved: Agree: Fail")
    expect(waiting).to_have_text("")
    expect(page.locator(".connection")).to_have_text("Live")
    (review,) = reviews_of(api, failed)
    assert (review["part"], review["note"]) == ("defective", "no network")


def on_reviews(page: Page, handler: Callable[[Route], object]) -> None:
    """Let `handler` have each review that is sent. The browser is seen to hold requests back before this returns."""
    page.route("**/probe", lambda route: route.abort())
    page.wait_for_function("() => fetch('/probe').then(() => false, () => true)")
    page.route("**/reviews", handler)


def test_a_verdict_outlives_its_page_and_goes_out_from_another(
    page: Page, api: httpx.Client, failed: dict, stack: RunningStack
) -> None:
    on_reviews(page, lambda route: route.abort())
    page.keyboard.press("x")
    expect(page.get_by_label("Verdicts on their way")).to_contain_text("waiting to be sent")
    page.goto(f"{stack.base_url}/live/{failed['line']['id']}/")
    page.unroute_all()
    expect(page.locator(".toast")).to_contain_text("Sent: Disagree: it is good")
    assert len(reviews_of(api, failed)) == 1


def test_an_answer_that_is_lost_makes_no_second_review(page: Page, api: httpx.Client, failed: dict) -> None:
    seen: list[str] = []

    def lose_the_first_answer(route: Route) -> None:
        seen.append(route.request.headers["idempotency-key"])
        if len(seen) == 1:
            route.fetch()
            route.abort()
        else:
            route.continue_()

    on_reviews(page, lose_the_first_answer)
    page.keyboard.press("a")
    expect(page.locator(".toast")).to_contain_text("Saved")
    assert len(seen) == 2
    assert len(set(seen)) == 1
    assert len(reviews_of(api, failed)) == 1


def test_a_refused_verdict_says_why_and_can_be_taken_back(page: Page, api: httpx.Client, failed: dict) -> None:
    refusal = {"code": "bad_mark", "detail": "Region 1 is not on this frame.", "hint": "Mark it again."}
    on_reviews(page, lambda route: route.fulfill(status=422, json=refusal))
    page.keyboard.press("n")
    page.keyboard.type("scratch")
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    refused = page.get_by_label("Verdicts on their way")
    expect(refused).to_contain_text("refused. Region 1 is not on this frame. Mark it again.")
    page.keyboard.press("n")
    page.keyboard.type("more")
    page.get_by_role("button", name="Take back").click()
    expect(page.get_by_label("Note")).to_have_value("scratch\nmore")
    expect(refused).to_have_text("")
    assert reviews_of(api, failed) == []


def test_a_note_typed_while_saving_is_kept(page: Page, api: httpx.Client, failed: dict) -> None:
    held: list[Route] = []
    on_reviews(page, lambda route: held.append(route))
    page.keyboard.press("n")
    page.keyboard.type("first")
    page.keyboard.press("Escape")
    page.keyboard.press("a")
    expect(page.locator(".draft-state")).to_contain_text("Saving")
    page.keyboard.press("n")
    page.keyboard.type("second thought")
    held[0].continue_()
    expect(page.locator(".toast")).to_contain_text("Saved")
    expect(page.get_by_label("Note")).to_have_value("second thought")
    assert reviews_of(api, failed)[0]["note"] == "first"


def test_drafts_are_a_persons_own_and_go_with_the_sign_out(page: Page, failed: dict) -> None:
    page.keyboard.press("n")
    page.keyboard.type("mine alone")
    keys = "() => Object.keys(localStorage).filter((key) => key.startsWith('aivd.drafts.'))"
    page.wait_for_function(f"({keys})().length === 1")
    assert page.evaluate(keys) == [f"aivd.drafts.admin.{failed['id']}"]
    # The real sign-out would end the session that the other tests share.
    form = "document.querySelector('form[action$=\"/sign-out/\"]')"
    page.evaluate(f"{form}.addEventListener('submit', (event) => event.preventDefault())")
    page.get_by_role("button", name="Sign out").click()
    assert page.evaluate(keys) == []


def test_the_next_frame_comes_after_a_verdict_where_one_wants_it(
    page: Page, api: httpx.Client, send: Send, bad: bytes
) -> None:
    older = send(bad, "older.jpg")
    newer = send(bad, "newer.jpg")
    page.get_by_label("Then next frame").check()
    page.keyboard.press("a")
    page.wait_for_url(f"**/frames/{older['id']}/")
    assert len(reviews_of(api, newer)) == 1
    expect(page.get_by_label("Then next frame")).to_be_checked()
    page.get_by_label("Then next frame").uncheck()


# -- golden templates -------------------------------------------------------------------------------


@pytest.fixture
def no_template(api: httpx.Client) -> Iterator[str]:
    url = f"/api/v1/stations/{station_of(api)['id']}/template"
    api.delete(url).raise_for_status()
    yield url
    api.delete(url).raise_for_status()


def test_t_says_why_there_is_no_template(page: Page, no_template: str, failed: dict) -> None:
    page.keyboard.press("t")
    expect(page.locator(".toast")).to_contain_text("has no golden template")
    page.get_by_role("button", name="Set template").click()
    dialog = page.get_by_role("dialog", name="Golden template")
    expect(dialog).to_contain_text("nobody has judged it good")
    expect(dialog.get_by_role("button", name="Use this frame")).to_be_disabled()


def test_a_template_from_a_file_is_used_by_the_next_frame_and_its_alignment_is_shown(
    page: Page, api: httpx.Client, no_template: str, send: Send, bad: bytes
) -> None:
    without = send(bad, "without.jpg")
    golden = io.BytesIO()
    Image.fromarray(board(SEED, 6).template).save(golden, "PNG")
    page.get_by_role("button", name="Set template").click()
    dialog = page.get_by_role("dialog", name="Golden template")

    small = io.BytesIO()
    Image.fromarray(board(SEED, 6).template[:600]).save(small, "PNG")
    choose(dialog, small.getvalue())
    expect(dialog).to_contain_text("640 × 600 pixels")  # said before it is set
    expect(dialog.get_by_role("button", name="Set as golden template")).to_have_count(0)

    choose(dialog, golden.getvalue())
    expect(dialog).to_contain_text("of this frame differs from it")
    dialog.get_by_role("button", name="Set as golden template").click()
    expect(page.locator(".toast")).to_contain_text("The golden template is set")

    after = send(bad, "after.jpg")
    assert after["urls"]["template"] is not None
    boxes = [[region["box_xyxy"] for region in frame["regions"]] for frame in (without, after)]
    assert boxes[0] != boxes[1]  # the node compared it with the template
    for words in ("Template beside", "Template blinks", "Difference"):
        page.keyboard.press("t")
        expect(page.locator(".viewer-tools")).to_contain_text(words)
        expect(page.locator(".viewer-note")).to_contain_text("of this frame differs from it")
    page.keyboard.press("t")
    expect(page.locator(".viewer-note")).to_have_count(0)


def choose(dialog: Locator, content: bytes) -> None:
    dialog.locator("input[type=file]").set_input_files(
        {"name": "golden.png", "mimeType": "image/png", "buffer": content}
    )


def test_a_good_frame_becomes_the_template(page: Page, api: httpx.Client, no_template: str, send: Send) -> None:
    frame = send(encode_jpeg(board(SEED + 1, 0).image), "good.jpg")
    if frame["decision"]["outcome"] != "pass":
        page.keyboard.press("x")
        judged(page, "Good")
    page.get_by_role("button", name="Set template").click()
    page.get_by_role("button", name="Use this frame as golden template").click()
    expect(page.get_by_role("dialog")).to_have_count(0)
    picture = api.get(f"/api/v1/frames/{frame['id']}/picture").raise_for_status().content
    assert api.get(no_template).raise_for_status().content == picture


# -- any keyboard -----------------------------------------------------------------------------------

CONTROL, SHIFT, ALT_GR_ON_WINDOWS = 2, 8, 3


@pytest.fixture
def strike(page: Page, context: BrowserContext) -> Callable[..., None]:
    """Press a key as a layout writes it: the character and the place.

    Not before the page has drawn twice: its keys follow what it shows a frame later, which no hand can outrun.
    """
    session = context.new_cdp_session(page)
    drawn_twice = "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))"

    def act(key: str, code: str, modifiers: int = 0) -> None:
        page.evaluate(drawn_twice)
        stroke = {"key": key, "code": code, "modifiers": modifiers}
        session.send("Input.dispatchKeyEvent", {"type": "keyDown", **stroke})
        session.send("Input.dispatchKeyEvent", {"type": "keyUp", **stroke})

    return act


def test_a_cyrillic_layout_judges_and_corrects(
    page: Page, api: httpx.Client, failed: dict, strike: Callable[..., None]
) -> None:
    slider = page.locator(".confidence input")
    slider.focus()  # where the focus was left takes no letters away
    strike("ъ", "BracketRight")
    expect(slider).to_have_value("0.05")
    strike("х", "BracketLeft")
    expect(slider).to_have_value("0")
    strike("т", "KeyN")
    expect(page.get_by_label("Note")).to_be_focused()
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Delete")
    selected = page.locator(".region[data-selected=true]")
    expect(selected).to_have_attribute("data-dismissed", "true")
    strike("я", "KeyZ", CONTROL)
    expect(selected).to_have_attribute("data-dismissed", "false")
    strike("Я", "KeyZ", CONTROL | SHIFT)
    expect(selected).to_have_attribute("data-dismissed", "true")
    strike("?", "Digit7", SHIFT)
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    strike("ф", "KeyA")
    judged(page, "Defective")
    assert len(reviews_of(api, failed)) == 1


def test_a_german_layout_writes_brackets_with_altgr_and_altgr_judges_nothing(
    page: Page, api: httpx.Client, failed: dict, strike: Callable[..., None]
) -> None:
    slider = page.locator(".confidence input")
    strike("]", "Digit9", ALT_GR_ON_WINDOWS)
    expect(slider).to_have_value("0.05")
    strike("[", "Digit8", ALT_GR_ON_WINDOWS)
    expect(slider).to_have_value("0")
    for key, code in (("@", "KeyQ"), ("€", "KeyE"), ("ą", "KeyA"), ("µ", "KeyM"), ("a", "KeyA"), ("x", "KeyX")):
        strike(key, code, ALT_GR_ON_WINDOWS)
    page.evaluate(
        "for (const [key, code] of [['ą', 'KeyA'], ['a', 'KeyA'], ['d', 'KeyD']])"
        " window.dispatchEvent(new KeyboardEvent('keydown', { key, code, modifierAltGraph: true }))"
    )
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Delete")
    selected = page.locator(".region[data-selected=true]")
    strike("z", "KeyY", CONTROL)  # by the letter, which stands where Y is elsewhere
    expect(selected).to_have_attribute("data-dismissed", "false")
    assert reviews_of(api, failed) == []
    strike("u", "KeyU")
    judged(page, "Unsure")


def test_letters_work_after_the_class_was_chosen_with_the_mouse(page: Page, failed: dict) -> None:
    page.keyboard.press("ArrowDown")
    chooser = page.locator(".corrections select")
    chooser.select_option(index=0)
    chooser.focus()
    page.keyboard.press("h")
    page.keyboard.press("n")
    expect(page.get_by_label("Note")).to_be_focused()


def test_a_key_held_down_judges_one_frame_only(page: Page, api: httpx.Client, failed: dict) -> None:
    for _ in range(4):
        page.keyboard.down("a")  # each but the first is a repeat
    expect(page.locator(".toast")).to_contain_text("Saved")
    assert len(reviews_of(api, failed)) == 1


def test_the_skip_link_leads_to_the_verdict(page: Page, failed: dict) -> None:
    link = page.get_by_role("link", name="Skip to your verdict")
    link.focus()
    expect(link).to_be_in_viewport()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Note")).to_be_focused()


# -- any width --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "height"), WIDTHS)
def test_decision_picture_and_buttons_are_in_sight_while_judging(
    page: Page, failed: dict, width: int, height: int
) -> None:
    page.set_viewport_size({"width": width, "height": height})
    for _ in failed["regions"]:
        page.keyboard.press("ArrowDown")
        row = page.locator(".region[data-selected=true] .region-head")
        for seen in (page.locator(".bar-decision .chip"), page.locator(".verdicts button").first, row):
            expect(seen).to_be_in_viewport(ratio=0.9)
        expect(page.locator(".viewer").first).to_be_in_viewport(ratio=0.5)
        apart(row, page.locator(".verdict-bar"))
        apart(row, page.locator(".viewer-pane"))
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize(("width", "height"), WIDTHS)
def test_messages_never_cover_the_buttons(page: Page, failed: dict, width: int, height: int) -> None:
    page.set_viewport_size({"width": width, "height": height})
    for _ in range(3):
        page.keyboard.press("t")
    toast = page.locator(".toast").first
    expect(toast).to_be_visible()
    for button in page.locator(".verdict-bar button").all():
        for shown in page.locator(".toast").all():
            apart(shown, button)


def test_the_selected_region_is_brought_into_the_picture(page: Page, failed: dict) -> None:
    page.keyboard.press("ArrowDown")
    page.keyboard.press("z")
    for _ in range(3):
        page.keyboard.press("+")
    for _ in failed["regions"][1:]:
        page.keyboard.press("ArrowDown")
        expect(page.locator(".viewer-region.selected .edge").first).to_be_in_viewport()


def apart(one: Locator, other: Locator) -> None:
    """They do not cover each other once the page has come to rest."""
    eventually(lambda: not overlaps(one, other), f"{one} covers {other}", within_s=20)


def overlaps(one: Locator, other: Locator) -> bool:
    a, b = one.bounding_box(), other.bounding_box()
    if a is None or b is None:
        return False
    return (
        a["x"] < b["x"] + b["width"] - 1
        and b["x"] < a["x"] + a["width"] - 1
        and a["y"] < b["y"] + b["height"] - 1
        and b["y"] < a["y"] + a["height"] - 1
    )
