"""DemoRun: one run of the demo line at a station. The row is the truth; the task that serves it may die."""

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from inspections.models import Station


class DemoRun(models.Model):
    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        SUCCEEDED = "succeeded"
        FAILED = "failed"
        CANCELLED = "cancelled"

    ACTIVE = (State.QUEUED, State.RUNNING)

    station = models.ForeignKey(Station, on_delete=models.CASCADE, related_name="demo_runs")
    state = models.CharField(max_length=10, choices=State, default=State.QUEUED)
    boards_per_s = models.FloatField(default=1.0)
    count = models.PositiveIntegerField(default=100)
    seed = models.PositiveIntegerField()
    sent = models.PositiveIntegerField(default=0)
    accepted = models.PositiveIntegerField(default=0)
    refused = models.PositiveIntegerField(default=0)
    error = models.TextField(blank=True)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    beat_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["station"],
                condition=Q(state__in=["queued", "running"]),
                name="demo_one_active_a_station",
            ),
            models.CheckConstraint(condition=Q(boards_per_s__gt=0, boards_per_s__lte=20), name="demo_rate"),
        ]

    def __str__(self) -> str:
        return f"demo at {self.station}: {self.state}"
