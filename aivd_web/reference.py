"""The API's description and the page that draws it: open to everybody, for it holds no data and no secrets.

Both are plain views, so that no token, however wrong, and no Accept header can make them fail. The description is
worked out once a process. The page has no inline script or style; Swagger UI comes from our own static files.
"""

import threading
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import path
from django.views.decorators.cache import cache_control
from django.views.decorators.http import require_safe
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.renderers import OpenApiJsonRenderer, OpenApiYamlRenderer

from aivd_web.kernel.parts import part

GENERATOR: Any = SchemaGenerator
RENDERERS: dict[str, Any] = {"json": OpenApiJsonRenderer, "yaml": OpenApiYamlRenderer}


class Description:
    """The API's description as bytes, in each form; worked out when it is first read."""

    def __init__(self) -> None:
        self._written: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def written(self, form: str) -> bytes:
        with self._lock:
            if form not in self._written:
                made = GENERATOR().get_schema(request=None, public=True)
                self._written[form] = bytes(RENDERERS[form]().render(made, renderer_context={}))
            return self._written[form]


@require_safe
@cache_control(max_age=60)
def schema(request: HttpRequest) -> HttpResponse:
    """OpenAPI 3 as YAML; as JSON where `?format=json` or the Accept header says so."""
    asked = request.GET.get("format") or ("json" if "json" in request.headers.get("Accept", "") else "yaml")
    form = asked if asked in RENDERERS else "yaml"
    response = HttpResponse(part(Description).written(form), content_type=RENDERERS[form].media_type)
    response["Content-Disposition"] = f'inline; filename="aivd.{form}"'
    response["Vary"] = "Accept"
    return response


@require_safe
def reference(request: HttpRequest) -> HttpResponse:
    return render(request, "api_reference.html")


urlpatterns = [
    path("api/schema/", schema, name="schema"),
    path("api/docs/", reference, name="api-docs"),
]
