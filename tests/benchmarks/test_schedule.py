"""The simulator tells the truth about queues, links and faults, and pct-lb earns its place on a small stretch."""

from typing import Any

import pytest

from benchmarks.schedule import figures, pipeline, runs
from benchmarks.schedule.links import Link, SteadyLink, synthetic
from benchmarks.schedule.scenarios import Workload, at_capacity, build_workload, build_world, one_stage
from benchmarks.schedule.simulator import simulate
from benchmarks.schedule.world import SimNode, World
from scheduling.policy import POLICIES, Item
from scheduling.policy.baselines.base import Baseline
from scheduling.policy.items import AS_IT_IS
from scheduling.policy.pct_lb import PctLb
from scheduling.services import policies

MODEL = "edge_detector"


def sim_node(*, slots=1, rate=1e6, **options):
    return SimNode("edge", "edge", slots, {MODEL: 0.040}, 0.010, SteadyLink(rate), **options)


def scenario(prefix):
    return next(s for s in one_stage() if s.name.startswith(prefix))


@pytest.mark.parametrize(
    ("start", "size", "end"),
    [(0.0, 50.0, 0.5), (0.5, 50.0, 1.0), (0.5, 60.0, 2.0), (1.0, 10.0, 2.0), (0.0, 310.0, 3.0)],
)
def test_a_link_carries_what_each_second_allows(start, size, end):
    link = Link((100.0, 10.0, 200.0), 0, 6)

    assert link.finish(start, size) == pytest.approx(end)


def test_requests_queue_in_the_uplink_and_for_the_slot():
    node = sim_node()
    first = node.send(0.0, 10_000, MODEL, 1.0, 2.0)
    second = node.send(0.0, 10_000, MODEL, 1.0, 2.0)

    assert (first.at, first.queue_ms) == (pytest.approx(0.060), pytest.approx(0))
    assert (second.at, second.queue_ms) == (pytest.approx(0.100), pytest.approx(30))


def test_what_the_clairvoyant_foresees_is_what_happens():
    node = sim_node(slots=2, slow=[(0.05, 0.2, 3.0)])
    for number in range(8):
        foreseen = node.answer_at(number / 50, 9_000, MODEL, 1.1)
        assert node.send(number / 50, 9_000, MODEL, 1.1, 5.0).at == foreseen


@pytest.mark.parametrize(
    ("fault", "code", "at"),
    [
        ({"killed": [(0.03, 1.0)]}, "unavailable", 0.035),
        ({"killed": [(0.0, 1.0)]}, "unavailable", 0.010),
        ({"stopped": [(0.03, 0.5)]}, "", 0.53),
        ({"stopped": [(0.03, 9.0)]}, "timeout", 2.0),
    ],
)
def test_faults_look_to_the_client_as_they_do_in_life(fault, code, at):
    outcome = sim_node(**fault).send(0.0, 10_000, MODEL, 1.0, 2.0)

    assert (outcome.code, outcome.at) == (code, pytest.approx(at))


def test_an_upload_that_times_out_frees_the_uplink():
    node = sim_node(rate=1_000)
    assert node.send(0.0, 10_000, MODEL, 1.0, 2.0).code == "timeout"

    assert node.uplink_free_at == 2.0


def test_the_same_seed_is_the_same_day_and_another_seed_is_not():
    spec = scenario("network@0.4")

    def day(seed):
        work = build_workload(spec, build_world(spec, seed, 3), seed, 3)
        return [(i.arrived_at, i.bytes) for i in work.items], work.noise

    assert day(1) == day(1)
    assert day(1) != day(2)


def test_a_synthetic_trace_is_the_same_everywhere_and_has_outages():
    rates = synthetic("driving-1")

    assert rates == synthetic("driving-1")
    assert min(rates) == 1000.0
    assert max(rates) > 1e6


def test_every_arrival_is_accounted_for():
    spec = scenario("crash@0.6")
    work = build_workload(spec, build_world(spec, 3, 4), 3, 4)
    for name in ("pct-lb", "peak-ewma", "peak-ewma+admission"):
        world = build_world(spec, 3, 4)
        result = simulate(runs.make(name, 3, world, work), work, world)

        assert result.arrived == len(work.items)
        assert (len(result.latencies_ms), result.lost) == (result.arrived, 0)
        assert sum(done for _, done in result.blocks.values()) == result.on_time


@pytest.mark.parametrize("prefix", ["network@0.6/static-2", "slowdowns@0.6", "crash@0.6"])
def test_pct_lb_is_not_behind_the_rules_people_use(prefix):
    found = runs.shares(["pct-lb", "shortest-expected-delay", "least-outstanding"], scenario(prefix), seed=5, seconds=5)

    assert found["pct-lb"] >= max(found["shortest-expected-delay"], found["least-outstanding"]) - 0.002
    assert found["pct-lb"] > 0.9


def test_pct_lb_holds_nine_tenths_of_the_capacity_on_wires():
    found = runs.shares(["pct-lb", "round-robin"], at_capacity(0.90), seed=0, seconds=5)

    assert found["pct-lb"] >= 0.99
    assert found["round-robin"] < 0.9


def test_a_frame_is_done_when_its_crops_are_described():
    spec = next(iter(pipeline.scenarios()))
    world, work, frames = pipeline.build(spec, 2, 4)
    both = pipeline.Pipeline(runs.make("pct-lb", 2, world, work), work, world, frames).outcome()
    assert both.lost == 0
    world, work, frames = pipeline.build(spec, 2, 4)
    edge = pipeline.Pipeline(runs.make("edge-only", 2, world, work), work, world, frames, "edge-only").outcome()
    world, work, frames = pipeline.build(spec, 2, 4)
    cloud = pipeline.Pipeline(runs.make("cloud-only", 2, world, work), work, world, frames, "cloud-only").outcome()

    assert edge.bytes == edge.cloud_s == 0
    assert 0 < both.bytes <= cloud.bytes / 2
    assert both.on_time >= cloud.on_time


def names(found):
    return [scenario.name for scenario in found]


@pytest.mark.parametrize("name", names(one_stage())[::3] + names(pipeline.scenarios()))
def test_only_the_actions_that_a_scenario_names_occur(name):
    spec = next(s for s in (*one_stage(), *pipeline.scenarios()) if s.name == name)
    if name.startswith("pipeline"):
        world, work, frames = pipeline.build(spec, 4, 4)
        ours = runs.make("pct-lb", 4, world, work)
        found: Any = pipeline.Pipeline(ours, work, world, frames, leeway=spec.leeway).outcome()
    else:
        world = build_world(spec, 4, 4)
        work = build_workload(spec, world, 4, 4)
        found = simulate(runs.make("pct-lb", 4, world, work), work, world)

    assert set(found.actions) <= set(spec.actions)
    assert found.lost == 0


def test_the_first_scenario_is_a_station_as_it_is_made():
    assert next(iter(one_stage())).station == next(iter(pipeline.scenarios())).station == "as-made"


def test_where_the_stations_allow_it_the_sure_regions_are_skipped_when_the_cloud_is_too_slow():
    spec = next(s for s in pipeline.scenarios() if s.station == "ladder-and-skip")
    world, work, frames = pipeline.build(spec, 2, 6)
    for cloud in world.nodes.values():
        if cloud.kind == "cloud":
            cloud.link = SteadyLink(4_000.0)
    ours = runs.make("pct-lb", 2, world, work)
    found = pipeline.Pipeline(ours, work, world, frames, leeway=spec.leeway).outcome()

    assert found.actions["skip"] > 0


def test_an_interval_of_a_clear_difference_excludes_zero():
    better = [{"seed": 0, "blocks": [[100, 99]] * 20}]
    worse = [{"seed": 0, "blocks": [[100, 90]] * 20}]

    assert figures.difference(better, worse) == (pytest.approx(0.09), pytest.approx(0.09))
    assert figures.difference(better, better) == (0, 0)


def stalling_world():
    """Two Nodes on wires; the faster one's link carries next to nothing from 0.5 s on."""
    stalls = Link((1e6, 1e3, 1e3, 1e3), 0, 8)
    fast = SimNode("fast", "edge", 2, {MODEL: 0.020}, 0.002, stalls)
    slow = SimNode("slow", "edge", 2, {MODEL: 0.060}, 0.002, SteadyLink(1e7))
    return World({"fast": fast, "slow": slow})


def test_what_a_stalled_link_holds_is_called_back_and_answered_in_time_elsewhere():
    items = [Item(str(n), MODEL, 20_000, 0.9 + n / 10 + 0.3, 0.9 + n / 10) for n in range(6)]
    work = Workload(items, {i.id: 1.0 for i in items}, 3, 0.3, 2.0, 10.0)

    without = simulate(PctLb(reissues=False), work, stalling_world())
    reissuing = simulate(PctLb(), work, stalling_world())

    assert reissuing.on_time == reissuing.arrived
    assert without.on_time < without.arrived


def test_a_policy_that_is_registered_is_compared_like_every_other(monkeypatch):
    class LastNode(Baseline):
        name = "last-node"

        def choose(self, item, nodes, now):
            return nodes[-1]

    monkeypatch.setitem(POLICIES, "last-node", lambda rng: LastNode())
    spec = scenario("slowdowns@0.6")

    assert {"last-node", "last-node+admission"} <= set(runs.everyone())
    found = runs.shares(["last-node", "last-node+admission"], spec, seed=3, seconds=2)
    assert all(0 <= share <= 1 for share in found.values())
    assert "last-node" in {each["name"] for each in policies.described()}


def test_a_rule_is_held_against_ours_on_the_seeds_that_it_ran_on():
    def row(seed, in_time):
        return {"seed": seed, "blocks": [[100, in_time]] * 6}

    table = {
        "pct-lb": [row(1, 90), row(2, 100)],
        "clairvoyant": [row(1, 99), row(2, 100)],
        "random": [row(1, 80)],
        "c3": [row(1, 85), row(2, 99)],
    }

    assert figures.best(table, admission=False) == ("c3", pytest.approx(0.92))
    assert [(name, round(gap, 3)) for name, gap, *_ in figures.nearest(table)] == [("c3", 0.03), ("random", 0.1)]


def rows(*in_time, **more):
    """A row for each seed, of 6 stretches with 100 arrivals."""
    facts = {"actions": {"send": 600}, "lost": 0} | more
    return [{"seed": seed, "blocks": [[100, each]] * 6, **facts} for seed, each in enumerate(in_time)]


def test_an_interval_knows_that_the_stretches_of_a_seed_are_alike():
    """On two of three seeds the rule is ahead by ten points, on one it is behind by ten: nothing is proven."""
    low, high = figures.difference(rows(90, 90, 100), rows(100, 100, 90))

    assert (low, high) == (pytest.approx(-0.1), pytest.approx(0.1))


def test_the_last_line_names_what_was_asked_for_and_was_not_so():
    allowed = {"made": ("send", "wait"), "two": ("send", "wait"), "missing": ("send",)}
    made = {
        "pct-lb": rows(90, 91, actions={"send": 600, "skip": 2}, lost=3),
        "c3": rows(95, 96),
        "random": rows(90, 91),
    }
    two = {"pct-lb": rows(90, 91), "edge-only": rows(100, 100)}

    assert figures.shortfalls({"made": made}, {"two": two}, allowed) == [
        "missing did not run.",
        "made: 6 requests were lost.",
        "made: 'skip' occurred, which its stations do not allow.",
        "made: c3 is above pct-lb, +5.00 to +5.00 points.",
    ]
    fine = {"pct-lb": rows(90, 91), "edge-only": rows(80, 100)}
    assert figures.shortfalls({"made": fine}, {}, {"made": ("send", "wait")}) == []


def test_a_golden_template_is_sent_whole_in_every_quality():
    spec = scenario("template@0.6")
    world = build_world(spec, 1, 2)
    work = build_workload(spec, world, 1, 2)

    assert {item.fixed_bytes for item in work.items} == {60_000}
    for item in work.items:
        frame = item.bytes - 60_000
        assert [item.bytes_at(rung) for rung in item.qualities] == [60_000 + 0.62 * frame, 60_000 + 0.42 * frame]


def test_crops_of_a_frame_are_a_batch_that_costs_little_more_than_the_first():
    """As measured on the shipped describer: eight in a batch about twice the work of one."""
    one, eight = (pipeline.crops_item("d", n, sure=False, arrived_at=0, within_s=1, leeway=AS_IT_IS) for n in (1, 8))

    assert (one.units, eight.units) == (1.0, pytest.approx(2.05))
    assert (one.bytes, eight.bytes) == (6_000, 48_000)
