"""Turns `scenarios.toml` into one day of work: arrivals, payloads and a fleet with its weather, all from a seed.

Every policy of a benchmark gets the very same arrivals, payloads, service noise and weather.
"""

import math
import random
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from benchmarks.schedule.links import Link, SteadyLink, trace
from benchmarks.schedule.world import SimNode, World
from scheduling.policy.items import AS_IT_IS, DETECTOR, Leeway, frame_load, make_item
from scheduling.policy.types import Item


@dataclass(frozen=True, slots=True)
class Scenario:
    """One row of the results: `pair` names the traces behind the static and the driving link, None for wires.

    `station` names what its stations let the scheduler do, and so the actions that may occur.
    """

    name: str
    load: float
    pair: tuple[str, str] | None
    slowdowns: bool
    station: str
    faults: tuple[dict[str, Any], ...] = ()
    burst_cv: float = 2.0
    tide: float = 0.25

    @property
    def leeway(self) -> Leeway:
        spec = settings()["stations"][self.station]
        return Leeway(ladder=spec.get("ladder", False), skip=spec.get("skip", False))

    @property
    def template_bytes(self) -> int:
        """What goes with every frame beside it."""
        return int(1000 * settings()["stations"][self.station].get("template_kb", 0))

    @property
    def actions(self) -> tuple[str, ...]:
        """What may become of a waiting request."""
        return tuple(settings()["stations"][self.station]["actions"])


@dataclass(frozen=True, slots=True)
class Workload:
    items: list[Item]
    noise: dict[str, float]
    seconds: float
    slo_s: float
    timeout_s: float
    capacity: float


@lru_cache(maxsize=1)
def settings() -> dict[str, Any]:
    return tomllib.loads(Path(__file__).with_name("scenarios.toml").read_text())


def one_stage() -> Iterator[Scenario]:
    for name, spec in settings()["scenario"].items():
        for load in spec["loads"]:
            pairs = settings()["pairs"] if spec.get("traces") else [None]
            for pair in pairs:
                label = f"{name}@{load}" + (f"/{pair[0]}+{pair[1]}" if pair else "")
                faults = tuple(spec.get("faults", ()))
                traces = tuple(pair) if pair else None
                yield Scenario(label, load, traces, spec.get("slowdowns", False), spec["station"], faults)


def at_capacity(load: float) -> Scenario:
    """Wires and Poisson arrivals at this share of the capacity bound."""
    spec = settings()["capacity"]
    return Scenario(f"capacity@{load}", load, None, False, spec["station"], (), spec["burst_cv"], spec["tide"])


def build_world(scenario: Scenario, seed: int, seconds: int) -> World:
    rng = random.Random(f"world {scenario.pair} {scenario.slowdowns} {seed}")
    nodes = {}
    for spec in settings()["fleet"]:
        node = SimNode(
            spec["name"],
            spec["kind"],
            spec["slots"],
            {DETECTOR: spec["detect_ms"] / 1000},
            spec["rtt_ms"] / 1000,
            build_link(spec["link"], scenario.pair, rng, seconds),
            slow=_slow_windows(rng, seconds) if scenario.slowdowns else [],
        )
        for fault in scenario.faults:
            if fault["node"] == node.name:
                getattr(node, fault["kind"]).append((fault["from"] * seconds, fault["to"] * seconds))
        nodes[node.name] = node
    return World(nodes)


def build_link(kind: str, pair: tuple[str, str] | None, rng: random.Random, seconds: int) -> Link:
    offset = rng.random()
    if kind == "lan":
        return SteadyLink(settings()["lan"]["rate_mbit_s"] * 1e6 / 8)
    if pair is None:
        return SteadyLink(settings()["steady"][f"{kind}_mbit_s"] * 1e6 / 8)
    rates = trace(pair[0] if kind == "static" else pair[1])
    return Link(rates, int(offset * len(rates)), seconds + 120)


def _slow_windows(rng: random.Random, seconds: int) -> list[tuple[float, float, float]]:
    spec = settings()["slowdowns"]
    windows, at = [], rng.expovariate(1 / (spec["every_s"] - spec["lasts_s"]))
    while at < seconds:
        windows.append((at, at + spec["lasts_s"], float(spec["factor"])))
        at += spec["lasts_s"] + rng.expovariate(1 / (spec["every_s"] - spec["lasts_s"]))
    return windows


def build_workload(scenario: Scenario, world: World, seed: int, seconds: int) -> Workload:
    spec = settings()["arrivals"]
    size = 1000 * spec["payload_kb"]
    capacity = world.capacity(DETECTOR, size + scenario.template_bytes, 0, seconds)
    rng = random.Random(f"work {seed}")
    items, noise = [], {}
    for number, at in enumerate(arrival_times(scenario, scenario.load * capacity, seconds, rng)):
        bytes_ = int(log_normal(rng, size, spec["payload_sigma"]))
        item = scenario_frame(scenario, str(number), bytes_, arrived_at=at, within_s=spec["slo_ms"] / 1000)
        items.append(item)
        noise[item.id] = log_normal(rng, 1.0, spec["service_cv"])
    return Workload(items, noise, seconds, spec["slo_ms"] / 1000, spec["timeout_s"], capacity)


def frame_item(
    name: str, size: int, *, arrived_at: float, within_s: float, leeway: Leeway = AS_IT_IS, template_bytes: int = 0
) -> Item:
    """A frame of one tile, as the worker would offer it to the policy."""
    load, deadline_at = frame_load(size, 1, template_bytes), arrived_at + within_s
    return make_item(load, id=name, model=DETECTOR, arrived_at=arrived_at, deadline_at=deadline_at, leeway=leeway)


def scenario_frame(scenario: Scenario, name: str, size: int, *, arrived_at: float, within_s: float) -> Item:
    """A frame as the stations of `scenario` make it."""
    return frame_item(
        name,
        size,
        arrived_at=arrived_at,
        within_s=within_s,
        leeway=scenario.leeway,
        template_bytes=scenario.template_bytes,
    )


def arrival_times(scenario: Scenario, rate: float, seconds: float, rng: random.Random) -> Iterator[float]:
    """Gamma gaps (bursty) under a slow tide, `rate` a second on average."""
    period_s = settings()["arrivals"]["tide_period_s"]
    shape = 1 / scenario.burst_cv**2
    at, phase = 0.0, rng.random() * 2 * math.pi
    while True:
        swing = 1 + scenario.tide * math.sin(2 * math.pi * at / period_s + phase)
        at += rng.gammavariate(shape, 1 / (shape * rate * swing))
        if at >= seconds:
            return
        yield at


def log_normal(rng: random.Random, mean: float, sigma: float) -> float:
    return mean * math.exp(rng.gauss(-sigma * sigma / 2, sigma))
