"""Two stages: a frame to an edge Node, then its crops as one batch to a cloud Node, each by its own deadline.

Where the stations allow a skip, the crops of which the edge is sure are a batch of their own, as in production.

Edge-only stops after the first stage; cloud-only sends the whole frame to the describer instead of both. Bytes and
seconds are those of the cloud: what goes over the plant's own wires costs nobody anything.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.schedule.scenarios import (
    Scenario,
    Workload,
    arrival_times,
    build_link,
    build_world,
    log_normal,
    scenario_frame,
    settings,
)
from benchmarks.schedule.simulator import Flight, Simulation
from benchmarks.schedule.world import SimNode, World
from scheduling.policy import Item, Policy
from scheduling.policy.items import (
    AS_IT_IS,
    CROP_BYTES,
    DESCRIBER,
    DETECTOR,
    Leeway,
    crops_work,
    make_item,
    regions_load,
)

STYLES = ("both", "edge-only", "cloud-only")


@dataclass(frozen=True, slots=True)
class Frames:
    """What each frame turns out to hold: its number of crops, of how many of these the edge is sure, and their output
    length against the usual.
    """

    crops: dict[str, int]
    sure: dict[str, int]
    tokens: dict[str, float]


@dataclass(slots=True)
class PipelineResult:
    on_time: float
    p95_ms: float
    bytes: float
    cloud_s: float
    actions: dict[str, int]
    arrived: int
    lost: int
    blocks: list[list[int]]


def scenarios() -> Iterator[Scenario]:
    spec = settings()["pipeline"]
    for station in spec["stations"]:
        for load in spec["loads"]:
            yield Scenario(f"pipeline@{load}/{station}", load, tuple(spec["pair"]), True, station)


def build(scenario: Scenario, seed: int, seconds: int) -> tuple[World, Workload, Frames]:
    spec = settings()["pipeline"]
    world = _world(scenario, seed, seconds)
    rate = scenario.load * _frames_a_second(world, seconds)
    rng = random.Random(f"pipeline {seed}")
    items, noise, crops, sure, tokens = [], {}, {}, {}, {}
    within_s = spec["deadline_ms"] / 1000
    for number, at in enumerate(arrival_times(scenario, rate, seconds, rng)):
        name = str(number)
        size = int(log_normal(rng, 1000 * spec["frame_kb"], 0.35))
        items.append(scenario_frame(scenario, name, size, arrived_at=at, within_s=within_s))
        noise[name] = log_normal(rng, 1.0, settings()["arrivals"]["service_cv"])
        crops[name] = _crop_count(rng)
        sure[name] = sum(rng.random() < spec["sure_share"] for _ in range(crops[name])) if scenario.leeway.skip else 0
        tokens[name] = log_normal(rng, 1.0, spec["token_sigma"])
    work = Workload(items, noise, seconds, within_s + spec["describe_within_ms"] / 1000, 5.0, rate)
    return world, work, Frames(crops, sure, tokens)


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
    crops = float(spec["crops_mean"])
    work = crops_work(crops)
    frames = world.capacity(DETECTOR, 1000 * spec["frame_kb"], 0, seconds)
    described = world.capacity(DESCRIBER, CROP_BYTES * crops / work, 0, seconds) / work
    return min(frames, described / (1 - float(spec["no_crops_share"])))


def _crop_count(rng: random.Random) -> int:
    spec = settings()["pipeline"]
    if rng.random() < spec["no_crops_share"]:
        return 0
    count, more = 1, 1 - 1 / spec["crops_mean"]
    while count < 8 and rng.random() < more:
        count += 1
    return count


class Pipeline(Simulation):
    """`style`: both stages, the first alone, or whole frames to the describer.

    A frame is on time when it was decided by its deadline and each of its descriptions came by its own, or was skipped.
    """

    def __init__(
        self,
        policy: Policy,
        work: Workload,
        world: World,
        frames: Frames,
        style: str = "both",
        leeway: Leeway = AS_IT_IS,
    ) -> None:
        if style == "cloud-only":
            work = _whole_frames(work, frames)
        super().__init__(policy, work, world)
        self.frames, self.style, self.leeway = frames, style, leeway
        self.whole = {item.id: item for item in work.items}
        self.open_parts: dict[str, int] = {}
        self.late: set[str] = set()
        self.cloud_bytes, self.cloud_s = 0.0, 0.0

    def outcome(self) -> PipelineResult:
        self.run()
        result, count, latencies = self.result, max(1, self.result.arrived), sorted(self.result.latencies_ms)
        p95 = latencies[int(0.95 * (len(latencies) - 1))] if latencies else 0.0
        return PipelineResult(
            result.on_time / count,
            p95,
            self.cloud_bytes / count,
            self.cloud_s / count,
            dict(result.actions),
            result.arrived,
            count - len(latencies),
            [result.blocks[b] for b in sorted(result.blocks)],
        )

    def send(self, placed, item, now) -> None:  # type: ignore[no-untyped-def]
        bytes_before, busy_before = self.result.bytes, self.result.busy_s
        super().send(placed, item, now)
        if self.world.nodes[placed.node].kind == "cloud":
            self.cloud_bytes += self.result.bytes - bytes_before
            self.cloud_s += self.result.busy_s - busy_before

    def skip(self, item: Item, now: float) -> None:
        super().skip(item, now)
        self.ended(item, min(now, item.deadline_at))

    def score(self, flight: Flight, now: float) -> None:
        self.note_error(flight, now)
        if flight.item.model == DETECTOR and self.style == "both":
            self.describe(flight.item, now)
        else:
            self.ended(flight.item, now)

    def describe(self, frame: Item, now: float) -> None:
        """The crops of a frame as its Steps: those that the edge is sure of by themselves."""
        self.note_lateness(frame, frame, now)
        crops, sure = self.frames.crops[frame.id], self.frames.sure[frame.id]
        parts = [(f"{frame.id}d", crops - sure, False), (f"{frame.id}s", sure, True)]
        steps = [self.crops_item(*part, now) for part in parts if part[1]]
        self.open_parts[frame.id] = len(steps)
        for step in steps:
            self.work.noise[step.id] = self.frames.tokens[frame.id]
            self.waiting[step.id] = step
        if not steps:
            self.ended(frame, now)

    def note_lateness(self, frame: Item, part: Item, now: float) -> None:
        if now > part.deadline_at:
            self.late.add(frame.id)

    def crops_item(self, name: str, regions: int, sure: bool, now: float) -> Item:
        within_s = settings()["pipeline"]["describe_within_ms"] / 1000
        return crops_item(name, regions, sure=sure, arrived_at=now, within_s=within_s, leeway=self.leeway)

    def ended(self, item: Item, now: float) -> None:
        """One part of a frame is answered or skipped."""
        frame = self.whole[item.id.rstrip("ds")]
        left = self.open_parts[frame.id] = self.open_parts.get(frame.id, 1) - 1
        self.note_lateness(frame, item, now)
        if left <= 0:
            self.note_end(frame, now, in_time=frame.id not in self.late)


def crops_item(
    name: str, regions: int, *, sure: bool, arrived_at: float, within_s: float, leeway: Leeway, template: bool = False
) -> Item:
    """Regions of one frame, as the worker would offer them to the policy."""
    load, deadline_at = regions_load(regions, sure=sure, template=template), arrived_at + within_s
    return make_item(load, id=name, model=DESCRIBER, arrived_at=arrived_at, deadline_at=deadline_at, leeway=leeway)


def _whole_frames(work: Workload, frames: Frames) -> Workload:
    """What no station sends: the frame itself to the describer, which looks at all of it."""
    extra = settings()["pipeline"]["whole_frame_units"]
    items = [
        Item(i.id, DESCRIBER, i.bytes, i.arrived_at + work.slo_s, i.arrived_at, units=float(extra + frames.crops[i.id]))
        for i in work.items
    ]
    return Workload(items, dict(frames.tokens), work.seconds, work.slo_s, work.timeout_s, work.capacity)
