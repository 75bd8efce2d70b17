"""Where things are seen: a Site holds Lines, a Line holds Stations; a Line has its defect vocabulary."""

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q

from inspections.querysets import LineQuerySet, StationQuerySet
from scheduling.policy import POLICIES

SCORE = [MinValueValidator(0.0), MaxValueValidator(1.0)]


def policy_choices() -> list[tuple[str, str]]:
    """What a Line may choose. A function, so that a new policy needs no migration."""
    return [(name, name) for name in sorted(POLICIES)]


class Site(models.Model):
    name = models.CharField(max_length=100, unique=True)
    timezone = models.CharField(max_length=40, default="UTC")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name


class Line(models.Model):
    """A production line. Roles, events and the scheduling policy are per Line."""

    site = models.ForeignKey(Site, on_delete=models.PROTECT, related_name="lines")
    name = models.CharField(max_length=100)
    policy = models.CharField(
        max_length=40, default="pct-lb", choices=policy_choices, help_text="How nodes are chosen for this line"
    )
    describer = models.CharField(
        max_length=64,
        blank=True,
        default="",
        editable=False,
        help_text="Digest of the version that describes its regions; empty: the nodes' own model",
    )
    shadow_describer = models.CharField(
        max_length=64,
        blank=True,
        default="",
        editable=False,
        help_text="Digest of a version that is tried beside it; nobody acts on what it says",
    )
    shadow_share = models.FloatField(default=0.0, editable=False, help_text="Of the frames that are described")
    is_demo = models.BooleanField(default=False, help_text="Live offers to send generated boards to it")

    objects = LineQuerySet.as_manager()

    class Meta:
        ordering = ["site", "name"]
        constraints = [models.UniqueConstraint(fields=["site", "name"], name="line_name_once_per_site")]

    def __str__(self) -> str:
        return f"{self.site} / {self.name}"


class PolicyChange(models.Model):
    """Who let a Line choose Nodes in another way, and when. Written once, in the transaction of the change."""

    line = models.ForeignKey(Line, on_delete=models.CASCADE, related_name="policy_changes")
    before = models.CharField(max_length=40)
    after = models.CharField(max_length=40)
    by = models.CharField(max_length=150, help_text="The name they had then; people may be renamed or leave")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.before} to {self.after} by {self.by}"


class BitDepth(models.TextChoices):
    """How many bits of a 16-bit value the camera uses. Pictures of 8 bits need no choice."""

    AUTO = "auto", "tell by the picture"
    BITS_8 = "8", "8 bits only"
    BITS_10 = "10", "10 of 16 bits"
    BITS_12 = "12", "12 of 16 bits"
    BITS_14 = "14", "14 of 16 bits"
    BITS_16 = "16", "16 bits"


class Station(models.Model):
    """A camera position on a Line. Thresholds below which a Detection does not count are per class here.

    What it lets the scheduler do where a link is too slow (`ladder`, `sure_regions`) is off until somebody allows it.
    """

    class SureRegions(models.TextChoices):
        DESCRIBED = "described", "described like the others"
        LATER = "later", "described when the cloud has room"
        SKIPPED = "skipped", "not described when the cloud cannot make it in time"

    line = models.ForeignKey(Line, on_delete=models.PROTECT, related_name="stations")
    name = models.CharField(max_length=100)
    deadline_ms = models.PositiveIntegerField(
        default=15_000, help_text="A frame without a decision after this long is held"
    )
    min_score = models.FloatField(default=0.5, validators=SCORE, help_text="For classes with no threshold of their own")
    context_ratio = models.FloatField(default=1.5, help_text="How much the box grows for the describer's crop")
    describe = models.BooleanField(default=True, help_text="Have regions described by a cloud node")
    max_regions = models.PositiveSmallIntegerField(default=8, help_text="Regions described in one frame")
    describe_within_ms = models.PositiveIntegerField(
        default=600_000, help_text="Descriptions are wanted so long after the decision; later ones wait for spare room"
    )
    ladder = models.BooleanField(
        default=False, help_text="Send pictures as JPEG 75 or 50 where a node would else answer too late"
    )
    admission = models.BooleanField(
        default=False, help_text="Refuse a frame (429) that is foreseen to be decided after its deadline"
    )
    sure_regions = models.CharField(
        max_length=9,
        choices=SureRegions,
        default=SureRegions.DESCRIBED,
        help_text="What becomes of regions that the edge names rightly by a bound proven on the line's reviews",
    )
    template_sha256 = models.CharField(max_length=64, blank=True, help_text="Golden template, if there is one")
    product = models.CharField(
        max_length=40,
        blank=True,
        help_text="What it looks at, as models name it; while nobody has chosen, every frame is held",
    )
    bit_depth = models.CharField(
        max_length=4,
        choices=BitDepth,
        default=BitDepth.AUTO,
        help_text="Bits a camera uses of each 16-bit value; 'auto' holds a frame where they cannot be told",
    )

    objects = StationQuerySet.as_manager()

    class Meta:
        ordering = ["line", "name"]
        constraints = [
            models.UniqueConstraint(fields=["line", "name"], name="station_name_once_per_line"),
            models.CheckConstraint(condition=Q(min_score__range=(0, 1)), name="station_min_score_0_1"),
            models.CheckConstraint(condition=Q(context_ratio__range=(1, 4)), name="station_context_1_4"),
            models.CheckConstraint(condition=Q(deadline_ms__gte=100), name="station_deadline_100ms"),
            models.CheckConstraint(condition=Q(describe_within_ms__gte=100), name="station_describe_100ms"),
        ]

    def __str__(self) -> str:
        return f"{self.line} / {self.name}"


class DefectClass(models.Model):
    """An entry of a Line's defect vocabulary. `colour_index` keeps its colour the same on every screen."""

    line = models.ForeignKey(Line, on_delete=models.CASCADE, related_name="defect_classes")
    name = models.CharField(max_length=60, help_text="As the detector names it")
    title = models.CharField(max_length=60, blank=True, help_text="As people read it")
    colour_index = models.PositiveSmallIntegerField(default=0)
    position = models.PositiveSmallIntegerField(default=0, help_text="Key 1 to 9 in review")

    class Meta:
        ordering = ["line", "position", "name"]
        verbose_name_plural = "defect classes"
        constraints = [
            models.UniqueConstraint(fields=["line", "name"], name="defect_class_once_per_line"),
            models.CheckConstraint(condition=Q(colour_index__lte=7), name="defect_class_colour_0_7"),
        ]

    def __str__(self) -> str:
        return self.title or self.name


class ClassThreshold(models.Model):
    """The least score at which a Detection of this class counts at this Station."""

    station = models.ForeignKey(Station, on_delete=models.CASCADE, related_name="thresholds")
    defect_class = models.ForeignKey(DefectClass, on_delete=models.CASCADE, related_name="+")
    min_score = models.FloatField(validators=SCORE)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["station", "defect_class"], name="threshold_once"),
            models.CheckConstraint(condition=Q(min_score__range=(0, 1)), name="threshold_0_1"),
        ]

    def __str__(self) -> str:
        return f"{self.defect_class} >= {self.min_score:.2f}"
