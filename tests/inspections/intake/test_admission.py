"""A station that asks for it refuses what would be decided too late, before anything of it is kept."""

import pytest

from inspections.media.errors import Overloaded
from inspections.models import Frame, Station
from scheduling.services import fleet, heartbeat, redis_client
from tests.cast import Cast, add_frame
from tests.inspections.fake_nodes import FakeNode, runtime_of
from tests.services import Service

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]


@pytest.fixture(autouse=True)
def _no_worker_has_told(redis_server: Service) -> None:
    """What other tests' workers foresaw stays in Redis for a while."""
    redis_client.get().flushdb()


def asks(station: Station, *, deadline_ms: int = 1_000) -> Station:
    Station.objects.filter(pk=station.pk).update(admission=True, deadline_ms=deadline_ms)
    station.refresh_from_db()
    return station


def foretold(monkeypatch: pytest.MonkeyPatch, *curve: tuple[int, float]) -> None:
    view = {"at": 1.0, "nodes": {}, "curves": {"edge_detector": [list(point) for point in curve]}}
    monkeypatch.setattr(fleet, "worker_views", lambda: [view])


def test_a_frame_that_would_be_late_is_refused_with_the_time_to_come_again(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    foretold(monkeypatch, (0, 0.4), (4, 4.4))
    station = asks(cast.station)
    kept = [add_frame(station).pk]  # nothing waits yet: it would be decided in time

    with pytest.raises(Overloaded) as refused:
        add_frame(station, 2)

    assert (refused.value.status, refused.value.retry_after_s) == (429, 1)
    assert "0.4 s after its deadline" in refused.value.detail
    assert list(Frame.objects.values_list("pk", flat=True)) == kept


def test_a_station_that_does_not_ask_takes_everything_in(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    foretold(monkeypatch, (0, 99.0), (4, 999.0))

    assert add_frame(cast.station).pk


def test_where_no_worker_foretells_anything_the_frame_is_taken_in(cast: Cast) -> None:
    assert fleet.answer_s("edge_detector", ahead=3) is None
    assert add_frame(asks(cast.station)).pk


def test_a_workers_heartbeat_tells_the_door_what_it_foresees(cast: Cast) -> None:
    runtime = runtime_of(FakeNode("edge-1"))
    runtime.state.nodes["edge-1"].service.prior_s["edge_detector"] = 3.0
    heartbeat.tell_view(runtime)

    try:
        assert fleet.answer_s("edge_detector", ahead=0) == pytest.approx(3.0, abs=0.1)
        with pytest.raises(Overloaded):
            add_frame(asks(cast.station))
    finally:
        redis_client.attempt(lambda client: client.flushdb(), otherwise=None)
