"""Questions that are asked of the scheduling tables."""

from typing import TYPE_CHECKING

from django.db import models

if TYPE_CHECKING:
    from scheduling.models import Dispatch, Node  # noqa: F401 - named in strings below


class NodeQuerySet(models.QuerySet["Node"]):
    def accepting(self) -> "NodeQuerySet":
        """Nodes that a person has not taken out of rotation."""
        return self.filter(draining=False)

    def with_model(self, model: str) -> "NodeQuerySet":
        return self.filter(placements__model=model)


class DispatchQuerySet(models.QuerySet["Dispatch"]):
    def about(self, subject: str) -> "DispatchQuerySet":
        return self.filter(subject=subject).select_related("node", "served_model").order_by("id")

    def newest(self, limit: int) -> "DispatchQuerySet":
        return self.select_related("node", "served_model").order_by("-id")[:limit]
