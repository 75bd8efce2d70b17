"""How often a password may be tried: waits that grow with what went wrong, by account and by address.

Three counts, each with the tries that cost nothing and the longest wait after that:

- the account from one address: who has forgotten a password, or guesses one;
- the account from anywhere: a guess from many addresses;
- the address with any account: a guess at many accounts.

The last two do not hold up whoever has signed in with this account from this address before, so neither a stranger who
knows a name nor a neighbour behind the same gateway keeps a plant's people out. No wait is longer than a minute, and
every count is forgotten after a quarter of an hour without a failure.

Counts live in Redis, for all processes together. Where Redis is away each process counts for itself.
"""

import hashlib
import ipaddress
import threading
import time
import unicodedata
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil
from typing import Protocol, TypeVar

import redis

from aivd_web.kernel.errors import AivdError
from scheduling.services import redis_client

T = TypeVar("T")
FREE_PAIR, FREE_ACCOUNT, FREE_ADDRESS = 5, 20, 60
LONGEST_S, LONGEST_WIDE_S = 60.0, 30.0
FORGET_S = 15 * 60
KNOWN_FOR_S = 30 * 24 * 3600
MOST_COUNTS = 20_000  # of one process, where Redis is away


class TooManyAttempts(AivdError):
    code = "too_many_attempts"
    status = 429
    hint = "Nothing is locked. If you have forgotten the password, an admin can set a new one."


@dataclass(frozen=True, slots=True)
class Count:
    """One thing that is counted. `free` failures cost nothing, then each doubles the wait up to `longest_s`."""

    key: str
    free: int
    longest_s: float

    def wait_s(self, failures: int) -> float:
        return 0.0 if failures < self.free else min(self.longest_s, 2.0 ** min(failures - self.free, 10))


class Counts(Protocol):
    """Where the counts are kept."""

    def left_s(self, keys: list[str]) -> list[float]: ...
    def knows(self, key: str) -> bool: ...
    def fail(self, counts: list[Count]) -> None: ...
    def succeed(self, key: str, known: str) -> None: ...


@dataclass
class LocalCounts:
    """The counts of this process. Bounded: the one that was touched longest ago is forgotten first."""

    clock: Callable[[], float] = time.monotonic
    _failures: OrderedDict[str, tuple[int, float]] = field(default_factory=OrderedDict)
    _blocked_until: dict[str, float] = field(default_factory=dict)
    _known: OrderedDict[str, float] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def left_s(self, keys: list[str]) -> list[float]:
        with self._lock:
            return [max(0.0, self._blocked_until.get(key, 0.0) - self.clock()) for key in keys]

    def fail(self, counts: list[Count]) -> None:
        with self._lock:
            for count in counts:
                self._fail(count)

    def _fail(self, count: Count) -> None:
        number, at = self._failures.pop(count.key, (0, self.clock()))
        number = 1 if self.clock() - at > FORGET_S else number + 1
        self._failures[count.key] = (number, self.clock())
        self._blocked_until[count.key] = self.clock() + count.wait_s(number)
        while len(self._failures) > MOST_COUNTS:
            self._blocked_until.pop(self._failures.popitem(last=False)[0], None)

    def succeed(self, key: str, known: str) -> None:
        with self._lock:
            self._failures.pop(key, None)
            self._blocked_until.pop(key, None)
            self._known.pop(known, None)
            self._known[known] = self.clock() + KNOWN_FOR_S
            while len(self._known) > MOST_COUNTS:
                self._known.popitem(last=False)

    def knows(self, key: str) -> bool:
        with self._lock:
            return self._known.get(key, 0.0) > self.clock()


class RedisCounts:
    """The same in Redis. Every call may raise RedisError."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client

    def left_s(self, keys: list[str]) -> list[float]:
        with self.client.pipeline(transaction=False) as pipe:
            for key in keys:
                pipe.pttl(f"{key}:wait")
            return [max(0, left) / 1000 for left in pipe.execute()]

    def fail(self, counts: list[Count]) -> None:
        with self.client.pipeline(transaction=True) as pipe:
            for count in counts:
                pipe.incr(count.key)
                pipe.expire(count.key, FORGET_S)
            numbers = pipe.execute()[::2]
            for count, number in zip(counts, numbers, strict=True):
                if wait_s := count.wait_s(number):
                    pipe.set(f"{count.key}:wait", 1, px=ceil(1000 * wait_s))
            pipe.execute()

    def succeed(self, key: str, known: str) -> None:
        with self.client.pipeline(transaction=True) as pipe:
            pipe.delete(key, f"{key}:wait")
            pipe.set(known, 1, ex=KNOWN_FOR_S)
            pipe.execute()

    def knows(self, key: str) -> bool:
        return bool(self.client.exists(key))


class Attempts:
    """Whether a password may be tried now, and what came of it. Noted here as well as in Redis, so that this process
    goes on with what it has seen when Redis goes away.
    """

    def __init__(self, local: LocalCounts | None = None) -> None:
        self.local = local or LocalCounts()

    def check(self, account: str, address: str) -> None:
        """Raises TooManyAttempts while it is too early to try again."""
        of = Counted(account, address)
        waits, known = self._ask(lambda counts: (counts.left_s([of.pair.key, *of.wide_keys]), counts.knows(of.known)))
        if left_s := waits[0] if known else max(waits):
            raise TooManyAttempts(
                f"Too many attempts to sign in. Try again in {_in_words(left_s)}.", retry_after_s=ceil(left_s)
            )

    def failed(self, account: str, address: str) -> None:
        of = Counted(account, address)
        self._tell(lambda counts: counts.fail([of.pair, *of.wide]))

    def succeeded(self, account: str, address: str) -> None:
        of = Counted(account, address)
        self._tell(lambda counts: counts.succeed(of.pair.key, of.known))

    def _ask(self, question: Callable[[Counts], T]) -> T:
        answer = redis_client.attempt(lambda client: question(RedisCounts(client)), otherwise=None)
        return question(self.local) if answer is None else answer

    def _tell(self, news: Callable[[Counts], None]) -> None:
        news(self.local)
        redis_client.attempt(lambda client: news(RedisCounts(client)), otherwise=None)


class Counted:
    """What is counted of one try. Keys are digests: they have one length and tell nobody's name."""

    def __init__(self, account: str, address: str) -> None:
        name, place = _key(unicodedata.normalize("NFKC", account).casefold()), _key(network_of(address))
        self.pair = Count(f"aivd:sign-in:pair:{name}:{place}", FREE_PAIR, LONGEST_S)
        self.wide = [
            Count(f"aivd:sign-in:account:{name}", FREE_ACCOUNT, LONGEST_WIDE_S),
            Count(f"aivd:sign-in:address:{place}", FREE_ADDRESS, LONGEST_WIDE_S),
        ]
        self.wide_keys = [count.key for count in self.wide]
        self.known = f"aivd:sign-in:known:{name}:{place}"


def network_of(address: str) -> str:
    """The address, or of an IPv6 one the /64 that one customer has."""
    try:
        parsed = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(parsed.ipv4_mapped or ipaddress.ip_network((parsed, 64), strict=False).network_address)
    return str(parsed)


def _key(text: str) -> str:
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:32]


def _in_words(seconds: float) -> str:
    whole = ceil(seconds)
    return "a second" if whole == 1 else f"{whole} seconds"
