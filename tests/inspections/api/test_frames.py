"""Frames over REST: what the JSON says, who may see it, and what a person may say of it."""

from io import BytesIO
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection
from django.test import AsyncClient
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from PIL import Image

from inspections.intake import ingest
from inspections.media import storage
from inspections.models import Event, Frame, Review, Step
from tests.cast import (
    add_detection,
    add_dispatch,
    add_frame,
    decide,
    finished_frame,
    frame_row,
    picture,
    token_for,
)

pytestmark = [pytest.mark.stack, pytest.mark.django_db]


def step(frame, kind, state, **more):
    running = {"lease_until": timezone.now()} if state == "running" else {}
    return Step.objects.create(frame=frame, kind=kind, state=state, deadline_at=frame.deadline_at, **running, **more)


# -- one frame --------------------------------------------------------------------------------------


def test_a_finished_frame_tells_everything_that_was_found_and_by_whom(cast, as_person):
    frame = finished_frame(cast.station)
    body = as_person(cast.vera).get(f"/api/v1/frames/{frame.pk}").json()
    assert body["state"] == "complete"
    assert body["station"] == {"id": cast.station.pk, "name": "Camera 1"}
    assert body["decision"]["outcome"] == "fail"
    assert [entry["kind"] for entry in body["steps"]] == ["detect", "describe"]
    region = body["regions"][0]
    assert region["box_xyxy"] == [10, 12, 30, 40]
    assert region["defect_class"]["name"] == "open"
    assert region["model"] == {"name": "yolo26n-pcb", "version": "1"}
    assert region["description"]["state"] == "done"
    assert region["description"]["text"]["appearance"] == "A gap."
    assert body["dispatches"]["detect"] == {
        "node": "node-edge-1",
        "predicted_ms": 41.0,
        "measured_ms": 44.0,
        "quality": "",
    }
    assert body["urls"]["template"] is None


@pytest.mark.parametrize(
    ("detect", "decided", "completed", "state"),
    [
        ("waiting", False, False, "queued"),
        ("running", False, False, "running"),
        ("done", True, False, "decided"),
        ("done", True, True, "complete"),
    ],
)
def test_the_state_of_a_frame(cast, as_person, detect, decided, completed, state):
    frame = frame_row(cast.station)
    step(frame, "detect", detect)
    if decided:
        decide(frame)
    if completed:
        Frame.objects.filter(pk=frame.pk).update(completed_at=timezone.now())
    assert as_person(cast.vera).get(f"/api/v1/frames/{frame.pk}").json()["state"] == state


@pytest.mark.parametrize(
    ("describe", "expected"),
    [("waiting", "pending"), ("running", "streaming"), ("failed", None), ("done", None), (None, None)],
)
def test_a_description_that_is_not_there_says_whether_it_is_coming(cast, as_person, describe, expected):
    frame = frame_row(cast.station)
    add_detection(frame)
    if describe:
        step(frame, "describe", describe)
    description = as_person(cast.vera).get(f"/api/v1/frames/{frame.pk}").json()["regions"][0]["description"]
    assert (description and description["state"]) == expected


def test_regions_that_will_not_be_described_are_not_called_pending(cast, as_person):
    cast.station.max_regions = 1
    cast.station.save()
    frame = frame_row(cast.station)
    add_detection(frame, score=0.2)  # does not count
    add_detection(frame, score=0.9)
    add_detection(frame, score=0.8)  # one too many
    step(frame, "describe", "waiting")
    regions = as_person(cast.vera).get(f"/api/v1/frames/{frame.pk}").json()["regions"]
    assert [bool(region["description"]) for region in regions] == [False, True, False]


def test_the_last_attempt_of_a_step_is_the_one_that_is_shown(cast, as_person):
    frame = frame_row(cast.station)
    add_dispatch(frame, outcome="failed", measured_ms=None)
    add_dispatch(frame, attempt=2, measured_ms=50.0)
    client = as_person(cast.vera)
    assert client.get(f"/api/v1/frames/{frame.pk}").json()["dispatches"]["detect"]["measured_ms"] == 50.0
    attempts = client.get(f"/api/v1/frames/{frame.pk}/dispatches").json()
    assert [row["attempt"] for row in attempts] == [1, 2]
    assert attempts[0]["alternatives"][0]["why_not"] == "slower"


def test_two_steps_that_ask_the_same_model_each_show_their_own_request(cast, as_person):
    frame = frame_row(cast.station)
    unsure, sure, tried = (step(frame, kind, "done") for kind in ("describe", "describe_sure", "shadow"))
    add_dispatch(frame, model="describer", item=str(sure.pk), measured_ms=70.0, quality="JPEG 50")
    add_dispatch(frame, model="describer", item=str(unsure.pk), measured_ms=60.0)
    add_dispatch(frame, model="describer", item=str(tried.pk), measured_ms=900.0)

    shown = as_person(cast.vera).get(f"/api/v1/frames/{frame.pk}").json()["dispatches"]

    assert {kind: (one["measured_ms"], one["quality"]) for kind, one in shown.items()} == {
        "describe": (60.0, ""), "describe_sure": (70.0, "JPEG 50"), "shadow": (900.0, ""),
    }  # fmt: skip


# -- the list ---------------------------------------------------------------------------------------


def test_the_list_goes_back_page_by_page_without_a_frame_twice(cast, as_person):
    frames = [frame_row(cast.station) for _ in range(5)]
    client = as_person(cast.vera)
    seen, before = [], None
    while True:
        page = client.get("/api/v1/frames", {"limit": 2} | ({"before": before} if before else {})).json()
        seen += [entry["id"] for entry in page["frames"]]
        before = page["next_before"]
        if before is None:
            break
    assert seen == sorted((str(frame.pk) for frame in frames), reverse=True)


def test_the_number_of_queries_does_not_grow_with_the_frames(cast, as_person):
    client = as_person(cast.vera)
    finished_frame(cast.station)

    def queries():
        with CaptureQueriesContext(connection) as captured:
            assert client.get("/api/v1/frames").status_code == 200
        return len(captured)

    one = queries()
    for _ in range(6):
        frame = finished_frame(cast.second_station, regions=4)
        Review.objects.create(frame=frame, reviewer=cast.bob, verdict="accept")
    assert queries() <= one + 1  # the marks are asked for only where there are reviews
    assert one <= 9


def test_filters_narrow_the_list(cast, as_person):
    failed, passed, undecided = (frame_row(cast.station) for _ in range(3))
    decide(failed, "fail")
    decide(passed, "pass")
    elsewhere = frame_row(cast.second_station)
    Review.objects.create(frame=failed, reviewer=cast.bob, verdict="reject")
    Review.objects.create(frame=failed, reviewer=cast.bob, verdict="accept")
    client = as_person(cast.vera)

    def ids(**query):
        return {entry["id"] for entry in client.get("/api/v1/frames", query).json()["frames"]}

    def of(*frames):
        return {str(frame.pk) for frame in frames}

    assert ids(decision="fail") == of(failed)
    assert ids(decision="none") == of(undecided, elsewhere)
    assert ids(station=cast.second_station.pk) == of(elsewhere)
    assert ids(line=cast.other_line.pk) == set()
    assert ids(verdict="accept") == of(failed)  # the newest review counts
    assert ids(verdict="reject") == set()
    assert ids(verdict="none") == of(passed, undecided, elsewhere)


@pytest.mark.parametrize(
    "query",
    [
        {"limit": "0"},
        {"limit": "201"},
        {"limit": "many"},
        {"before": "yesterday"},
        {"decision": "maybe"},
        {"station": "1e400"},
        {"station": str(2**63)},
        {"min_score": "nan"},
        {"max_score": "2"},
        {"disagreement": "perhaps"},
        {"since": "yesterday"},
        {"reviews__reviewer__password__startswith": "a"},
    ],
)
def test_a_filter_that_makes_no_sense_is_refused_with_its_name(cast, as_person, query):
    answer = as_person(cast.vera).get("/api/v1/frames", query)
    assert answer.status_code == 400
    assert answer.json()["code"] == "invalid"
    assert set(answer.json()["fields"]) == set(query)


# -- who may see ------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/picture", "/thumbnail", "/dispatches"])
@pytest.mark.parametrize("stranger", ["charlie", "norah"])
def test_strangers_find_nothing_where_alices_frame_is(cast, as_person, path, stranger):
    frame = add_frame(cast.station)
    url = f"/api/v1/frames/{frame.pk}{path}"
    assert as_person(cast.vera).get(url).status_code == 200
    answer = as_person(getattr(cast, stranger)).get(url)
    assert answer.status_code == 404
    assert answer.json()["code"] == "not_found"


def test_a_strangers_list_is_empty_and_a_superusers_is_not(cast, as_person):
    frame_row(cast.station)
    assert as_person(cast.charlie).get("/api/v1/frames").json()["frames"] == []
    assert len(as_person(cast.ada).get("/api/v1/frames").json()["frames"]) == 1


def test_an_inactive_person_is_signed_out(cast, as_person):
    client = as_person(cast.vera)
    cast.vera.is_active = False
    cast.vera.save()
    assert client.get("/api/v1/frames").status_code == 401


def test_a_reading_token_sees_its_line_and_a_stations_token_its_station(cast, as_token):
    here, beside, elsewhere = (
        frame_row(station) for station in (cast.station, cast.second_station, cast.other_station)
    )

    def ids(text):
        return {entry["id"] for entry in as_token(text).get("/api/v1/frames").json()["frames"]}

    assert ids(token_for(cast.line, "read")) == {str(here.pk), str(beside.pk)}
    assert ids(token_for(cast.line, "read", station=cast.station)) == {str(here.pk)}
    assert ids(token_for(cast.line, "ingest")) == set()
    reader = as_token(token_for(cast.line, "read"))
    assert reader.get(f"/api/v1/frames/{elsewhere.pk}").status_code == 404


# -- reviews ----------------------------------------------------------------------------------------


def test_bob_reviews_a_frame_and_the_line_hears_of_it(cast, as_person):
    frame = finished_frame(cast.station)
    confirmed, corrected = frame.detections.all()
    short = cast.classes["short"]
    answer = as_person(cast.bob).post(
        f"/api/v1/frames/{frame.pk}/reviews",
        {
            "verdict": "accept",
            "note": "Two opens.",
            "marks": [
                {
                    "detection": str(confirmed.pk),
                    "defect_class": confirmed.defect_class_id,
                    "box_xyxy": list(confirmed.box_xyxy),
                },
                {"detection": str(corrected.pk), "defect_class": short.pk, "box_xyxy": [10, 12, 30, 40]},
                {"defect_class": short.pk, "box_xyxy": [100, 100, 120, 130]},
            ],
        },
        format="json",
    )
    assert answer.status_code == 201, answer.content
    assert [mark["from_model"] for mark in answer.json()["marks"]] == [True, False, False]
    assert answer.json()["reviewer"] == "bob"
    event = Event.objects.get(line=cast.line)
    assert (event.type, event.frame_id, event.data["verdict"]) == ("frame.reviewed", frame.pk, "accept")
    reviews = as_person(cast.vera).get(f"/api/v1/frames/{frame.pk}").json()["reviews"]
    assert [review["note"] for review in reviews] == ["Two opens."]


@pytest.mark.parametrize(("person", "status"), [("vera", 403), ("charlie", 404), ("norah", 404)])
def test_who_may_not_review(cast, as_person, person, status):
    frame = finished_frame(cast.station)
    answer = as_person(getattr(cast, person)).post(
        f"/api/v1/frames/{frame.pk}/reviews", {"verdict": "accept"}, format="json"
    )
    assert answer.status_code == status
    assert not Review.objects.exists()


def test_a_token_never_judges(cast, as_token):
    frame = finished_frame(cast.station)
    client = as_token(token_for(cast.line, "read", "ingest"))
    answer = client.post(f"/api/v1/frames/{frame.pk}/reviews", {"verdict": "accept"}, format="json")
    assert answer.status_code == 403


@pytest.mark.parametrize(
    ("box", "why"),
    [
        ([30, 12, 10, 40], "not inside"),
        ([10, 12, 10, 40], "not inside"),
        ([-1, 12, 30, 40], "not inside"),
        ([10, 12, 641, 40], "not inside"),
    ],
)
def test_a_mark_outside_the_frame_is_refused_and_nothing_is_stored(cast, as_person, box, why):
    frame = frame_row(cast.station)
    marks = [{"defect_class": cast.classes["open"].pk, "box_xyxy": box}]
    answer = as_person(cast.bob).post(
        f"/api/v1/frames/{frame.pk}/reviews", {"verdict": "reject", "marks": marks}, format="json"
    )
    assert answer.status_code == 422
    assert answer.json()["code"] == "bad_mark"
    assert why in answer.json()["detail"]
    assert not Review.objects.exists()
    assert not Event.objects.exists()


def test_a_mark_belongs_to_this_frame_and_this_lines_vocabulary(cast, as_person):
    frame, other = frame_row(cast.station), frame_row(cast.station)
    foreign_detection = add_detection(other)
    foreign_class = cast.other_line.defect_classes.first()
    own_class = cast.classes["open"]
    for mark in (
        {"defect_class": foreign_class.pk, "box_xyxy": [1, 1, 5, 5]},
        {"defect_class": own_class.pk, "detection": str(foreign_detection.pk), "box_xyxy": [1, 1, 5, 5]},
    ):
        answer = as_person(cast.bob).post(
            f"/api/v1/frames/{frame.pk}/reviews", {"verdict": "reject", "marks": [mark]}, format="json"
        )
        assert (answer.status_code, answer.json()["code"]) == (422, "bad_mark")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"verdict": "maybe"},
        {"verdict": "accept", "note": "x" * 2001},
        {"verdict": "accept", "marks": [{"defect_class": 1, "box_xyxy": [1, 2, 3]}]},
        {"verdict": "accept", "marks": [{"defect_class": 2**70, "box_xyxy": [1, 2, 3, 4]}]},
        {"verdict": "accept", "note": "a\x00b"},
        ["accept"],
    ],
)
def test_a_review_that_makes_no_sense_is_a_400(cast, as_person, body):
    frame = frame_row(cast.station)
    answer = as_person(cast.bob).post(f"/api/v1/frames/{frame.pk}/reviews", body, format="json")
    assert answer.status_code == 400, answer.content
    assert answer.json()["code"] == "invalid"


# -- retry ------------------------------------------------------------------------------------------


def test_a_dead_letter_goes_back_into_the_queue(cast, as_person):
    frame = frame_row(cast.station)
    failed = step(frame, "detect", "failed", attempts=6, error_detail="The node said no.")
    client = as_person(cast.bob)
    shown = client.get(f"/api/v1/frames/{frame.pk}").json()["steps"][0]
    assert shown["error"] == "The node said no."
    assert as_person(cast.vera).post(f"/api/v1/frames/{frame.pk}/retry").status_code == 403
    answer = client.post(f"/api/v1/frames/{frame.pk}/retry")
    assert (answer.status_code, answer.json()["state"]) == (200, "queued")
    failed.refresh_from_db()
    assert (failed.state, failed.attempts) == ("waiting", 0)
    again = client.post(f"/api/v1/frames/{frame.pk}/retry")
    assert (again.status_code, again.json()["code"]) == (409, "conflict")


# -- pictures ---------------------------------------------------------------------------------------


def test_the_stored_picture_comes_back_byte_for_byte_and_harmless(cast, as_person):
    frame = add_frame(cast.station, seed=3)
    answer = as_person(cast.vera).get(f"/api/v1/frames/{frame.pk}/picture")
    assert answer.content == picture(3)
    assert answer["Content-Type"] == "image/jpeg"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in answer["Content-Security-Policy"]
    assert answer["Content-Disposition"] == f'inline; filename="{frame.pk}.jpg"'
    assert "no-cache" in answer["Cache-Control"]


def test_who_has_the_picture_is_told_so(cast, as_person):
    frame = add_frame(cast.station)
    client, url = as_person(cast.vera), f"/api/v1/frames/{frame.pk}/picture"
    etag = client.get(url)["ETag"]
    assert client.get(url, HTTP_IF_NONE_MATCH=etag).status_code == 304
    # ... but only while they may see it.
    assert as_person(cast.charlie).get(url, HTTP_IF_NONE_MATCH=etag).status_code == 404


@pytest.mark.parametrize(
    ("asked", "status", "piece"),
    [
        ("bytes=0-9", 206, slice(0, 10)),
        ("bytes=5-", 206, slice(5, None)),
        ("bytes=-7", 206, slice(-7, None)),
        ("bytes=0-999999", 200, slice(None)),
        ("bytes=1-0", 416, None),
        ("bytes=999999-", 416, None),
        ("bytes=-0", 416, None),
        ("bytes=-", 200, slice(None)),
        ("bytes=0-1,5-6", 200, slice(None)),
        ("lines=0-1", 200, slice(None)),
        ("bytes=" + "9" * 5000 + "-", 200, slice(None)),
    ],
)
def test_ranges(cast, as_person, asked, status, piece):
    whole = picture(0)
    frame = add_frame(cast.station)
    answer = as_person(cast.vera).get(f"/api/v1/frames/{frame.pk}/picture", HTTP_RANGE=asked)
    assert answer.status_code == status
    if piece is not None:
        assert answer.content == whole[piece]
    else:
        assert answer.json()["code"] == "range_outside"
        assert answer["Content-Range"] == f"bytes */{len(whole)}"


@pytest.mark.django_db(transaction=True)
async def test_a_large_picture_is_streamed_in_pieces(cast):
    frame = await sync_to_async(frame_row)(cast.station)
    content = bytes(range(256)) * 8192  # 2 MiB
    path = storage.picture_path(frame)
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    client = AsyncClient()
    await client.aforce_login(cast.vera)
    answer: Any = await client.get(f"/api/v1/frames/{frame.pk}/picture", headers={"Range": "bytes=100-"})
    assert answer.is_async
    assert answer["Content-Length"] == str(len(content) - 100)
    assert b"".join([piece async for piece in answer.streaming_content]) == content[100:]


def test_a_thumbnail_is_small_made_once_and_a_jpeg_whatever_came_in(cast, as_person, settings):
    png = picture(1, size_wh=(1200, 800), format="PNG")
    frame = ingest.add_frame(station=cast.station, data=png, sender="test").frame
    client, url = as_person(cast.vera), f"/api/v1/frames/{frame.pk}/thumbnail"
    answer = client.get(url)
    assert answer["Content-Type"] == "image/jpeg"
    assert Image.open(BytesIO(answer.content)).size == (480, 320)
    (made,) = (settings.MEDIA_DIR / "derived").rglob("*.jpg")
    before = made.stat().st_mtime_ns
    assert client.get(url).content == answer.content
    assert made.stat().st_mtime_ns == before
