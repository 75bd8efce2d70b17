"""Import ultralytics without what it does to the process: it replaces functions of Pillow and PyTorch.

Call `ensure()` before anything is imported from ultralytics; nothing else may import it first. Knows no detector.
"""

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import torch
from PIL import Image

from scheduling.serving import torchvision_ops

REPLACED: Final = ((Image, "open"), (torch, "save"), (torch, "load"))
"""What ultralytics 8.4 puts its own functions in place of here, and `load`, which earlier ones replaced."""


def ensure() -> None:
    """Import it with no settings in the home folder, no version check, no usage report, and nothing replaced."""
    os.environ.setdefault("YOLO_CONFIG_DIR", str(Path(tempfile.gettempdir()) / "aivd-ultralytics"))
    os.environ.setdefault("YOLO_OFFLINE", "true")
    os.environ.setdefault("YOLO_VERBOSE", "false")
    Path(os.environ["YOLO_CONFIG_DIR"]).mkdir(parents=True, exist_ok=True)
    torchvision_ops.ensure()
    with _put_back():
        from ultralytics.utils import SETTINGS
    if SETTINGS.get("sync"):
        SETTINGS.update({"sync": False})  # type: ignore[no-untyped-call]


@contextmanager
def _put_back() -> Iterator[None]:
    kept: list[tuple[Any, str, Any]] = [(owner, name, getattr(owner, name)) for owner, name in REPLACED]
    try:
        yield
    finally:
        for owner, name, function in kept:
            setattr(owner, name, function)
