"""A Frame (one stored picture), the Steps of its way, and the keys that make a retried upload the same Frame."""

from datetime import UTC, datetime, timedelta

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from aivd_web.kernel.ids import uuid7
from inspections.querysets import FrameQuerySet, StepQuerySet

from .plant import Line, Station

EARLIEST_CAPTURE = datetime(1990, 1, 1, tzinfo=UTC)
CAPTURED_AHEAD = timedelta(days=2)


class Inspection(models.Model):
    """One look at one part at a Station; one or more Frames."""

    station = models.ForeignKey(Station, on_delete=models.PROTECT, related_name="inspections")
    part_id = models.CharField(max_length=100, blank=True)
    started_at = models.DateTimeField(db_default=Now(), editable=False)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["station", "part_id"], condition=~Q(part_id=""), name="inspection_once_per_part"
            ),
        ]

    def __str__(self) -> str:
        return self.part_id or f"inspection {self.pk}"


class Frame(models.Model):
    """One stored picture. `decided_at` is set with its Decision, `completed_at` when no Step is open."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    inspection = models.ForeignKey(Inspection, on_delete=models.PROTECT, related_name="frames")
    station = models.ForeignKey(Station, on_delete=models.PROTECT, related_name="frames")
    line = models.ForeignKey(Line, on_delete=models.PROTECT, related_name="frames")
    name = models.CharField(max_length=200, blank=True, help_text="What the sender called it; only shown")
    sha256 = models.CharField(max_length=64)
    media_type = models.CharField(max_length=20)
    width = models.PositiveIntegerField(help_text="Of the upright picture, which all boxes are measured in")
    height = models.PositiveIntegerField(help_text="Of the upright picture, which all boxes are measured in")
    bytes = models.PositiveIntegerField()
    bit_depth = models.PositiveSmallIntegerField(
        default=8, help_text="Bits of its values that are used; 0 where that was not certain"
    )
    has_rendition = models.BooleanField(
        default=False, help_text="The bytes are not what people see; a picture made from them is"
    )
    captured_at = models.DateTimeField(null=True, blank=True)
    received_at = models.DateTimeField(db_default=Now(), editable=False)
    deadline_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    completed_at = models.DateTimeField(null=True, blank=True)

    objects = FrameQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(condition=Q(width__gt=0, height__gt=0, bytes__gt=0), name="frame_is_a_picture"),
            models.CheckConstraint(  # ingest allows a day ahead of the web's clock; this is the database's
                condition=Q(captured_at__isnull=True)
                | Q(captured_at__gte=EARLIEST_CAPTURE, captured_at__lte=F("received_at") + CAPTURED_AHEAD),
                name="frame_captured_in_its_time",
            ),
        ]
        indexes = [
            models.Index(fields=["line", "-id"], name="frame_line_newest"),  # Frame.objects.newest(line)
            models.Index(  # Frame.objects.overdue(now)
                fields=["deadline_at"], condition=Q(decided_at__isnull=True), name="frame_undecided"
            ),
        ]

    def __str__(self) -> str:
        return self.name or str(self.id)


class Step(models.Model):
    """One stage of a Frame's way. Claimed by conditional UPDATE; `lease_epoch` fences out a late holder."""

    class State(models.TextChoices):
        WAITING = "waiting"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        SKIPPED = "skipped", "no node was asked: the edge is sure of it"

    OPEN = (State.WAITING, State.RUNNING)
    MAX_ATTEMPTS = 5

    frame = models.ForeignKey(Frame, on_delete=models.CASCADE, related_name="steps")
    kind = models.CharField(max_length=20, help_text="The stage, as `inspections/pipeline/stages` names it")
    regions = models.PositiveSmallIntegerField(default=1, help_text="How many regions it is about; 1 for a whole frame")
    beside = models.BooleanField(
        default=False, help_text="The frame is complete without it, and is not held where it fails"
    )
    state = models.CharField(max_length=10, choices=State, default=State.WAITING)
    deadline_at = models.DateTimeField()
    not_before = models.DateTimeField(null=True, blank=True, help_text="Wait this long after a failed attempt")
    attempts = models.PositiveSmallIntegerField(default=0)
    lease_epoch = models.PositiveIntegerField(default=0)
    lease_owner = models.CharField(max_length=80, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    node = models.CharField(max_length=50, blank=True, help_text="The Node it runs or ran on")
    error_code = models.CharField(max_length=40, blank=True)
    error_detail = models.TextField(blank=True)
    result = models.JSONField(
        null=True, blank=True, help_text="What the model answered, where the stage has no rows of its own; untrusted"
    )
    created_at = models.DateTimeField(db_default=Now(), editable=False)
    finished_at = models.DateTimeField(null=True, blank=True)

    objects = StepQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["frame", "kind"], name="step_once_per_kind"),
            models.CheckConstraint(
                condition=~Q(state="running") | Q(lease_until__isnull=False), name="step_running_has_lease"
            ),
        ]
        indexes = [
            models.Index(  # Step.objects.waiting(kind)
                F("kind"), F("deadline_at"), F("id"), condition=Q(state="waiting"), name="step_waiting"
            ),
            models.Index(  # Step.objects.expired()
                fields=["lease_until"], condition=Q(state="running"), name="step_running"
            ),
            models.Index(  # those that were set aside, the newest first
                fields=["-id"], condition=Q(state="failed"), name="step_failed"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} of {self.frame_id}: {self.state}"


class IdempotencyKey(models.Model):
    """A retried request with the same key gets the stored answer; another payload under it is refused."""

    scope = models.CharField(max_length=100, help_text="Who sent it and to which station")
    key = models.CharField(max_length=200)
    payload_sha256 = models.CharField(max_length=64)
    answer = models.JSONField(null=True)
    created_at = models.DateTimeField(db_default=Now(), editable=False, db_index=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["scope", "key"], name="idempotency_key_once")]

    def __str__(self) -> str:
        return f"{self.scope} {self.key}"
