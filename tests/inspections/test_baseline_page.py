"""A station's first frames on its page: what vouches for later ones, and who may say so. And the way to the queue."""

from typing import Any

import pytest
from django.test import Client

from inspections.models import Frame, FrameAppearance, Station, StationBaseline
from inspections.services import baselines
from scheduling.serving.appearance import STATISTICS
from tests.cast import Cast, frame_row

pytestmark = [pytest.mark.stack, pytest.mark.django_db]
ACTS = "baseline/"


def settings_of(station: Station) -> str:
    return f"/stations/{station.pk}/"


def collected(station: Station, count: int, **more: Any) -> list[Frame]:
    """First frames that were measured, a little different from each other."""
    frames = [frame_row(station) for _ in range(count)]
    for n, frame in enumerate(frames):
        values = {"model_distance": 9.0, "model_limit": 2.0} | more
        FrameAppearance.objects.create(frame=frame, statistics=_looks(n), **values)
    return frames


def _looks(n: int) -> dict[str, float]:
    return dict.fromkeys(STATISTICS, 0.5 + n % 7 / 100)


def shown(client: Client, station: Station) -> str:
    return client.get(settings_of(station)).content.decode()


def act(client: Client, station: Station, action: str) -> str:
    answer = client.post(settings_of(station) + ACTS, {"action": action}, follow=True)
    assert answer.status_code == 200
    return answer.content.decode()


def test_the_page_shows_the_frames_that_were_collected(cast: Cast, client: Client) -> None:
    first, *_ = collected(cast.station, 3)
    client.force_login(cast.vera)
    text = shown(client, cast.station)
    assert "3 of 100 collected" in text
    assert f"/api/v1/frames/{first.pk}/thumbnail" in text
    assert text.count("<li><a href=") == 3
    assert "They show the right product" not in text  # she only looks


def test_too_few_frames_cannot_be_confirmed_and_the_page_says_from_when_on(cast: Cast, client: Client) -> None:
    collected(cast.station, baselines.FEWEST_CONFIRMED - 1)
    client.force_login(cast.alice)
    assert "They can be confirmed from 20 frames on" in shown(client, cast.station)
    assert "Only 19 frames were measured" in act(client, cast.station, "confirm")
    assert baselines.of(cast.station).state == StationBaseline.State.COLLECTING


def test_alice_confirms_and_her_name_stands_there(cast: Cast, client: Client) -> None:
    collected(cast.station, baselines.FEWEST_CONFIRMED)
    client.force_login(cast.alice)
    assert "They show the right product" in shown(client, cast.station)
    text = act(client, cast.station, "confirm")
    assert "Frames like these are inspected from now on." in text
    assert "Confirmed by alice" in text
    assert baselines.of(cast.station).state == StationBaseline.State.CONFIRMED


def test_alice_begins_again_and_nothing_vouches_any_more(cast: Cast, client: Client) -> None:
    collected(cast.station, baselines.FEWEST_CONFIRMED)
    client.force_login(cast.alice)
    act(client, cast.station, "confirm")
    assert "0 of 100 collected" in act(client, cast.station, "restart")
    assert baselines.reference_of(baselines.of(cast.station)) is None


@pytest.mark.parametrize(
    ("person", "status"), [("ada", 302), ("alice", 302), ("bob", 403), ("vera", 403), ("charlie", 404)]
)
def test_who_may_say_it(cast: Cast, client: Client, person: str, status: int) -> None:
    collected(cast.station, baselines.FEWEST_CONFIRMED)
    client.force_login(getattr(cast, person))
    assert client.post(settings_of(cast.station) + ACTS, {"action": "confirm"}).status_code == status
    said = baselines.of(cast.station).state == StationBaseline.State.CONFIRMED
    assert said is (status == 302)


def test_any_other_action_and_a_plain_get_are_refused(cast: Cast, client: Client) -> None:
    client.force_login(cast.alice)
    assert client.post(settings_of(cast.station) + ACTS, {"action": "forget"}).status_code == 400
    assert client.get(settings_of(cast.station) + ACTS).status_code == 405


def test_the_review_page_is_for_people_who_signed_in_and_knows_their_lines(cast: Cast, client: Client) -> None:
    assert client.get("/review/").status_code == 302
    client.force_login(cast.vera)
    answer = client.get("/review/?decision=hold")
    assert answer.status_code == 200
    assert [line["name"] for line in answer.context["boot"]["lines"]] == [cast.line.name]
