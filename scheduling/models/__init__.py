"""Tables of the scheduling app."""

from .act import NodeAct
from .dispatch import Dispatch
from .node import Node, Placement, ServedModel
from .record import RecordedDecision
from .replay import ReplayRun

__all__ = ["Dispatch", "Node", "NodeAct", "Placement", "RecordedDecision", "ReplayRun", "ServedModel"]
