"""Two stages under one deadline: a frame to an edge Node, then its crops as one batch to a cloud Node.

Edge-only stops after the first stage; cloud-only sends the whole frame to the describer instead of both. Bytes and
seconds are those of the cloud: what goes over the plant's own wires costs nobody anything.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.schedule.scenarios import (
    MODEL,
    Scenario,
    Workload,
    arrival_times,
    build_link,
    build_world,
    log_normal,
    settings,
)
from benchmarks.schedule.simulator import Flight, Simulation
from benchmarks.schedule.world import SimNode, World
from scheduling.policy import Item, Policy, Quality

DESCRIBER = "describer"
LADDER = (
    Quality("JPEG 75", 75, 1.0, 0.62),
    Quality("JPEG 50", 50, 1.0, 0.42),
)
STYLES = ("both", "edge-only", "cloud-only")


@dataclass(frozen=True, slots=True)
class Frames:
    """What each frame turns out to hold: its number of crops, and their output length against the usual."""

    crops: dict[str, int]
    tokens: dict[str, float]


@dataclass(slots=True)
class PipelineResult:
    on_time: float
    p95_ms: float
    bytes: float
    cloud_s: float
    deferred: float
    arrived: int
    blocks: list[list[int]]


def scenarios() -> Iterator[Scenario]:
    spec = settings()["pipeline"]
    for load in spec["loads"]:
        yield Scenario(f"pipeline@{load}", load, tuple(spec["pair"]), True)


def build(scenario: Scenario, seed: int, seconds: int) -> tuple[World, Workload, Frames]:
    spec = settings()["pipeline"]
    world = _world(scenario, seed, seconds)
    rate = scenario.load * _frames_a_second(world, seconds)
    rng = random.Random(f"pipeline {seed}")
    items, noise, crops, tokens = [], {}, {}, {}
    for number, at in enumerate(arrival_times(scenario, rate, seconds, rng)):
        name = str(number)
        size = int(log_normal(rng, 1000 * spec["frame_kb"], 0.35))
        items.append(Item(name, MODEL, size, at + spec["deadline_ms"] / 1000, at, reserve_s=0.2))
        noise[name] = log_normal(rng, 1.0, settings()["arrivals"]["service_cv"])
        crops[name] = _crop_count(rng)
        tokens[name] = log_normal(rng, 1.0, spec["token_sigma"])
    work = Workload(items, noise, seconds, spec["deadline_ms"] / 1000, 5.0, rate)
    return world, work, Frames(crops, tokens)


def _world(scenario: Scenario, seed: int, seconds: int) -> World:
    spec = settings()["pipeline"]
    world = build_world(scenario, seed, seconds)
    edges = {name: node for name, node in world.nodes.items() if node.kind == "edge"}
    rng = random.Random(f"cloud {seed}")
    for cloud in spec["cloud"]:
        link = build_link(cloud["link"], scenario.pair, rng, seconds)
        service = {DESCRIBER: spec["crop_ms"] / 1000}
        edges[cloud["name"]] = SimNode(cloud["name"], "cloud", cloud["slots"], service, cloud["rtt_ms"] / 1000, link)
    return World(edges)


def _frames_a_second(world: World, seconds: int) -> float:
    spec = settings()["pipeline"]
    crops = (1 - spec["no_crops_share"]) * spec["crops_mean"]
    frames = world.capacity(MODEL, 1000 * spec["frame_kb"], 0, seconds)
    described = world.capacity(DESCRIBER, 1000 * spec["crop_kb"], 0, seconds) / crops
    return float(min(frames, described))


def _crop_count(rng: random.Random) -> int:
    spec = settings()["pipeline"]
    if rng.random() < spec["no_crops_share"]:
        return 0
    count, more = 1, 1 - 1 / spec["crops_mean"]
    while count < 8 and rng.random() < more:
        count += 1
    return count


class Pipeline(Simulation):
    """`style`: both stages, the first alone, or whole frames to the describer."""

    def __init__(self, policy: Policy, work: Workload, world: World, frames: Frames, style: str = "both") -> None:
        if style == "cloud-only":
            work = _whole_frames(work, frames)
        super().__init__(policy, work, world)
        self.frames, self.style = frames, style
        self.cloud_bytes, self.cloud_s = 0.0, 0.0

    def outcome(self) -> PipelineResult:
        self.run()
        count, latencies = max(1, self.result.arrived), sorted(self.result.latencies_ms)
        p95 = latencies[int(0.95 * (len(latencies) - 1))] if latencies else 0.0
        return PipelineResult(
            self.result.on_time / count,
            p95,
            self.cloud_bytes / count,
            self.cloud_s / count,
            self.result.refused / count,
            self.result.arrived,
            [self.result.blocks[b] for b in sorted(self.result.blocks)],
        )

    def send(self, placed, item, now) -> None:  # type: ignore[no-untyped-def]
        bytes_before, busy_before = self.result.bytes, self.result.busy_s
        super().send(placed, item, now)
        if self.world.nodes[placed.node].kind == "cloud":
            self.cloud_bytes += self.result.bytes - bytes_before
            self.cloud_s += self.result.busy_s - busy_before

    def score(self, flight: Flight, now: float) -> None:
        name = flight.item.id
        crops = self.frames.crops.get(name, 0)
        if flight.item.model == MODEL and self.style == "both" and crops:
            self._describe(flight.item, crops, now)
        else:
            super().score(flight, now)

    def _describe(self, frame: Item, crops: int, now: float) -> None:
        size = 1000 * settings()["pipeline"]["crop_kb"] * crops
        name = f"{frame.id}d"
        self.work.noise[name] = self.frames.tokens[frame.id]
        self.waiting[name] = Item(
            name,
            DESCRIBER,
            size,
            frame.deadline_at,
            frame.arrived_at,
            units=float(crops),
            qualities=LADDER,
            deferrable=True,
        )


def _whole_frames(work: Workload, frames: Frames) -> Workload:
    extra = settings()["pipeline"]["whole_frame_units"]
    items = [
        Item(i.id, DESCRIBER, i.bytes, i.deadline_at, i.arrived_at, units=float(extra + frames.crops[i.id]))
        for i in work.items
    ]
    return Workload(items, dict(frames.tokens), work.seconds, work.slo_s, work.timeout_s, work.capacity)
