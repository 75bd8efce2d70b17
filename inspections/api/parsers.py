"""Bodies of requests. Pictures are read by the view from the request itself, so nothing is parsed for them here."""

from typing import IO, Any

from django.http import HttpRequest
from django.http.multipartparser import MultiPartParserError
from rest_framework.exceptions import ParseError
from rest_framework.parsers import BaseParser, MultiPartParser

from aivd_web.kernel.negotiation import BoundedJSONParser
from inspections.media import storage
from inspections.media.errors import StorageFull


class PictureParser(BaseParser):
    media_type = "image/*"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        return stream


class BytesParser(PictureParser):
    media_type = "application/octet-stream"


class ZipParser(PictureParser):
    media_type = "application/zip"


UPLOAD_PARSERS = (MultiPartParser, PictureParser, BytesParser, ZipParser)
TEMPLATE_PARSERS = (BoundedJSONParser, MultiPartParser, PictureParser, BytesParser)


def read_form(request: HttpRequest) -> None:
    """Parse a form now, so that what is wrong with it is told here and not wherever it is first looked at.

    Raises ParseError or StorageFull; a form over a cap raises Django's own errors, which have answers. A form that
    ends within a file is refused as a whole: Django would leave that file out without a word.
    """
    try:
        _read(request)
        if any(getattr(handler, "interrupted", False) for handler in request.upload_handlers):
            raise ParseError("The form ends in the middle of a file. Nothing of it was stored.")
    except Exception:
        for handler in request.upload_handlers:
            handler.upload_interrupted()
        raise


def _read(request: HttpRequest) -> None:
    try:
        request.FILES  # noqa: B018  (reading it is what parses)
    except (MultiPartParserError, LookupError, UnicodeError, EOFError) as error:
        # A charset or an encoding that does not exist is named by the form, and Django trusts it.
        raise ParseError(f"The form cannot be read ({type(error).__name__}).") from None
    except OSError as error:
        if error.errno in storage.FULL:
            raise StorageFull("There is no room for the form's files.", retry_after_s=30) from None
        raise
