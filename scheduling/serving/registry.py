"""Find the file that opens a model, by what its name is or how it begins or ends. Opens nothing; knows no model."""

from collections.abc import Iterable, Mapping


def file_for(spec: str, kinds: Mapping[str, str]) -> str | None:
    """The value of the first key that names `spec`: the whole of it, its beginning (`hf:`) or its end (`.onnx`)."""
    return next((file for kind, file in kinds.items() if _names(kind, spec)), None)


def names_of(kinds: Iterable[str]) -> list[str]:
    """The keys that are whole names, for a sentence that lists them."""
    return [kind for kind in kinds if not kind.startswith(".") and not kind.endswith((":", "/"))]


def _names(kind: str, spec: str) -> bool:
    if kind.startswith("."):
        return spec.endswith(kind)
    return spec.startswith(kind) if kind.endswith((":", "/")) else spec == kind
