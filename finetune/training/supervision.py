"""How a run listens to whoever started it: SIGTERM ends it cleanly, and it does not outlive its parent.

Knows nothing about training. A supervisor that dies without a word takes the run along, so that no orphan goes on
writing into a folder that somebody else resumes.
"""

import ctypes
import os
import signal
from types import FrameType
from typing import Final

from finetune.training.faults import Cancelled

PR_SET_PDEATHSIG: Final = 1


class Supervision:
    """Ask `check` between steps: it raises Cancelled once the run is to end."""

    def __init__(self) -> None:
        self.parent = os.getppid()
        self.reason = ""
        signal.signal(signal.SIGTERM, self._asked)
        signal.signal(signal.SIGINT, self._asked)
        _signal_when_parent_dies()

    def check(self) -> None:
        if os.getppid() != self.parent:
            self.reason = "Its supervisor is gone."
        if self.reason:
            raise Cancelled(self.reason)

    def _asked(self, _signal: int, _frame: FrameType | None) -> None:
        self.reason = "It was asked to stop."


def _signal_when_parent_dies() -> None:
    """Linux sends the signal itself, also while a long step computes; elsewhere `check` notices between steps."""
    try:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
    except (OSError, AttributeError):
        return
