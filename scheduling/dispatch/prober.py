"""Find out how each Node is, without delaying the others: probes when they are due, canaries where readiness may lie.

A healthy Node is asked once a second, one that has just failed at once, one out of rotation four times a second. A
refused connection is asked about again at once, a silent Node after a moment; the second failure takes it out (the
breaker is opened by the policy's NodeState). Knows no database; `services/heartbeat.py` writes what is found.
"""

import logging
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Literal

from scheduling.client.triton import NodeClient, NodeError
from scheduling.dispatch.dispatcher import Dispatcher

PROBE_TIMEOUT_S = 0.5
PROBE_EVERY_S = 1.0
SUSPECT_EVERY_S = 0.25  # a Node that is out of rotation, or of which one probe failed
REFUSED_WITHIN_S = 0.2  # a failure this quick is a refusal, not a silence: no need to wait before asking again
REFUSED_AGAIN_S = 0.03
CANARY_S = 5.0
CANARY_TIMEOUT_S = 2.0
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProbeResult:
    """How a Node is; `detail` is for people."""

    health: Literal["ready", "unreachable", "wrong_contract"]
    detail: str = ""


Reload = Callable[[str, str, NodeClient], bool]


class Prober:
    """Asks the Nodes of one Dispatcher. `reload(node, model, client)` brings back a model whose process has died."""

    def __init__(self, fleet: Dispatcher, *, reload: Reload = lambda node, model, client: False) -> None:
        self.fleet = fleet
        self._reload = reload
        self._threads = ThreadPoolExecutor(16, thread_name_prefix="probe")
        self._pending: dict[str, Future[ProbeResult]] = {}
        self._asked_at: dict[str, float] = {}
        self._canary_at: dict[str, float] = {}
        self._failing: set[str] = set()

    def probe_all(self, models: Mapping[str, Sequence[str]], *, wait_s: float) -> dict[str, ProbeResult]:
        """Probe every Node of `models` (Node -> its models) now; what is known after at most `wait_s`."""
        return self._ask(models, models, wait_s)

    def probe_due(self, models: Mapping[str, Sequence[str]], *, wait_s: float = 0.0) -> dict[str, ProbeResult]:
        """Probe the Nodes whose turn it is; call it often. What earlier probes found comes with the next calls."""
        now = time.monotonic()
        return self._ask((name for name in models if self._is_due(name, now)), models, wait_s)

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _is_due(self, name: str, now: float) -> bool:
        since_s = now - self._asked_at.get(name, -PROBE_EVERY_S)
        if name in self.fleet.suspects:
            self.fleet.suspects.discard(name)
            return True
        doubtful = name in self._failing or self.fleet.given_up(name)
        return since_s >= (SUSPECT_EVERY_S if doubtful else PROBE_EVERY_S)

    def _ask(self, names: Iterable[str], models: Mapping[str, Sequence[str]], wait_s: float) -> dict[str, ProbeResult]:
        for name in names:
            if name not in self._pending:
                self._asked_at[name] = time.monotonic()
                self._pending[name] = self._threads.submit(self._probe, name, models[name])
        done, _ = wait(self._pending.values(), timeout=wait_s)
        ended = [name for name, probe in self._pending.items() if probe in done]
        return {name: found for name in ended if (found := self._pending.pop(name).result()) and name in models}

    def _probe(self, name: str, models: Sequence[str]) -> ProbeResult:
        """Ask the Node how it is; a refusal is asked about twice."""
        found, took_s = self._probe_once(name, models)
        if found.health == "unreachable" and took_s < REFUSED_WITHIN_S and not self.fleet.given_up(name):
            time.sleep(REFUSED_AGAIN_S)
            found, _ = self._probe_once(name, models)
        self._note(name, found)
        if found.health != "ready" or not self._wants_canary(name):
            return found
        return self._canary(name, models)

    def _note(self, name: str, found: ProbeResult) -> None:
        """Remember who failed, so that it is asked again sooner."""
        if found.health != "unreachable":
            self._failing.discard(name)
            return
        self._failing.add(name)
        if self.fleet.given_up(name):
            # What waits there is tried elsewhere now, and the next probe finds a Node that is back without a delay.
            self.fleet.client(name).reconnect()

    def _probe_once(self, name: str, models: Sequence[str]) -> tuple[ProbeResult, float]:
        started = time.monotonic()
        answer = self.fleet.client(name).probe(timeout_s=PROBE_TIMEOUT_S, models=models)
        took_s = time.monotonic() - started
        differing = [f"{model}: {text}" for model, probe in answer.models.items() for text in probe.differences]
        if differing:
            return ProbeResult("wrong_contract", "; ".join(differing)), took_s
        if not answer.ready or not all(answer.usable(model) for model in models):
            self.fleet.probed(name, elapsed_ms=None, ok=False)
            missing = [model for model in models if not answer.usable(model)]
            return ProbeResult("unreachable", answer.error or f"It does not serve {', '.join(missing)} yet."), took_s
        self.fleet.probed(name, elapsed_ms=answer.latency_ms, ok=True)
        return ProbeResult("ready"), took_s

    def _wants_canary(self, name: str) -> bool:
        """Readiness can lie: an idle Node gets an inference every 5 s, any before it comes back into rotation."""
        if self.fleet.given_up(name):
            return True
        lately = time.monotonic() - self._canary_at.get(name, -CANARY_S) < CANARY_S
        return not lately and not self.fleet.proven(name, within_s=CANARY_S)

    def _canary(self, name: str, models: Sequence[str]) -> ProbeResult:
        self._canary_at[name] = time.monotonic()
        client = self.fleet.client(name)
        for model in models:
            try:
                client.canary(model, timeout_s=CANARY_TIMEOUT_S)
            except NodeError as error:
                self.fleet.canary(name, ok=False)
                said = (
                    "it was loaded again" if error.needs_reload and self._reload(name, model, client) else error.detail
                )
                return ProbeResult("unreachable", f"It says it is ready, but {model} did not answer: {said}")
        self.fleet.canary(name, ok=True)
        return ProbeResult("ready")
