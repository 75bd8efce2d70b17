"""The pages Datasets and Runs, shells around their islands, and a run's report. Whoever sees a line sees its own."""

import base64
from pathlib import Path
from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.contrib.staticfiles import finders
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.urls import path

from aivd_web.kernel.errors import NotFound
from finetune import rules
from finetune.models import FineTuneRun
from finetune.runs import gates, report_page, reports
from inspections.api.serializers import LineSerializer, MeSerializer
from inspections.rules import abilities, get, roles

STYLE = "aivd/report.css"


@login_required
def datasets(request: HttpRequest) -> HttpResponse:
    return _island(request, "datasets", "Datasets")


@login_required
def runs(request: HttpRequest) -> HttpResponse:
    return _island(request, "runs", "Runs")


@login_required
def report(request: HttpRequest, run_id: UUID) -> HttpResponse:
    run = get(rules.runs, request.user, run_id)
    parts = _parts(run)
    for each in parts["worst"]:
        each["source"] = f"/api/v1/runs/{run.pk}/report/crops/{each['number']}"
    return render(request, "report.html", {"page": "runs", **parts})


@login_required
def report_file(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """The same in one file, with its pictures and its looks inside."""
    run = get(rules.runs, request.user, run_id)
    parts = _parts(run)
    for each in parts["worst"]:
        picture = reports.picture(reports.folder_of(run) / "crops", each["number"]).read_bytes()
        each["source"] = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    response = render(request, "report_file.html", {"style": _style(), **parts})
    response["Content-Disposition"] = f'attachment; filename="report-{run.pk}.html"'
    return response


def _parts(run: FineTuneRun) -> dict[str, Any]:
    """Raises NotFound where there is no report, or one that cannot be read."""
    whole, measured = reports.read(run), reports.summary(run)
    try:
        judged = gates.judged(measured, gates.thresholds_of(run.line)) if measured else []
        return report_page.parts_of(run, whole, judged)
    except (KeyError, TypeError, ValueError, AttributeError):
        raise NotFound(
            "The report of this run cannot be read.", hint="Its figures may be of another version."
        ) from None


def _style() -> str:
    found = finders.find(STYLE)
    return Path(found).read_text(encoding="utf-8") if isinstance(found, str) else ""


def _island(request: HttpRequest, page: str, title: str) -> HttpResponse:
    who = request.user
    held = [{"line": line_id, "role": role} for line_id, role in roles(who)]
    me = {"username": who.get_username(), "roles": held, "can": abilities(who)}
    boot = {
        "me": MeSerializer(me).data,
        "lines": LineSerializer(rules.lines(who).select_related("site"), many=True).data,
        "csrf": get_token(request),
    }
    context = {"page": page, "title": title, "entry": f"src/entries/{page}.tsx", "boot": boot}
    return render(request, "island.html", context)


urlpatterns = [
    path("datasets/", datasets, name="datasets"),
    path("runs/", runs, name="runs"),
    path("runs/<uuid:run_id>/report/", report, name="report"),
    path("runs/<uuid:run_id>/report.html", report_file, name="report-file"),
]
