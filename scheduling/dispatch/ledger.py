"""One ledger of outstanding requests for all workers: credit is reserved and released in Redis, and all hear of it.

For each Node Redis holds a sorted set of the requests there, scored by when their credit expires, and a hash with what
each is; one stream tells what was sent, answered and failed. A worker that decides first applies what it has not yet
heard, so every worker predicts from the same ledger and they do not all run to the Node that was idle a moment ago.
Reserving is one atomic script for any number of requests: two workers cannot both take a Node's last credit.

A worker renews what it holds, so what a dead one held is free again after `TTL_S`. Without Redis each worker counts
its own requests only; when Redis is back, perhaps empty, each puts its own back, and the first also what the rows say
is running. Redis is a hint here: who may work on a Step is decided in PostgreSQL. Knows no Django.
"""

import json
import logging
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import redis

from scheduling.policy import FleetState

PREFIX = "aivd:ledger:"
TTL_S = 5.0
MOST_EVENTS = 5_000
HOLDER_LOST = "holder_lost"
log = logging.getLogger(__name__)

# Redis' own clock decides what has expired, so workers whose clocks differ agree.
CLOCK = """
local clock = redis.call('TIME')
local now_ms = clock[1] * 1000 + math.floor(clock[2] / 1000)
local stamp = clock[1] .. '.' .. string.format('%06d', clock[2])
local function tell(event, most, holder)
  redis.call('XADD', KEYS[1], 'MAXLEN', '~', most, '*', 't', stamp, 'h', holder, 'e', event)
end
local function expire(held, entries, node, most)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', held, '-inf', now_ms)) do
    redis.call('ZREM', held, id)
    redis.call('HDEL', entries, id)
    tell(cjson.encode({k = 'failed', n = node, r = id, c = 'holder_lost', h = ''}), most, '')
  end
end
"""
# KEYS: stream, run. ARGV: last known event, how many at most, own name. Returns the clock, the run, the last event, and
# (id, stamp, event) of each event of the others: a busy worker's own need not travel back to it.
HEAR = """
local clock, last, others = redis.call('TIME'), ARGV[1], {}
for _, entry in ipairs(redis.call('XRANGE', KEYS[1], '(' .. ARGV[1], '+', 'COUNT', ARGV[2])) do
  local fields = entry[2]
  last = entry[1]
  if fields[4] ~= ARGV[3] then
    others[#others + 1] = {last, fields[2], fields[6]}
  end
end
return {clock[1], clock[2], redis.call('GET', KEYS[2]) or '', last, others}
"""
# KEYS: stream, then set, hash of each. ARGV: ttl in ms, longest stream, own name, then id, limit, node, entry of each.
RESERVE = (
    CLOCK
    + """
local granted, seen = {}, {}
for i = 1, (#KEYS - 1) / 2 do
  local held, entries = KEYS[2 * i], KEYS[2 * i + 1]
  local id, limit, node, entry = ARGV[4 * i], tonumber(ARGV[4 * i + 1]), ARGV[4 * i + 2], ARGV[4 * i + 3]
  if not seen[held] then expire(held, entries, node, ARGV[2]) end
  granted[i] = 0
  if redis.call('ZCARD', held) < limit then
    granted[i] = 1
    redis.call('ZADD', held, now_ms + tonumber(ARGV[1]), id)
    redis.call('HSET', entries, id, stamp .. ' ' .. entry)
    if not seen[held] then
      redis.call('PEXPIRE', held, ARGV[1])
      redis.call('PEXPIRE', entries, ARGV[1])
    end
    tell(entry, ARGV[2], ARGV[3])
    seen[held] = true
  end
end
return granted
"""
)
# KEYS: stream, set, hash. ARGV: id, event, longest stream, own name. A second release of a request changes nothing.
RELEASE = (
    CLOCK
    + """
if redis.call('ZREM', KEYS[2], ARGV[1]) == 0 then return 0 end
redis.call('HDEL', KEYS[3], ARGV[1])
tell(ARGV[2], ARGV[3], ARGV[4])
return 1
"""
)
# KEYS: stream, set, hash of one Node. ARGV: ttl in ms, longest stream, node, then (id, stamped entry) of what is held.
# Returns all that is outstanding there.
RENEW = (
    CLOCK
    + """
for i = 4, #ARGV, 2 do
  redis.call('ZADD', KEYS[2], now_ms + tonumber(ARGV[1]), ARGV[i])
  redis.call('HSET', KEYS[3], ARGV[i], ARGV[i + 1])
end
expire(KEYS[2], KEYS[3], ARGV[3], ARGV[2])
if #ARGV > 3 then
  redis.call('PEXPIRE', KEYS[2], ARGV[1])
  redis.call('PEXPIRE', KEYS[3], ARGV[1])
end
return redis.call('HGETALL', KEYS[3])
"""
)


@dataclass(frozen=True, slots=True)
class CreditRequest:
    """Credit wanted on `node`, if it holds fewer than `limit` requests of all workers together."""

    request_id: str
    node: str
    limit: int
    model: str
    bytes: float
    units: float = 1.0


@dataclass(frozen=True, slots=True)
class Reservation:
    """Credit that this worker holds, and when it was granted on Redis' clock."""

    request: CreditRequest
    granted_at: str


@dataclass(frozen=True, slots=True)
class Completion:
    """How a request ended: `code` empty means answered, with what the Node measured."""

    request_id: str
    node: str
    code: str = ""
    service_ms: float | None = None
    queue_ms: float | None = None
    batch: int = 1


@dataclass(frozen=True, slots=True)
class RunningRequest:
    """A request that some worker's row says is on a Node. `sent_at` in seconds of the wall clock."""

    request_id: str
    node: str
    model: str
    bytes: float
    sent_at: float


@dataclass(frozen=True, slots=True)
class LedgerUpdate:
    """The others' events (id, stamp of Redis' clock, JSON) since the last applied one, up to `last`. `redis_run` is
    another one after Redis lost what it held.
    """

    redis_run: str
    last: str
    events: Sequence[tuple[bytes, bytes, bytes]]


class Ledger(Protocol):
    """What is on the Nodes. `apply`, `reserve` and `renew` are called under the lock that guards the state; `hear`,
    `ended` and `answers` without it, because they may wait for Redis and nobody should wait for them.
    """

    def hear(self) -> LedgerUpdate | None:
        """What other workers sent and were answered since the last update, for `apply`."""
        ...

    def apply(self, state: FleetState, update: LedgerUpdate | None) -> None:
        """Bring the others' part of the state up to this update; one older than the last applied changes nothing."""
        ...

    def reserve(self, wanted: Sequence[CreditRequest]) -> list[bool]: ...
    def ended(self, end: Completion) -> None: ...
    def answers(self) -> bool:
        """Whether it is worth renewing now."""
        ...

    def renew(self, state: FleetState) -> None:
        """Keep what is held; call it every second or so."""
        ...


class LocalLedger:
    """The ledger of a worker that is alone. Safe to use from many threads."""

    def __init__(self) -> None:
        self.own: dict[str, dict[str, CreditRequest]] = {}
        self._lock = threading.Lock()

    def hear(self) -> LedgerUpdate | None:
        """There is nobody else."""
        return None

    def apply(self, state: FleetState, update: LedgerUpdate | None) -> None:
        """There is nobody else."""

    def reserve(self, wanted: Sequence[CreditRequest]) -> list[bool]:
        with self._lock:
            return [self._take(one) for one in wanted]

    def ended(self, end: Completion) -> None:
        with self._lock:
            self.own.get(end.node, {}).pop(end.request_id, None)

    def answers(self) -> bool:
        return True

    def renew(self, state: FleetState) -> None:
        """Nothing expires here."""

    def _take(self, one: CreditRequest) -> bool:
        own = self.own.setdefault(one.node, {})
        if len(own) >= one.limit:
            return False
        own[one.request_id] = one
        return True


class SharedLedger:
    """The fleet's ledger as one worker process uses it. No call raises: without Redis the answer is a local one.

    client: redis-py with socket timeouts. running: what the rows say is on the Nodes, for a Redis that forgot it.
    clock: the clock of the FleetState that is kept in step.
    """

    def __init__(
        self,
        client: redis.Redis,
        *,
        running: Callable[[], Iterable[RunningRequest]] = tuple,
        clock: Callable[[], float] = time.monotonic,
        ttl_s: float = TTL_S,
        prefix: str = PREFIX,
    ) -> None:
        self.holder = f"{socket.gethostname()}:{os.getpid()}:{uuid.uuid4().hex[:8]}"
        self.away = False
        self._client, self._running, self._clock, self._prefix = client, running, clock, prefix
        self._ttl_ms = int(ttl_s * 1000)
        scripts = (client.register_script(script) for script in (HEAR, RESERVE, RELEASE, RENEW))
        self._hear, self._reserve, self._release, self._renew = scripts
        self._lock = threading.Lock()  # of `_own`; never held while Redis is asked
        self._own: dict[str, Reservation] = {}
        self._others: dict[str, str] = {}
        self._last_event, self._redis_run = "0-0", ""
        self._offset = _Offset()

    # --- deciding --------------------------------------------------------------------------------------

    def hear(self) -> LedgerUpdate | None:
        if self.away:
            return None
        try:
            return self._heard()
        except redis.RedisError as error:
            self._went_away(error)
            return None

    def apply(self, state: FleetState, update: LedgerUpdate | None) -> None:
        try:
            if self.away:
                self._forget_others(state)
            elif update is not None and (not self._redis_run or update.redis_run != self._redis_run):
                self._last_event = "0-0"
                self._join(state)  # we have just started, or Redis has forgotten everything
            elif update is not None:
                self._apply_all(state, update)
        except redis.RedisError as error:
            self._went_away(error)

    def reserve(self, wanted: Sequence[CreditRequest]) -> list[bool]:
        granted = self._granted(wanted)
        stamp = f"{self._offset.to_redis(self._clock()):.6f}"
        with self._lock:
            self._own |= {
                one.request_id: Reservation(one, stamp) for one, yes in zip(wanted, granted, strict=True) if yes
            }
        return granted

    def ended(self, end: Completion) -> None:
        with self._lock:
            if self._own.pop(end.request_id, None) is None or self.away:
                return  # without Redis it expires there by itself
        event = {"k": "failed" if end.code else "answered", "n": end.node, "r": end.request_id, "h": self.holder}
        told = {"c": end.code} if end.code else {"s": end.service_ms, "q": end.queue_ms, "b": end.batch}
        args: list[str | int] = [end.request_id, _json({**event, **told}), MOST_EVENTS, self.holder]
        try:
            self._release(keys=[self._stream, *self._keys(end.node)], args=args)
        except redis.RedisError as error:
            self._went_away(error)

    def answers(self) -> bool:
        """Also tries a Redis that was away again: here, beside the decisions, nobody waits for it."""
        if not self.away:
            return True
        try:
            return bool(self._client.ping())
        except redis.RedisError:
            return False

    def renew(self, state: FleetState) -> None:
        was_away, self.away = self.away, False
        try:
            self._join(state)
        except redis.RedisError as error:
            self.away = was_away
            self._went_away(error)
            self._forget_others(state)
            return
        if was_away:
            log.warning("Redis is back: the workers count together again.")

    # --- inside ----------------------------------------------------------------------------------------

    @property
    def _stream(self) -> str:
        return f"{self._prefix}events"

    def _keys(self, node: str) -> tuple[str, str]:
        return f"{self._prefix}held:{node}", f"{self._prefix}what:{node}"

    def _granted(self, wanted: Sequence[CreditRequest]) -> list[bool]:
        if not wanted:
            return []
        keys = [self._stream]
        args: list[str | int] = [self._ttl_ms, MOST_EVENTS, self.holder]
        for one in wanted:
            keys += self._keys(one.node)
            args += [one.request_id, one.limit, one.node, self._entry(one)]
        if not self.away:
            try:
                return [bool(yes) for yes in self._reserve(keys=keys, args=args)]
            except redis.RedisError as error:
                self._went_away(error)
        return self._granted_alone(wanted)

    def _granted_alone(self, wanted: Sequence[CreditRequest]) -> list[bool]:
        held: dict[str, int] = {}
        for reservation in self._held():
            node = reservation.request.node
            held[node] = held.get(node, 0) + 1
        granted = []
        for one in wanted:
            granted.append(held.get(one.node, 0) < one.limit)
            held[one.node] = held.get(one.node, 0) + granted[-1]
        return granted

    def _held(self) -> list[Reservation]:
        with self._lock:
            return list(self._own.values())

    def _heard(self) -> LedgerUpdate:
        asked_at = self._clock()
        return self._update(asked_at, self._hear(keys=self._hear_keys, args=self._hear_args()))

    @property
    def _hear_keys(self) -> list[str]:
        return [self._stream, f"{self._prefix}run"]

    def _hear_args(self) -> list[str | int]:
        return [self._last_event, MOST_EVENTS, self.holder]

    def _update(self, asked_at: float, answer: Sequence[Any]) -> LedgerUpdate:
        seconds, micros, redis_run, last, events = answer
        self._offset.saw(asked_at, self._clock(), int(seconds) + int(micros) / 1e6)
        return LedgerUpdate(_text(redis_run), _text(last), events)

    def _apply_all(self, state: FleetState, update: LedgerUpdate) -> None:
        """Two threads may have heard the same; each event is applied once."""
        known = _order(self._last_event)
        for key, stamp, event in update.events:
            if _order(_text(key)) > known:
                self._apply(state, json.loads(event), self._offset.to_local(float(stamp)))
        self._last_event = max(self._last_event, update.last, key=_order)

    def _apply(self, state: FleetState, event: dict[str, Any], at: float) -> None:
        node, request_id = state.nodes.get(event["n"]), event["r"]
        if node is None:
            return
        if event["k"] == "sent":
            self._others[request_id] = node.name
            if request_id not in node.ledger:
                node.sent(request_id, at, event["z"], event["m"], event["u"])
        elif self._others.pop(request_id, None) is None or request_id not in node.ledger:
            return
        elif event["k"] == "answered":
            node.answered(request_id, at, event["s"], event["q"], event["b"])
        else:
            node.failed(request_id, at, event["c"])

    def _join(self, state: FleetState) -> None:
        """Put back what is ours, and take over what is there: after a start, after an outage, and every second."""
        first = bool(self._client.set(f"{self._prefix}run", uuid.uuid4().hex, nx=True))
        if first:
            self._restore_rows()
        nodes = list(state.nodes)
        asked_at = self._clock()
        with self._client.pipeline(transaction=True) as pipe:
            self._hear(keys=self._hear_keys, args=self._hear_args(), client=pipe)
            for node in nodes:
                self._renew(keys=[self._stream, *self._keys(node)], args=self._renewal(node), client=pipe)
            answer, *held = pipe.execute()
        update = self._update(asked_at, answer)
        if update.redis_run == self._redis_run:
            self._apply_all(state, update)
        self._redis_run, self._last_event = update.redis_run, update.last
        for node, entries in zip(nodes, held, strict=True):
            self._reconcile(state, node, entries)

    def _renewal(self, node: str) -> list[Any]:
        args: list[Any] = [self._ttl_ms, MOST_EVENTS, node]
        for reservation in self._held():
            one = reservation.request
            if one.node == node:
                args += [one.request_id, f"{reservation.granted_at} {self._entry(one)}"]
        return args

    def _restore_rows(self) -> None:
        """Redis is new: count what the rows say until its holders, if they live, speak for themselves."""
        for one in self._running():
            if one.request_id not in self._own:
                wanted = CreditRequest(one.request_id, one.node, 0, one.model, one.bytes)
                entry = f"{one.sent_at:.6f} {self._entry(wanted, holder='')}"
                args: list[str | int] = [self._ttl_ms, MOST_EVENTS, one.node, one.request_id, entry]
                self._renew(keys=[self._stream, *self._keys(one.node)], args=args)

    def _reconcile(self, state: FleetState, name: str, flat: Sequence[bytes]) -> None:
        """Make the others' part of our ledger what Redis says it is."""
        there = {_text(key): _text(value) for key, value in zip(flat[::2], flat[1::2], strict=True)}
        node = state.nodes[name]
        for request_id in [known for known, where in self._others.items() if where == name and known not in there]:
            self._drop(state, request_id)
        for request_id, text in there.items():
            stamp, _, entry = text.partition(" ")
            event = json.loads(entry)
            if event["h"] == self.holder and request_id not in self._own:
                self._give_back(event)  # it ended while Redis was away
            elif request_id not in self._own and request_id not in node.ledger:
                self._apply(state, event, self._offset.to_local(float(stamp)))

    def _give_back(self, event: dict[str, Any]) -> None:
        lost = _json({"k": "failed", "n": event["n"], "r": event["r"], "h": self.holder, "c": HOLDER_LOST})
        self._release(keys=[self._stream, *self._keys(event["n"])], args=[event["r"], lost, MOST_EVENTS, self.holder])

    def _forget_others(self, state: FleetState) -> None:
        for request_id in list(self._others):
            self._drop(state, request_id)

    def _drop(self, state: FleetState, request_id: str) -> None:
        node = state.nodes.get(self._others.pop(request_id))
        if node is not None and request_id in node.ledger:
            node.failed(request_id, node.event_at, HOLDER_LOST)

    def _entry(self, one: CreditRequest, holder: str | None = None) -> str:
        who = self.holder if holder is None else holder
        told = {"k": "sent", "n": one.node, "r": one.request_id, "h": who}
        return _json({**told, "m": one.model, "z": one.bytes, "u": one.units})

    def _went_away(self, error: Exception) -> None:
        if not self.away:
            log.warning("Redis is away (%s): each worker counts its own requests.", type(error).__name__)
        self.away = True


class _Offset:
    """From Redis' clock to ours: the offset that was measured by the probe with the smallest round trip lately."""

    def __init__(self) -> None:
        self._offset_s, self._took_s = 0.0, float("inf")

    def saw(self, asked_at: float, answered_at: float, redis_s: float) -> None:
        took_s = answered_at - asked_at
        self._took_s *= 1.01  # clocks drift: an old reading gives way to one that is a little slower
        if took_s <= self._took_s:
            self._took_s, self._offset_s = max(took_s, 1e-6), (asked_at + answered_at) / 2 - redis_s

    def to_local(self, redis_s: float) -> float:
        return redis_s + self._offset_s

    def to_redis(self, local_s: float) -> float:
        return local_s - self._offset_s


def _order(stream_id: str) -> tuple[int, int]:
    milliseconds, _, number = stream_id.partition("-")
    return int(milliseconds), int(number)


def _text(value: bytes | str | None) -> str:
    return value.decode() if isinstance(value, bytes) else value or ""


def _json(value: dict[str, Any]) -> str:
    """What no clock measured (NaN, infinity) travels as null."""
    numbers = {k: None if isinstance(v, float) and not abs(v) < float("inf") else v for k, v in value.items()}
    return json.dumps(numbers, separators=(",", ":"))
