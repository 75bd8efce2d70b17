"""Datasets: pictures with what people say is on them, how they came in, and the sealed versions that runs train on."""

from django.db import models
from django.db.models import Q

from aivd_web.kernel.ids import uuid7
from finetune.datasets.querysets import DatasetItemQuerySet, DatasetQuerySet
from inspections.models import DefectClass, Frame, Line, Review

from .work import LeasedWork


class Split(models.TextChoices):
    TRAIN = "train"
    VAL = "val"
    TEST = "test"


class Dataset(models.Model):
    """Pictures of one product. It belongs to a Line, whose vocabulary names what is on them."""

    line = models.ForeignKey(Line, on_delete=models.PROTECT, related_name="datasets")
    name = models.CharField(max_length=100)
    product = models.CharField(max_length=40, blank=True, help_text="What the pictures show, as stations name it")
    created_by = models.CharField(max_length=150, help_text="The name they had then")
    created_at = models.DateTimeField(auto_now_add=True)

    objects = DatasetQuerySet.as_manager()

    class Meta:
        ordering = ["line", "name"]
        constraints = [models.UniqueConstraint(fields=["line", "name"], name="dataset_name_once_per_line")]

    def __str__(self) -> str:
        return self.name


class ImportJob(LeasedWork):
    """Pictures and labels on their way into a Dataset, from an uploaded archive or a folder of this machine."""

    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="imports")
    format = models.CharField(max_length=20)
    source = models.CharField(max_length=1000, help_text="The folder, or the name that the sender gave the archive")
    archive = models.CharField(max_length=64, blank=True, help_text="sha256 of an uploaded archive; empty: a folder")
    options = models.JSONField(default=dict)
    total = models.PositiveIntegerField(default=0, help_text="Pictures in the source; 0 until they were counted")
    done = models.PositiveIntegerField(default=0)
    taken = models.PositiveIntegerField(default=0)
    troubles_count = models.PositiveIntegerField(default=0)

    class Meta(LeasedWork.Meta):
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.format} into {self.dataset}"


class ImportTrouble(models.Model):
    """One thing that was not taken in. `key` is the same each time it is met, so an import that goes on adds none."""

    job = models.ForeignKey(ImportJob, on_delete=models.CASCADE, related_name="troubles")
    key = models.CharField(max_length=64, editable=False)
    code = models.CharField(max_length=40)
    file = models.CharField(max_length=500)
    line = models.PositiveIntegerField(null=True)
    entry = models.CharField(max_length=80, blank=True)
    detail = models.TextField()
    hint = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["job", "key"], name="import_trouble_once")]

    def __str__(self) -> str:
        return f"{self.file}:{self.line or '-'}: {self.detail}"


class DatasetItem(models.Model):
    """A picture of a Dataset. Its ItemRegions say what is on it; with none of them it shows no defect.

    It holds what the picture store needs to know (see `inspections.media`), so an imported picture is no Frame and
    makes no Steps. `group` names what must stay in one split.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    dataset = models.ForeignKey(Dataset, on_delete=models.CASCADE, related_name="items")
    job = models.ForeignKey(ImportJob, null=True, on_delete=models.SET_NULL, related_name="items")
    frame = models.ForeignKey(Frame, null=True, on_delete=models.PROTECT, related_name="+")
    review = models.ForeignKey(Review, null=True, on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=500)
    sha256 = models.CharField(max_length=64)
    media_type = models.CharField(max_length=20)
    width = models.PositiveIntegerField(help_text="Of the upright picture, which all regions are measured in")
    height = models.PositiveIntegerField(help_text="Of the upright picture, which all regions are measured in")
    bit_depth = models.PositiveSmallIntegerField(default=8)
    has_rendition = models.BooleanField(default=False)
    template_sha256 = models.CharField(max_length=64, blank=True)
    template_bit_depth = models.PositiveSmallIntegerField(null=True, help_text="Null: a station's, by its setting")
    template_has_rendition = models.BooleanField(default=False)
    group = models.CharField(max_length=200, blank=True)
    stated_split = models.CharField(max_length=5, choices=Split, blank=True, help_text="As its source has it")
    look = models.CharField(max_length=16, blank=True, help_text="Perceptual hash; alike pictures differ in few bits")
    added_at = models.DateTimeField(auto_now_add=True)

    objects = DatasetItemQuerySet.as_manager()

    class Meta:
        ordering = ["id"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "sha256"], name="dataset_item_picture_once"),
            models.CheckConstraint(condition=Q(width__gt=0, height__gt=0), name="dataset_item_is_a_picture"),
        ]

    def __str__(self) -> str:
        return self.name


class ItemRegion(models.Model):
    """What somebody or something says is at a place of an item, in pixels of the upright picture."""

    class Source(models.TextChoices):
        PERSON = "person", "drawn or corrected by a person"
        IMPORT = "import", "from an imported label"
        DETECTOR = "detector", "found by a detector and confirmed unchanged by a person"

    item = models.ForeignKey(DatasetItem, on_delete=models.CASCADE, related_name="regions")
    defect_class = models.ForeignKey(DefectClass, on_delete=models.PROTECT, related_name="+")
    x = models.FloatField()
    y = models.FloatField()
    w = models.FloatField()
    h = models.FloatField()
    polygon = models.JSONField(null=True, help_text="[[x, y], ...] of three points or more")
    text = models.JSONField(null=True, help_text="What is said of it in words, by field")
    source = models.CharField(max_length=8, choices=Source)

    class Meta:
        ordering = ["item", "id"]
        constraints = [
            models.CheckConstraint(condition=Q(x__gte=0, y__gte=0, w__gt=0, h__gt=0), name="item_region_has_area"),
        ]

    def __str__(self) -> str:
        return str(self.defect_class)

    @property
    def box_xywh(self) -> tuple[float, float, float, float]:
        return (self.x, self.y, self.w, self.h)


class DatasetVersion(models.Model):
    """A Dataset as it was when somebody sealed it. Never changed: the database refuses it (migration 0002).

    `digest` is that of the manifest, which names every picture by its own; `folder` lies below MEDIA_DIR.
    """

    dataset = models.ForeignKey(Dataset, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    digest = models.CharField(max_length=64)
    folder = models.CharField(max_length=200)
    seed = models.PositiveIntegerField()
    classes = models.JSONField(help_text="Names in the order of their numbers")
    counts = models.JSONField(help_text="By split: frames, frames without defects, regions by class")
    notes = models.JSONField(default=list, help_text="What to know of it: sentences")
    sealed_by = models.CharField(max_length=150, help_text="The name they had then")
    sealed_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["dataset", "-number"]
        constraints = [
            models.UniqueConstraint(fields=["dataset", "number"], name="dataset_version_number_once"),
            models.CheckConstraint(condition=Q(number__gte=1), name="dataset_version_counts_from_1"),
        ]

    def __str__(self) -> str:
        return f"{self.dataset} v{self.number}"
