"""Events: what changed on a Line, numbered 1..n without a gap. Written in the transaction of the change."""

from django.db import models

from .plant import Line


class EventHead(models.Model):
    """The last number given out on a Line. Its row lock orders the writers, so numbers follow commit order."""

    line = models.OneToOneField(Line, primary_key=True, on_delete=models.CASCADE, related_name="event_head")
    seq = models.BigIntegerField(default=0)

    def __str__(self) -> str:
        return f"{self.line_id}: {self.seq}"


class Event(models.Model):
    line = models.ForeignKey(Line, on_delete=models.CASCADE, related_name="events")
    seq = models.BigIntegerField()
    type = models.CharField(max_length=30)
    frame_id = models.UUIDField(null=True)
    data = models.JSONField(default=dict)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["line", "seq"]
        constraints = [models.UniqueConstraint(fields=["line", "seq"], name="event_seq_once")]

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"
