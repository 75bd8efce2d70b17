"""Questions that are asked of the inspection tables. Who may see what is decided here and nowhere else."""

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from django.db import models
from django.db.models import Prefetch, Q

from aivd_web.kernel.database import Moment, is_about_data
from aivd_web.kernel.ids import first_at

if TYPE_CHECKING:
    from inspections.models import Frame, Line, Station, Step  # noqa: F401 - named in strings below

log = logging.getLogger(__name__)
ROLE_ORDER = ("viewer", "inspector", "engineer", "admin")


def roles_from(role: str) -> tuple[str, ...]:
    """`role` and every role above it."""
    return ROLE_ORDER[ROLE_ORDER.index(role) :]


class LineQuerySet(models.QuerySet["Line"]):
    def visible_to(self, user: Any, *, role: str = "viewer") -> "LineQuerySet":
        """Lines on which `user` has at least `role`. A superuser sees all of them, a stranger none."""
        if not user.is_authenticated or not user.is_active:
            return self.none()
        if user.is_superuser:
            return self
        return self.filter(memberships__user=user, memberships__role__in=roles_from(role)).distinct()


class StationQuerySet(models.QuerySet["Station"]):
    def on_lines(self, lines: LineQuerySet) -> "StationQuerySet":
        return self.filter(line__in=lines).select_related("line__site")


class FrameQuerySet(models.QuerySet["Frame"]):
    def on_lines(self, lines: LineQuerySet) -> "FrameQuerySet":
        return self.filter(line__in=lines)

    def newest(self) -> "FrameQuerySet":
        return self.order_by("-id")

    def received_since(self, moment: datetime) -> "FrameQuerySet":
        """By their ids, which hold the millisecond of receipt and are indexed together with the line."""
        return self.filter(id__gte=first_at(moment))

    def late(self) -> "FrameQuerySet":
        """Those without a decision when their deadline came."""
        return self.filter(decision__code="late")

    def overdue(self, now: Moment) -> "FrameQuerySet":
        return self.filter(decided_at__isnull=True, deadline_at__lte=now)

    def page(self, limit: int) -> "tuple[list[Frame], UUID | None]":
        """The first `limit` rows, and the key to go on after, or None at the end.

        A row that holds what cannot be read is left out and logged; the others of its page are still seen.
        """
        keys = list(self.values_list("pk", flat=True)[: limit + 1])
        after = keys[limit - 1] if len(keys) > limit else None
        try:
            return list(self.filter(pk__in=keys[:limit])), after
        except Exception as error:
            if not is_about_data(error):
                raise
        return [frame for key in keys[:limit] for frame in self._one(key)], after

    def _one(self, key: UUID) -> "list[Frame]":
        try:
            return list(self.filter(pk=key))
        except Exception as error:
            if not is_about_data(error):
                raise
            log.error("Frame %s cannot be read: %s", key, error)
            return []

    def with_findings(self) -> "FrameQuerySet":
        """Everything the Frame JSON needs, in a fixed number of queries."""
        from inspections.models import Detection, Mark, Review, Step

        return self.select_related("station", "line", "inspection", "decision", "appearance").prefetch_related(
            Prefetch(
                "detections",
                Detection.objects.select_related("defect_class", "served_model", "description__served_model").order_by(
                    "index"
                ),
            ),
            Prefetch("steps", Step.objects.order_by("id")),
            Prefetch(
                "reviews",
                Review.objects.select_related("reviewer").prefetch_related(
                    Prefetch("marks", Mark.objects.select_related("defect_class"))
                ),
            ),
        )


class StepQuerySet(models.QuerySet["Step"]):
    def waiting(self, kinds: Sequence[str], *, now: Moment) -> "StepQuerySet":
        """Steps that may be claimed now, the earliest deadline first."""
        may_start = Q(not_before__isnull=True) | Q(not_before__lte=now)
        return self.filter(may_start, kind__in=kinds, state="waiting").order_by("deadline_at", "id")

    def open(self) -> "StepQuerySet":
        return self.filter(state__in=("waiting", "running"))
