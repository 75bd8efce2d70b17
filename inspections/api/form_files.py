"""Where the files of a form are kept while it is parsed: all in one temporary file, however many there are.

Django opens a file of its own for each, so that a form of a thousand takes all that the process may have open.
"""

import io
import os
import tempfile
from typing import IO, Any

from django.core.files.uploadedfile import UploadedFile
from django.core.files.uploadhandler import FileUploadHandler


class OneTemporaryFile(FileUploadHandler):
    """An upload handler for one request."""

    def __init__(self, request: Any = None) -> None:
        super().__init__(request)
        self._file: IO[bytes] | None = None
        self._starts_at = 0
        self.interrupted = False
        """The form ended before the last file did: nobody knows how much of it is missing."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        if self._file is None:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115  (closed with the first of its sections)
        self._starts_at = self._file.seek(0, io.SEEK_END)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        assert self._file is not None
        self._file.write(raw_data)

    def file_complete(self, file_size: int) -> UploadedFile:
        assert self._file is not None
        self._file.flush()
        section = io.BufferedReader(Section(self._file, self._starts_at, file_size))
        return UploadedFile(section, self.file_name, self.content_type, file_size, self.charset)

    def upload_interrupted(self) -> None:
        self.interrupted = True
        if self._file is not None:
            self._file.close()


class Section(io.RawIOBase):
    """A stretch of a file, read as a file of its own. Closing it closes the whole: a request closes all at its end."""

    def __init__(self, file: IO[bytes], starts_at: int, size: int) -> None:
        self._file = file
        self._starts_at = starts_at
        self._size = size
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise OSError("Before the start of the file.")
        self._at = base + offset
        return self._at

    def readinto(self, buffer: Any) -> int:
        wanted = max(0, min(len(buffer), self._size - self._at))
        got = os.pread(self._file.fileno(), wanted, self._starts_at + self._at)
        buffer[: len(got)] = got
        self._at += len(got)
        return len(got)

    def close(self) -> None:
        super().close()
        self._file.close()
