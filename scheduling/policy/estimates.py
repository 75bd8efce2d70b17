"""Running estimates of one Node: service time, link and the error of our own predictions.

Each class takes measured numbers and gives back a number; values that no clock can have measured (NaN,
infinite, negative) are refused by the caller through `plausible`. Knows nothing of requests or of other
Nodes.
"""

import math
from dataclasses import dataclass, field
from typing import Any

PRIOR_SERVICE_S = 0.05
PRIOR_RATE = 5e6  # bytes a second: wrong for every link, and corrected by the first answers
PRIOR_UPLOADS = 5  # uploads that the prior rate counts for
MIN_UPLOAD_S = 1e-4
MIN_RATE = 100.0


def plausible(value: float | None, *, most: float = 3.6e6) -> bool:
    """A measured duration or size that can be learned from."""
    return value is not None and math.isfinite(value) and 0 <= value <= most


@dataclass(slots=True)
class ServiceTimes:
    """Seconds per unit of work for each model: EWMA, quick to believe bad news, slow to forget it."""

    up: float = 0.4
    down: float = 0.1
    prior_s: dict[str, float] = field(default_factory=dict)
    by_model: dict[str, float] = field(default_factory=dict)

    def knows(self, model: str) -> bool:
        """Whether anything was measured or declared; else `seconds` is a guess that is the same for every Node."""
        return model in self.by_model or model in self.prior_s

    def seconds(self, model: str) -> float:
        return self.by_model.get(model, self.prior_s.get(model, PRIOR_SERVICE_S))

    def observe(self, model: str, seconds_per_unit: float) -> None:
        old = self.by_model.get(model)
        if old is None:
            self.by_model[model] = seconds_per_unit
            return
        gain = self.up if seconds_per_unit > old else self.down
        self.by_model[model] = old + gain * (seconds_per_unit - old)

    def to_json(self) -> dict[str, Any]:
        return {"up": self.up, "down": self.down, "prior_s": self.prior_s, "by_model": dict(self.by_model)}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ServiceTimes":
        by_model = {model: _of_one(seconds) for model, seconds in data["by_model"].items()}
        return cls(data["up"], data["down"], dict(data["prior_s"]), by_model)


def _of_one(seconds: float | dict[str, float]) -> float:
    """Decisions recorded by earlier versions hold a time for each size of batch; what stood for one is used."""
    return seconds[min(seconds, key=int)] if isinstance(seconds, dict) else seconds


@dataclass(slots=True)
class LinkEstimate:
    """Round trip and upload rate of the way to one Node.

    `pace` is seconds a byte, a geometric EWMA in which every upload counts by its size: a radio link holds
    its rate for about a second, so the newest upload says most. With age it drifts back to `typical` (bytes
    a second, what this link usually gives), because an old reading says little: without the drift a Node is
    never tried again after an outage.
    """

    rtt_s: float = 0.002
    rtt_floor_s: float | None = None
    typical: float = PRIOR_RATE
    pace: float | None = None
    at: float = 0.0
    half_bytes: float = 25_000.0
    drift_s: float = 3.0
    uploads: int = 0

    def rate(self, now: float) -> float:
        """Bytes a second expected of an upload that starts now."""
        if self.pace is None:
            return self.typical
        recent = 1.0 / self.pace
        age = max(0.0, now - self.at)
        if age < 0.25:
            return recent
        keep = math.exp(-age / self.drift_s)
        return float(recent**keep * self.typical ** (1.0 - keep))

    def observe_upload(self, at: float, size: float, seconds: float) -> None:
        sample = max(MIN_RATE, size / max(seconds, MIN_UPLOAD_S))
        gain = max(0.02, 1.0 / (self.uploads + PRIOR_UPLOADS))
        self.typical = max(MIN_RATE, self.typical ** (1 - gain) * sample**gain)
        self.uploads += 1
        keep = 0.5 ** (size / self.half_bytes)
        self.pace = (self.pace or 1.0 / sample) ** keep * (1.0 / sample) ** (1 - keep)
        self.at = max(at, self.at)

    def observe_at_most(self, at: float, size: float, seconds: float) -> None:
        """`size` bytes were not answered in `seconds`: if it is the link, it is no faster than that now."""
        bound = max(MIN_RATE, size / max(seconds, MIN_UPLOAD_S))
        if bound < self.rate(at):
            self.pace, self.at = 1.0 / bound, max(at, self.at)

    def observe_round_trip(self, seconds: float) -> None:
        floor = self.rtt_floor_s
        drifted = seconds if floor is None else floor + 0.02 * max(0.0, seconds - floor)
        self.rtt_floor_s = min(seconds, drifted)
        near_floor = min(seconds, 2.0 * self.rtt_floor_s + 0.001)
        self.rtt_s = near_floor if floor is None else self.rtt_s + 0.2 * (near_floor - self.rtt_s)

    def looks_stalled(self, at: float) -> bool:
        """The last upload was far slower than usual, and a while ago."""
        return self.pace is not None and self.pace * self.typical > 4 and at - self.at > 0.5

    def forget_rate(self, at: float) -> None:
        """The link answers again: what was read during the outage no longer counts."""
        self.pace, self.at = None, at

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "LinkEstimate":
        return cls(**data)


@dataclass(slots=True)
class PredictionError:
    """Exponentially weighted mean and deviation of measured minus predicted latency, in seconds.

    One error counts for at most `most_s`: a single outage must not scare everybody off the Node for minutes.
    """

    most_s: float = 0.15
    gain: float = 0.1
    mean_s: float = 0.0
    variance: float = 0.0
    samples: int = 0

    @property
    def sigma_s(self) -> float:
        return math.sqrt(self.variance)

    def observe(self, error_s: float) -> None:
        delta = max(-self.most_s, min(self.most_s, error_s)) - self.mean_s
        self.mean_s += self.gain * delta
        self.variance = (1 - self.gain) * (self.variance + self.gain * delta * delta)
        self.samples += 1

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "PredictionError":
        return cls(**data)


@dataclass(slots=True)
class ResponseTimes:
    """Response times as a proxy sees them, kept for the rules that choose by them (peak-EWMA, C3,
    hot-cold).
    """

    tau_s: float = 10.0
    mean_s: float | None = None
    peak_s: float | None = None
    service_s: float | None = None
    queue: float = 0.0
    at: float = 0.0
    recent_s: list[float] = field(default_factory=list)

    def observe(self, at: float, response_s: float, service_s: float, queued: float) -> None:
        keep = math.exp(-max(0.0, at - self.at) / self.tau_s) if self.mean_s is not None else 0.0
        self.mean_s = response_s if self.mean_s is None else 0.9 * self.mean_s + 0.1 * response_s
        self.service_s = service_s if self.service_s is None else 0.9 * self.service_s + 0.1 * service_s
        self.queue = 0.9 * self.queue + 0.1 * queued
        if self.peak_s is None or response_s > self.peak_s:
            self.peak_s = response_s
        else:
            self.peak_s = keep * self.peak_s + (1 - keep) * response_s
        self.at = max(at, self.at)
        self.recent_s.append(response_s)
        del self.recent_s[:-9]

    @property
    def median_s(self) -> float | None:
        ordered = sorted(self.recent_s)
        return ordered[len(ordered) // 2] if ordered else None

    def to_json(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.__slots__}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "ResponseTimes":
        return cls(**{**data, "recent_s": list(data["recent_s"])})
