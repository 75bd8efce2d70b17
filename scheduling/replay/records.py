"""What a policy saw when it chose, complete enough to choose again: a production decision replays to the identical one.

One `DecisionRecord` holds one look at the queue: every waiting item, the state of every Node (ledger and estimates),
the moment on the worker's clock, the policy with its version, what it remembers between looks and the seed of its
chances, and what it answered for each item. `DecisionSnapshot.record()` makes one, `replay(record)` decides it again,
and `replay(record, "peak-ewma")` asks another policy what it would have done with the same state.

As JSON text (`to_json`, `from_json`):

    {"at": 1764000000.25,             seconds of the wall clock, for people and for picking a stretch
     "now": 12345.678,                seconds on the clock that every time in `items` and `state` is on
     "policy": "pct-lb", "policy_version": "3f0c9a…", "memory": {...}, "seed": 123,
     "items": [{"id": "17", "model": "edge_detector", "bytes": 50000, "deadline_at": …, …}, …],
     "state": {"nodes": [{"name": "edge-1", "ledger": [...], "link": {...}, …}, …]},
     "decided": [{"item": "17", "action": "send", "node": "edge-1", "predicted_ms": …, "breakdown": {...},
                  "alternatives": [...], "reason": "…"}, {"item": "18", "action": "wait", "node": null, …}, …]}

`decided` explains what was sent in full (the rejected alternatives with their predictions); for what was not, it keeps
action, node, quality and prediction. The text keeps the order of keys, which a policy may depend on, and floats
exactly; it holds no infinity and no NaN. Pure: knows no database; `scheduling.services.decisions` stores the texts,
bounded in number, size and rate.
"""

import hashlib
import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from scheduling import policy as policy_package
from scheduling.policy import FleetState, Item, Placed, Quality, get_policy

_BRIEF = ("item", "action", "node", "quality", "predicted_ms")


@dataclass(frozen=True, slots=True)
class DecisionRecord:
    """One look at the queue by one policy. `state` is `FleetState.to_json()`, `decided` one object for each item."""

    at: float
    now: float
    policy: str
    policy_version: str
    memory: dict[str, Any]
    seed: int
    items: tuple[Item, ...]
    state: dict[str, Any]
    decided: tuple[dict[str, Any], ...]

    def to_json(self) -> str:
        """Raises ValueError where a number is infinite or NaN."""
        plain = {field.name: getattr(self, field.name) for field in fields(self)}
        plain["items"] = [item_json(item) for item in self.items]
        return json.dumps(plain, allow_nan=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, text: str) -> "DecisionRecord":
        """Raises ValueError, KeyError or TypeError where the text is no record."""
        plain = json.loads(text)
        items = tuple(item_from_json(item) for item in plain.pop("items"))
        return cls(**{**plain, "items": items, "decided": tuple(plain.pop("decided"))})

    @property
    def chosen(self) -> dict[str, str]:
        """Item id -> Node, for what was sent."""
        return {said["item"]: said["node"] for said in self.decided if said["node"] is not None}


@dataclass(frozen=True, slots=True)
class PolicyState:
    """What must be noted before a policy decides: the moment, what it remembers, and the seed of its chances."""

    now: float
    memory: dict[str, Any]
    seed: int


@dataclass(slots=True)
class DecisionSnapshot:
    """What a policy saw, taken before the state moves on, and its answers. They are put into words only when
    `record()` is called, because that takes longer than the decision itself.
    """

    policy: str
    items: tuple[Item, ...]
    state: dict[str, Any]
    placed: tuple[Placed, ...]
    at: float
    before: PolicyState

    def record(self) -> DecisionRecord:
        return DecisionRecord(
            at=self.at,
            now=self.before.now,
            policy=self.policy,
            policy_version=policy_version(),
            memory=self.before.memory,
            seed=self.before.seed,
            items=self.items,
            state=self.state,
            decided=tuple(_said(one) for one in self.placed),
        )


class RecordedPolicy:
    """A policy whose every decision can be taken again: its chances are seeded anew for each look at the queue."""

    def __init__(self, name: str) -> None:
        self._rng = random.Random()
        self._seeds = random.Random()
        self.policy = get_policy(name, self._rng)

    def place(self, items: Sequence[Item], state: FleetState, now: float) -> tuple[list[Placed], PolicyState]:
        before = PolicyState(now, self.policy.memory(), self._seeds.getrandbits(32))
        self._rng.seed(before.seed)
        return self.policy.place(items, state, now), before


def replay(past: DecisionRecord, policy: str | None = None) -> list[Placed]:
    """Decide again, by the recorded policy or by another (by name), on exactly what was known then.

    Another policy starts without any memory. Raises ValueError for a policy that does not exist.
    """
    rng = random.Random(past.seed)
    again = get_policy(policy or past.policy, rng)
    if policy is None or policy == past.policy:
        again.restore(past.memory)
    return again.place(past.items, FleetState.from_json(past.state), past.now)


def differences(past: DecisionRecord, placed: Sequence[Placed]) -> list[str]:
    """Where `placed` departs from what was recorded, one sentence for each item; empty when it is identical."""
    said = {one.item_id: _said(one) for one in placed}
    found = []
    for then in past.decided:
        again = said.get(then["item"])
        if again != then:
            found.append(f"{then['item']}: was {_words(then)}, is {_words(again)}")
    return found


@cache
def policy_version() -> str:
    """Twelve hex digits of the policies' source: two records with the same version were decided by the same code."""
    folder = Path(policy_package.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*.py")):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:12]


def item_json(item: Item) -> dict[str, Any]:
    return {name: _plain(getattr(item, name)) for name in Item.__slots__}


def item_from_json(data: dict[str, Any]) -> Item:
    """What an earlier version knew of an item and this one does not is left out."""
    known = {name: data[name] for name in Item.__slots__ if name in data}
    rungs = tuple(Quality(r["name"], r["jpeg_quality"], r["bytes_factor"]) for r in data["qualities"])
    return Item(**{**known, "excluded": frozenset(data["excluded"]), "qualities": rungs})


def _said(placed: Placed) -> dict[str, Any]:
    """The decision for one item; through JSON once, so that a live one and a loaded one compare equal."""
    whole = placed.to_json() if placed.sends else _brief(placed)
    return dict(json.loads(json.dumps(whole)))


def _brief(placed: Placed) -> dict[str, Any]:
    values = (placed.item_id, placed.action, placed.node, placed.quality.name)
    return dict(zip(_BRIEF, (*values, placed.predicted_ms), strict=True))


def _words(said: dict[str, Any] | None) -> str:
    if said is None:
        return "not decided"
    return f"{said['action']} {said['node'] or ''} ({said['predicted_ms']} ms)".replace("  ", " ")


def _plain(value: Any) -> Any:
    """Sets as sorted lists, dataclasses as objects, infinities as None."""
    if isinstance(value, frozenset | set):
        return sorted(value)
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value
