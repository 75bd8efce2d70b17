"""A worker process for test_ledger.py: places requests on four nodes that it shares with others, and says what it did.

Arguments: Redis' socket, "shared" or "alone", its number. It prints "ready" and does what the lines it reads say: at
"place" it places one request and prints where, at "finish" it ends what it placed so, and at "go" it works off a stream
of requests: it prints "half" on the way, and ends with one JSON line. Its nodes answer after `SERVICE_S`, however many
requests they hold.
"""

import json
import random
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, cast

from scheduling.client.triton import DetectAnswer
from scheduling.dispatch.dispatcher import Dispatcher
from scheduling.dispatch.ledger import LocalLedger, SharedLedger
from scheduling.dispatch.values import Assignment, Request
from scheduling.policy import Item, NodeState
from scheduling.services.redis_client import client_of
from scheduling.serving.contracts import DetectMeta, DetectTimings

NODES = tuple(f"n{n}" for n in range(4))
SERVICE_S = 0.05
REQUESTS = 60
GAP_S = 0.09


def answer(node: str) -> DetectAnswer:
    timings = DetectTimings(0.0, 0.0, 0.0, 0.0, 0.0, SERVICE_S * 1000, 1)
    return DetectAnswer(node, (), DetectMeta("m", "1", "d", "r", (), (1, 1), timings), 0.0, 0)


@dataclass(frozen=True)
class Pause:
    """An inference that takes `SERVICE_S` and says when it is over."""

    node: str
    changes: list[tuple[str, float, int]]
    timeout_s: float = 1.0

    def ask(self, node: Any, *, timeout_s: float) -> DetectAnswer:
        threading.Event().wait(SERVICE_S)
        # Completion for whoever counts before the credit is given back: another process may take it at once.
        self.changes.append((self.node, time.monotonic(), -1))
        return answer(str(node))


class Process:
    def __init__(self, socket: str, *, shared: bool) -> None:
        client = client_of(f"unix://{socket}", timeout_s=30)
        self.fleet = Dispatcher(
            ledger=SharedLedger(client) if shared else LocalLedger(), client_of=lambda name: cast(Any, name)
        )
        for name in NODES:
            state = self.fleet.state.nodes[name] = NodeState(name)
            state.service.prior_s["edge_detector"] = SERVICE_S
        self.fleet.renew()
        self.changes: list[tuple[str, float, int]] = []
        self.done = 0
        self._placed: list[Assignment] = []
        self._threads = ThreadPoolExecutor(16)

    def run(self, seed: int) -> None:
        rng, waiting, asked, due_at = random.Random(seed), list[Request](), 0, time.monotonic()
        renewed_at, tick = time.monotonic(), threading.Event()
        while asked < REQUESTS or waiting:
            now = time.monotonic()
            while asked < REQUESTS and now >= due_at:
                waiting.append(Request(Item(str(asked), "edge_detector", 1_000, now + 10, now), "x", "pct-lb"))
                asked, due_at = asked + 1, due_at + rng.expovariate(1 / GAP_S)
                if asked == REQUESTS // 2:
                    print("half", flush=True)
            begun = self.fleet.place(waiting, limit=16)[0] if waiting else []
            for assignment in begun:
                waiting.remove(assignment.request)
                self.changes.append((assignment.node, time.monotonic(), 1))
                self._threads.submit(self._carry_out, assignment)
            if now - renewed_at > 0.2:
                renewed_at = now
                self.fleet.renew()
            tick.wait(0.002)
        self._threads.shutdown(wait=True)
        self.fleet.renew()

    def place_one(self) -> str:
        now = time.monotonic()
        item = Item("one", "edge_detector", 1_000, now + 10, now)
        begun, _ = self.fleet.place([Request(item, "a frame", "pct-lb")], limit=1)
        self._placed += begun
        return begun[0].node if begun else "nowhere"

    def finish(self) -> str:
        while self._placed:
            self.fleet.release(self._placed.pop())
        return "finished"

    def _carry_out(self, assignment: Assignment) -> None:
        self.fleet.carry_out(assignment, Pause(assignment.node, self.changes))
        self.done += 1


def main() -> None:
    socket, mode, number = sys.argv[1:]
    process = Process(socket, shared=mode == "shared")
    print("ready", flush=True)
    while (line := sys.stdin.readline().strip()) in ("place", "finish"):
        print(process.place_one() if line == "place" else process.finish(), flush=True)
    process.run(int(number))
    nodes = process.fleet.state.nodes.values()
    report = {
        "credits": max(node.credit_limit("edge_detector") for node in nodes),
        "changes": process.changes,
        "asked": REQUESTS,
        "done": process.done,
        "left": sum(request_id in process.fleet._own for node in nodes for request_id in node.ledger),
    }
    print(json.dumps(report), flush=True)


if __name__ == "__main__":
    main()
