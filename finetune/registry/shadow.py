"""The shadow: a version answers a share of a line's live crops beside the one that serves, and nobody acts on it.

Its answers are rows of their own. How often the two agree is counted from these rows.
"""

from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import Avg, F, Q, QuerySet
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Now

from aivd_web.kernel.errors import Conflict, Unprocessable
from finetune.models import ModelVersion, ShadowTrial
from finetune.models.registry import ModelKind
from inspections.models import Line, ShadowAnswer, Step
from inspections.pipeline.stages.shadow import KIND

from .services import check_kept

SAME = Q(said=F("live"))


@dataclass(frozen=True)
class Figures:
    """`seen`: regions that both have described. The latencies are means over these, as the worker saw them."""

    seen: int
    agreed: int
    latency_ms: float | None
    live_latency_ms: float | None


@transaction.atomic
def start(*, version: ModelVersion, share: float, by: str) -> ShadowTrial:
    """Let it answer a share of the frames. Raises Unprocessable or Conflict: a line tries one version at a time."""
    if version.kind != ModelKind.ADAPTER:
        raise Unprocessable("Nodes try adapters only so far.", hint="Measure a detector by its run's report.")
    if not 0 < share <= 1:
        raise Unprocessable(f"The share is above 0 and at most 1, not {share:g}.", hint="0.1 is a tenth of the crops.")
    Line.objects.select_for_update(no_key=True).get(pk=version.line_id)
    running = ShadowTrial.objects.filter(version__line=version.line_id, ended_at__isnull=True).first()
    if running is not None:
        raise Conflict(f"{running.version} is in the shadow already.", hint="End that trial first.")
    check_kept(version)
    Line.objects.filter(pk=version.line_id).update(shadow_describer=version.digest, shadow_share=share)
    try:
        return ShadowTrial.objects.create(version=version, share=share, started_by=by)
    except IntegrityError:
        raise Conflict(f"{version} is in the shadow already.", hint="End that trial first.") from None


@transaction.atomic
def end(*, version: ModelVersion) -> ShadowTrial:
    """What still waits to be tried is withdrawn. Raises Conflict where there is none."""
    Line.objects.select_for_update(no_key=True).get(pk=version.line_id)
    running = ShadowTrial.objects.filter(version=version, ended_at__isnull=True)
    trial = running.first()
    if trial is None or not running.update(ended_at=Now()):
        raise Conflict(f"{version} is not in the shadow.", hint="Reload the page.")
    Line.objects.filter(pk=version.line_id).update(shadow_describer="", shadow_share=0)
    waiting = Step.objects.filter(kind=KIND, state=Step.State.WAITING, frame__line=version.line_id)
    waiting.update(state=Step.State.SKIPPED, finished_at=Now(), error_detail="The trial in the shadow has ended.")
    trial.refresh_from_db()
    return trial


def compared(version: ModelVersion) -> "QuerySet[ShadowAnswer]":
    """Its answers about regions that the serving version has described too, each with what both called them."""
    return (
        ShadowAnswer.objects.filter(
            digest=version.digest, detection__frame__line=version.line_id, detection__description__isnull=False
        )
        .annotate(said=_class_in("answer"), live=_class_in("detection__description__answer"))
        .select_related("detection__defect_class", "detection__description__served_model")
    )


def _class_in(answer: str) -> KeyTextTransform:
    return KeyTextTransform("defect_class", answer)


def figures(version: ModelVersion) -> Figures:
    both = compared(version)
    means = both.aggregate(shadow=Avg("latency_ms"), live=Avg("detection__description__latency_ms"))
    return Figures(both.count(), both.filter(SAME).count(), means["shadow"], means["live"])


def disagreements(version: ModelVersion, *, limit: int) -> list[ShadowAnswer]:
    """The newest first. An answer that fits no schema agrees with nothing."""
    agreed = compared(version).filter(SAME).values("pk")
    return list(compared(version).exclude(pk__in=agreed)[:limit])
