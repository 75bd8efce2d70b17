"""A description types itself out: what the browser shows while the describer is held in the middle of it."""

import json
import time
from collections import defaultdict
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Page, expect

from finetune.boards import encode_jpeg, generate_board
from tests.e2e.conftest import RunningStack

pytestmark = [pytest.mark.stack, pytest.mark.e2e]
HELD_TOKENS = 5
MESSAGES_A_SECOND = 10


@pytest.fixture
def held(stack: RunningStack) -> Iterator[None]:
    """While this stands, the describer stops after its fifth token."""
    stack.pause_file.touch()
    yield
    stack.pause_file.unlink(missing_ok=True)


@pytest.fixture
def station_id(api: httpx.Client) -> Iterator[int]:
    """A station that has one region of a frame described, however little the detector is sure of it."""
    station = api.get("/api/v1/stations").raise_for_status().json()[0]
    before = {name: station[name] for name in ("max_regions", "min_score")}
    url = f"/api/v1/stations/{station['id']}"
    api.patch(url, json={"max_regions": 1, "min_score": 0.2}).raise_for_status()
    yield station["id"]
    api.patch(url, json=before).raise_for_status()


def send_board(api: httpx.Client, station_id: int, *, seed: int) -> str:
    picture = encode_jpeg(generate_board(seed, defects=8, style="binary").image)
    headers = {"Content-Type": "image/jpeg"}
    answer = api.post(f"/api/v1/stations/{station_id}/frames", content=picture, headers=headers)
    return str(answer.raise_for_status().json()["frames"][0]["id"])


def listen(page: Page) -> dict[str, list[tuple[float, int]]]:
    """When token messages of each region reached the browser, and how many tokens they told of."""
    heard: dict[str, list[tuple[float, int]]] = defaultdict(list)

    def note(payload: str | bytes) -> None:
        message = json.loads(payload)
        if message.get("type") == "describe.token":
            heard[message["region"]].append((time.monotonic(), message["n"]))

    page.on("websocket", lambda socket: socket.on("framereceived", note))
    return heard


def test_the_browser_shows_five_tokens_while_the_describer_is_held_there(
    page: Page, api: httpx.Client, stack: RunningStack, station_id: int, held: None
) -> None:
    heard = listen(page)
    page.goto(stack.base_url)
    expect(page.get_by_text("Live", exact=True).last).to_be_visible()
    frame_id = send_board(api, station_id, seed=41)

    writing = page.locator("[data-tokens]")
    expect(writing).to_have_attribute("data-tokens", str(HELD_TOKENS), timeout=60_000)
    expect(writing).not_to_be_empty()
    shown = writing.inner_text()

    stack.pause_file.unlink()
    expect(page.locator("[data-tokens]")).to_have_count(0, timeout=60_000)
    frame = api.get(f"/api/v1/frames/{frame_id}").raise_for_status().json()
    described = [region["description"] for region in frame["regions"] if region["description"]]
    assert [description["state"] for description in described] == ["done"]
    assert shown.strip()
    (messages,) = heard.values()
    assert max(n for _, n in messages) > HELD_TOKENS
    took_s = messages[-1][0] - messages[0][0]
    # The first goes at once, what is held back at the end too, and one may have waited on its way for the next.
    assert len(messages) <= MESSAGES_A_SECOND * took_s + 3
