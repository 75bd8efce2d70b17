"""RecordedDecision: what a policy saw and answered in one look at the queue, to decide it again later."""

from django.db import models


class RecordedDecision(models.Model):
    """`body` is the JSON text of a `scheduling.replay.records.DecisionRecord`: text, because jsonb reorders keys and a
    policy may depend on their order. The newest few thousand are kept (`scheduling.services.decisions`).
    """

    at = models.DateTimeField(db_index=True)
    policy = models.CharField(max_length=40)
    policy_version = models.CharField(max_length=12, help_text="Digest of the policies' source")
    body = models.TextField()

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.policy} at {self.at:%Y-%m-%d %H:%M:%S}"
