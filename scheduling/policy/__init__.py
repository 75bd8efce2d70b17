"""Choose a Node for each waiting item. Pure: no Django, no I/O, no clock; the worker and the simulator
share it.
"""

from scheduling.policy.fleet import FleetState
from scheduling.policy.node import NodeState
from scheduling.policy.protocol import Policy
from scheduling.policy.registry import POLICIES, get_policy
from scheduling.policy.types import FULL_QUALITY, Alternative, Breakdown, Item, Placed, Quality

__all__ = [
    "FULL_QUALITY",
    "POLICIES",
    "Alternative",
    "Breakdown",
    "FleetState",
    "Item",
    "NodeState",
    "Placed",
    "Policy",
    "Quality",
    "get_policy",
]
