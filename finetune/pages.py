"""The pages Datasets and Runs: shells around their islands. Whoever sees a line sees its own."""

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.urls import path

from finetune import rules
from inspections.api.serializers import LineSerializer, MeSerializer
from inspections.rules import abilities, roles


@login_required
def datasets(request: HttpRequest) -> HttpResponse:
    return _island(request, "datasets", "Datasets")


@login_required
def runs(request: HttpRequest) -> HttpResponse:
    return _island(request, "runs", "Runs")


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


urlpatterns = [path("datasets/", datasets, name="datasets"), path("runs/", runs, name="runs")]
