"""What a person says of a part and of the machine, over REST: its two sides, marks, two people, twice is once."""

import itertools
from importlib import import_module
from pathlib import Path

import pytest
from django.db import connection

from inspections import migrations
from inspections.models import Event, Mark, Review
from tests.cast import add_detection, decide, finished_frame, frame_row

pytestmark = [pytest.mark.stack, pytest.mark.django_db]


def mark(detection, **more):
    values = {
        "detection": str(detection.pk),
        "defect_class": detection.defect_class_id,
        "box_xyxy": list(detection.box_xyxy),
    }
    return values | more


def send(client, frame, key=None, **body):
    headers = {} if key is None else {"HTTP_IDEMPOTENCY_KEY": key}
    return client.post(f"/api/v1/frames/{frame.pk}/reviews", body, format="json", **headers)


def decided(cast, outcome):
    frame = frame_row(cast.station)
    if outcome is not None:
        decide(frame, outcome)
    return frame


# -- the machine and the part -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "said", "verdict", "part"),
    [
        ("fail", {"part": "defective"}, "accept", "defective"),
        ("fail", {"part": "good"}, "reject", "good"),
        ("pass", {"part": "good"}, "accept", "good"),
        ("pass", {"part": "defective"}, "reject", "defective"),
        ("hold", {"part": "good"}, "settle", "good"),
        ("hold", {"part": "defective"}, "settle", "defective"),
        (None, {"part": "good"}, "settle", "good"),
        (None, {"part": "defective"}, "settle", "defective"),
        ("fail", {"verdict": "accept"}, "accept", "defective"),
        ("fail", {"verdict": "reject"}, "reject", "good"),
        ("pass", {"verdict": "accept"}, "accept", "good"),
        ("pass", {"verdict": "reject"}, "reject", "defective"),
        ("hold", {"verdict": "accept"}, "accept", ""),  # nothing is said of the part
        ("hold", {"verdict": "reject"}, "reject", ""),
        (None, {"verdict": "accept"}, "accept", ""),
        ("fail", {"verdict": "unsure"}, "unsure", ""),
        ("hold", {"verdict": "unsure"}, "unsure", ""),
        ("fail", {"verdict": "accept", "part": "defective"}, "accept", "defective"),
        ("hold", {"verdict": "settle", "part": "good"}, "settle", "good"),
    ],
)
def test_a_word_about_the_part_says_what_the_machine_is_worth_and_the_other_way_round(
    cast, as_person, outcome, said, verdict, part
):
    answer = send(as_person(cast.bob), decided(cast, outcome), **said)
    assert answer.status_code == 201, answer.content
    assert (answer.json()["verdict"], answer.json()["part"]) == (verdict, part)


VERDICTS, PARTS = ("accept", "reject", "unsure", "settle"), ("good", "defective")


@pytest.mark.parametrize(
    ("outcome", "verdict", "part"), list(itertools.product(("pass", "fail", "hold", None), VERDICTS, PARTS))
)
def test_two_words_that_do_not_fit_each_other_are_never_stored(cast, as_person, outcome, verdict, part):
    machine = {"pass": "good", "fail": "defective"}.get(outcome)
    fits = verdict == ("settle" if machine is None else "accept" if machine == part else "reject")
    answer = send(as_person(cast.bob), decided(cast, outcome), verdict=verdict, part=part)
    if fits:
        assert answer.status_code == 201
        return
    wanted = (422, "contradiction") if verdict == "unsure" else (409, "decision_changed")
    assert (answer.status_code, answer.json()["code"]) == wanted
    assert answer.json()["hint"]
    assert not Review.objects.exists()


def test_a_settling_word_without_the_part_is_no_word(cast, as_person):
    answer = send(as_person(cast.bob), decided(cast, "hold"), verdict="settle")
    assert (answer.status_code, answer.json()["code"]) == (422, "contradiction")


# -- what is confirmed ------------------------------------------------------------------------------


def test_a_region_below_its_threshold_is_not_confirmed_by_the_way(cast, as_person):
    frame = frame_row(cast.station)
    counted, faint = add_detection(frame, score=0.9), add_detection(frame, score=0.2)
    decide(frame)
    client = as_person(cast.bob)
    answer = send(client, frame, part="defective", marks=[mark(counted), mark(faint)])
    assert (answer.status_code, answer.json()["code"]) == (422, "below_threshold")
    assert not Review.objects.exists()
    assert not Event.objects.exists()
    assert send(client, frame, part="defective", marks=[mark(counted)]).status_code == 201
    assert Mark.objects.count() == 1


@pytest.mark.parametrize(
    "word",
    [
        lambda cast: {"restored": True},
        lambda cast: {"defect_class": cast.classes["short"].pk},
        lambda cast: {"box_xyxy": [8, 10, 34, 44]},
    ],
    ids=["restored", "another class", "another box"],
)
def test_a_persons_own_word_on_a_faint_region_is_kept(cast, as_person, word):
    frame = frame_row(cast.station)
    faint = add_detection(frame, score=0.2)
    decide(frame, "pass")
    answer = send(as_person(cast.bob), frame, part="defective", marks=[mark(faint, **word(cast))])
    assert answer.status_code == 201, answer.content
    assert [row["detection"] for row in answer.json()["marks"]] == [str(faint.pk)]


@pytest.mark.parametrize(("outcome", "said"), [("fail", "part"), ("fail", "verdict"), ("pass", "part")])
def test_a_good_part_has_no_marks(cast, as_person, outcome, said):
    frame = frame_row(cast.station)
    region = add_detection(frame)
    decide(frame, outcome)
    body = {"part": "good"} if said == "part" else {"verdict": "reject"}
    answer = send(as_person(cast.bob), frame, marks=[mark(region)], **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "contradiction")
    assert not Review.objects.exists()


# -- two people -------------------------------------------------------------------------------------


def test_who_contradicts_another_is_told_and_the_latest_stands(cast, as_person):
    frame = decided(cast, "fail")
    assert send(as_person(cast.bob), frame, part="defective").json()["contradicts"] == []
    answer = send(as_person(cast.alice), frame, part="good").json()
    assert (answer["contradicts"], answer["stands"]) == (["bob"], True)
    seen = as_person(cast.vera).get(f"/api/v1/frames/{frame.pk}").json()["reviews"]
    assert [(one["reviewer"], one["stands"], one["contradicts"]) for one in seen] == [
        ("alice", True, ["bob"]),
        ("bob", False, ["alice"]),
    ]
    assert Event.objects.order_by("-seq").first().data["contradicts"] == ["bob"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([("bob", "defective"), ("alice", "defective")], []),
        ([("bob", "defective"), ("bob", "good")], []),  # a second thought is no quarrel
        ([("bob", "defective"), ("bob", "good"), ("alice", "good")], []),
        ([("bob", "good"), ("bob", "unsure"), ("alice", "defective")], []),
        ([("bob", "good"), ("ada", "good"), ("alice", "defective")], ["ada", "bob"]),
        ([("bob", "good"), ("alice", "unsure")], []),
    ],
)
def test_only_the_last_word_of_each_counts(cast, as_person, words, told):
    frame = decided(cast, "hold")
    for person, word in words:
        said = {"verdict": "unsure"} if word == "unsure" else {"part": word}
        answer = send(as_person(getattr(cast, person)), frame, **said)
    assert answer.json()["contradicts"] == told


def test_reading_many_reviews_takes_no_more_queries(cast, as_person, django_assert_max_num_queries):
    frame = finished_frame(cast.station)
    for _ in range(5):
        send(as_person(cast.bob), frame, part="good")
        send(as_person(cast.alice), frame, part="defective")
    client = as_person(cast.vera)
    with django_assert_max_num_queries(11):
        assert len(client.get(f"/api/v1/frames/{frame.pk}").json()["reviews"]) == 10


# -- twice is once ----------------------------------------------------------------------------------


def test_the_same_key_twice_is_one_review(cast, as_person):
    frame = finished_frame(cast.station)
    body = {"part": "defective", "note": "Scratch.", "marks": [mark(frame.detections.first())]}
    first = send(as_person(cast.bob), frame, key="k-1", **body)
    again = send(as_person(cast.bob), frame, key="k-1", **body)
    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json()["id"] == again.json()["id"]
    assert Review.objects.count() == 1
    assert Event.objects.filter(type="frame.reviewed").count() == 1


def test_a_retry_is_the_same_though_the_decision_has_come_meanwhile(cast, as_person):
    frame = frame_row(cast.station)
    first = send(as_person(cast.bob), frame, key="k-1", part="good")
    decide(frame, "fail")
    again = send(as_person(cast.bob), frame, key="k-1", part="good")
    assert (again.status_code, again.json()["id"]) == (200, first.json()["id"])


@pytest.mark.parametrize("change", [{"part": "good", "marks": []}, {"note": "Other."}, {"marks": []}])
def test_a_key_is_for_one_review_only(cast, as_person, change):
    frame = finished_frame(cast.station)
    body = {"part": "defective", "note": "Scratch.", "marks": [mark(frame.detections.first())]}
    assert send(as_person(cast.bob), frame, key="k-1", **body).status_code == 201
    answer = send(as_person(cast.bob), frame, key="k-1", **(body | change))
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_conflict")
    other = send(as_person(cast.bob), finished_frame(cast.station), key="k-1", **body)
    assert other.status_code == 422
    assert Review.objects.count() == 1


def test_two_people_may_use_one_key(cast, as_person):
    frame = decided(cast, "fail")
    assert send(as_person(cast.bob), frame, key="k-1", part="good").status_code == 201
    assert send(as_person(cast.alice), frame, key="k-1", part="good").status_code == 201


@pytest.mark.parametrize("key", ["x" * 181, "schlüssel", "a\tb"])
def test_a_key_that_cannot_be_one_is_refused(cast, as_person, key):
    answer = send(as_person(cast.bob), decided(cast, "fail"), key=key, part="good")
    assert (answer.status_code, answer.json()["code"]) == (400, "bad_idempotency_key")


# -- what was said before there was a part ----------------------------------------------------------


@pytest.mark.parametrize(
    ("outcome", "verdict", "marked", "part"),
    [
        ("fail", "accept", True, "defective"),
        ("fail", "accept", False, "defective"),
        ("fail", "reject", False, "good"),
        ("fail", "reject", True, ""),  # wrong, and yet with defects: nobody knows what was meant
        ("pass", "accept", False, "good"),
        ("pass", "accept", True, ""),
        ("pass", "reject", True, "defective"),
        ("hold", "accept", False, ""),
        ("hold", "reject", False, ""),
        ("fail", "unsure", False, ""),
    ],
)
def test_an_upgrade_names_the_part_where_an_earlier_verdict_meant_one(cast, outcome, verdict, marked, part):
    (path,) = Path(migrations.__path__[0]).glob("*_desk.py")
    frame = decided(cast, outcome)
    review = Review.objects.create(frame=frame, reviewer=cast.bob, verdict=verdict)
    if marked:
        Mark.objects.create(review=review, defect_class=cast.classes["open"], x1=1, y1=1, x2=9, y2=9, from_model=False)
    with connection.cursor() as cursor:
        cursor.execute(import_module(f"inspections.migrations.{path.stem}").NAME_THE_PART)
    review.refresh_from_db()
    assert review.part == part
