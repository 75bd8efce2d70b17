"""What a person decided: a Review is one act on one Frame, its Marks are Regions they drew or confirmed."""

from django.conf import settings
from django.db import models
from django.db.models import F, Q

from .findings import Detection
from .frame import Frame
from .plant import DefectClass


class Review(models.Model):
    class Verdict(models.TextChoices):
        ACCEPT = "accept"
        REJECT = "reject"
        UNSURE = "unsure"

    frame = models.ForeignKey(Frame, on_delete=models.CASCADE, related_name="reviews")
    reviewer = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="reviews")
    verdict = models.CharField(max_length=8, choices=Verdict)
    note = models.TextField(blank=True, max_length=2000)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.verdict} by {self.reviewer}"


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
