"""Make things go wrong at their time, and measure how soon the dispatch path knows: out of rotation, and back."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from benchmarks.schedule_real.fleet import Member, RealFleet
from benchmarks.schedule_real.scenario import Fault

LOOK_S = 0.01
GIVE_UP_S = 15.0


@dataclass(frozen=True, slots=True)
class Noticed:
    """Seconds from the fault until the node was out of rotation, and from its real recovery until it was in again.

    None: never, within the time that was watched.
    """

    what: str
    node: str
    out_s: float | None
    back_s: float | None


class FaultThread(threading.Thread):
    """Carries out `faults` after `started_at` (monotonic clock); `noticed` is complete after `join`."""

    def __init__(
        self, fleet: RealFleet, faults: Sequence[Fault], in_rotation: Callable[[str], bool], started_at: float
    ) -> None:
        super().__init__(name="faults", daemon=True)
        self.noticed: list[Noticed] = []
        self.trouble: BaseException | None = None
        self._fleet, self._faults, self._in_rotation, self._started_at = fleet, faults, in_rotation, started_at
        self._over = threading.Event()

    def run(self) -> None:
        try:
            for fault in self._faults:
                if self._over.wait(max(0.0, self._started_at + fault.start_s - time.monotonic())):
                    return
                found = self._one(fault, self._fleet.members[fault.node])
                if not self._over.is_set():  # what was not watched to its end tells nothing
                    self.noticed.append(found)
        except BaseException as error:
            self.trouble = error

    def cancel(self) -> None:
        self._over.set()

    def _one(self, fault: Fault, member: Member) -> Noticed:
        begun = time.monotonic()
        self._begin(fault, member)
        ends_at = self._started_at + fault.end_s
        out_at = self._when(lambda: not self._in_rotation(fault.node), ends_at)
        self._over.wait(max(0.0, ends_at - time.monotonic()))
        recovered = self._end(fault, member)
        back_at = self._when(lambda: self._in_rotation(fault.node), recovered + GIVE_UP_S)
        return Noticed(fault.what, fault.node, _after(out_at, begun), _after(back_at, recovered))

    def _begin(self, fault: Fault, member: Member) -> None:
        if fault.what == "killed":
            self._fleet.kill(member)
        elif fault.what == "stopped":
            self._fleet.stop(member)
        else:
            member.link("blackhole", on=True)

    def _end(self, fault: Fault, member: Member) -> float:
        """Mend it; returns the moment at which the node could really answer again."""
        if fault.what == "killed":
            self._fleet.restart(member)
            return self._fleet.wait_ready(member)
        if fault.what == "stopped":
            self._fleet.go_on(member)
        else:
            member.link("blackhole", on=False)
        return time.monotonic()

    def _when(self, found: Callable[[], bool], until: float) -> float | None:
        while not found():
            if time.monotonic() > until or self._over.wait(LOOK_S):
                return None
        return time.monotonic()


def _after(moment: float | None, start: float) -> float | None:
    return None if moment is None else max(0.0, moment - start)
