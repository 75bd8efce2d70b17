"""Tidy what nobody will come back to: attempts that were never booked, and recorded decisions beyond what is kept."""

from django.db.models.functions import Now

from scheduling.dispatch.ledger import HOLDER_LOST
from scheduling.models import Dispatch
from scheduling.services import decisions
from scheduling.services.dispatching import LONGEST_DISPATCH


def sweep() -> int:
    """Call it now and then, in one process at a time. Returns how many rows it changed or removed."""
    return close_lost_dispatches() + decisions.prune()


def close_lost_dispatches() -> int:
    """Attempts that ran longer than any may: their worker died, or another had taken over before they were answered."""
    lost = Dispatch.objects.filter(outcome=Dispatch.Outcome.RUNNING, sent_at__lt=Now() - LONGEST_DISPATCH)
    return lost.update(
        outcome=Dispatch.Outcome.LATE,
        error_code=HOLDER_LOST,
        error_detail="No answer was booked: whoever sent it went away, or another had taken over.",
    )
