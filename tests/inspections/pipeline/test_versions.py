"""Promotion that reaches a node: PostgreSQL, Redis, a real node with the shipped describer, a Worker between them."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections

from finetune.models import ModelVersion
from finetune.registry import services
from inspections.models import Description, Frame, Line, Step
from inspections.pipeline.worker import Worker
from scheduling.dispatch.ledger import SharedLedger
from scheduling.dispatch.versions import ArtifactStore
from scheduling.models import Dispatch
from scheduling.services import fleet, process, redis_client
from scheduling.services.dispatching import FleetDispatcher
from scheduling.services.heartbeat import Heartbeat
from scheduling.serving.describers import SMALL, SMALL_FOLDER
from scheduling.serving.model_folder import digest_of
from scheduling.serving.nodes import NodeSpec
from tests.adapters import write_adapter
from tests.cast import Cast, add_frame
from tests.inspections.pipeline.test_worker import all_complete, polled
from tests.nodes import RunningNode, _shared_node, node_spec
from tests.waiting import eventually

pytestmark = [
    pytest.mark.stack,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("redis_server"),
]
BASE = digest_of([SMALL_FOLDER / "model.safetensors"])


def spec(name: str) -> NodeSpec:
    """Known boxes, and the shipped describer about them."""
    return node_spec(name, "edge_detector", "describer", describer=SMALL)


@pytest.fixture(scope="module")
def node(node_layout: Path) -> Iterator[RunningNode]:
    yield from _shared_node(spec("small-versions"), node_layout)


@pytest.fixture(autouse=True)
def _own_clients() -> Iterator[None]:
    redis_client.get().flushdb()
    yield
    process.current().clients.close()


@contextmanager
def working(node: RunningNode) -> Iterator[Worker]:
    for name, kind, model in (("edge", "edge", "edge_detector"), ("cloud", "cloud", "describer")):
        fleet.ensure_node(name=name, kind=kind, grpc_url=node.grpc_url, models=(model,), capacity=1)
    dispatcher = FleetDispatcher(
        ledger=SharedLedger(redis_client.get()),
        client_for=process.current().clients.of,
        artifacts=ArtifactStore(Path(settings.MEDIA_DIR) / "artifacts"),
    )
    dispatcher.refresh()
    worker = Worker(fleet=dispatcher, lease_s=60, threads=8, name="w")
    try:
        yield worker
    finally:
        worker.stop()
        connections.close_all()


def registered(line: Line, folder: Path, *, seed: int, strength: float = 1.0) -> ModelVersion:
    write_adapter(folder / f"{line.name}-{seed}", seed=seed, strength=strength)
    files = folder / f"{line.name}-{seed}"
    return services.register(line=line, kind="adapter", files=files, base=SMALL, by="alice")


def promote(version: ModelVersion) -> None:
    services.promote(version=version, by="alice", reason="for the test")


def digests_of(frames: list[Frame]) -> set[str]:
    about = Description.objects.filter(detection__frame__in=frames)
    assert about.count() >= len(frames)
    return set(about.values_list("served_model__digest", flat=True))


def test_versions_change_under_traffic_and_every_later_answer_is_the_new_ones(
    cast: Cast, node: RunningNode, tmp_path: Path
) -> None:
    first, second = (registered(cast.line, tmp_path, seed=seed) for seed in (1, 2))
    acts: list[tuple[str, Callable[[], object]]] = [
        (BASE, lambda: None),
        (first.digest, lambda: promote(first)),
        (second.digest, lambda: promote(second)),
        (first.digest, lambda: services.roll_back(line=cast.line, kind="adapter", by="bob")),
    ]
    came: list[tuple[str, list[Frame]]] = []
    with working(node) as worker, polled(worker):
        for seed, (digest, act) in enumerate(acts):
            act()  # while frames that came before it wait, or are being described
            came.append((digest, [add_frame(cast.station, 100 * seed + n) for n in range(6)]))
            latest = came[-1][1]
            eventually(lambda: Description.objects.filter(detection__frame__in=latest).exists())  # noqa: B023
        eventually(all_complete)

    # What was described after a promotion is by the new version; what waited then is by that one or a later one.
    assert digests_of(came[-1][1]) == {first.digest}
    for place, (digest, frames) in enumerate(came):
        assert digest in digests_of(frames) <= {later for later, _ in came[place:]}
    assert set(Step.objects.values_list("state", flat=True)) == {"done"}
    assert set(Step.objects.values_list("attempts", flat=True)) == {1}
    failed = Dispatch.objects.filter(outcome="failed")
    assert set(failed.values_list("error_code", flat=True)) <= {"version_missing"}


def test_two_lines_are_served_by_two_versions_on_one_node_at_once(
    cast: Cast, node: RunningNode, tmp_path: Path
) -> None:
    ours, theirs = registered(cast.line, tmp_path, seed=3), registered(cast.other_line, tmp_path, seed=4)
    promote(ours)
    promote(theirs)
    frames = {station: [add_frame(station, n) for n in range(4)] for station in (cast.station, cast.other_station)}
    with working(node) as worker, polled(worker):
        eventually(all_complete)

    assert digests_of(frames[cast.station]) == {ours.digest}
    assert digests_of(frames[cast.other_station]) == {theirs.digest}


def test_a_version_whose_weights_are_gone_is_waited_for_and_says_so_while_another_line_goes_on(
    cast: Cast, node: RunningNode, tmp_path: Path
) -> None:
    version = registered(cast.line, tmp_path, seed=5)
    promote(version)
    shutil.move(services.folder_of(version), tmp_path / "away")
    waits, goes_on = add_frame(cast.station), add_frame(cast.other_station)
    with working(node) as worker:
        worker.run_until_idle()
        step = Step.objects.get(frame=waits, kind="describe")
        assert (step.state, step.error_code) == ("waiting", "version_missing")
        assert step.error_detail == f"The weights of version {version.digest[:12]} are not in the store."
        waits.refresh_from_db()
        assert waits.decision.outcome == "fail"
        assert digests_of([goes_on]) == {BASE}

        shutil.move(tmp_path / "away", services.folder_of(version))
        Step.objects.filter(pk=step.pk).update(not_before=None)
        with polled(worker):
            eventually(all_complete)
    assert digests_of([waits]) == {version.digest}


def test_a_node_that_was_restarted_is_brought_the_version_again(
    cast: Cast, make_node: Callable[[NodeSpec], RunningNode], tmp_path: Path
) -> None:
    own = make_node(spec("restarted"))
    promote(registered(cast.line, tmp_path, seed=6))
    with working(own) as worker:
        before = add_frame(cast.station, 1)
        worker.run_until_idle()
        own.close()
        make_node(own.spec)
        after = add_frame(cast.station, 2)
        beat = Heartbeat(worker.fleet)

        def complete() -> bool:
            beat.pulse()  # it finds that the node is back
            return all_complete()

        with polled(worker):
            eventually(complete)

    assert digests_of([before]) == digests_of([after]) == {cast.line.model_versions.get().digest}
    assert Dispatch.objects.filter(error_code="version_missing").count() >= 2
