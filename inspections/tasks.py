"""Celery tasks of inspections: wake-ups and housekeeping. Each can run twice, be lost or come late without harm."""

from celery import shared_task
from django.db.models.functions import Now

from aivd_web.kernel.parts import part
from inspections.intake import sweep
from inspections.pipeline import steps
from inspections.pipeline.worker import Worker


@shared_task(name="inspections.dispatch_waiting")
def dispatch_waiting() -> int:
    """Carry out the Steps that wait, in the process of this worker."""
    return part(Worker).run_until_idle()


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
