"""Why a picture is refused, in the words that the decoder's child uses. Knows neither Django nor Pillow."""


class Refused(Exception):
    """`code` is one of CODES; `detail` is a sentence for the sender."""

    def __init__(self, code: str, detail: str) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


NOT_A_PICTURE = "not_a_picture"
BROKEN = "broken_picture"
TOO_LARGE = "picture_too_large"
SEVERAL = "several_pictures"
SAMPLES = "unsupported_samples"
COSTLY = "picture_too_costly"
INVISIBLE = "invisible_picture"
BUSY = "decoder_busy"
OCCUPIED = "occupied"
"""Between child and parent only: another very large picture has its turn; to be asked again."""

CODES = (NOT_A_PICTURE, BROKEN, TOO_LARGE, SEVERAL, SAMPLES, COSTLY, INVISIBLE, BUSY)
