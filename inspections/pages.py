"""Pages of a line and of a frame: shells around islands, which fetch the rest from the API."""

from typing import Any
from uuid import UUID

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path

from inspections import rules
from inspections.api.serializers import LineSerializer, MeSerializer
from inspections.models import Line


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """The first line that one may see; without any, the page that says so."""
    first = rules.lines(request.user).first()
    return redirect("live", first.pk) if first else _island(request, "live", "Live", line=None)


@login_required
def live(request: HttpRequest, line_id: int) -> HttpResponse:
    line = get_object_or_404(rules.lines(request.user), pk=line_id)
    return _island(request, "live", f"Live · {line.name}", line=line)


@login_required
def frame(request: HttpRequest, frame_id: UUID) -> HttpResponse:
    found = get_object_or_404(rules.frames(request.user).select_related("line"), pk=frame_id)
    on_line = rules.frames(request.user).filter(line=found.line).values_list("pk", flat=True)
    return _island(
        request,
        "frame",
        f"Frame · {found}",
        line=found.line,
        frame=str(found.pk),
        newer=on_line.filter(pk__gt=found.pk).order_by("id").first(),
        older=on_line.filter(pk__lt=found.pk).order_by("-id").first(),
    )


def _island(request: HttpRequest, entry: str, title: str, *, line: Line | None, **boot: Any) -> HttpResponse:
    lines = rules.lines(request.user).select_related("site")
    roles = [{"line": line_id, "role": role} for line_id, role in rules.roles(request.user)]
    me = {"username": request.user.get_username(), "roles": roles, "can": rules.abilities(request.user)}
    context = {
        "page": "live",
        "page_theme": "dark",
        "title": title,
        "entry": f"src/entries/{entry}.tsx",
        "boot": {
            "me": MeSerializer(me).data,
            "line": LineSerializer(line).data if line else None,
            "lines": LineSerializer(lines, many=True).data,
            "csrf": get_token(request),
            **boot,
        },
    }
    return render(request, "island.html", context)


urlpatterns = [
    path("", home, name="home"),
    path("live/<int:line_id>/", live, name="live"),
    path("frames/<uuid:frame_id>/", frame, name="frame"),
]
