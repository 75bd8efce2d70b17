"""Open model files that somebody else made: safetensors only, each fault refused with a sentence.

A pickle can run any code when it is read, whatever its file is called; so a folder that holds weights in another
format is refused as a whole, before anything in it is opened. Knows no model.
"""

import hashlib
import json
import zipfile
from pathlib import Path
from typing import Any, Final

PICKLE_SUFFIXES: Final = (
    ".bin",
    ".pt",
    ".pth",
    ".ckpt",
    ".pkl",
    ".pickle",
    ".h5",
    ".msgpack",
    ".joblib",
    ".npy",
    ".npz",
)
LONGEST_HEADER_BYTES: Final = 100_000_000


class RefusedFiles(ValueError):
    """A model folder that is not opened; the text says which file and why."""


def check_folder(folder: Path) -> list[Path]:
    """The safetensors files of a model folder, after looking at every file in it. Raises RefusedFiles."""
    if not folder.is_dir():
        raise RefusedFiles(f"{folder} is not a folder with a model.")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in files:
        refuse_foreign(path)
    if not (folder / "config.json").is_file():
        raise RefusedFiles(f"{folder} has no config.json.")
    found = [path for path in files if path.suffix == ".safetensors"]
    if not found:
        raise RefusedFiles(f"{folder} has no weights in safetensors format.")
    for path in found:
        check_safetensors(path)
    return found


def check_safetensors(path: Path) -> None:
    """Refuse a file whose header and length do not belong together, without reading its tensors."""
    length = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        header_bytes = int.from_bytes(start, "little")
        if len(start) < 8 or not 2 <= header_bytes <= min(LONGEST_HEADER_BYTES, length - 8):
            raise RefusedFiles(f"{path.name} is not a safetensors file, or it is cut off.")
        try:
            header = json.loads(file.read(header_bytes))
            ends = [int(entry["data_offsets"][1]) for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, IndexError, AttributeError):
            raise RefusedFiles(f"{path.name} has no readable safetensors header.") from None
    if 8 + header_bytes + max(ends, default=0) != length:
        raise RefusedFiles(f"{path.name} is cut off or has bytes that belong to no tensor.")


def digest_of(files: list[Path]) -> str:
    """sha256 (hex) of one file, or of the digests of several in the order of their names."""
    digests = []
    for path in sorted(files):
        with path.open("rb") as file:
            digests.append(hashlib.file_digest(file, "sha256").hexdigest())
    return digests[0] if len(digests) == 1 else hashlib.sha256("\n".join(digests).encode()).hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file of a model folder. Raises RefusedFiles."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        raise RefusedFiles(f"{path.name} is missing or is not JSON.") from None
    if not isinstance(found, dict):
        raise RefusedFiles(f"{path.name} is not a JSON object.")
    return found


def refuse_foreign(path: Path) -> None:
    """Raises RefusedFiles for a file that could run code when it is read."""
    if path.suffix.lower() in PICKLE_SUFFIXES:
        raise RefusedFiles(
            f"{path.name} may hold a pickle, which can run code when it is read: convert the weights to safetensors."
        )
    if path.suffix.lower() == ".py":
        raise RefusedFiles(f"{path.name} is code: a model that brings its own code is not loaded.")
    with path.open("rb") as file:
        start = file.read(2)
    if start[:1] == b"\x80" and path.suffix != ".safetensors":
        raise RefusedFiles(f"{path.name} starts like a pickle, which can run code when it is read.")
    if start == b"PK" and zipfile.is_zipfile(path):
        raise RefusedFiles(f"{path.name} is a zip archive, as PyTorch's pickles are: only safetensors are loaded.")
