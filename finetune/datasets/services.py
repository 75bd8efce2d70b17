"""Make a dataset, and put what people reviewed into it."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from django.db import IntegrityError, transaction

from aivd_web.kernel.errors import Conflict
from finetune.datasets import pictures
from finetune.models import Dataset, DatasetItem, ItemRegion, ModelVersion
from finetune.models.registry import ModelKind
from inspections.models import Frame, Line, Mark, Review
from inspections.services import judgement


def make(*, line: Line, name: str, product: str = "", by: str) -> Dataset:
    """An empty dataset. Raises Conflict where the line has one of this name."""
    try:
        with transaction.atomic():
            return Dataset.objects.create(line=line, name=name, product=product, created_by=by)
    except IntegrityError:
        raise Conflict(f"'{line.name}' has a dataset '{name}' already.", hint="Give it another name.") from None


def add_reviewed(*, dataset: Dataset, frames: Iterable[Frame]) -> int:
    """Put each reviewed frame with what its standing Review says; a second thought replaces the first.

    Frames of the dataset's own line only; those that nobody judged, or of which nobody was sure, are passed over.
    A good part has no regions. Returns how many items are new or changed.
    """
    return sum(_add(dataset, frame) for frame in frames if frame.line_id == dataset.line_id)


def _add(dataset: Dataset, frame: Frame) -> bool:
    review = judgement.standing(frame.reviews.all())
    if review is None or not review.part:
        return False
    marks = list(review.marks.select_related("defect_class"))
    if (review.part == judgement.GOOD) == bool(marks):
        return False  # a defect that nobody showed the place of
    look = "" if DatasetItem.objects.filter(dataset=dataset, sha256=frame.sha256).exists() else _look(frame)
    with transaction.atomic():
        item, created = DatasetItem.objects.select_for_update().get_or_create(
            dataset=dataset,
            sha256=frame.sha256,
            defaults={**_picture_of(frame), "look": look, "review": review},
        )
        if not created and (item.review_id or 0) >= review.pk:
            return False
        if not created:
            DatasetItem.objects.filter(pk=item.pk).update(frame=frame, review=review)
            item.regions.all().delete()
        ItemRegion.objects.bulk_create(_region(item, mark) for mark in marks)
    return True


def _picture_of(frame: Frame) -> dict[str, object]:
    part = frame.inspection
    return {
        "frame": frame,
        "name": frame.name or str(frame.pk),
        "media_type": frame.media_type,
        "width": frame.width,
        "height": frame.height,
        "bit_depth": frame.bit_depth,
        "has_rendition": frame.has_rendition,
        "template_sha256": frame.station.template_sha256,
        "group": f"part {part.pk}" if part.part_id else "",
    }


def _look(frame: Frame) -> str:
    kept = pictures.KeptPicture(
        frame.sha256, frame.media_type, frame.width, frame.height, frame.bit_depth, frame.has_rendition
    )
    return pictures.look_of(kept)


def _region(item: DatasetItem, mark: Mark) -> ItemRegion:
    source = ItemRegion.Source.DETECTOR if mark.from_model else ItemRegion.Source.PERSON
    w, h = mark.x2 - mark.x1, mark.y2 - mark.y1
    return ItemRegion(item=item, defect_class=mark.defect_class, x=mark.x1, y=mark.y1, w=w, h=h, source=source)


def reviewed_frames(line: Line) -> Sequence[Frame]:
    """Frames of the line that somebody judged, with what is needed to add them."""
    frames = Frame.objects.filter(line=line, reviews__isnull=False).distinct()
    return list(frames.select_related("inspection", "station").prefetch_related("reviews__reviewer"))


def corrections_since(dataset: Dataset) -> int:
    """Frames of the line whose decision a person called wrong since the dataset was last sealed."""
    last = dataset.versions.order_by("-number").first()
    return _corrections(dataset.line_id, last.sealed_at if last else None)


def corrections_since_trained(line: Line) -> tuple[int, int | None]:
    """Likewise since what the line's newest adapter was trained on was sealed, and that adapter's number."""
    newest = ModelVersion.objects.filter(line=line, kind=ModelKind.ADAPTER).select_related("version").first()
    sealed_at = newest.version.sealed_at if newest and newest.version else None
    return _corrections(line.pk, sealed_at), newest.number if newest else None


def _corrections(line_id: int, since: datetime | None) -> int:
    wrong = Review.objects.filter(frame__line=line_id, verdict=Review.Verdict.REJECT)
    if since is not None:
        wrong = wrong.filter(created_at__gt=since)
    return wrong.values("frame").distinct().count()
