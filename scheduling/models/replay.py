"""ReplayRun: a recorded stretch of decisions taken again by another policy. The row is the truth; its task may die."""

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class ReplayRun(models.Model):
    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    ACTIVE = (State.QUEUED, State.RUNNING)

    policy = models.CharField(max_length=40)
    since = models.DateTimeField(help_text="Decisions from here")
    until = models.DateTimeField(help_text="to here")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    scopes = models.JSONField(null=True, help_text="Whose requests it tells of; null: everybody's")
    total = models.PositiveIntegerField(default=0, help_text="Decisions in the stretch")
    done = models.PositiveIntegerField(default=0)
    result = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True)
    by = models.CharField(max_length=150)
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    beat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["by"], condition=Q(state__in=["queued", "running"]), name="replay_one_active_a_person"
            ),
            models.CheckConstraint(condition=Q(since__lt=models.F("until")), name="replay_stretch_has_length"),
        ]

    def __str__(self) -> str:
        return f"replay with {self.policy}: {self.state}"

    @property
    def is_active(self) -> bool:
        return self.state in self.ACTIVE
