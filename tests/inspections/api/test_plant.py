"""Sites, lines, stations, vocabularies, and who is asking."""

import hashlib

import pytest

from inspections.media import storage
from inspections.models import Event
from tests import boards
from tests.cast import picture, token_for

pytestmark = [pytest.mark.stack, pytest.mark.django_db]


@pytest.mark.parametrize(
    ("person", "sites", "lines", "stations"),
    [
        ("vera", ["Dresden"], ["A"], ["Camera 1", "Camera 2"]),
        ("charlie", ["Dresden"], ["B"], ["Camera 9"]),
        ("norah", [], [], []),
        ("ada", ["Dresden"], ["A", "B"], ["Camera 1", "Camera 2", "Camera 9"]),
    ],
)
def test_each_sees_their_own_part_of_the_plant(cast, as_person, person, sites, lines, stations):
    client = as_person(getattr(cast, person))

    def names(path):
        return [row["name"] for row in client.get(f"/api/v1/{path}").json()]

    assert names("sites") == sites
    assert names("lines") == lines
    assert names("stations") == stations
    assert len(names("defect-classes")) == 6 * len(lines)


def test_lists_can_be_narrowed_to_a_line_but_not_widened(cast, as_person):
    client = as_person(cast.vera)
    assert len(client.get("/api/v1/stations", {"line": cast.line.pk}).json()) == 2
    assert client.get("/api/v1/stations", {"line": cast.other_line.pk}).json() == []
    assert client.get("/api/v1/defect-classes", {"line": "1 OR 1=1"}).status_code == 400


@pytest.mark.parametrize(
    ("person", "role", "able"),
    [
        ("vera", "viewer", {"see"}),
        ("bob", "inspector", {"see", "upload", "review", "retry", "run_demo"}),
        ("alice", "engineer", {"see", "upload", "review", "retry", "run_demo", "configure"}),
    ],
)
def test_me_says_what_i_may_do(cast, as_person, person, role, able):
    body = as_person(getattr(cast, person)).get("/api/v1/me").json()
    assert body["username"] == person
    assert body["roles"] == [{"line": cast.line.pk, "role": role}]
    assert {action for action, may in body["can"].items() if may} == able


def test_me_for_nobody_in_particular_and_for_everybody(cast, as_person, as_token):
    assert not any(as_person(cast.norah).get("/api/v1/me").json()["can"].values())
    assert all(as_person(cast.ada).get("/api/v1/me").json()["can"].values())
    machine = as_token(token_for(cast.line, "ingest")).get("/api/v1/me").json()
    assert {action for action, may in machine["can"].items() if may} == {"upload"}


def test_alice_sets_thresholds_and_the_line_hears_of_it(cast, as_person):
    client, url = as_person(cast.alice), f"/api/v1/stations/{cast.station.pk}"
    spur, short = cast.classes["spur"], cast.classes["short"]
    first = [{"defect_class": spur.pk, "min_score": 0.3}]
    assert client.patch(url, {"thresholds": first, "min_score": 0.6}, format="json").status_code == 200
    second = [{"defect_class": short.pk, "min_score": 0.9}]
    body = client.patch(url, {"thresholds": second}, format="json").json()
    assert body["thresholds"] == second  # replaced as a whole
    assert body["min_score"] == 0.6  # left as it was
    assert list(Event.objects.values_list("type", flat=True)) == ["station.configured"] * 2


@pytest.mark.parametrize(
    "change",
    [
        {"min_score": 1.1},
        {"deadline_ms": 5},
        {"context_ratio": 9},
        {"max_regions": 0},
        {"describe": "perhaps"},
        {"thresholds": [{"defect_class": 1}]},
    ],
)
def test_a_setting_out_of_range_changes_nothing(cast, as_person, change):
    answer = as_person(cast.alice).patch(f"/api/v1/stations/{cast.station.pk}", change, format="json")
    assert (answer.status_code, answer.json()["code"]) == (400, "invalid")
    assert not Event.objects.exists()


def test_a_class_of_another_line_has_no_threshold_here(cast, as_person):
    foreign = cast.other_line.defect_classes.first()
    change = {"thresholds": [{"defect_class": foreign.pk, "min_score": 0.5}]}
    answer = as_person(cast.alice).patch(f"/api/v1/stations/{cast.station.pk}", change, format="json")
    assert answer.status_code == 422


def test_the_template_is_shown_to_those_who_may_see_the_station(cast, as_person):
    url = f"/api/v1/stations/{cast.station.pk}/template"
    assert as_person(cast.vera).get(url).status_code == 404
    content = picture(5, format="PNG")
    cast.station.template_sha256 = hashlib.sha256(content).hexdigest()
    cast.station.save()
    path = storage.template_path(cast.station)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    answer = as_person(cast.vera).get(url)
    assert (answer.content, answer["Content-Type"]) == (content, "image/png")
    assert as_person(cast.charlie).get(url).status_code == 404


def test_a_template_of_a_camera_is_shown_upright_and_scaled(cast, as_person):
    """So that it lies over the frame in the viewer, whatever file it came as."""
    url = f"/api/v1/stations/{cast.station.pk}/template"
    content = boards.deep_tiff(boards.stored_rows(boards.deep(boards.board(), 12), 6), orientation=6)
    cast.station.template_sha256 = hashlib.sha256(content).hexdigest()
    cast.station.save()
    path = storage.template_path(cast.station)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    unscaled = as_person(cast.vera).get(url)
    assert (unscaled.status_code, unscaled.json()["code"]) == (404, "not_found")
    assert "up to 3,533" in unscaled.json()["detail"]
    cast.station.bit_depth = "12"
    cast.station.save()
    answer = as_person(cast.vera).get(url)
    assert answer["Content-Type"] == "image/png"
    assert boards.on_the_mark(boards.seen(answer.content))
