"""What the scenarios send is what production sends: the same Item, field by field, from the same facts."""

from dataclasses import fields
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from django.utils import timezone

from aivd_web.kernel.ids import uuid7
from benchmarks.schedule.pipeline import crops_item
from benchmarks.schedule.scenarios import frame_item
from benchmarks.schedule_real.worker import request_of
from inspections.media import renditions, storage
from inspections.models import Frame, Station, Step
from inspections.pipeline import worker
from inspections.pipeline.stages import STAGES
from scheduling.policy import Item
from scheduling.policy.items import Leeway
from tests.cast import Cast, frame_row

pytestmark = [pytest.mark.stack, pytest.mark.django_db]
NOW = 1_000.0  # on the fleet's clock
AGE_S, WITHIN_S = 0.04, 0.3
GRAIN_S = 2.0  # the rows are read a moment after they were made, on a busy machine
SETTINGS = [
    ({}, Leeway()),
    ({"ladder": True}, Leeway(ladder=True)),
    ({"ladder": True, "sure_regions": Station.SureRegions.SKIPPED}, Leeway(ladder=True, skip=True)),
    ({"sure_regions": Station.SureRegions.LATER}, Leeway()),
]


def waiting_step(frame: Frame, kind: str, **more: Any) -> Step:
    """A Step that has waited for AGE_S and is wanted WITHIN_S after it was made."""
    created = timezone.now() - timedelta(seconds=AGE_S)
    return Step.objects.create(
        frame=frame, kind=kind, created_at=created, deadline_at=created + timedelta(seconds=WITHIN_S), **more
    )


def worker_item(kind: str) -> Item:
    (row,) = worker._waiting_steps(kind, 10)
    return worker.item_of(STAGES[kind], row, NOW)


def assert_the_same(ours: Item, theirs: Item) -> None:
    """All fields but the names of the request and of whose it is."""
    for field in fields(Item):
        mine, other = getattr(ours, field.name), getattr(theirs, field.name)
        if field.name in ("id", "scope"):
            continue
        if field.name in ("arrived_at", "deadline_at"):
            mine, other = pytest.approx(mine, abs=GRAIN_S), float(other)
        assert mine == other, field.name
    assert ours.deadline_at - ours.arrived_at == pytest.approx(theirs.deadline_at - theirs.arrived_at, abs=1e-3)


@pytest.mark.parametrize(("allowed", "leeway"), SETTINGS)
def test_a_frame_is_the_same_item_in_production_and_in_the_simulation(
    cast: Cast, allowed: dict[str, Any], leeway: Leeway
) -> None:
    Station.objects.filter(pk=cast.station.pk).update(**allowed)
    waiting_step(frame_row(cast.station, bytes=61_234), "detect")

    simulated = frame_item("7", 61_234, arrived_at=NOW - AGE_S, within_s=WITHIN_S, leeway=leeway)

    assert_the_same(worker_item("detect"), simulated)


@pytest.mark.parametrize(("allowed", "leeway"), SETTINGS)
def test_regions_are_the_same_item_in_production_and_in_the_simulation(
    cast: Cast, allowed: dict[str, Any], leeway: Leeway
) -> None:
    Station.objects.filter(pk=cast.station.pk).update(**allowed)
    waiting_step(frame_row(cast.station), "describe", regions=3)

    simulated = crops_item("7d", 3, sure=False, arrived_at=NOW - AGE_S, within_s=WITHIN_S, leeway=leeway)

    assert_the_same(worker_item("describe"), simulated)


@pytest.mark.parametrize(("allowed", "leeway"), SETTINGS)
@pytest.mark.parametrize("shown_bytes", [None, 23_456])
def test_a_golden_template_is_part_of_what_is_sent_in_production_and_in_the_simulation(
    cast: Cast, allowed: dict[str, Any], leeway: Leeway, shown_bytes: int | None
) -> None:
    """As it was stored until the picture for Nodes is made of it, and then as that is."""
    golden = uuid7().hex * 2
    Station.objects.filter(pk=cast.station.pk).update(template_sha256=golden, **allowed)
    station = Station.objects.get(pk=cast.station.pk)
    put(storage.template_path(station), 45_678)
    if shown_bytes:
        put(renditions.template_target(station), shown_bytes)
    waiting_step(frame_row(cast.station, bytes=61_234), "detect")

    simulated = frame_item(
        "7", 61_234, arrived_at=NOW - AGE_S, within_s=WITHIN_S, leeway=leeway, template_bytes=shown_bytes or 45_678
    )

    assert_the_same(worker_item("detect"), simulated)


def put(path: Path | None, size: int) -> None:
    assert path is not None
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"." * size)


def test_the_templates_cuts_are_part_of_what_is_sent_with_regions(cast: Cast) -> None:
    Station.objects.filter(pk=cast.station.pk).update(template_sha256=uuid7().hex * 2)
    waiting_step(frame_row(cast.station), "describe", regions=3)
    facts: dict[str, Any] = {"arrived_at": NOW - AGE_S, "within_s": WITHIN_S, "leeway": Leeway()}

    simulated = crops_item("7d", 3, sure=False, template=True, **facts)

    assert simulated.bytes > crops_item("7d", 3, sure=False, **facts).bytes
    assert_the_same(worker_item("describe"), simulated)


def test_a_frame_is_the_same_item_on_the_real_nodes_of_the_benchmark(cast: Cast) -> None:
    waiting_step(frame_row(cast.station, bytes=40_000), "detect")
    arrival: Any = SimpleNamespace(id=7, bytes=40_000, deadline_s=WITHIN_S, line="steady")

    assert_the_same(worker_item("detect"), request_of(arrival, NOW - AGE_S, "pct-lb").item)
