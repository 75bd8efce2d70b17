"""All Nodes that one line may use.

Holds NodeStates by name. Knows no policy.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from scheduling.policy.node import NodeState
from scheduling.policy.types import Item


@dataclass(slots=True)
class FleetState:
    nodes: dict[str, NodeState] = field(default_factory=dict)

    @classmethod
    def of(cls, nodes: Iterable[NodeState]) -> "FleetState":
        return cls({node.name: node for node in nodes})

    def eligible(self, item: Item, now: float) -> list[NodeState]:
        """Nodes that may be asked for this item: in rotation, serving the model and not failed on it."""
        return [n for n in self.nodes.values() if not why_not(n, item, now)]

    def to_json(self) -> dict[str, Any]:
        return {"nodes": [node.to_json() for node in self.nodes.values()]}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "FleetState":
        return cls.of(NodeState.from_json(node) for node in data["nodes"])


def why_not(node: NodeState, item: Item, now: float) -> str:
    """Why `node` is out of the question for `item`, or an empty string."""
    if node.name in item.excluded:
        return "failed this request before"
    return node.why_not(item.model, now)
