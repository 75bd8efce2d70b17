"""Celery tasks of inspections: wake-ups and housekeeping. Each can run twice, be lost or come late without harm."""

from celery import shared_task
from django.utils import timezone

from inspections import worker
from inspections.services import steps, sweep


@shared_task(name="inspections.dispatch_waiting")
def dispatch_waiting() -> int:
    """Carry out the Steps that wait, in the process of this worker."""
    return worker.current().drain()


@shared_task(name="inspections.reap")
def reap() -> int:
    """Take back Steps whose holder is gone; the workers do the same by themselves."""
    return worker.reap_alone(lambda: steps.reap(now=timezone.now()))


@shared_task(name="inspections.sweep")
def sweep_leftovers() -> None:
    """Clear away old idempotency keys and unfinished uploads."""
    sweep.sweep(now=timezone.now())
