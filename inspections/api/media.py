"""Send a stored picture: conditional, in ranges, and in a way that a browser can only ever treat it as a picture."""

import os
import re
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, BinaryIO

from asgiref.sync import sync_to_async
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified, JsonResponse, StreamingHttpResponse
from django.utils.cache import patch_vary_headers
from django.utils.http import parse_etags
from drf_spectacular.types import OpenApiTypes

from aivd_web.kernel.api import answers, header
from aivd_web.kernel.errors import AivdError, NotFound

CHUNK = 256 * 1024
AT_ONCE_BYTES = 1024 * 1024
POLICY = "default-src 'none'; style-src 'none'; sandbox"
EXTENSIONS = {
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/tiff": "tif",
    "image/bmp": "bmp",
}
RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
SIGNATURES = (
    (b"\xff\xd8", "image/jpeg"),
    (b"\x89PNG", "image/png"),
    (b"RIFF", "image/webp"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"BM", "image/bmp"),
)


RANGE_HEADER = header("Range", most=50, about="One range; any other text gives the whole", example="bytes=0-99")


class OutsidePicture(AivdError):
    code = "range_outside"
    status = 416
    hint = "Content-Range says how many bytes there are."


def picture_answers(media_types: Iterable[str], *, errors: Iterable[int]) -> dict[Any, Any]:
    """The `responses` of a view that ends in `send_picture`."""
    types = list(media_types)
    told: dict[Any, Any] = {(status, one): OpenApiTypes.BINARY for status in (200, 206) for one in types}
    other = answers(304, None, errors={*errors, 404, 416})
    return told | other


def media_type_of(path: Path) -> str:
    """By its first bytes; only pictures that were checked when they came in are ever asked about."""
    with path.open("rb") as file:
        start = file.read(8)
    return next((name for signature, name in SIGNATURES if start.startswith(signature)), "image/jpeg")


def send_picture(
    request: HttpRequest, *, path: Path, media_type: str, etag: str, name: str
) -> HttpResponse | StreamingHttpResponse:
    """200, 206, 304 or 416 for the file at `path`. `etag` must change with the bytes. Raises NotFound."""
    etag = f'"{etag}"'
    if etag in parse_etags(request.headers.get("If-None-Match", "")):
        return _protected(HttpResponseNotModified(), etag)
    try:
        file = path.open("rb")
    except FileNotFoundError:
        raise NotFound("The stored picture is missing.", hint="Tell an admin.") from None
    size = os.fstat(file.fileno()).st_size
    span = _span(request, etag, size)
    if span is None:
        file.close()
        outside = OutsidePicture(f"The picture has {size} bytes, and none of them lies in this range.")
        response: HttpResponse | StreamingHttpResponse = JsonResponse(outside.as_dict(), status=outside.status)
        response["Content-Range"] = f"bytes */{size}"
        return _protected(response, etag)
    response = _body(file, *span)
    response["Content-Type"] = media_type
    response["Content-Disposition"] = f'inline; filename="{name}.{EXTENSIONS.get(media_type, "bin")}"'
    if span != (0, size):
        response.status_code = 206
        response["Content-Range"] = f"bytes {span[0]}-{span[1] - 1}/{size}"
    return _protected(response, etag)


def _span(request: HttpRequest, etag: str, size: int) -> tuple[int, int] | None:
    """Start and end (exclusive) of what is asked for; None if it lies outside. Several ranges give the whole."""
    match = RANGE.fullmatch(request.headers.get("Range", ""))
    if match is None or match.groups() == ("", "") or request.headers.get("If-Range", etag) != etag:
        return 0, size
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) else None
    start, end = int(first), min(int(last) + 1 if last else size, size)
    return (start, end) if start < end else None


def _body(file: BinaryIO, start: int, end: int) -> HttpResponse | StreamingHttpResponse:
    file.seek(start)
    if end - start <= AT_ONCE_BYTES:
        with file:
            return HttpResponse(file.read(end - start))
    response = StreamingHttpResponse(_chunks(file, end - start))
    response["Content-Length"] = str(end - start)
    return response


async def _chunks(file: BinaryIO, left: int) -> AsyncIterator[bytes]:
    """Read beside the event loop: a slow disk must not hold up the other connections."""
    read = sync_to_async(file.read, thread_sensitive=False)
    try:
        while left > 0 and (chunk := await read(min(CHUNK, left))):
            left -= len(chunk)
            yield chunk
    finally:
        file.close()


def _protected(response: HttpResponse | StreamingHttpResponse, etag: str) -> HttpResponse | StreamingHttpResponse:
    """Whoever loses access gets nothing from the browser's cache either: each use asks first, and 304 is cheap."""
    response["ETag"] = etag
    response["Accept-Ranges"] = "bytes"
    response["Cache-Control"] = "private, no-cache"
    response["Content-Security-Policy"] = POLICY
    response["X-Content-Type-Options"] = "nosniff"
    response["Cross-Origin-Resource-Policy"] = "same-origin"
    patch_vary_headers(response, ("Cookie", "Authorization"))
    return response
