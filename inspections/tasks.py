"""Celery tasks of inspections: wake-ups and housekeeping. Each can run twice, be lost or come late without harm."""

from celery import shared_task
from django.db.models.functions import Now

from inspections.intake import sweep
from inspections.pipeline import process, steps


@shared_task(name="inspections.dispatch_waiting")
def dispatch_waiting() -> int:
    """Carry out the Steps that wait, in the process of this worker."""
    return process.current().run_until_idle()


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
