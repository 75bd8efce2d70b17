"""Making lines and stations, and saying what a station looks at."""

from typing import Any

import pytest
from django.contrib.auth.models import Permission

from inspections.models import DefectClass, Event, Line, Site, Station
from scheduling.models import Placement, ServedModel
from tests.cast import Cast, add_node, token_for

pytestmark = [pytest.mark.stack, pytest.mark.django_db]

STEEL = ["crazing", "rolled-in_scale", "pitted_surface"]


def asked(**more: Any) -> dict[str, Any]:
    station = {"name": "Camera 1", "product": "steel-strip"}
    return {"site": "Dresden", "name": "Strip", "classes": [{"name": "crazing"}], "station": station} | more


def serve(names: list[str], *, product: str = "") -> ServedModel:
    model = ServedModel.objects.create(
        kind="detector",
        name="served",
        version="1",
        digest="d" * 64,
        runtime="test",
        class_names=names,
        products=[product] if product else [],
    )
    Placement.objects.update_or_create(node=add_node("edge-9"), model="edge_detector", defaults={"served_model": model})
    return model


def classes_of(line: int) -> list[tuple[str, str]]:
    return list(DefectClass.objects.filter(line=line).values_list("name", "title"))


def test_ada_makes_a_line_with_the_classes_that_she_typed(cast: Cast, as_person: Any) -> None:
    classes = [{"name": name} for name in STEEL]
    answer = as_person(cast.ada).post("/api/v1/lines", asked(classes=classes), format="json")
    assert answer.status_code == 201, answer.json()
    line, station = answer.json()["line"], answer.json()["station"]
    assert (line["name"], line["site"]["name"]) == ("Strip", "Dresden")
    assert (station["name"], station["product"], station["bit_depth"]) == ("Camera 1", "steel-strip", "auto")
    assert [title for _, title in classes_of(line["id"])] == ["Crazing", "Rolled-in scale", "Pitted surface"]
    assert Event.objects.get(line=line["id"]).type == "station.added"


def test_a_line_may_copy_another_ones_classes_but_only_of_one_that_is_seen(cast: Cast, as_person: Any) -> None:
    body = asked(classes_of_line=cast.line.pk)
    del body["classes"]
    made = as_person(cast.ada).post("/api/v1/lines", body, format="json").json()["line"]["id"]
    assert classes_of(made) == classes_of(cast.line.pk)

    cast.charlie.user_permissions.add(Permission.objects.get(codename="add_line"))
    refused = as_person(cast.charlie).post("/api/v1/lines", body | {"name": "Mine"}, format="json")
    assert refused.status_code == 404
    assert not Line.objects.filter(name="Mine").exists()


def test_a_line_may_take_the_classes_of_a_product_that_a_model_declares(cast: Cast, as_person: Any) -> None:
    body = asked(classes_of_product="bare-pcb")
    del body["classes"]
    made = as_person(cast.ada).post("/api/v1/lines", body, format="json").json()["line"]["id"]
    assert ("copper", "Spurious copper") in classes_of(made)
    unknown = as_person(cast.ada).post("/api/v1/lines", body | {"classes_of_product": "cheese"}, format="json")
    assert (unknown.status_code, unknown.json()["detail"]) == (404, "No model here was trained for 'cheese'.")


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"name": ""}, 400),
        ({"site": "   "}, 400),
        ({"station": {"name": "Camera 1", "product": "no blanks"}}, 400),
        ({"station": {"product": "bare-pcb"}}, 400),
        ({"classes_of_line": 1}, 400),
        ({"classes": []}, 422),
        ({"classes": [{"name": "open"}, {"name": "open"}]}, 422),
        ({"name": "A"}, 409),
    ],
    ids=["no name", "blank site", "odd product", "no station", "two ways", "no class", "twice", "taken"],
)
def test_what_cannot_be_a_line_leaves_nothing(cast: Cast, as_person: Any, change: dict[str, Any], status: int) -> None:
    before = (Line.objects.count(), Station.objects.count(), Site.objects.count())
    answer = as_person(cast.ada).post("/api/v1/lines", asked(**change), format="json")
    assert answer.status_code == status, answer.json()
    assert answer.json()["detail"]
    assert (Line.objects.count(), Station.objects.count(), Site.objects.count()) == before


def test_charlie_with_the_permission_makes_a_line_and_is_its_admin(cast: Cast, as_person: Any) -> None:
    assert as_person(cast.charlie).post("/api/v1/lines", asked(), format="json").status_code == 403
    cast.charlie.user_permissions.add(Permission.objects.get(codename="add_line"))
    made = as_person(cast.charlie).post("/api/v1/lines", asked(site="Pirna"), format="json").json()["line"]
    assert Site.objects.filter(name="Pirna").exists()
    roles = as_person(cast.charlie).get("/api/v1/me").json()["roles"]
    assert {"line": made["id"], "role": "admin"} in roles
    assert as_person(cast.alice).get(f"/api/v1/stations?line={made['id']}").json() == []


def test_alice_adds_a_station_to_her_line(cast: Cast, as_person: Any) -> None:
    url = f"/api/v1/lines/{cast.line.pk}/stations"
    made = as_person(cast.alice).post(url, {"name": "Camera 3", "bit_depth": "12"}, format="json")
    assert (made.status_code, made.json()["product"], made.json()["bit_depth"]) == (201, "", "12")
    again = as_person(cast.alice).post(url, {"name": "Camera 3"}, format="json")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


def test_alice_chooses_what_a_station_looks_at(cast: Cast, as_person: Any) -> None:
    url = f"/api/v1/stations/{cast.station.pk}"
    body = as_person(cast.alice).patch(url, {"product": "steel-strip", "bit_depth": "12"}, format="json").json()
    assert (body["product"], body["bit_depth"]) == ("steel-strip", "12")
    told = [event.data["changed"] for event in Event.objects.filter(type="station.configured")]
    assert ["product", "bit_depth"] in told, "and another product begins another baseline"
    assert as_person(cast.alice).patch(url, {"product": ""}, format="json").json()["product"] == ""
    for odd in ("a" * 41, "-first", "zwei wörter", "a/b", "a\nb", "bare-pcb\n"):
        answer = as_person(cast.alice).patch(url, {"product": odd}, format="json")
        assert answer.status_code == 400 or answer.json()["product"] == odd.strip(), odd
    assert as_person(cast.bob).patch(url, {"product": "x"}, format="json").status_code == 403


def test_products_are_those_that_models_here_were_trained_for(cast: Cast, as_person: Any, as_token: Any) -> None:
    (shipped,) = as_person(cast.vera).get("/api/v1/products").json()
    assert (shipped["name"], shipped["title"], shipped["served"]) == ("bare-pcb", "Bare circuit boards", False)
    serve(["open", "short", "mousebite", "spur", "copper", "pin-hole"], product="bare-pcb")
    (served,) = as_person(cast.vera).get("/api/v1/products").json()
    assert served["served"]
    assert {"name": "copper", "title": "Spurious copper"} in served["classes"]
    assert as_person(cast.norah).get("/api/v1/products").json() == []
    assert as_token(token_for(cast.line, "ingest")).get("/api/v1/products").json() == []


def test_a_model_that_declares_nothing_and_is_not_the_shipped_one_gives_no_product(cast: Cast, as_person: Any) -> None:
    serve(STEEL)
    assert [product["name"] for product in as_person(cast.vera).get("/api/v1/products").json()] == ["bare-pcb"]
