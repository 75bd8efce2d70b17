"""The REST view that takes pictures in: a raw body, a form with one or many, or a zip."""

import shutil
import tempfile
from collections.abc import Collection
from typing import Any, BinaryIO, cast
from urllib.parse import unquote_to_bytes

from django.http import HttpRequest
from django.utils.http import parse_header_parameters
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aivd_web.kernel.api import answers, header
from inspections import rules
from inspections.intake import captured, uploads
from inspections.intake.uploads import OpenFile, Origin, Uploaded
from inspections.media import archives, texts
from inspections.media.errors import EmptyBody
from inspections.models import Frame, Station
from inspections.rules import Action

from .form_files import OneTemporaryFile
from .parsers import UPLOAD_PARSERS, read_form
from .serializers import StoredFrameSerializer, UploadedSerializer

SPOOL_BYTES = 4 * 1024**2
FORM = {
    "type": "object",
    "properties": {"file": {"type": "array", "maxItems": 2_000, "items": {"type": "string", "format": "binary"}}},
    "required": ["file"],
}
KEY_LETTERS = "^[ -~]*$"
HEADERS = [
    header(
        "Idempotency-Key",
        most=uploads.MAX_KEY_LENGTH,
        pattern=KEY_LETTERS,
        about="A retry with the same key and picture within 48 hours gives the stored answer. "
        "In a form the n-th file has the key `<key>/<n>`, the m-th entry of a zip `<key>/<n>/<m>`, from 0.",
    ),
    header(
        "X-Part-Id",
        most=4 * texts.MAX_PART_ID_LENGTH,
        about="The part that is looked at, in UTF-8, at most 100 characters and none that cannot be seen",
    ),
    header("X-Captured-At", most=40, about="ISO 8601, with its offset, between 1990 and tomorrow"),
    header(
        "X-File-Name",
        most=4_000,
        about="What the sender calls the picture, in UTF-8; or `Content-Disposition` with `filename*`",
    ),
]


class StationFramesView(APIView):
    parser_classes = UPLOAD_PARSERS

    @extend_schema(
        operation_id="upload_frames",
        summary="Send one picture or many",
        description="201 as soon as one picture is stored: it is then on disk and in the database. What was "
        "refused is listed with its name and reason; if nothing was stored, the status is that of the first refusal. "
        "A zip is known by its first bytes, whatever type is stated.",
        parameters=HEADERS,
        request={
            "image/*": OpenApiTypes.BINARY,
            "application/zip": OpenApiTypes.BINARY,
            "application/octet-stream": OpenApiTypes.BINARY,
            "multipart/form-data": FORM,
        },
        responses=answers(201, UploadedSerializer, errors=[400, 403, 404, 409, 413, 415, 422, 429, 503]),
    )
    def post(self, request: Request, station_id: int) -> Response:
        station = rules.get(rules.stations, request.user, station_id, Action.UPLOAD)
        origin = origin_of(request, station)
        if _is_form(request):
            return answer(uploads.add_pictures(origin=origin, sources=_files(request)))
        name = texts.file_name(file_name_of(request._request))
        body = Body(request._request)
        if not body.starts_with(archives.SIGNATURES):
            return answer(uploads.add_picture(origin=origin, source=OpenFile(name, cast(BinaryIO, body))))
        with tempfile.SpooledTemporaryFile(max_size=SPOOL_BYTES) as file:  # a zip is read from its end
            shutil.copyfileobj(cast(BinaryIO, body), file)
            file.seek(0)
            return answer(uploads.add_pictures(origin=origin, sources=[OpenFile(name, cast(BinaryIO, file))]))

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """A form is parsed here, before anything looks into it: the check of a session's CSRF token does."""
        if _is_form(request):
            request._request.upload_handlers = [OneTemporaryFile(request._request)]
            read_form(request._request)
        super().initial(request, *args, **kwargs)


class Body:
    """A request's body, read from where Django spooled it; how it begins can be seen without losing it."""

    def __init__(self, request: HttpRequest) -> None:
        self._request = request
        self._start = b""

    def starts_with(self, signatures: Collection[bytes]) -> bool:
        longest = max(map(len, signatures))
        while len(self._start) < longest and (more := self._request.read(longest - len(self._start))):
            self._start += more
        return self._start.startswith(tuple(signatures))

    def read(self, size: int = -1) -> bytes:
        start, self._start = self._start, b""
        return start or self._request.read(size)


def origin_of(request: Request, station: Station) -> Origin:
    """What the headers say of all pictures in the request. Raises IngestError."""
    return Origin(
        station=station,
        sender=rules.sender(request.user),
        key=request.headers.get("Idempotency-Key", ""),
        part_id=texts.part_id(header_text(request._request, "X-Part-Id")),
        captured_at=captured.moment(request.headers.get("X-Captured-At", "")),
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
    return request._request.content_type == "multipart/form-data"


def _files(request: Request) -> list[OpenFile]:
    groups = request._request.FILES.lists()
    files = [
        OpenFile(texts.file_name(file.name or ""), cast(BinaryIO, file.file)) for _, group in groups for file in group
    ]
    if not files:
        raise EmptyBody("The form holds no files.", hint="Put each picture into a field named 'file'.")
    return files


# -- text in headers: in whatever way its sender put letters beyond ASCII there ------------------------


def header_text(request: HttpRequest, name: str) -> str:
    """UTF-8 if the bytes are that, else Latin-1, which every other sequence of bytes is."""
    return _as_text(request.headers.get(name, ""))


def file_name_of(request: HttpRequest) -> str:
    """`X-File-Name`, else the name in `Content-Disposition`, where `filename*` (RFC 8187) comes first."""
    if plain := header_text(request, "X-File-Name"):
        return plain
    disposition = request.headers.get("Content-Disposition", "")
    extended = [part.strip() for part in disposition.split(";") if part.strip().lower().startswith("filename*")]
    if extended:
        charset, _, rest = extended[0].partition("=")[2].strip().strip('"').partition("'")
        return _decoded(unquote_to_bytes(rest.partition("'")[2]), charset)
    return _as_text(str(parse_header_parameters(disposition)[1].get("filename", "")))


def _as_text(text: str) -> str:
    try:
        return text.encode("latin-1").decode()  # the server took each byte for a letter
    except UnicodeError:
        return text


def _decoded(raw: bytes, charset: str) -> str:
    try:
        return raw.decode(charset or "utf-8")
    except (LookupError, ValueError):
        return raw.decode("utf-8", errors="replace")
