"""The REST view that takes pictures in: a raw body, a form with one or many, or a zip."""

import shutil
import tempfile
from typing import Any, BinaryIO, cast

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aivd_web.kernel.api import answers
from inspections import rules
from inspections.models import Frame, Station
from inspections.rules import Action
from inspections.services import stream, uploads
from inspections.services.capture_time import captured_at
from inspections.services.errors import EmptyBody
from inspections.services.uploads import OpenFile, Origin, Uploaded

from .parsers import UPLOAD_PARSERS
from .serializers import StoredFrameSerializer, UploadedSerializer

ZIP = "application/zip"
SPOOL_BYTES = 4 * 1024**2
FORM = {
    "type": "object",
    "properties": {"file": {"type": "array", "items": {"type": "string", "format": "binary"}}},
    "required": ["file"],
}
HEADERS = [
    OpenApiParameter(
        "Idempotency-Key",
        str,
        OpenApiParameter.HEADER,
        description="A retry with the same key and picture within 48 hours gives the stored answer. "
        "With many pictures the n-th has the key `<key>/<n>`.",
    ),
    OpenApiParameter("X-Part-Id", str, OpenApiParameter.HEADER, description="The part that is looked at"),
    OpenApiParameter("X-Captured-At", str, OpenApiParameter.HEADER, description="ISO 8601, with its offset"),
]


class StationFramesView(APIView):
    parser_classes = UPLOAD_PARSERS

    @extend_schema(
        operation_id="upload_frames",
        summary="Send one picture or many",
        description="201 as soon as one picture is stored: it is then on disk and in the database. What was "
        "refused is listed with its reason; if nothing was stored, the status is that of the first refusal.",
        parameters=HEADERS,
        request={
            "image/*": OpenApiTypes.BINARY,
            "application/zip": OpenApiTypes.BINARY,
            "multipart/form-data": FORM,
        },
        responses=answers(201, UploadedSerializer, errors=[400, 403, 404, 409, 413, 415, 422, 429, 503]),
    )
    def post(self, request: Request, station_id: int) -> Response:
        station = rules.get(rules.stations, request.user, station_id, Action.UPLOAD)
        origin = origin_of(request, station)
        if _is_form(request):
            return answer(uploads.add_pictures(origin=origin, sources=_files(request)))
        # The plain request reads from where Django spooled the body; nothing has parsed it.
        body: BinaryIO = request._request  # type: ignore[assignment]
        if request.content_type != ZIP:
            source = OpenFile(_name(request), body)
            return answer(uploads.add_picture(origin=origin, source=source))
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as file:  # a zip is read from its end
            shutil.copyfileobj(body, file)
            file.seek(0)
            return answer(uploads.add_pictures(origin=origin, sources=[OpenFile(_name(request), cast(BinaryIO, file))]))


def origin_of(request: Request, station: Station) -> Origin:
    """What the headers say of all pictures in the request. Raises IngestError."""
    part_id = request.headers.get("X-Part-Id", "")
    stream.check_part_id(part_id)
    return Origin(
        station=station,
        sender=rules.sender(request.user),
        key=request.headers.get("Idempotency-Key", ""),
        part_id=part_id,
        captured_at=captured_at(moment) if (moment := request.headers.get("X-Captured-At", "")) else None,
    )


def answer(done: Uploaded) -> Response:
    body: dict[str, Any] = {
        "frames": [_stored(frame, created) for frame, created in done.frames],
        "rejected": [rejected.as_dict() for rejected in done.rejected],
    }
    if not done.rejected or done.frames:
        return Response(body, status=201)
    first = done.rejected[0].error
    response = Response(first.as_dict() | body, status=first.status)
    if first.retry_after_s is not None:
        response["Retry-After"] = str(first.retry_after_s)
    return response


def _stored(frame: Frame, created: bool) -> dict[str, Any]:
    frame.created = created  # type: ignore[attr-defined]
    return dict(StoredFrameSerializer(frame).data)


def _is_form(request: Request) -> bool:
    return (request.content_type or "").lower().startswith("multipart/")


def _files(request: Request) -> list[OpenFile]:
    files = [OpenFile(file.name or "", file.file) for _, group in request.FILES.lists() for file in group]
    if not files:
        raise EmptyBody("The form holds no files.", hint="Put each picture into a field named 'file'.")
    return files


def _name(request: Request) -> str:
    return request.headers.get("X-File-Name", "")
