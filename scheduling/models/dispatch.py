"""Dispatch: one attempt to have one Node do one request, with what was predicted and what happened."""

from django.db import models

from scheduling.querysets import DispatchQuerySet

from .node import Node, ServedModel
from .record import RecordedDecision


class Dispatch(models.Model):
    class Outcome(models.TextChoices):
        RUNNING = "running"
        OK = "ok"
        FAILED = "failed"
        LATE = "late", "answered after another holder had taken over"

    subject = models.CharField(max_length=64, help_text="What the request was for; opaque to scheduling")
    item = models.CharField(
        max_length=64, blank=True, help_text="Which of the subject's requests it was; opaque to scheduling"
    )
    scope = models.BigIntegerField(null=True, help_text="Whose request it was; opaque to scheduling")
    model = models.CharField(max_length=60)
    attempt = models.PositiveSmallIntegerField()
    node = models.ForeignKey(Node, on_delete=models.PROTECT, related_name="dispatches")
    served_model = models.ForeignKey(ServedModel, null=True, on_delete=models.PROTECT, related_name="+")
    policy = models.CharField(max_length=40)
    reason = models.TextField(help_text="Why this node, in words")
    alternatives = models.JSONField(default=list)
    predicted_ms = models.FloatField(null=True)
    breakdown = models.JSONField(default=dict)
    slack_ms = models.FloatField(
        null=True, help_text="Time left to the deadline when it was sent; below zero, it was late"
    )
    payload_bytes = models.PositiveIntegerField(default=0, help_text="Sent; foreseen until it was answered")
    full_bytes = models.PositiveIntegerField(default=0, help_text="What it would have been at full quality")
    quality = models.CharField(max_length=20, blank=True, help_text="The rung of the ladder; empty: full quality")
    sent_at = models.DateTimeField(db_index=True)
    measured_ms = models.FloatField(null=True)
    queue_ms = models.FloatField(null=True)
    service_ms = models.FloatField(null=True)
    outcome = models.CharField(max_length=8, choices=Outcome, default=Outcome.RUNNING)
    error_code = models.CharField(max_length=40, blank=True)
    error_detail = models.TextField(blank=True)

    record = models.ForeignKey(
        RecordedDecision,
        null=True,
        on_delete=models.SET_NULL,
        related_name="dispatches",
        help_text="What the policy saw; a busy worker keeps a sample",
    )
    request_id = models.CharField(max_length=32, blank=True, help_text="Its name in the workers' shared ledger")

    objects = DispatchQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "dispatches"
        indexes = [
            # Dispatch.objects.about(subject): the dispatches of one Frame on its page
            models.Index(fields=["subject", "id"], name="dispatch_subject"),
            # Dispatch.objects.within(scopes).newest(limit): the decisions that one may see on the fleet page
            models.Index(fields=["scope", "-id"], name="dispatch_scope"),
            # what is on the Nodes now, for a ledger made anew and for the sweep of what nobody waits for
            models.Index(fields=["sent_at"], condition=models.Q(outcome="running"), name="dispatch_running"),
        ]

    def __str__(self) -> str:
        return f"{self.model} on {self.node_id}, attempt {self.attempt}: {self.outcome}"
