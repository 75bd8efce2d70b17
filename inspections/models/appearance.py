"""How frames look as a whole, and what a Station's first frames looked like. Written by machines."""

from django.db import models
from django.db.models import Q

from .frame import Frame
from .plant import Station


class FrameAppearance(models.Model):
    """What a Node measured of a Frame, and how far that was from what was known then. Insert-only."""

    frame = models.OneToOneField(Frame, on_delete=models.CASCADE, related_name="appearance")
    statistics = models.JSONField(default=dict)
    model_distance = models.FloatField(null=True, help_text="From the model's training pictures; null where unknown")
    model_limit = models.FloatField(null=True)
    station_distance = models.FloatField(null=True, help_text="From the station's first frames; null where unknown")
    station_limit = models.FloatField(null=True)

    def __str__(self) -> str:
        return f"appearance of {self.frame_id}"


class StationBaseline(models.Model):
    """What a Station's first frames looked like. It vouches for others once it is established or confirmed."""

    class State(models.TextChoices):
        COLLECTING = "collecting", "the first frames are being collected"
        WAITING = "waiting", "too few of the first frames are like the model's training; a person must confirm them"
        ESTABLISHED = "established", "most of the first frames are like the model's training"
        CONFIRMED = "confirmed", "a person confirmed the first frames"

    VOUCHING = (State.ESTABLISHED, State.CONFIRMED)

    station = models.OneToOneField(Station, on_delete=models.CASCADE, related_name="baseline")
    state = models.CharField(max_length=12, choices=State, default=State.COLLECTING)
    after_frame = models.UUIDField(null=True, help_text="Frames that came after this one are collected")
    reference = models.JSONField(default=dict, help_text="Statistics, scales, limit and frames, as appearance.py reads")
    changed_at = models.DateTimeField(auto_now=True)
    confirmed_by = models.CharField(max_length=150, blank=True, help_text="The name they had then")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="confirmed") | ~Q(confirmed_by=""), name="baseline_confirmed_by_somebody"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.station}: {self.state}"
