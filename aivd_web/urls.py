"""Where everything is: the API, the pages of each app, the admin."""

from importlib import import_module
from importlib.util import find_spec

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path

from aivd_web.demo.api import DemoView
from aivd_web.health import health

handler400 = "aivd_web.errors.bad_request"
handler403 = "aivd_web.errors.forbidden"
handler404 = "aivd_web.errors.not_found"
handler500 = "aivd_web.errors.server_error"

api: tuple[list[URLPattern | URLResolver], str] = (
    [
        path("", include("inspections.api.urls")),
        path("", include("scheduling.api.urls")),
        path("", include("finetune.api.urls")),
        path("stations/<int:station_id>/demo", DemoView.as_view(), name="station-demo"),
    ],
    "api",
)


def pages_of(module: str) -> list[URLPattern | URLResolver]:
    """An app's pages, if it has any: `urlpatterns` in its pages.py."""
    return [path("", include(import_module(module)))] if find_spec(module) else []


urlpatterns = [
    path("api/v1/", include(api)),
    path("health", health, name="health"),
    path("admin/", admin.site.urls),
    *pages_of("inspections.pages"),
    *pages_of("scheduling.pages"),
    *pages_of("finetune.pages"),
    *pages_of("aivd_web.reference"),
    *pages_of("aivd_web.pages"),
]
