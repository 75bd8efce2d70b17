"""Questions that are asked of the scheduling tables."""

from datetime import datetime
from typing import TYPE_CHECKING

from django.db import models
from django.db.models import Count

if TYPE_CHECKING:
    from scheduling.models import Dispatch  # noqa: F401 - named in strings below


class DispatchQuerySet(models.QuerySet["Dispatch"]):
    def about(self, subject: str) -> "DispatchQuerySet":
        return self.filter(subject=subject).select_related("node", "served_model").order_by("id")

    def within(self, scopes: frozenset[int] | None) -> "DispatchQuerySet":
        """Those of requests that one may see."""
        return self if scopes is None else self.filter(scope__in=scopes)

    def newest(self, limit: int) -> "DispatchQuerySet":
        return self.select_related("node", "served_model").order_by("-id")[:limit]

    def count_by_node(self, *, since: datetime) -> dict[int, int]:
        """How many were sent to each Node (by its pk) since then."""
        counted = self.filter(sent_at__gte=since).order_by().values_list("node_id").annotate(count=Count("id"))
        return dict(counted)

    def answered(self, *, since: datetime) -> "DispatchQuerySet":
        """Those that came back with a prediction to hold against what was measured, the newest first."""
        known = self.filter(outcome="ok", predicted_ms__isnull=False, measured_ms__isnull=False)
        return known.filter(sent_at__gte=since).select_related("node").order_by("-id")
