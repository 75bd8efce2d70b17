"""The Fleet page: a shell around its island. Who may look or act is asked by permission name."""

import rules
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse
from django.middleware.csrf import get_token
from django.shortcuts import render
from django.urls import path

from scheduling.services import scopes


@login_required
def fleet(request: HttpRequest) -> HttpResponse:
    if not rules.has_perm(scopes.SEE, request.user):
        raise Http404
    boot = {
        "may_manage_fleet": rules.has_perm(scopes.MANAGE, request.user),
        "may_replay": rules.has_perm(scopes.REPLAY, request.user),
        "csrf": get_token(request),
    }
    context = {
        "page": "fleet",
        "title": "Fleet",
        "entry": "src/entries/fleet.tsx",
        "boot": boot,
    }
    return render(request, "island.html", context)


urlpatterns = [path("fleet/", fleet, name="fleet")]
