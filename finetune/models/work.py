"""What every long-lived thing has: a state, a lease with its epoch, what a person wants of it, and why it failed."""

from django.db import models
from django.db.models import Q


class State(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    PAUSED = "paused"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


ENDED = (State.SUCCEEDED, State.FAILED, State.CANCELLED)


class LeasedWork(models.Model):
    """A row that one worker at a time works for. Its lease is the truth; a message only wakes somebody up.

    `lease_epoch` counts the holders: what an earlier one still writes finds no row any more.
    """

    class Wish(models.TextChoices):
        PAUSE = "pause"
        CANCEL = "cancel"

    state = models.CharField(max_length=9, choices=State, default=State.QUEUED)
    wish = models.CharField(max_length=6, choices=Wish, blank=True, help_text="What a person wants of its holder")
    lease_until = models.DateTimeField(null=True, editable=False)
    lease_epoch = models.PositiveIntegerField(default=0, editable=False)
    attempts = models.PositiveSmallIntegerField(default=0, help_text="How often a worker began or went on with it")
    error_code = models.CharField(max_length=40, blank=True)
    error_detail = models.TextField(blank=True)
    error_hint = models.TextField(blank=True)
    created_by = models.CharField(max_length=150, help_text="The name they had then")
    created_at = models.DateTimeField(auto_now_add=True)
    started_at = models.DateTimeField(null=True, editable=False)
    finished_at = models.DateTimeField(null=True, editable=False)

    class Meta:
        abstract = True
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="running") | Q(lease_until__isnull=False), name="%(class)s_running_has_lease"
            ),
            models.CheckConstraint(condition=~Q(state="failed") | ~Q(error_code=""), name="%(class)s_failed_says_why"),
        ]
