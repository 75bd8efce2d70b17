"""Read text out of a request's headers, in whatever way its sender put letters beyond ASCII there."""

from urllib.parse import unquote_to_bytes

from django.http import HttpRequest
from django.utils.http import parse_header_parameters


def header_text(request: HttpRequest, name: str) -> str:
    """UTF-8 if the bytes are that, else Latin-1, which every other sequence of bytes is."""
    return _as_text(request.headers.get(name, ""))


def file_name(request: HttpRequest) -> str:
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
