"""Read a detector's ONNX file and refuse, with a sentence, what a node must not run.

Only a self-contained ONNX graph passes: no pickle, no archive, no weights at other paths, no foreign operators,
one picture in, one end-to-end table of boxes out. The runtimes get the checked bytes, never the path.
"""

import ast
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from scheduling.serving.appearance import products_in
from scheduling.serving.contracts import IDENTITY_LIMITS, class_names_fault, name_fault
from scheduling.serving.tiling import Scale

SHIPPED_WEIGHTS: Final = Path(__file__).parents[1] / "weights" / "detector" / "detector.onnx"
SHIPPED_TRAINED_ON: Final = SHIPPED_WEIGHTS.with_name("trained-on.json")
SHIPPED_INT8_WEIGHTS: Final = SHIPPED_WEIGHTS.with_name("detector-int8.xml")

MAX_MODEL_BYTES: Final = 512 * 2**20
Shape = tuple[int | None, ...]
KNOWN_DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})

PRODUCTS_KEY: Final = "products"
"""Metadata key of what a model was trained for, a JSON list of names."""

CLASS_NAMES_KEY: Final = "class_names"
"""Metadata key of our own exports, a JSON list; `names`, as ultralytics writes it, is read too."""

TILE_KEY: Final = "tile_px"
"""Metadata key: side, in pixels of the frame, of what the model was trained to look at, or `WHOLE`."""
WHOLE: Final = "whole"

SURE_KEY: Final = "sure_score"
"""Metadata key: the score from which on the model's own box and class are better than a template's, as measured."""

_SIGNATURES: Final = (
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"PK\x03\x04", "a zip archive, as PyTorch's checkpoints are"),
    (b"\x1f\x8b", "a gzip archive"),
    (b"\x89HDF", "an HDF5 file"),
)


class BadModel(ValueError):
    """A model file that is not served; the text says why and what to do."""


UNSCALED: Final = Scale()


@dataclass(frozen=True)
class ModelFile:
    """A checked detector: `data` is the graph, `side_px` the input's side, `batch` None where it is free.

    `weights` is None where the graph holds them itself, as ONNX does. `scale`: see `scale_in`. `sure_score` is None
    where the file does not say from which score on its box and its class are to be trusted.
    """

    name: str
    version: str
    digest: str
    data: bytes
    class_names: tuple[str, ...]
    side_px: int
    batch: int | None
    input_name: str
    weights: bytes | None = None
    scale: Scale = UNSCALED
    products: tuple[str, ...] = ()
    sure_score: float | None = None


def read_model_file(path: Path) -> ModelFile:
    """Check and read `path`; raises BadModel."""
    data = read(path)
    for signature, kind in _SIGNATURES:
        if data.startswith(signature):
            raise BadModel(f"{path.name} is {kind}; a detector is served from ONNX only: export it first")
    graph_model = _parse(data, path.name)
    _refuse_outside_data(graph_model, path.name)
    _refuse_foreign_operators(graph_model, path.name)
    input_name, side_px, batch = _input_of(graph_model.graph, path.name)
    check_table([_shape(entry) for entry in graph_model.graph.output], path.name)
    metadata = {entry.key: entry.value for entry in graph_model.metadata_props}
    digest = hashlib.sha256(data).hexdigest()
    name, version = identity_in(metadata, name=path.stem, digest=digest, file=path.name)
    return ModelFile(
        name=name,
        version=version,
        digest=digest,
        data=data,
        class_names=class_names_in(metadata, path),
        products=declared_products(metadata, path),
        side_px=side_px,
        batch=batch,
        input_name=input_name,
        scale=scale_in(metadata, side_px, path.name),
        sure_score=sure_score_in(metadata, path.name),
    )


def read(path: Path) -> bytes:
    """A model file's bytes; raises BadModel where there is none or it is too large."""
    if not path.is_file():
        raise BadModel(f"there is no file {path.name} at {path.parent}")
    if path.stat().st_size > MAX_MODEL_BYTES:
        raise BadModel(f"{path.name} is larger than {MAX_MODEL_BYTES >> 20} MiB; an edge detector is not")
    return path.read_bytes()


def _parse(data: bytes, name: str) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RuntimeError) as error:
        raise BadModel(f"{name} is not an ONNX file, or it is cut off") from error
    if not model.graph.node or not model.opset_import:
        raise BadModel(f"{name} holds no ONNX graph")
    return model


def _refuse_outside_data(model: Any, name: str) -> None:
    """A tensor may name a file beside the model, or anywhere else on the node."""
    for tensor in _tensors(model):
        if tensor.data_location == 1 or tensor.external_data:
            raise BadModel(f"{name} keeps weights in another file; save it as one self-contained file")


def _tensors(model: Any) -> Iterator[Any]:
    for graph in _graphs(model.graph):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
        yield from _attribute_tensors(graph.node)
    for function in model.functions:
        yield from _attribute_tensors(function.node)


def _attribute_tensors(nodes: Any) -> Iterator[Any]:
    for node in nodes:
        for attribute in node.attribute:
            if attribute.HasField("t"):
                yield attribute.t
            yield from attribute.tensors


def _graphs(graph: Any) -> Iterator[Any]:
    """The graph and those inside its control flow."""
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from _graphs(attribute.g)
            for inner in attribute.graphs:
                yield from _graphs(inner)


def _refuse_foreign_operators(model: Any, name: str) -> None:
    foreign = {node.domain for graph in _graphs(model.graph) for node in graph.node} - KNOWN_DOMAINS
    if foreign:
        raise BadModel(f"{name} uses operators of {', '.join(sorted(foreign))}; only ONNX's own are served")


def _input_of(graph: Any, name: str) -> tuple[str, int, int | None]:
    weights = {tensor.name for tensor in graph.initializer}
    inputs = [entry for entry in graph.input if entry.name not in weights]
    batch, side_px = check_picture([(i.type.tensor_type.elem_type == 1, _shape(i)) for i in inputs], name)
    return inputs[0].name, side_px, batch


def check_picture(inputs: Sequence[tuple[bool, Shape]], name: str) -> tuple[int | None, int]:
    """Batch and side of the one input, given as (is it float32, shape); BadModel where it takes no square picture."""
    if len(inputs) != 1:
        raise BadModel(f"{name} has {len(inputs)} inputs; a detector takes one picture")
    is_float, shape = inputs[0]
    if not is_float or len(shape) != 4 or shape[1] != 3:
        raise BadModel(f"{name} takes {_words(shape)}; a detector takes float32 (batch, 3, height, width)")
    height, width = shape[2:]
    if height is None or height != width or not 32 <= height <= 4096:
        raise BadModel(f"{name} takes pictures of {_words(shape)}; the side must be fixed, square and 32 to 4096")
    return shape[0], height


def check_table(shapes: Sequence[Shape], name: str) -> None:
    """BadModel unless the outputs are one end-to-end table."""
    if len(shapes) == 1 and len(shapes[0]) == 3 and shapes[0][2] == 6:
        return
    given = ", ".join(_words(shape) for shape in shapes) or "nothing"
    raise BadModel(
        f"{name} answers {given}; a detector answers one table (batch, rows, 6) of x0 y0 x1 y1 score class: "
        "export it with its end-to-end head"
    )


def _shape(entry: Any) -> Shape:
    """Each dimension, None where it is free."""
    dims = entry.type.tensor_type.shape.dim
    return tuple(dim.dim_value if dim.WhichOneof("value") == "dim_value" else None for dim in dims)


def _words(shape: Shape) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"


def declared_products(metadata: dict[str, str], path: Path) -> tuple[str, ...]:
    """What the file's metadata says it was trained for; none where it does not say."""
    text = metadata.get(PRODUCTS_KEY)
    if not text:
        return ()
    try:
        return products_in(json.loads(text))
    except (ValueError, RecursionError) as error:
        raise BadModel(f"{path.name} declares products that are not a JSON list of names: {error}") from error


def class_names_in(metadata: dict[str, str], path: Path) -> tuple[str, ...]:
    """From the file's metadata, else from `<file>.classes.json` beside it."""
    beside = path.with_suffix(".classes.json")
    text = metadata.get(CLASS_NAMES_KEY) or metadata.get("names")
    if not text and beside.is_file():
        text = beside.read_text()
    if not text:
        raise BadModel(f"{path.name} declares no classes; put a JSON list of names into {beside.name} beside it")
    try:
        names = ast.literal_eval(text) if text.lstrip().startswith("{") else json.loads(text)
        names = [names[index] for index in range(len(names))]
    except (ValueError, SyntaxError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise BadModel(f"{path.name} declares classes that are not a list of names") from error
    if fault := class_names_fault(names):
        raise BadModel(f"{path.name} cannot be served: {fault}")
    return tuple(names)


def identity_in(metadata: Mapping[str, str], *, name: str, digest: str, file: str) -> tuple[str, str]:
    """Name and version that the file declares, else the file's own name and the start of its digest."""
    said = {"model": metadata.get("name") or name, "version": metadata.get("version") or digest[:12]}
    for what, text in said.items():
        if fault := name_fault(text, IDENTITY_LIMITS[what]):
            raise BadModel(f"{file} cannot be served: its {what} {text[:40]!r} {fault}")
    return said["model"], said["version"]


def scale_in(metadata: Mapping[str, str], side_px: int, file: str) -> Scale:
    """At which scale the model is to look, from `tile_px` of the metadata: pixels of the frame, or "whole".

    A file that does not say is shown tiles as large as its input, pixel for pixel, and the whole frame, shrunk.
    """
    said = metadata.get(TILE_KEY, "")
    if not said:
        return Scale(side_px, overview=True)
    if said == WHOLE:
        return Scale()
    if not said.isdecimal() or not 32 <= int(said) <= 8192:
        raise BadModel(f"{file} declares {TILE_KEY} {said[:20]!r}; expected pixels from 32 to 8192, or {WHOLE!r}")
    return Scale(int(said))


def sure_score_in(metadata: Mapping[str, str], file: str) -> float | None:
    """`sure_score` of the metadata; None where the file does not say."""
    said = metadata.get(SURE_KEY)
    if not said:
        return None
    try:
        score = float(said)
    except ValueError:
        score = -1.0
    if not 0 <= score <= 1:
        raise BadModel(f"{file} declares {SURE_KEY} {said[:20]!r}; expected a number from 0 to 1")
    return score
