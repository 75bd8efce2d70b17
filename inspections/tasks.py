"""Celery tasks of inspections: housekeeping, and what a wake-up starts. Each can run twice, be lost or come late."""

from celery import shared_task
from django.db.models.functions import Now

from inspections.intake import sweep
from inspections.pipeline import steps
from inspections.pipeline.worker import dispatch_waiting  # noqa: F401  (Celery finds here what a wake-up starts)


@shared_task(name="inspections.reap")
def reap() -> int:
    """Take back Steps whose holder is gone; the workers do the same by themselves."""
    return steps.reap()


@shared_task(name="inspections.hold_overdue")
def hold_overdue() -> int:
    """Hold what is undecided at its deadline, also where every worker that dispatches has gone."""
    return steps.hold_overdue()


@shared_task(name="inspections.sweep")
def sweep_leftovers() -> None:
    """Clear away old idempotency keys and unfinished uploads."""
    sweep.sweep(now=Now())
