"""The site's doors: HTTP behind a cap on bodies, websockets behind a check of who opens them and from where."""

import os

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aivd_web.settings")

import re
from typing import Any, cast

from channels.routing import ProtocolTypeRouter, URLRouter
from django.conf import settings

from aivd_web.handler import get_handler

django_application = get_handler()  # sets Django up, which the consumers' models need

from django.urls import path, re_path  # noqa: E402

from aivd_web.body_cap import BodyCap  # noqa: E402
from aivd_web.kernel.socket import NoSuchSocket  # noqa: E402
from aivd_web.sockets import KnownSockets  # noqa: E402
from inspections.consumers import StreamSocket, ViewerSocket  # noqa: E402
from scheduling.consumers import FleetSocket  # noqa: E402

UPLOADS = re.compile(r"/api/v1/stations/\d+/frames")
TEMPLATE = re.compile(r"/api/v1/stations/\d+/template")
FORM_BYTES = 64 * 1024  # the lines of a form around its one file
PLAIN_BODY_BYTES = 1024 * 1024


def cap_for(path: str, content_type: str) -> int:
    """The most bytes that a body may have there."""
    if TEMPLATE.fullmatch(path):
        return int(settings.MAX_UPLOAD_BYTES) + FORM_BYTES
    if not UPLOADS.fullmatch(path):
        return PLAIN_BODY_BYTES
    many = content_type.startswith(("multipart/", "application/zip"))
    return int(settings.MAX_ARCHIVE_BYTES if many else settings.MAX_UPLOAD_BYTES)


sockets = URLRouter(
    [
        path("ws/v1/lines/<int:line_id>/events", ViewerSocket.as_asgi()),
        path("ws/v1/stations/<int:station_id>/stream", StreamSocket.as_asgi()),
        path("ws/v1/fleet", FleetSocket.as_asgi()),
        re_path("", NoSuchSocket.as_asgi()),
    ]
)
application = ProtocolTypeRouter(
    {"http": BodyCap(cast(Any, django_application), cap_for), "websocket": KnownSockets(sockets)}
)
