"""Pages of a line, a frame and a station. Live and Frame are shells around islands, the others plain forms."""

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.exceptions import PermissionDenied
from django.forms import Form
from django.http import HttpRequest, HttpResponse, HttpResponseBadRequest
from django.middleware.csrf import get_token
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import path, reverse
from django.views.decorators.http import require_POST

from aivd_web.kernel.errors import AivdError
from inspections import rules
from inspections.api.serializers import LineSerializer, MeSerializer
from inspections.forms import NewLineForm, NewStationForm, StationForm, chosen_classes
from inspections.models import DefectClass, Line, Station
from inspections.rules import Action
from inspections.services import baselines, products, stations, vocabulary
from inspections.services import lines as line_services


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
def review(request: HttpRequest) -> HttpResponse:
    """The queue of frames to look through. Which ones is said by the address: see `FrameFilterQuery`."""
    return _island(request, "review", "Review", line=None, page="review")


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


@login_required
def station(request: HttpRequest, station_id: int) -> HttpResponse:
    """What a station looks at, and from when on it says so. Whoever may not change it can read it."""
    found = get_object_or_404(rules.stations(request.user), pk=station_id)
    may_change = rules.stations(request.user, Action.CONFIGURE).filter(pk=found.pk).exists()
    classes = DefectClass.objects.filter(line=found.line_id)
    about: dict[str, Any] = {"station": found, "classes": classes, "products": products.known()}
    form = StationForm(request.POST or None, **about)
    if request.method == "POST":
        if not may_change:
            raise PermissionDenied
        if form.is_valid() and _done(form, lambda: _configure(request, found, form)):
            messages.success(request, f"Saved. The next frame of {found.name} is inspected by these settings.")
            return redirect("station", found.pk)
    context = {"form": form, "station": found, "line": found.line, "may_change": may_change, **_baseline_of(found)}
    return render(request, "station.html", _plain(context), status=_status(form))


def _configure(request: HttpRequest, found: Station, form: StationForm) -> None:
    by = request.user.get_username()
    stations.configure(station=found, by=by, changes=form.changes, thresholds=form.thresholds)


def _baseline_of(found: Station) -> dict[str, Any]:
    baseline = baselines.of(found)
    frames = baselines.first_frames(baseline)
    return {"baseline": baselines.described(baseline), "first_frames": frames, "fewest": baselines.FEWEST_CONFIRMED}


@login_required
@require_POST
def baseline(request: HttpRequest, station_id: int) -> HttpResponse:
    """Confirm what a station's first frames look like, or collect anew; what came of it stands on the settings page."""
    found = get_object_or_404(rules.stations(request.user), pk=station_id)
    if not rules.stations(request.user, Action.CONFIGURE).filter(pk=found.pk).exists():
        raise PermissionDenied
    act, done = {
        "confirm": (baselines.confirm, "Confirmed. Frames like these are inspected from now on."),
        "restart": (baselines.restart, "Begun again. The next frames are collected."),
    }.get(request.POST.get("action", ""), (None, ""))
    if act is None:
        return HttpResponseBadRequest("The action is 'confirm' or 'restart'.")
    try:
        act(station=found, by=request.user.get_username())
    except AivdError as refusal:
        messages.error(request, f"{refusal.detail} {refusal.hint}".strip())
    else:
        messages.success(request, done)
    return redirect(f"{reverse('station', args=[found.pk])}#baseline")


@login_required
def new_station(request: HttpRequest, line_id: int) -> HttpResponse:
    line = get_object_or_404(rules.lines(request.user, Action.CONFIGURE).select_related("site"), pk=line_id)
    form = NewStationForm(request.POST or None, products=products.known())
    if request.method == "POST" and form.is_valid() and _done(form, lambda: _add_station(request, line, form)):
        return redirect("live", line.pk)
    return render(request, "new_station.html", _plain({"form": form, "line": line}), status=_status(form))


def _add_station(request: HttpRequest, line: Line, form: NewStationForm) -> None:
    said = form.cleaned_data
    stations.add(
        line=line,
        name=said["name"],
        product=said["product"],
        bit_depth=said["bit_depth"],
        by=request.user.get_username(),
    )


@login_required
def new_line(request: HttpRequest) -> HttpResponse:
    if not rules.may_make_lines(request.user):
        raise PermissionDenied
    seen = rules.lines(request.user).select_related("site")
    form = NewLineForm(request.POST or None, products=products.known(), lines=seen)
    made: list[Line] = []
    if request.method == "POST" and form.is_valid() and _done(form, lambda: made.append(_make_line(request, form))):
        return redirect("live", made[0].pk)
    return render(request, "new_line.html", _plain({"form": form}), status=_status(form))


def _make_line(request: HttpRequest, form: NewLineForm) -> Line:
    said = form.cleaned_data
    chosen = chosen_classes(said, form.products)
    line, _ = line_services.make(
        site=said["site"],
        name=said["name"],
        classes=vocabulary.of_line(chosen) if isinstance(chosen, Line) else chosen,
        station=said["station"],
        product=said["product"],
        bit_depth=said["bit_depth"],
        by=rules.line_maker(request.user),
    )
    return line


def _done(form: Form, act: Callable[[], None]) -> bool:
    """Do it; what a service refuses stands above the form, in its own words."""
    try:
        act()
    except AivdError as refusal:
        form.add_error(None, f"{refusal.detail} {refusal.hint}".strip())
        return False
    return True


def _status(form: Form) -> int:
    return 422 if form.is_bound and form.errors else 200


def _plain(context: dict[str, Any]) -> dict[str, Any]:
    return {"page": "live", **context}


def _island(
    request: HttpRequest, entry: str, title: str, *, line: Line | None, page: str = "live", **boot: Any
) -> HttpResponse:
    lines = rules.lines(request.user).select_related("site")
    roles = [{"line": line_id, "role": role} for line_id, role in rules.roles(request.user)]
    me = {"username": request.user.get_username(), "roles": roles, "can": rules.abilities(request.user)}
    context = {
        "page": page,
        "title": title,
        "entry": f"src/entries/{entry}.tsx",
        "boot": {
            "me": MeSerializer(me).data,
            "line": LineSerializer(line).data if line else None,
            "may_make_lines": rules.may_make_lines(request.user),
            "lines": LineSerializer(lines, many=True).data,
            "csrf": get_token(request),
            **boot,
        },
    }
    return render(request, "island.html", context)


urlpatterns = [
    path("lines/new/", new_line, name="new-line"),
    path("lines/<int:line_id>/stations/new/", new_station, name="new-station"),
    path("stations/<int:station_id>/", station, name="station"),
    path("stations/<int:station_id>/baseline/", baseline, name="station-baseline-page"),
    path("review/", review, name="review"),
    path("", home, name="home"),
    path("live/<int:line_id>/", live, name="live"),
    path("frames/<uuid:frame_id>/", frame, name="frame"),
]
