"""Predicted against measured: which answers count, and the figures made of them."""

from datetime import timedelta

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from scheduling.policy.percentiles import percentile
from scheduling.services.accuracy import Point, figures
from tests.cast import add_dispatch, add_node, frame_row


@pytest.mark.parametrize(
    ("ordered", "share", "value"),
    [([7], 0.95, 7), ([1, 2], 0.5, 1), (list(range(1, 101)), 0.95, 95), (list(range(1, 22)), 0.95, 20), ([1, 2], 0, 1)],
)
def test_a_percentile_is_one_of_the_values(ordered, share, value):
    assert percentile(ordered, share) == value


def test_errors_have_a_sign_and_a_size():
    measured = (90.0, 100.0, 150.0)  # each was predicted to take 100 ms
    points = [Point(n, "edge-1", "edge_detector", 100.0, value) for n, value in enumerate(measured)]
    assert figures(points) == {
        "count": 3,
        "mean_error_ms": 13.33,
        "median_error_ms": 0.0,
        "median_off_ms": 10.0,
        "p95_off_ms": 50.0,
    }
    assert figures([])["median_off_ms"] is None


@pytest.mark.stack
@pytest.mark.django_db
def test_only_answers_of_the_stretch_with_a_prediction_count(cast):
    frame = frame_row(cast.station)
    add_dispatch(frame, predicted_ms=40, measured_ms=44)
    add_dispatch(frame, predicted_ms=400, measured_ms=380, model="describer", node=add_node("cloud-1", kind="cloud"))
    add_dispatch(frame, predicted_ms=None)
    add_dispatch(frame, outcome="failed")
    add_dispatch(frame, sent_at=timezone.now() - timedelta(minutes=3))
    client = APIClient()
    client.force_login(cast.vera)

    body = client.get("/api/v1/dispatches/accuracy", {"minutes": 2}).json()

    assert body["all"] == {
        "count": 2,
        "mean_error_ms": -8.0,
        "median_error_ms": -8.0,
        "median_off_ms": 12.0,
        "p95_off_ms": 20.0,
    }
    assert [(row["node"], row["model"], row["median_error_ms"]) for row in body["by_node"]] == [
        ("cloud-1", "describer", -20.0),
        ("node-edge-1", "edge_detector", 4.0),
    ]
    assert [(point["predicted_ms"], point["measured_ms"]) for point in body["points"]] == [(400, 380), (40, 44)]
    assert client.get("/api/v1/dispatches/accuracy", {"minutes": 0}).status_code == 400
