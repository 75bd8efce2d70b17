"""Tables of the inspections app."""

from .access import ApiToken, Membership
from .appearance import FrameAppearance, StationBaseline
from .event import Event, EventHead
from .findings import Decision, Description, Detection, ShadowAnswer
from .frame import Frame, IdempotencyKey, Inspection, Step
from .plant import BitDepth, ClassThreshold, DefectClass, Line, PolicyChange, Site, Station
from .review import Mark, Review
from .sureness import Sureness

__all__ = [
    "ApiToken",
    "BitDepth",
    "ClassThreshold",
    "Decision",
    "DefectClass",
    "Description",
    "Detection",
    "Event",
    "EventHead",
    "Frame",
    "FrameAppearance",
    "IdempotencyKey",
    "Inspection",
    "Line",
    "Mark",
    "Membership",
    "PolicyChange",
    "Review",
    "ShadowAnswer",
    "Site",
    "Station",
    "StationBaseline",
    "Step",
    "Sureness",
]
