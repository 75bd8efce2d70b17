"""Runs: a recipe, one attempt to train by it on a sealed version, and what the trainer told on the way."""

from django.db import models
from django.db.models import Q

from aivd_web.kernel.ids import uuid7
from finetune.runs.querysets import RunQuerySet
from inspections.models import Line

from .dataset import DatasetVersion
from .work import LeasedWork


class Kind(models.TextChoices):
    DESCRIBER_LORA = "describer-lora", "describer (LoRA)"
    DETECTOR = "detector", "detector"


class Recipe(models.Model):
    """Settings that somebody keeps under a name. A run takes a copy, so changing a recipe changes no run."""

    line = models.ForeignKey(Line, on_delete=models.CASCADE, related_name="recipes")
    name = models.CharField(max_length=100)
    kind = models.CharField(max_length=20, choices=Kind)
    settings = models.JSONField(default=dict)
    created_by = models.CharField(max_length=150, help_text="The name they had then")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["line", "name"]
        constraints = [models.UniqueConstraint(fields=["line", "name"], name="recipe_name_once_per_line")]

    def __str__(self) -> str:
        return self.name


class FineTuneRun(LeasedWork):
    """One attempt to make weights. All that is needed to repeat it is in its row and in its sealed version."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    line = models.ForeignKey(Line, on_delete=models.PROTECT, related_name="runs")
    version = models.ForeignKey(DatasetVersion, on_delete=models.PROTECT, related_name="runs")
    recipe = models.ForeignKey(Recipe, null=True, blank=True, on_delete=models.SET_NULL, related_name="runs")
    name = models.CharField(max_length=100, blank=True)
    kind = models.CharField(max_length=20, choices=Kind)
    base = models.CharField(max_length=200, help_text="The weights that it begins from, as the trainer names them")
    base_digest = models.CharField(max_length=64, blank=True)
    seed = models.PositiveIntegerField(default=0)
    settings = models.JSONField(default=dict, help_text="The recipe as it was when the run was launched")
    step = models.PositiveIntegerField(default=0)
    steps = models.PositiveIntegerField(default=0)
    eta_s = models.FloatField(null=True)
    events_read = models.PositiveBigIntegerField(default=0, help_text="Bytes of events.jsonl that became rows")
    events_seq = models.PositiveIntegerField(default=0)
    report = models.JSONField(null=True)

    objects = RunQuerySet.as_manager()

    class Meta(LeasedWork.Meta):
        ordering = ["-id"]
        indexes = [  # FineTuneRun.objects.waiting()
            models.Index(fields=["created_at"], condition=Q(state="queued"), name="run_queued"),
        ]

    def __str__(self) -> str:
        return self.name or f"{self.kind} on {self.version}"

    def ahead(self) -> int:
        """How many runs wait that were launched before it."""
        return FineTuneRun.objects.waiting().filter(created_at__lt=self.created_at).count()


class RunPreview(LeasedWork):
    """What a run by these settings would train on and cost. Looked at for a day, then gone with its pictures."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    version = models.ForeignKey(DatasetVersion, on_delete=models.CASCADE, related_name="previews")
    kind = models.CharField(max_length=20, choices=Kind)
    base = models.CharField(max_length=200)
    seed = models.PositiveIntegerField(default=0)
    settings = models.JSONField(default=dict)
    progress = models.CharField(max_length=300, blank=True, help_text="What it does just now, in a sentence")
    shown = models.JSONField(null=True, help_text="The trainer's preview.json")

    class Meta(LeasedWork.Meta):
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"preview of {self.kind} on {self.version}"


class GateThresholds(models.Model):
    """Where a Line asks more, or less, of a version than the site does before it may serve: {gate's name: number}."""

    line = models.OneToOneField(Line, on_delete=models.CASCADE, related_name="gate_thresholds")
    values = models.JSONField(default=dict)
    changed_by = models.CharField(max_length=150, help_text="The name they had then")
    changed_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return f"gates of {self.line}"


class RunEvent(models.Model):
    """One line that the trainer wrote: a metric, a log line, a sample answer. `seq` counts from 1 without a gap."""

    run = models.ForeignKey(FineTuneRun, on_delete=models.CASCADE, related_name="events")
    seq = models.PositiveIntegerField()
    type = models.CharField(max_length=20)
    level = models.CharField(max_length=8, blank=True, help_text="Of a log line: debug, info, warning, error")
    data = models.JSONField(default=dict)
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["run", "seq"]
        constraints = [models.UniqueConstraint(fields=["run", "seq"], name="run_event_seq_once")]

    def __str__(self) -> str:
        return f"{self.seq} {self.type}"
