"""What a person decided: a Review is one act on one Frame, its Marks are Regions they drew or confirmed."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from .findings import Detection
from .frame import Frame
from .plant import DefectClass


class Review(models.Model):
    """`verdict` is about the machine's Decision, `part` about the part that was looked at: they are two things."""

    class Verdict(models.TextChoices):
        ACCEPT = "accept", "the machine's decision is right"
        REJECT = "reject", "the machine's decision is wrong"
        UNSURE = "unsure", "somebody else should look"
        SETTLE = "settle", "the machine had not judged; the person did"

    class Part(models.TextChoices):
        GOOD = "good"
        DEFECTIVE = "defective"

    frame = models.ForeignKey(Frame, on_delete=models.CASCADE, related_name="reviews")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews")
    verdict = models.CharField(max_length=8, choices=Verdict)
    part = models.CharField(max_length=10, choices=Part, blank=True, help_text="Empty where nothing was said of it")
    note = models.TextField(blank=True, max_length=2000)
    client_key = models.CharField(max_length=180, blank=True, help_text="Idempotency-Key: sent twice is said once")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["reviewer", "client_key"], condition=~Q(client_key=""), name="review_once_per_key"
            ),
            models.CheckConstraint(
                condition=Q(verdict="unsure", part="")
                | Q(verdict="settle", part__in=["good", "defective"])
                | Q(verdict__in=["accept", "reject"]),
                name="review_part_fits_verdict",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.part or self.verdict} by {self.reviewer}"


class Mark(models.Model):
    """A Region a person drew, corrected or confirmed, in pixels of the stored frame."""

    review = models.ForeignKey(Review, on_delete=models.CASCADE, related_name="marks")
    detection = models.ForeignKey(Detection, null=True, blank=True, on_delete=models.SET_NULL, related_name="marks")
    defect_class = models.ForeignKey(DefectClass, on_delete=models.PROTECT, related_name="+")
    x1 = models.FloatField()
    y1 = models.FloatField()
    x2 = models.FloatField()
    y2 = models.FloatField()
    from_model = models.BooleanField(help_text="A Detection confirmed unchanged")

    class Meta:
        constraints = [
            models.CheckConstraint(condition=Q(x2__gt=F("x1"), y2__gt=F("y1")), name="mark_box_order"),
        ]

    def __str__(self) -> str:
        return f"{self.defect_class} ({'confirmed' if self.from_model else 'drawn'})"

    @property
    def box_xyxy(self) -> tuple[float, float, float, float]:
        return (self.x1, self.y1, self.x2, self.y2)
