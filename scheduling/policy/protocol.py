"""What a policy is to those who ask it. Knows no policy."""

from collections.abc import Sequence
from typing import Any, Protocol

from scheduling.policy.fleet import FleetState
from scheduling.policy.types import Item, Placed


class Policy(Protocol):
    """Chooses Nodes. Holds no clock: `now` is the caller's, and so is every time in `state` and in the
    items.
    """

    @property
    def name(self) -> str: ...

    @property
    def description(self) -> str:
        """One sentence for people who choose among policies."""
        ...

    def memory(self) -> dict[str, Any]:
        """What it keeps from one call of `place` to the next (whose turn it is, an old reading), as JSON values."""
        ...

    def restore(self, memory: dict[str, Any]) -> None:
        """Take up what `memory` gave, also after it was JSON text. Called on a fresh policy, before any `place`."""
        ...

    def place(self, waiting: Sequence[Item], state: FleetState, now: float) -> list[Placed]:
        """One Placed for each waiting item, in the order decided. Does not change `state`."""
        ...
