"""Tell a request that costs too much from a Node that is in trouble, so that one picture does not stop everybody.

A deadline speaks against the Node first. It speaks against the request where the Node said so itself, or where request
and Node met before in the same way and the Node still answers others. Knows no Node, no network and no policy.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final

from scheduling.serving.contracts import HELD_UP, TOO_COSTLY

MOST_REMEMBERED: Final = 1000
COSTLY_ANSWERS: Final = 2
"""So many Nodes, or one Node so often, have to say that the request alone costs too much."""
LONG_STAYS: Final = 3
"""So often a request may stay unanswered on a Node that answers others."""
STAYS_BEFORE_ALONE: Final = 2


@dataclass(slots=True)
class Suspicion:
    """What is held against one request. `stays`: unanswered on a Node that lives; `taken_back`: any long stay."""

    costly: list[str] = field(default_factory=list)
    stays: list[str] = field(default_factory=list)
    taken_back: int = 0
    shared: bool = False

    @property
    def alone(self) -> bool:
        """Whether it is to be worked on apart from others, and waited for until the Node has said what it costs."""
        return self.shared or bool(self.costly) or self.taken_back >= STAYS_BEFORE_ALONE

    @property
    def proven(self) -> bool:
        return len(self.costly) >= COSTLY_ANSWERS or len(self.costly) + len(self.stays) >= LONG_STAYS

    def words(self, detail: str) -> str:
        """Why no further Node is asked, for whoever reads why a frame is held."""
        nodes = ", ".join(sorted({*self.costly, *self.stays}))
        return f"It takes longer than a picture may, on {nodes}: {detail}"


class Suspicions:
    """Of the last requests that were in trouble, by their id. Safe to use from many threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[str, Suspicion] = OrderedDict()

    def of(self, request: str) -> Suspicion:
        """What is known; nothing for most."""
        return self._known.get(request) or Suspicion()

    def note(self, request: str, node: str, code: str, *, long_stay: bool, lives: bool) -> Suspicion:
        """An attempt ended with `code`; `lives` is whether the Node was seen to answer afterwards."""
        with self._lock:
            known = self._known.setdefault(request, Suspicion())
            self._known.move_to_end(request)
            while len(self._known) > MOST_REMEMBERED:
                self._known.popitem(last=False)
            if code == TOO_COSTLY:
                known.costly.append(node)
            elif code == HELD_UP:
                known.shared = True
            elif long_stay:
                known.taken_back += 1
                if lives:
                    known.stays.append(node)
            return known

    def forget(self, request: str) -> None:
        with self._lock:
            self._known.pop(request, None)
