"""What a person narrows the frames by before looking through them, and the counts beside each choice."""

from datetime import timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from inspections.models import Review
from inspections.services import review_queue
from tests.cast import add_description, add_detection, decide, describer, detector, finished_frame, frame_row

pytestmark = [pytest.mark.stack, pytest.mark.django_db]


@pytest.fixture
def ids(cast, as_person):
    client = as_person(cast.vera)

    def asked(**query):
        answer = client.get("/api/v1/frames", query)
        assert answer.status_code == 200, answer.json()
        return [entry["id"] for entry in answer.json()["frames"]]

    return asked


@pytest.fixture
def counts(cast, as_person):
    client = as_person(cast.vera)

    def asked(**query):
        answer = client.get("/api/v1/frames/counts", query)
        assert answer.status_code == 200, answer.json()
        return answer.json()

    return asked


def of(*frames):
    return [str(frame.pk) for frame in frames]


def disputed_frame(station, *, says="short", counts=True, valid=True):
    """A frame on which the detector found an open, and the describer names `says`."""
    frame = frame_row(station)
    found = add_detection(frame, name="open", score=0.9 if counts else 0.2)
    add_description(found, valid=valid, answer={"defect_class": says} if says else {"appearance": "A gap."})
    return frame


@pytest.mark.parametrize(
    ("case", "disagree"),
    [
        ({"says": "short"}, True),
        ({"says": "no defect"}, True),
        ({"says": "open"}, False),
        ({"says": None}, False),  # it named nothing
        ({"says": "short", "valid": False}, False),  # an answer that is not used
        ({"says": "short", "counts": False}, False),  # below the threshold
    ],
)
def test_a_frame_is_disputed_where_the_describer_names_another_class(cast, ids, case, disagree):
    frame = disputed_frame(cast.station, **case)
    assert ids(disagreement="true") == (of(frame) if disagree else [])
    assert ids(disagreement="false") == ([] if disagree else of(frame))


def test_the_conditions_on_a_region_hold_for_one_and_the_same_region(cast, ids):
    frame = frame_row(cast.station)
    add_detection(frame, name="open", score=0.95)
    add_detection(frame, name="short", score=0.55)
    short, opening = cast.classes["short"].pk, cast.classes["open"].pk
    assert ids(defect_class=short, max_score=0.6) == of(frame)
    assert ids(defect_class=opening, max_score=0.6) == []
    assert ids(min_score=0.9) == of(frame)
    assert ids(min_score=0.96) == []


def test_a_class_means_regions_that_count_unless_a_score_is_asked_for(cast, ids):
    frame = frame_row(cast.station)
    add_detection(frame, name="open", score=0.1)
    opening = cast.classes["open"].pk
    assert ids(defect_class=opening) == []
    assert ids(defect_class=opening, min_score=0) == of(frame)


def test_a_model_is_one_that_found_or_described_a_region(cast, ids):
    frame, bare = finished_frame(cast.station), frame_row(cast.station)
    add_detection(bare)
    assert ids(model=detector().pk) == of(bare, frame)
    assert ids(model=describer().pk) == of(frame)


def test_part_and_file_name_are_searched_for_a_piece_of_them(cast, ids):
    frame = frame_row(cast.station, name="Board-4711-top.jpg")
    other = frame_row(cast.station, name="other.jpg")
    assert ids(part="4711") == of(frame)
    assert ids(part="board") == of(frame)
    assert ids(part="%") == []
    assert other.pk != frame.pk


def test_a_stretch_of_time_takes_in_its_beginning_and_not_its_end(cast, ids):
    frame = frame_row(cast.station)
    now = timezone.now()
    hour = timedelta(hours=1)
    assert ids(since=(now - hour).isoformat()) == of(frame)
    assert ids(since=(now + hour).isoformat()) == []
    assert ids(until=(now - hour).isoformat()) == []
    assert ids(until=(now + hour).isoformat()) == of(frame)


# -- counts -----------------------------------------------------------------------------------------


def test_counts_tell_what_each_choice_would_show(cast, counts):
    judged, held, fresh = finished_frame(cast.station), frame_row(cast.second_station), frame_row(cast.station)
    decide(held, "hold")
    Review.objects.create(frame=judged, reviewer=cast.bob, verdict="reject")
    Review.objects.create(frame=judged, reviewer=cast.bob, verdict="accept")
    told = counts()
    assert (told["total"], told["capped"], told["disagreements"]) == (3, False, 0)
    assert told["decisions"] == {"fail": 1, "hold": 1, "none": 1}
    assert told["verdicts"] == {"accept": 1, "none": 2}
    assert {row["name"]: row["count"] for row in told["stations"]} == {
        cast.station.name: 2,
        cast.second_station.name: 1,
    }
    assert [(row["name"], row["count"]) for row in told["classes"]] == [("open", 1)]
    assert {row["name"]: row["count"] for row in told["models"]} == {detector().name: 1, describer().name: 1}
    assert fresh.pk is not None


def test_the_counts_of_a_filter_leave_that_filter_out_and_keep_the_others(cast, counts):
    failed, held = finished_frame(cast.station), frame_row(cast.second_station)
    decide(held, "hold")
    told = counts(decision="hold", station=cast.second_station.pk)
    assert told["total"] == 1
    assert told["decisions"] == {"hold": 1}
    assert [row["name"] for row in told["stations"]] == [cast.second_station.name]
    assert counts(decision="hold")["decisions"] == {"fail": 1, "hold": 1}
    assert failed.pk is not None


def test_counts_are_of_what_one_may_see(cast, as_person):
    finished_frame(cast.station)
    assert as_person(cast.charlie).get("/api/v1/frames/counts").json()["total"] == 0


def test_more_frames_than_are_counted_are_said_to_be_more(cast, counts, monkeypatch):
    monkeypatch.setattr(review_queue, "MOST_COUNTED", 2)
    for _ in range(3):
        frame_row(cast.station)
    told = counts()
    assert (told["total"], told["capped"], told["decisions"]) == (2, True, {"none": 2})


def test_the_counts_take_a_fixed_number_of_queries(cast, as_person):
    client = as_person(cast.vera)
    for _ in range(4):
        finished_frame(cast.station, regions=3)
    with CaptureQueriesContext(connection) as captured:
        assert client.get("/api/v1/frames/counts").status_code == 200
    assert len(captured) <= 16


@pytest.mark.parametrize("query", [{"limit": "5"}, {"before": "x"}, {"min_score": "nan"}])
def test_a_filter_that_counts_know_nothing_of_is_refused_with_its_name(cast, as_person, query):
    answer = as_person(cast.vera).get("/api/v1/frames/counts", query)
    assert answer.status_code == 400
    assert set(answer.json()["fields"]) == set(query)
