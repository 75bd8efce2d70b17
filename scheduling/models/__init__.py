"""Tables of the scheduling app."""

from .dispatch import Dispatch
from .node import Node, Placement, ServedModel

__all__ = ["Dispatch", "Node", "Placement", "ServedModel"]
