"""What models and the machine said: Detections, Descriptions and the Decision. People's words are in review.py."""

from django.db import models
from django.db.models import F, Q

from aivd_web.kernel.ids import uuid7
from scheduling.models import ServedModel

from .frame import Frame
from .plant import DefectClass


class Detection(models.Model):
    """A Region a model proposed, in pixels of the upright frame (x right, y down). Insert-only."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    frame = models.ForeignKey(Frame, on_delete=models.CASCADE, related_name="detections")
    index = models.PositiveSmallIntegerField(help_text="Order by falling score within the frame")
    defect_class = models.ForeignKey(DefectClass, on_delete=models.PROTECT, related_name="+")
    x1 = models.FloatField()
    y1 = models.FloatField()
    x2 = models.FloatField()
    y2 = models.FloatField()
    score = models.FloatField()
    counts = models.BooleanField(help_text="Its score reached the station's threshold when it was made")
    sure = models.BooleanField(
        default=False, help_text="Its score was above the bound that the line's reviews prove, and it was not audited"
    )
    served_model = models.ForeignKey(ServedModel, on_delete=models.PROTECT, related_name="+")
    node = models.CharField(max_length=50)

    class Meta:
        ordering = ["frame", "index"]
        constraints = [
            models.UniqueConstraint(fields=["frame", "index"], name="detection_once"),
            models.CheckConstraint(condition=Q(x2__gt=F("x1"), y2__gt=F("y1")), name="detection_box_order"),
            models.CheckConstraint(condition=Q(score__range=(0, 1)), name="detection_score_0_1"),
        ]

    def __str__(self) -> str:
        return f"{self.defect_class} {self.score:.2f}"

    @property
    def box_xyxy(self) -> tuple[float, float, float, float]:
        return (self.x1, self.y1, self.x2, self.y2)


class Description(models.Model):
    """Structured text a model wrote about one Detection. Untrusted plain text. Insert-only."""

    detection = models.OneToOneField(Detection, on_delete=models.CASCADE, related_name="description")
    served_model = models.ForeignKey(ServedModel, on_delete=models.PROTECT, related_name="+")
    node = models.CharField(max_length=50)
    prompt_version = models.CharField(max_length=40)
    answer = models.JSONField(default=dict)
    raw_text = models.TextField()
    valid = models.BooleanField()
    errors = models.JSONField(default=list)
    tokens = models.PositiveIntegerField(default=0)
    latency_ms = models.FloatField()
    created_at = models.DateTimeField(auto_now_add=True)

    def __str__(self) -> str:
        return f"description of {self.detection_id}"


class ShadowAnswer(models.Model):
    """What a version that is only tried wrote about a Detection. Untrusted; nobody acts on it. Insert-only."""

    detection = models.ForeignKey(Detection, on_delete=models.CASCADE, related_name="shadow_answers")
    digest = models.CharField(max_length=64, help_text="Of the version that answered")
    served_model = models.ForeignKey(ServedModel, on_delete=models.PROTECT, related_name="+")
    node = models.CharField(max_length=50)
    answer = models.JSONField(default=dict)
    valid = models.BooleanField()
    latency_ms = models.FloatField()
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["detection", "digest"], name="shadow_answer_once")]
        indexes = [  # the answers of one trial, the newest first
            models.Index(fields=["digest", "-id"], name="shadow_answer_digest"),
        ]

    def __str__(self) -> str:
        return f"shadow {self.digest[:12]} of {self.detection_id}"


class Decision(models.Model):
    """What the machine says of a Frame. Unknown, late or failed is `hold`, never `pass`."""

    class Outcome(models.TextChoices):
        PASS = "pass"
        FAIL = "fail"
        HOLD = "hold"

    class Code(models.TextChoices):
        CLEAN = "clean", "no region reached its threshold"
        DEFECT = "defect", "a region reached its threshold"
        LATE = "late", "not decided before the deadline"
        FAILED = "failed", "could not be inspected"
        PRODUCT = "product", "no model here was trained for what the station looks at"
        UNLIKE = "unlike", "unlike anything known"
        UNPLACED = "unplaced", "a region cannot be placed on the frame"
        UNSCALED = "unscaled", "the picture's grey levels cannot be scaled with certainty"

    frame = models.OneToOneField(Frame, on_delete=models.CASCADE, related_name="decision")
    outcome = models.CharField(max_length=4, choices=Outcome)
    code = models.CharField(max_length=10, choices=Code)
    reason = models.TextField()
    decided_at = models.DateTimeField()
    latency_ms = models.FloatField(help_text="From receipt to decision")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(outcome="pass", code="clean")
                | Q(outcome="fail", code="defect")
                | (Q(outcome="hold") & ~Q(code__in=["clean", "defect"])),
                name="decision_pass_only_when_clean",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.outcome}: {self.reason}"
