"""Tell whether bytes are a whole picture that may be taken in. Opens five formats and nothing else."""

import warnings
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from .errors import BrokenPicture, NotAPicture, PictureTooLarge

MEDIA_TYPES = {
    "JPEG": "image/jpeg",
    "PNG": "image/png",
    "WEBP": "image/webp",
    "TIFF": "image/tiff",
    "BMP": "image/bmp",
}
MAX_PIXELS = 150_000_000
Image.MAX_IMAGE_PIXELS = MAX_PIXELS
# Set once: `warnings.catch_warnings` around each picture would not be safe between the threads of a server.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
PROOF_SIZE = (80, 80)


@dataclass(frozen=True)
class Picture:
    media_type: str
    width: int
    height: int


def check_picture(path: Path) -> Picture:
    """Decode the file at `path` to its end. Raises NotAPicture, BrokenPicture or PictureTooLarge.

    A JPEG is decoded at an eighth of its size: that reads every byte, so a cut-off file is found, for a
    fraction of the time.
    """
    try:
        with Image.open(path, formats=tuple(MEDIA_TYPES)) as image:
            media_type, (width, height) = MEDIA_TYPES[str(image.format)], image.size
            if width * height > MAX_PIXELS:
                raise Image.DecompressionBombError
            image.draft("L", PROOF_SIZE)
            image.load()
    except UnidentifiedImageError:
        raise NotAPicture("These bytes are not a picture in a format that is taken in.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise PictureTooLarge(f"The picture has more than {MAX_PIXELS:,} pixels.") from None
    except (OSError, SyntaxError, ValueError, EOFError, IndexError, TypeError, MemoryError, OverflowError):
        # Pillow's decoders raise all of these on damaged files.
        raise BrokenPicture("The picture cannot be decoded to its end.") from None
    return Picture(media_type, width, height)
