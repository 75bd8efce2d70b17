"""The plain pages: what a station looks at, a new station, a new line. Whoever may not change may read."""

from typing import Any

import pytest
from django.test import Client

from inspections.models import ClassThreshold, Event, Line, Station
from tests.cast import Cast

pytestmark = [pytest.mark.stack, pytest.mark.django_db]

SETTINGS = {
    "product": "bare-pcb",
    "other_product": "",
    "bit_depth": "12",
    "deadline_s": "2.5",
    "min_score": "60",
    "describe": "on",
    "max_regions": "4",
    "describe_within_s": "3",
    "sure_regions": "later",
    "ladder": "on",
}
NEW_LINE = {
    "site": "Dresden",
    "name": "Strip",
    "source": "typed",
    "classes_of_product": "bare-pcb",
    "classes": "crazing\nrolled-in_scale = Scale, rolled in\n",
    "station": "Camera 1",
    "product": "*",
    "other_product": "steel-strip",
    "bit_depth": "auto",
}


def page(station: Station) -> str:
    return f"/stations/{station.pk}/"


@pytest.mark.parametrize(
    ("person", "get", "post"),
    [("ada", 200, 302), ("alice", 200, 302), ("bob", 200, 403), ("vera", 200, 403), ("charlie", 404, 404)],
)
def test_who_may_read_and_who_may_change_a_station(
    cast: Cast, client: Client, person: str, get: int, post: int
) -> None:
    client.force_login(getattr(cast, person))
    assert client.get(page(cast.station)).status_code == get
    assert client.post(page(cast.station), SETTINGS).status_code == post


def test_alice_changes_everything_in_units_of_the_screen(cast: Cast, client: Client) -> None:
    client.force_login(cast.alice)
    own = {f"threshold_{cast.classes['copper'].pk}": "90", f"threshold_{cast.classes['spur'].pk}": ""}
    answer = client.post(page(cast.station), SETTINGS | own, follow=True)
    assert "Saved." in answer.content.decode()
    cast.station.refresh_from_db()
    assert (cast.station.deadline_ms, cast.station.min_score, cast.station.bit_depth) == (2500, 0.6, "12")
    assert list(ClassThreshold.objects.values_list("defect_class__name", "min_score")) == [("copper", 0.9)]
    assert Event.objects.get().type == "station.configured"
    again = client.get(page(cast.station)).context["form"]
    assert again.initial[f"threshold_{cast.classes['copper'].pk}"] == 90.0


def test_a_station_without_a_product_says_what_that_means(cast: Cast, client: Client) -> None:
    Station.objects.filter(pk=cast.station.pk).update(product="")
    client.force_login(cast.alice)
    assert "every frame is held" in client.get(page(cast.station)).content.decode()
    client.post(page(cast.station), SETTINGS | {"product": "*", "other_product": "steel-strip"})
    cast.station.refresh_from_db()
    assert cast.station.product == "steel-strip"
    shown = client.get(page(cast.station))
    assert "every frame is held." not in shown.content.decode()
    assert shown.context["form"].initial["other_product"] == "steel-strip"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"product": "cheese"}, "product"),
        ({"product": "*"}, "other_product"),
        ({"product": "*", "other_product": "two words"}, "other_product"),
        ({"deadline_s": "0"}, "deadline_s"),
        ({"deadline_s": ""}, "deadline_s"),
        ({"min_score": "101"}, "min_score"),
        ({"min_score": "NaN"}, "min_score"),
        ({"max_regions": "65"}, "max_regions"),
        ({"bit_depth": "11"}, "bit_depth"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_nothing_changes(
    cast: Cast, client: Client, change: dict[str, str], field: str
) -> None:
    client.force_login(cast.alice)
    answer = client.post(page(cast.station), SETTINGS | change)
    assert answer.status_code == 422
    assert answer.context["form"].errors[field]
    assert not Event.objects.exists()


def test_a_new_line_is_made_with_what_was_typed_and_leads_to_live(cast: Cast, client: Client) -> None:
    client.force_login(cast.ada)
    assert client.get("/lines/new/").status_code == 200
    answer = client.post("/lines/new/", NEW_LINE)
    made = Line.objects.get(name="Strip")
    assert answer.headers["Location"] == f"/live/{made.pk}/"
    assert [entry.title for entry in made.defect_classes.all()] == ["Crazing", "Scale, rolled in"]
    assert made.stations.get().product == "steel-strip"


@pytest.mark.parametrize(
    ("change", "classes"),
    [({"source": "product"}, 6), ({"source": "line"}, 6)],
)
def test_a_new_lines_classes_are_a_models_or_another_lines(
    cast: Cast, client: Client, change: dict[str, Any], classes: int
) -> None:
    client.force_login(cast.ada)
    client.post("/lines/new/", NEW_LINE | {"classes_of_line": cast.line.pk, "classes": ""} | change)
    assert Line.objects.get(name="Strip").defect_classes.count() == classes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"source": "typed", "classes": " \n "}, "Write at least one class."),
        ({"source": "line"}, "Choose the line whose classes it gets."),
        ({"name": "A"}, "has a line &#x27;A&#x27; already."),
        ({"classes": "open\nopen"}, "stands in the list twice."),
        ({"classes": "x" * 75}, "1 to 60 letters, not 75."),
    ],
)
def test_what_cannot_be_a_line_is_said_on_the_page(
    cast: Cast, client: Client, change: dict[str, str], said: str
) -> None:
    client.force_login(cast.ada)
    answer = client.post("/lines/new/", NEW_LINE | change)
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert Line.objects.count() == 2


def test_alice_makes_no_line_but_adds_a_station(cast: Cast, client: Client) -> None:
    client.force_login(cast.alice)
    assert client.get("/lines/new/").status_code == 403
    address = f"/lines/{cast.line.pk}/stations/new/"
    form = {"name": "Camera 3", "product": "", "other_product": "", "bit_depth": "auto"}
    assert client.post(address, form).status_code == 302
    again = client.post(address, form)
    assert (again.status_code, Station.objects.filter(name="Camera 3").count()) == (422, 1)
    client.force_login(cast.bob)
    assert client.get(address).status_code == 404


def test_only_the_demo_line_is_one(cast: Cast, client: Client) -> None:
    from inspections.services.bootstrap import ensure_first_site

    assert not Line.objects.filter(is_demo=True).exists()
    assert ensure_first_site() is None
    Station.objects.all().delete()
    Line.objects.all().delete()
    cast.line.site.delete()
    first = ensure_first_site()
    assert first is not None
    assert (first.line.is_demo, first.product) == (True, "bare-pcb")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_one_theme_everywhere(cast: Cast, client: Client, theme: str) -> None:
    client.cookies["aivd_theme"] = theme
    client.force_login(cast.ada)
    for address in ("/fleet/", page(cast.station), "/lines/new/", f"/live/{cast.line.pk}/", "/no-such/"):
        shown = client.get(address, headers={"Accept": "text/html"}).content.decode()
        assert f'data-theme="{theme}"' in shown, address
    assert f'name="aivd-theme" content="{theme}"' in client.get("/admin/").content.decode()
