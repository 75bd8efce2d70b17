"""From which score on the edge names a Line's regions rightly, as the Line's reviews prove and go on to audit."""

from django.db import models
from django.db.models import Q

from scheduling.models import ServedModel

from .plant import Line


class Sureness(models.Model):
    """The bound in words: of the regions at `threshold` or above, at most `upper_bound` are wrong, at `confidence`.

    `threshold` is empty while nothing is proven, or where the audit has disproved it. It holds for one model's scores.
    """

    line = models.OneToOneField(Line, on_delete=models.CASCADE, related_name="sureness")
    served_model = models.ForeignKey(ServedModel, null=True, on_delete=models.SET_NULL, related_name="+")
    threshold = models.FloatField(null=True)
    judged = models.PositiveIntegerField(default=0, help_text="Regions that people had judged when it was chosen")
    above = models.PositiveIntegerField(default=0, help_text="Of these, at the threshold or above")
    wrong = models.PositiveIntegerField(default=0, help_text="Of these, wrong")
    upper_bound = models.FloatField(default=1.0)
    confidence = models.FloatField(default=0.0)
    rounds = models.PositiveSmallIntegerField(default=0, help_text="How often it was chosen: each has less to spend")
    audited = models.PositiveIntegerField(default=0, help_text="Regions at the threshold or above judged since")
    audited_wrong = models.PositiveIntegerField(default=0)
    disproved = models.BooleanField(default=False, help_text="The audit found more wrong than the bound allows")
    chosen_at = models.DateTimeField(null=True)

    class Meta:
        verbose_name_plural = "sureness"
        constraints = [
            models.CheckConstraint(
                condition=Q(threshold__isnull=True) | Q(threshold__range=(0, 1), disproved=False),
                name="sureness_threshold_0_1",
            ),
        ]

    def __str__(self) -> str:
        return "nothing proven" if self.threshold is None else f"sure from {self.threshold:.3f} on"
