"""The site's doors: HTTP behind a cap on bodies, websockets behind a check of who opens them and from where."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aivd_web.settings")

from typing import Any, cast

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings

from aivd_web.handler import get_handler

django_application = get_handler()  # sets Django up, which the consumers' models need

from django.urls import path, re_path  # noqa: E402

from aivd_web.body_cap import FREE_BYTES, BodyCap  # noqa: E402
from aivd_web.kernel.socket import NoSuchSocket  # noqa: E402
from aivd_web.sockets import KnownSockets  # noqa: E402
from aivd_web.upload_gate import IMPORTS, TEMPLATES, UPLOADS, refusal_of  # noqa: E402
from inspections.consumers import StreamSocket, ViewerSocket  # noqa: E402
from scheduling.consumers import FleetSocket  # noqa: E402

PICTURES = "image/"
FORM_BYTES = 64 * 1024  # the lines of a form around its one file


def cap_for(path: str, content_type: str) -> int:
    """The most bytes that a body may have there. What is not called a picture may be a zip of many."""
    if TEMPLATES.fullmatch(path):
        return int(settings.MAX_UPLOAD_BYTES) + FORM_BYTES
    if IMPORTS.fullmatch(path):
        return int(settings.MAX_ARCHIVE_BYTES)
    if not UPLOADS.fullmatch(path):
        return FREE_BYTES
    one = not content_type or content_type.lower().startswith(PICTURES)
    return int(settings.MAX_UPLOAD_BYTES if one else settings.MAX_ARCHIVE_BYTES)


sockets = URLRouter(
    [
        path("ws/v1/lines/<int:line_id>/events", ViewerSocket.as_asgi()),
        path("ws/v1/stations/<int:station_id>/stream", StreamSocket.as_asgi()),
        path("ws/v1/fleet", FleetSocket.as_asgi()),
        re_path("", NoSuchSocket.as_asgi()),
    ]
)
application = ProtocolTypeRouter(
    {"http": BodyCap(cast(Any, django_application), cap_for, refusal_of), "websocket": KnownSockets(sockets)}
)
