"""Bodies that are pictures. The view reads them from the request itself, so nothing is parsed here."""

from typing import IO, Any

from rest_framework.parsers import BaseParser, JSONParser, MultiPartParser


class PictureParser(BaseParser):
    media_type = "image/*"

    def parse(self, stream: IO[Any], media_type: str | None = None, parser_context: Any = None) -> Any:
        return stream


class BytesParser(PictureParser):
    media_type = "application/octet-stream"


class ZipParser(PictureParser):
    media_type = "application/zip"


UPLOAD_PARSERS = (MultiPartParser, PictureParser, BytesParser, ZipParser)
TEMPLATE_PARSERS = (JSONParser, MultiPartParser, PictureParser, BytesParser)
