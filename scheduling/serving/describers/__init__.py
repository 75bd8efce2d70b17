"""Describers: the shipped small one, a transformers model, or an OpenAI-compatible endpoint.

To add one: a file here with an `open_describer`, and a line in `DESCRIBERS`. Importing this package imports no model
runtime; `load_describer` does.
"""

import importlib
from pathlib import Path
from typing import Final

from scheduling.serving.contracts import Describer
from scheduling.serving.describers.adapters import Adapter, is_adapter
from scheduling.serving.registry import file_for

SMALL: Final = "aivd-small"
SMALL_FOLDER: Final = Path(__file__).parents[1] / "weights" / "describer"

# A name, or the beginning of names (ends with a colon or a slash): the file here whose
# `open_describer(spec, threads=...)` opens it. Any other name is a folder or a hub id.
DESCRIBERS: Final = {
    SMALL: "small",
    "http://": "openai_endpoint",
    "https://": "openai_endpoint",
}


def load_describer(spec: str, *, threads: int) -> Describer:
    """Open the describer that `spec` names, ready to describe.

    `spec` is a name of `DESCRIBERS`, the URL of an OpenAI-compatible endpoint (`https://host/v1#model-name`), a folder
    with safetensors weights or an adapter over a base, or a hub id (`Qwen/Qwen2.5-VL-3B-Instruct`). `threads` is set
    for the whole process.
    Raises ValueError with a sentence that says what is wrong with the spec, the files or the endpoint.
    """
    if threads < 1:
        raise ValueError(f"threads is {threads}: a describer needs at least 1")
    if is_adapter(Path(spec)):
        return _adapted(Path(spec), threads=threads)
    name = file_for(spec, DESCRIBERS) or ("small" if is_small_folder(Path(spec)) else "hub")
    describer: Describer = importlib.import_module(f"{__name__}.{name}").open_describer(spec, threads=threads)
    return describer


def _adapted(folder: Path, *, threads: int) -> Describer:
    """A base with an adapter over it; the base is the one whose digest the adapter's lineage names."""
    adapter = Adapter.read(folder)
    base = SMALL_FOLDER if adapter.base in ("", SMALL) else Path(adapter.base)
    if is_small_folder(base):
        from scheduling.serving.describers.small import SmallDescriber

        adapter.check_base(base)
        return SmallDescriber(base, threads=threads, name=folder.name, adapter=adapter)
    from scheduling.serving.describers.hub import HubDescriber

    if base.exists():
        adapter.check_base(base)
    return HubDescriber.open(adapter.base, threads=threads, adapter=adapter)


def is_small_folder(folder: Path) -> bool:
    """Whether a folder's tokenizer is a small describer's, so that its own fast loop serves it."""
    from scheduling.serving.describers.small_tokens import FRAME

    path = folder / "tokenizer.json"
    return path.is_file() and FRAME[-1].replace('"', '\\"') in path.read_text(encoding="utf-8")
