"""The registry: weights with digest and lineage, and which of them serves a Line, since when and by whom."""

from django.db import models
from django.db.models import Q

from inspections.models import Line

from .dataset import DatasetVersion
from .run import FineTuneRun


class ModelKind(models.TextChoices):
    ADAPTER = "adapter", "describer adapter"
    DETECTOR = "detector", "detector"


class ModelVersion(models.Model):
    """Weights that a run made or somebody brought. The file is named by its sha256; the row is not changed."""

    class Format(models.TextChoices):
        SAFETENSORS = "safetensors"
        ONNX = "onnx"

    line = models.ForeignKey(Line, on_delete=models.PROTECT, related_name="model_versions")
    kind = models.CharField(max_length=10, choices=ModelKind)
    number = models.PositiveIntegerField(help_text="Counts the line's versions of this kind from 1")
    digest = models.CharField(
        max_length=64, help_text="sha256 of the weights file; of an adapter, the digest over its files"
    )
    format = models.CharField(max_length=12, choices=Format)
    bytes = models.PositiveBigIntegerField()
    run = models.ForeignKey(FineTuneRun, null=True, on_delete=models.PROTECT, related_name="made")
    version = models.ForeignKey(DatasetVersion, null=True, on_delete=models.PROTECT, related_name="+")
    base = models.CharField(max_length=200)
    base_digest = models.CharField(max_length=64, blank=True)
    classes = models.JSONField(default=list)
    metrics = models.JSONField(default=dict)
    gates = models.JSONField(default=list, help_text="[{name, passed, detail}]: what must hold before promotion")
    packages = models.JSONField(default=dict, help_text="Versions of what it was trained with")
    registered_by = models.CharField(max_length=150, help_text="The name they had then")
    registered_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["line", "kind", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["line", "kind", "number"], name="model_version_number_once"),
            models.UniqueConstraint(fields=["line", "kind", "digest"], name="model_version_weights_once"),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} v{self.number}"

    @property
    def passed(self) -> bool:
        """Whether it was measured against its gates, and none was missed."""
        return bool(self.gates) and all(gate.get("passed") is True for gate in self.gates)


class ServingChoice(models.Model):
    """What a Line is served by: one row for each kind, so there is exactly one. No version: the nodes' own model."""

    line = models.ForeignKey(Line, on_delete=models.CASCADE, related_name="serving")
    kind = models.CharField(max_length=10, choices=ModelKind)
    version = models.ForeignKey(ModelVersion, null=True, on_delete=models.PROTECT, related_name="+")
    before = models.ForeignKey(ModelVersion, null=True, on_delete=models.PROTECT, related_name="+")
    promotion = models.ForeignKey("Promotion", null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["line", "kind"], name="serving_choice_one_per_kind")]

    def __str__(self) -> str:
        return f"{self.line}: {self.version or 'the nodes own model'}"


class Promotion(models.Model):
    """Who let a Line be served by what, and when. Written once, in the transaction of the change."""

    class Act(models.TextChoices):
        PROMOTE = "promote"
        ROLLBACK = "rollback"

    line = models.ForeignKey(Line, on_delete=models.CASCADE, related_name="promotions")
    kind = models.CharField(max_length=10, choices=ModelKind)
    act = models.CharField(max_length=8, choices=Act)
    before = models.ForeignKey(ModelVersion, null=True, on_delete=models.PROTECT, related_name="+")
    after = models.ForeignKey(ModelVersion, null=True, on_delete=models.PROTECT, related_name="+")
    reason = models.TextField(blank=True, help_text="Why, where its gates were not passed")
    by = models.CharField(max_length=150, help_text="The name they had then")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.act} {self.after or 'the nodes own model'}"


class ShadowTrial(models.Model):
    """A version that answers a share of the live crops beside the one that serves; nobody acts on its answers.

    What it answered is in `inspections.ShadowAnswer`; `finetune.registry.shadow` counts it.
    """

    version = models.ForeignKey(ModelVersion, on_delete=models.CASCADE, related_name="trials")
    share = models.FloatField(help_text="Of the live crops")
    started_by = models.CharField(max_length=150, help_text="The name they had then")
    started_at = models.DateTimeField(auto_now_add=True)
    ended_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["version"], condition=Q(ended_at__isnull=True), name="shadow_trial_one_at_a_time"
            ),
            models.CheckConstraint(condition=Q(share__gt=0, share__lte=1), name="shadow_trial_share"),
        ]

    def __str__(self) -> str:
        return f"shadow of {self.version}"
