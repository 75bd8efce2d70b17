"""Questions that are asked of runs."""

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from finetune.models import FineTuneRun  # noqa: F401 - named in strings below
    from inspections.querysets import LineQuerySet


class RunQuerySet(models.QuerySet["FineTuneRun"]):
    def on_lines(self, lines: "LineQuerySet") -> "RunQuerySet":
        return self.filter(line__in=lines).select_related("line__site", "version__dataset", "recipe")

    def waiting(self) -> "RunQuerySet":
        """Queued, the oldest first."""
        return self.filter(state="queued").order_by("created_at")
