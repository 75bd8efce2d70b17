"""The decoder's child: a process that opens pictures, one at a time, within bounds of memory and time.

It reads one JSON job a line and answers with one JSON line: `{"ok": {...}}` or `{"error": code, "detail": sentence}`.
It knows no Django, no database and no network, and imports nothing that changes Pillow. It ends with its input.
"""

import base64
import contextlib
import ctypes
import fcntl
import gc
import io
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image

from scheduling.serving import crops
from scheduling.serving.contracts import MAX_FRAME_BYTES

from . import formats, upright
from .faults import BROKEN, COSTLY, OCCUPIED, TOO_LARGE, Refused

Job = Mapping[str, Any]
Answer = dict[str, Any]

MEMORY_BYTES = 2 * 2**30
"""What a job may take beyond what the process needs to stand: enough for the largest picture and its turned copy."""

FILE_BYTES = 2**29
CPU_S = 10.0
"""Seconds of a processor for one job; the kernel ends the process that takes more (SIGPROF)."""

HEAVY_PIXELS = 32 * 2**20
"""Above this many, one picture at a time on the whole machine and for each kind of work: see `_alone_if_heavy`."""

JPEG_QUALITIES = (95, 85, 75)
JPEG_LONGEST_SIDE_PX = 65_500
PNG_FITS_BELOW = int(0.95 * MAX_FRAME_BYTES)
"""A PNG is never much longer than its pixels, so pictures of fewer bytes always fit as one."""

CROP_LONGEST_SIDE_PX = 2_048


def check(job: Job) -> Answer:
    """Decode the picture to its end; where its bytes are not what people see, make that beside it at `out`."""
    path = Path(job["path"])
    image = formats.opened(path)
    with contextlib.nullcontext() if upright.is_drafted(image, path) else _alone_if_heavy(image, job):
        samples = formats.samples_of(image, path)
        answer = {"media_type": formats.MEDIA_TYPES[str(image.format)], "bit_depth": 8, "trouble": "", "rendition": ""}
        size_wh = image.size
        if not upright.is_plain(image, samples, path):
            lossy = image.format in ("JPEG", "WEBP")
            made = upright.made_upright(image, samples, path, job["bit_depth"])
            size_wh = made.image.size
            rendition = _write_rendition(made.image, Path(job["out"]), lossy=lossy)
            answer |= {"bit_depth": made.bits, "trouble": made.trouble, "rendition": rendition}
    return answer | {"width": size_wh[0], "height": size_wh[1]}


def thumbnail(job: Job) -> Answer:
    """A JPEG of at most `side_px` at `out`, made from an upright picture."""
    path, side = Path(job["path"]), int(job["side_px"])
    image = formats.opened(path)
    with _alone_if_heavy(image, job):
        image.draft("RGB", (side, side))
        upright.loaded(image)
        image.thumbnail((side, side))
        image.convert("RGB").save(job["out"], "JPEG", quality=int(job["quality"]), optimize=True)
    return {}


def lower(job: Job) -> Answer:
    """A JPEG of that quality at `out`, of all the pixels of an upright picture."""
    path = Path(job["path"])
    image = formats.opened(path)
    with _alone_if_heavy(image, job):
        upright.loaded(image)
        if max(image.size) > JPEG_LONGEST_SIDE_PX:
            raise Refused(TOO_LARGE, "The picture is too long to be a JPEG.")
        grey = image.mode in ("1", "L")
        Path(job["out"]).write_bytes(
            _encoded(image.convert("L" if grey else "RGB"), "JPEG", quality=int(job["quality"]))
        )
    return {}


def cut(job: Job) -> Answer:
    """A JPEG, base64, of each region of an upright picture with its surroundings."""
    path = Path(job["path"])
    image = formats.opened(path)
    with _alone_if_heavy(image, job):
        upright.loaded(image)
        pixels = np.asarray(image.convert("RGB"))
        cuts = [crops.cut_crop(pixels, tuple(box), k=float(job["context_ratio"])) for box in job["boxes_xyxy"]]
        return {"crops": [_encoded_crop(one, int(job["quality"])) for one in cuts]}


JOBS: dict[str, Callable[[Job], Answer]] = {"check": check, "thumbnail": thumbnail, "lower": lower, "cut": cut}


def _encoded_crop(crop: Any, quality: int) -> str:
    """No larger than any describer looks at, so that a region of the size of the frame can be sent too."""
    if max(crop.shape[:2]) > CROP_LONGEST_SIDE_PX:
        small = Image.fromarray(crop)
        small.thumbnail((CROP_LONGEST_SIDE_PX, CROP_LONGEST_SIDE_PX))
        crop = np.asarray(small)
    return base64.b64encode(crops.encode_crop(crop, quality=quality)).decode()


def _write_rendition(image: Image.Image, out: Path, *, lossy: bool) -> str:
    """PNG where nothing may be lost and it fits what a node takes; else the best JPEG that fits. Returns which."""
    width, height = image.size
    raw_bytes = width * height * len(image.getbands())
    if (not lossy and raw_bytes <= PNG_FITS_BELOW) or max(width, height) > JPEG_LONGEST_SIDE_PX:
        data = _encoded(image, "PNG", compress_level=1)
        if len(data) <= MAX_FRAME_BYTES:
            out.write_bytes(data)
            return "png"
    for quality in JPEG_QUALITIES if max(width, height) <= JPEG_LONGEST_SIDE_PX else ():
        data = _encoded(image, "JPEG", quality=quality, subsampling=0)
        if len(data) <= MAX_FRAME_BYTES:
            out.write_bytes(data)
            return "jpg"
    raise Refused(TOO_LARGE, f"Made upright and of 8 bits the picture has more than {MAX_FRAME_BYTES:,} bytes.")


def _encoded(image: Image.Image, format: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.info.clear()  # nothing of the old file's metadata: no orientation, no colour profile, no transparency
    image.save(buffer, format, **options)
    return buffer.getvalue()


@contextlib.contextmanager
def _alone_if_heavy(image: Image.Image, job: Job) -> Iterator[None]:
    """Several of the largest pictures at once would take more memory than a small computer has.

    A child never waits for its turn: it says so, and the parent asks again without keeping a child from others.
    """
    if image.width * image.height <= HEAVY_PIXELS:
        yield
        return
    with Path(job["lock"]).open("a") as lock:
        if not _locked(lock):
            raise Refused(OCCUPIED, "Other very large pictures are being decoded.")
        try:
            yield
        finally:
            _give_memory_back()


def _give_memory_back() -> None:
    """A child that waits keeps nothing of what it had."""
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # of glibc
    if trim is not None:
        trim(0)


def _locked(lock: Any) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


# -- the process ----------------------------------------------------------------------------------------


def answered(job: Job) -> Answer:
    try:
        return {"ok": JOBS[job["do"]](job)}
    except Refused as refused:
        return {"error": refused.code, "detail": refused.detail}
    except MemoryError:
        return {"error": COSTLY, "detail": "The picture takes more memory to decode than one picture may."}
    except Exception as error:
        if "Insufficient memory" in str(error):  # OpenCV's word for it
            return {"error": COSTLY, "detail": "The picture takes more memory to decode than one picture may."}
        # Whatever a damaged file brings about is that file's trouble
        return {"error": BROKEN, "detail": "The picture cannot be decoded.", "cause": repr(error)}


def bounded(*, memory_bytes: int = MEMORY_BYTES) -> None:
    """Take on the limits for good; also what is read from disk before stays in it."""
    in_use = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    for kind, limit in (
        (resource.RLIMIT_AS, in_use + memory_bytes),
        (resource.RLIMIT_FSIZE, FILE_BYTES),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(kind, (limit, limit))
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a file too long is then an error of the write
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C is for the parent; we end with it


def serve(jobs: BinaryIO, answers: BinaryIO, *, cpu_s: float) -> None:
    for line in jobs:
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        answer = answered(json.loads(line))
        signal.setitimer(signal.ITIMER_PROF, 0)
        answers.write(json.dumps(answer).encode() + b"\n")
        answers.flush()


def main() -> None:
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    Image.MAX_IMAGE_PIXELS = None  # formats.opened bounds them, before anything is decoded
    limits = json.loads(sys.argv[1]) if len(sys.argv) > 1 else {}
    bounded(memory_bytes=limits.get("memory_bytes", MEMORY_BYTES))
    serve(sys.stdin.buffer, answers, cpu_s=limits.get("cpu_s", CPU_S))


if __name__ == "__main__":
    main()
