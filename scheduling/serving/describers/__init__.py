"""Describers by name: the shipped small one, a transformers model, or an OpenAI-compatible endpoint.

Importing this package imports no model runtime; `load_describer` does. Add a describer: one file, one line here.
"""

from pathlib import Path
from typing import Final

from scheduling.serving.contracts import Describer

SMALL: Final = "aivd-small"
SMALL_FOLDER: Final = Path(__file__).parents[1] / "weights" / "describer"


def load_describer(spec: str, *, threads: int) -> Describer:
    """Open the describer that `spec` names, ready to describe.

    `spec` is "aivd-small", the URL of an OpenAI-compatible endpoint (`https://host/v1#model-name`), a folder with
    safetensors weights, or a hub id (`Qwen/Qwen2.5-VL-3B-Instruct`). `threads` is set for the whole process. Raises
    ValueError with a sentence that says what is wrong with the spec, the files or the endpoint.
    """
    if threads < 1:
        raise ValueError(f"threads is {threads}: a describer needs at least 1")
    if spec.startswith(("http://", "https://")):
        from scheduling.serving.describers.openai_endpoint import EndpointDescriber

        return EndpointDescriber.from_spec(spec)
    folder = SMALL_FOLDER if spec == SMALL else Path(spec)
    if spec == SMALL or _is_small(folder):
        from scheduling.serving.describers.small import SmallDescriber

        return SmallDescriber(folder, threads=threads, name=SMALL if spec == SMALL else folder.name)
    from scheduling.serving.describers.hub import HubDescriber

    return HubDescriber.open(spec, threads=threads)


def _is_small(folder: Path) -> bool:
    """Whether a folder's tokenizer is a small describer's, so that its own fast loop serves it."""
    from scheduling.serving.describers.small_tokens import FRAME

    path = folder / "tokenizer.json"
    return path.is_file() and FRAME[-1].replace('"', '\\"') in path.read_text(encoding="utf-8")
