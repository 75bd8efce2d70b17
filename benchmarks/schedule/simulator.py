"""Discrete-event simulator of one stage: arrivals, answers, failures, probes and ticks around a policy object.

The policy sees what a worker's client sees: when it sent, when the answer came, the Node's service and queue times and
a health probe a second. It never sees when an upload ended, nor the World, unless it is the clairvoyant.
"""

import heapq
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from benchmarks.schedule.scenarios import Workload
from benchmarks.schedule.world import World
from scheduling.policy import FleetState, Item, NodeState, Placed, Policy
from scheduling.policy.items import looked_at
from scheduling.policy.node import REISSUED
from scheduling.policy.types import FULL_QUALITY, Action

TICK_S = 0.010
PROBE_S = 1.0
MOST_ATTEMPTS = 3
BLOCK_S = 5.0
GIVEN_BACK_S = 0.5  # how long what failed three times waits, as a Step does
DRAIN_S = 60.0  # after the last arrival, at most; what is not answered by then counts as lost


@dataclass(slots=True)
class Result:
    """Counts and latencies of one run.

    latencies_ms: of everything answered, on time or not. blocks: for each stretch of BLOCK_S seconds, how many arrived
    and how many of these were answered in time; the intervals are made from them. actions: what became of waiting
    requests, how often; a request that waits is counted once.
    """

    arrived: int = 0
    on_time: int = 0
    actions: Counter[str] = field(default_factory=Counter)
    given_back: int = 0
    bytes: float = 0.0
    busy_s: float = 0.0
    blocks: dict[int, list[int]] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)
    errors: list[float] = field(default_factory=list)

    @property
    def share(self) -> float:
        return self.on_time / max(1, self.arrived)

    @property
    def lost(self) -> int:
        """Neither answered nor skipped when the run was over."""
        return self.arrived - len(self.latencies_ms) - self.actions["skip"]


@dataclass(slots=True)
class Flight:
    item: Item
    node: str
    predicted_ms: float | None
    sent_at: float
    reissuable: bool


def new_state(world: World) -> FleetState:
    """What a worker knows of the fleet before the first request: declared profiles, and one probe of each Node."""
    nodes = []
    for sim in world.nodes.values():
        node = NodeState(sim.name, kind=sim.kind, capacity=sim.slots, models=frozenset(sim.service_s))
        node.service.prior_s.update(sim.service_s)
        node.link.observe_round_trip(sim.rtt_s)
        nodes.append(node)
    return FleetState.of(nodes)


class Simulation:
    def __init__(self, policy: Policy, workload: Workload, world: World) -> None:
        self.policy, self.work, self.world = policy, workload, world
        self.state = new_state(world)
        self.result = Result(arrived=len(workload.items))
        for item in workload.items:
            self.block(item)[0] += 1
        self.waiting: dict[str, Item] = {}
        self.kept_waiting: set[str] = set()
        self.paused = 0
        self.attempts: dict[str, int] = {}
        self.flights: dict[str, Flight] = {}
        self.events: list[tuple[float, int, str, Any]] = []
        self.count = 0
        self.ticking = False

    def run(self) -> Result:
        for index, name in enumerate(self.world.nodes):
            self.at(PROBE_S * (index + 1) / len(self.world.nodes), "probe", name)
        arrivals = iter(self.work.items)
        item = next(arrivals, None)
        events = self.events
        now, ends_at = 0.0, self.work.seconds + DRAIN_S
        while now < ends_at and (item is not None or self.flights or self.waiting or self.paused):
            if item is not None and (not events or item.arrived_at <= events[0][0]):
                now = item.arrived_at
                self.waiting[item.id] = item
                item = next(arrivals, None)
            else:
                now, _, kind, payload = heapq.heappop(events)
                getattr(self, kind)(now, payload)
            if self.waiting:
                self.decide(now)
        return self.result

    def block(self, item: Item) -> list[int]:
        return self.result.blocks.setdefault(int(item.arrived_at / BLOCK_S), [0, 0])

    def at(self, when: float, kind: str, payload: Any) -> None:
        self.count += 1
        heapq.heappush(self.events, (when, self.count, kind, payload))

    def decide(self, now: float) -> None:
        for placed in self.policy.place(looked_at(self.waiting.values(), now), self.state, now):
            if placed.node is not None:
                self.send(placed, self.waiting.pop(placed.item_id), now)
            elif placed.action == "skip":
                self.skip(self.waiting.pop(placed.item_id), now)
            elif placed.item_id not in self.kept_waiting:
                self.kept_waiting.add(placed.item_id)
                self.result.actions["wait"] += 1
        if self.waiting and not self.ticking:
            self.ticking = True
            self.at(now + TICK_S, "tick", None)

    def skip(self, item: Item, now: float) -> None:
        self.result.actions["skip"] += 1

    def send(self, placed: Placed, item: Item, now: float) -> None:
        assert placed.node is not None
        size = item.bytes_at(placed.quality)
        request = f"{item.id}.{self.attempts.get(item.id, 0)}"
        node = self.world.nodes[placed.node]
        timeout_s = self.work.timeout_s if placed.reissue_s is None else min(placed.reissue_s, self.work.timeout_s)
        outcome = node.send(now, size, item.model, item.units * self.work.noise[item.id], timeout_s)
        self.state.nodes[placed.node].sent(request, now, size, item.model, item.units)
        self.flights[request] = Flight(item, placed.node, placed.predicted_ms, now, timeout_s < self.work.timeout_s)
        self.result.actions[placed.action] += 1
        self.result.bytes += size
        self.result.busy_s += outcome.busy_s
        self.at(outcome.at, "hear", (request, outcome))

    def hear(self, now: float, payload: Any) -> None:
        request, outcome = payload
        flight = self.flights.pop(request)
        node = self.state.nodes[flight.node]
        if not outcome.code:
            node.answered(request, now, outcome.service_ms, outcome.queue_ms, 1)
            self.score(flight, now)
            return
        reissued = flight.reissuable and outcome.code == "timeout"
        node.failed(request, now, REISSUED if reissued else outcome.code)
        item = flight.item
        self.attempts[item.id] = self.attempts.get(item.id, 0) + 1
        if item.attempt < MOST_ATTEMPTS:
            excluded = item.excluded if reissued else item.excluded | {flight.node}
            self.waiting[item.id] = replace(item, excluded=excluded, attempt=item.attempt + 1)
        else:  # as a Step that is given back: after a pause, and any Node may try it
            self.result.given_back += 1
            self.paused += 1
            self.at(now + GIVEN_BACK_S, "again", replace(item, excluded=frozenset(), attempt=1))

    def again(self, now: float, item: Item) -> None:
        self.paused -= 1
        self.waiting[item.id] = item

    def score(self, flight: Flight, now: float) -> None:
        self.note_error(flight, now)
        self.note_end(flight.item, now, in_time=now <= flight.item.deadline_at)

    def note_end(self, item: Item, now: float, *, in_time: bool) -> None:
        self.result.on_time += in_time
        self.block(item)[1] += in_time
        self.result.latencies_ms.append(1000 * (now - item.arrived_at))

    def note_error(self, flight: Flight, now: float) -> None:
        if flight.predicted_ms:
            took = 1000 * (now - flight.sent_at)
            self.result.errors.append(abs(flight.predicted_ms - took) / max(took, 1e-9))

    def tick(self, now: float, _: Any) -> None:
        self.ticking = False

    def probe(self, now: float, name: str) -> None:
        took = self.world.nodes[name].probe(now)
        self.at(now + (1.0 if took is None else took), "probed", (name, took))
        if self.flights or self.waiting or now < self.work.seconds:
            self.at(now + PROBE_S, "probe", name)

    def probed(self, now: float, payload: Any) -> None:
        name, took = payload
        self.state.nodes[name].probed(now, None if took is None else 1000 * took, ok=took is not None)


class Clairvoyant:
    """Greedy with true future bandwidth and service time; drops what no Node can answer in time."""

    name = "clairvoyant"

    def __init__(self, world: World, work: Workload) -> None:
        self.world, self.work = world, work

    def place(self, waiting: list[Item], state: FleetState, now: float) -> list[Placed]:
        return [self._place(item, now) for item in waiting[:1]]

    def _place(self, item: Item, now: float) -> Placed:
        work = item.units * self.work.noise[item.id]
        names = [n for n in self.world.nodes if n not in item.excluded]
        for quality in (FULL_QUALITY, *item.qualities):
            size = item.bytes_at(quality)
            done_at, name = min((self.world.nodes[n].answer_at(now, size, item.model, work), n) for n in names)
            if done_at <= item.deadline_at:
                action: Action = "send" if quality is FULL_QUALITY else "degrade"
                return Placed(item.id, action, node=name, quality=quality)
        return Placed(item.id, "skip")


def simulate(policy: Policy, workload: Workload, world: World) -> Result:
    return Simulation(policy, workload, world).run()
