"""Describers by name: the shipped small one, a transformers model, or an OpenAI-compatible endpoint.

Importing this package imports no model runtime; `load_describer` does. Add a describer: one file, one line here.
"""

from pathlib import Path
from typing import Final

from scheduling.serving.contracts import Describer
from scheduling.serving.describers.adapters import Adapter, is_adapter

SMALL: Final = "aivd-small"
SMALL_FOLDER: Final = Path(__file__).parents[1] / "weights" / "describer"


def load_describer(spec: str, *, threads: int) -> Describer:
    """Open the describer that `spec` names, ready to describe.

    `spec` is "aivd-small", a folder with an adapter over a base, the URL of an OpenAI-compatible endpoint
    (`https://host/v1#model-name`), a folder with safetensors weights, or a hub id (`Qwen/Qwen2.5-VL-3B-Instruct`).
    `threads` is set for the whole process. Raises ValueError with a sentence that says what is wrong with the spec,
    the files or the endpoint.
    """
    if threads < 1:
        raise ValueError(f"threads is {threads}: a describer needs at least 1")
    if spec.startswith(("http://", "https://")):
        from scheduling.serving.describers.openai_endpoint import EndpointDescriber

        return EndpointDescriber.from_spec(spec)
    folder = SMALL_FOLDER if spec == SMALL else Path(spec)
    if spec != SMALL and is_adapter(folder):
        return _adapted(folder, threads=threads)
    if spec == SMALL or is_small_folder(folder):
        from scheduling.serving.describers.small import SmallDescriber

        return SmallDescriber(folder, threads=threads, name=SMALL if spec == SMALL else folder.name)
    from scheduling.serving.describers.hub import HubDescriber

    return HubDescriber.open(spec, threads=threads)


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
