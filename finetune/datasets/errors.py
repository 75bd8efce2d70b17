"""What can be wrong with a dataset. The texts are part of the interface and are tested."""

from aivd_web.kernel.errors import Unprocessable


class UnknownFormat(Unprocessable):
    code = "unknown_format"


class BadSource(Unprocessable):
    code = "bad_source"
    hint = "Give a folder, or a zip, that holds the pictures and their labels."


class Unsealable(Unprocessable):
    code = "unsealable"
