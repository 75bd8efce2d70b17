"""A station's golden template over REST: from a file, from a frame, taken away, and refused where it would do harm."""

import hashlib
import io
from typing import Any

import numpy as np
import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from PIL import Image

from inspections.models import Event, Frame, Review
from inspections.pipeline.stages import STAGES
from tests.cast import add_frame, decide, frame_row, picture, token_for

pytestmark = [pytest.mark.stack, pytest.mark.django_db]


def deep_grey(brightest):
    """A 16-bit PNG of the frames' size, whose values end at `brightest`."""
    values = np.linspace(0, brightest, 64 * 48).astype(np.uint16).reshape(48, 64)
    buffer = io.BytesIO()
    Image.fromarray(values).save(buffer, "PNG")
    return buffer.getvalue()


def url(station):
    return f"/api/v1/stations/{station.pk}/template"


def put_body(client, station, content, kind="image/png"):
    return client.put(url(station), content, content_type=kind)


def put_frame(client, station, frame):
    return client.put(url(station), {"frame": str(frame.pk)}, format="json")


def test_alice_sends_a_picture_and_the_next_frame_has_it(cast, as_person):
    content = picture(5, format="PNG")
    client = as_person(cast.alice)
    answer = put_body(client, cast.station, content)
    assert (answer.status_code, answer.json()["has_template"]) == (200, True)
    assert client.get(url(cast.station)).content == content
    frame = add_frame(cast.station)
    address = client.get(f"/api/v1/frames/{frame.pk}").json()["urls"]["template"]
    assert address.startswith(url(cast.station) + "?v=")
    assert client.get(address).content == content
    event = Event.objects.get(type="station.configured")
    assert event.data == {"station": cast.station.pk, "changed": ["template"], "by": "alice"}


def test_a_form_with_one_file_does_the_same(cast, as_person):
    content = picture(5)
    file = SimpleUploadedFile("golden.jpg", content, content_type="image/jpeg")
    answer = as_person(cast.alice).put(url(cast.station), {"file": file}, format="multipart")
    assert answer.status_code == 200, answer.content
    cast.station.refresh_from_db()
    assert cast.station.template_sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("count", [0, 2])
def test_a_form_has_one_file(cast, as_person, count):
    files = {f"f{n}": io.BytesIO(picture(n)) for n in range(count)}
    answer = as_person(cast.alice).put(url(cast.station), files, format="multipart")
    assert (answer.status_code, answer.json()["code"]) == (400, "empty_body")


def test_a_frame_that_passed_becomes_the_template(cast, as_person):
    frame = add_frame(cast.station)
    decide(frame, "pass")
    client = as_person(cast.alice)
    assert put_frame(client, cast.station, frame).status_code == 200
    assert client.get(url(cast.station)).content == picture(0)


@pytest.mark.parametrize(
    ("outcome", "word", "taken"),
    [
        ("pass", None, True),
        ("pass", "good", True),
        ("pass", "defective", False),
        ("pass", "unsure", False),
        ("fail", None, False),
        ("fail", "defective", False),
        ("fail", "good", True),
        ("hold", None, False),
        ("hold", "good", True),
        ("hold", "unsure", False),
        (None, None, False),
        (None, "good", True),
    ],
)
def test_only_a_frame_without_a_defect_is_golden(cast, as_person, outcome, word, taken):
    frame = add_frame(cast.station)
    if outcome:
        decide(frame, outcome)
    if word == "unsure":
        Review.objects.create(frame=frame, reviewer=cast.bob, verdict="unsure")
    elif word:
        Review.objects.create(frame=frame, reviewer=cast.bob, verdict="settle", part=word)
    answer = put_frame(as_person(cast.alice), cast.station, frame)
    assert answer.status_code == (200 if taken else 422)
    if not taken:
        assert answer.json()["code"] == "not_golden"
    cast.station.refresh_from_db()
    assert bool(cast.station.template_sha256) == taken


def test_a_frame_of_another_station_is_none_of_this_one(cast, as_person):
    frame = add_frame(cast.second_station)
    decide(frame, "pass")
    answer = put_frame(as_person(cast.alice), cast.station, frame)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_golden")
    unseen = frame_row(cast.other_station)
    assert put_frame(as_person(cast.alice), cast.station, unseen).status_code == 404


@pytest.mark.parametrize("size_wh", [(48, 64), (128, 96), (63, 48), (1, 1)])
def test_another_size_than_the_frames_is_said_before_anything_changes(cast, as_person, size_wh):
    add_frame(cast.station)  # 64 x 48
    answer = put_body(as_person(cast.alice), cast.station, picture(5, size_wh=size_wh, format="PNG"))
    assert (answer.status_code, answer.json()["code"]) == (422, "template_size")
    assert f"{size_wh[0]} x {size_wh[1]}" in answer.json()["detail"]
    assert "64 x 48" in answer.json()["detail"]
    cast.station.refresh_from_db()
    assert cast.station.template_sha256 == ""
    assert not Event.objects.filter(type="station.configured").exists()


def test_the_newest_frame_tells_the_size(cast, as_person):
    frame_row(cast.station, width=1000, height=1000)
    add_frame(cast.station)
    assert put_body(as_person(cast.alice), cast.station, picture(5, format="PNG")).status_code == 200


@pytest.mark.parametrize(
    ("content", "status", "code"),
    [
        (b"", 400, "empty_body"),
        (b"no picture at all", 415, "not_a_picture"),
        (picture(1, format="PNG")[:-60], 422, "broken_picture"),
        (deep_grey(4095), 422, "unscaled"),
    ],
)
def test_what_a_node_cannot_use_is_refused(cast, as_person, content, status, code):
    answer = put_body(as_person(cast.alice), cast.station, content)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    cast.station.refresh_from_db()
    assert cast.station.template_sha256 == ""


@pytest.mark.parametrize("body", [{}, {"frame": "yesterday"}, {"frame": None}, []])
def test_json_that_names_no_frame_is_a_400(cast, as_person, body):
    assert as_person(cast.alice).put(url(cast.station), body, format="json").status_code == 400


def test_a_template_is_taken_away_once(cast, as_person):
    client = as_person(cast.alice)
    put_body(client, cast.station, picture(5, format="PNG"))
    for _ in range(2):
        answer = client.delete(url(cast.station))
        assert (answer.status_code, answer.json()["has_template"]) == (200, False)
    assert client.get(url(cast.station)).status_code == 404
    assert Event.objects.filter(type="station.configured").count() == 2


@pytest.mark.parametrize(
    ("person", "status"), [("bob", 403), ("vera", 403), ("charlie", 404), ("norah", 404), ("alice", 200)]
)
@pytest.mark.parametrize("act", ["put", "delete"])
def test_an_engineer_of_the_line_sets_it(cast, as_person, person, status, act):
    client = as_person(getattr(cast, person))
    if act == "put":
        answer = put_body(client, cast.station, picture(5, format="PNG"))
    else:
        answer = client.delete(url(cast.station))
    assert answer.status_code == status


def test_a_token_sets_no_template(cast, as_token):
    client = as_token(token_for(cast.line, "read", "ingest"))
    assert put_body(client, cast.station, picture(5, format="PNG")).status_code == 403


class Overheard(Exception):
    """What was asked of the node."""


@pytest.mark.parametrize("taken_away", [False, True])
def test_the_node_gets_the_template_with_the_next_frame(cast, as_person, taken_away):
    content = picture(5, format="PNG")
    put_body(as_person(cast.alice), cast.station, content)
    if taken_away:
        as_person(cast.alice).delete(url(cast.station))
    frame = Frame.objects.select_related("station", "line").get(pk=add_frame(cast.station).pk)

    class Node:
        def detect(self, sent, *, template, min_score, timeout_s):
            raise Overheard(template)

    fake: Any = Node()
    with pytest.raises(Overheard) as overheard:
        STAGES.first.build(frame).ask(fake, timeout_s=5)
    assert overheard.value.args == (b"" if taken_away else content,)


@pytest.mark.parametrize("format", ["BMP", "TIFF", "WEBP"])
def test_what_a_frame_may_be_a_template_may_be_too(cast, as_person, format):
    content = picture(5, format=format)
    client = as_person(cast.alice)
    assert put_body(client, cast.station, content).status_code == 200
    seen = client.get(url(cast.station))
    assert seen["Content-Type"] in ("image/png", "image/jpeg")  # as people and nodes see it


def test_deep_grey_is_a_template_where_the_station_says_how_deep(cast, as_person):
    cast.station.bit_depth = "12"
    cast.station.save()
    assert put_body(as_person(cast.alice), cast.station, deep_grey(4095)).status_code == 200


def test_a_frame_whose_grey_cannot_be_scaled_is_no_template(cast, as_person):
    frame = frame_row(cast.station, bit_depth=0)
    Review.objects.create(frame=frame, reviewer=cast.bob, verdict="settle", part="good")
    answer = put_frame(as_person(cast.alice), cast.station, frame)
    assert (answer.status_code, answer.json()["code"]) == (422, "not_golden")
