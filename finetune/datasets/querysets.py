"""Questions that are asked of datasets."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from django.db import models
from django.db.models import Count

if TYPE_CHECKING:
    from finetune.models import Dataset, DatasetItem  # noqa: F401 - named in strings below
    from inspections.querysets import LineQuerySet


class DatasetQuerySet(models.QuerySet["Dataset"]):
    def on_lines(self, lines: "LineQuerySet") -> "DatasetQuerySet":
        return self.filter(line__in=lines).select_related("line__site")

    def with_counts(self) -> "DatasetQuerySet":
        return self.annotate(items_count=Count("items", distinct=True), versions_count=Count("versions", distinct=True))


class DatasetItemQuerySet(models.QuerySet["DatasetItem"]):
    def counts_by_class(self) -> Sequence[dict[str, Any]]:
        """Regions and the items that they lie on, by class, in the order of the vocabulary."""
        rows = (
            self.filter(regions__isnull=False)
            .values("regions__defect_class__name", "regions__defect_class__title")
            .annotate(regions_count=Count("regions"), items_count=Count("pk", distinct=True))
            .order_by("regions__defect_class__position")
        )
        return [dict(row) for row in rows]

    def without_defects(self) -> "DatasetItemQuerySet":
        return self.filter(regions__isnull=True)

    def counts_by_stated_split(self) -> dict[str, int]:
        rows = self.values("stated_split").annotate(number=Count("pk")).order_by("stated_split")
        return {row["stated_split"] or "unstated": row["number"] for row in rows}
