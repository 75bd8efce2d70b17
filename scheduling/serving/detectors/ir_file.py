"""Read a detector's OpenVINO IR, an .xml with its .bin beside it, and refuse what a node must not run.

For quantised networks: OpenVINO's own form keeps the places of the quantisers that calibration chose. As with ONNX, no
foreign operators, one picture in, one end-to-end table of boxes out, and the runtime gets the checked bytes.
"""

import hashlib
import re
from pathlib import Path
from typing import Final
from xml.etree import ElementTree

from scheduling.serving.detectors.model_file import (
    BadModel,
    ModelFile,
    check_picture,
    check_table,
    class_names_in,
    declared_products,
    identity_in,
    read,
    scale_in,
)

METADATA: Final = "aivd"
"""Section of the file's rt_info that holds name, version and class_names."""
KNOWN_VERSION: Final = re.compile(r"opset\d{1,2}")
Shape = tuple[int | None, ...]


def read_ir_file(path: Path) -> ModelFile:
    """Check and read `path` and the .bin beside it; raises BadModel."""
    data, weights = read(path), read(path.with_suffix(".bin"))
    root = _parse(data, path.name)
    layers = root.findall("./layers/layer")
    foreign = {layer.get("type", "?") for layer in layers if not KNOWN_VERSION.fullmatch(layer.get("version", ""))}
    if foreign:
        raise BadModel(f"{path.name} uses operators of no opset: {', '.join(sorted(foreign))}")
    inputs = [layer for layer in layers if layer.get("type") == "Parameter"]
    results = [layer for layer in layers if layer.get("type") == "Result"]
    taken = [_declared(layer) for layer in inputs]
    batch, side_px = check_picture(taken, path.name)
    check_table([_ports(layer, "input") for layer in results], path.name)
    metadata = {entry.tag: entry.get("value", "") for entry in root.findall(f"./rt_info/{METADATA}/*")}
    digest = hashlib.sha256(data + weights).hexdigest()
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
        input_name=inputs[0].get("name", ""),
        weights=weights,
        scale=scale_in(metadata, side_px, path.name),
    )


def _parse(data: bytes, name: str) -> ElementTree.Element:
    if b"<!" in data:  # a DOCTYPE, and with it entities that grow without end; OpenVINO writes none
        raise BadModel(f"{name} holds XML declarations that no OpenVINO file has")
    try:
        root = ElementTree.fromstring(data)  # noqa: S314  entities cannot be declared without "<!"
    except ElementTree.ParseError as error:
        raise BadModel(f"{name} is not an OpenVINO file, or it is cut off") from error
    if root.tag != "net":
        raise BadModel(f"{name} holds no OpenVINO graph")
    return root


def _declared(layer: ElementTree.Element) -> tuple[bool, Shape]:
    """Whether an input takes float32, and its shape."""
    about = layer.find("data")
    if about is None:
        return False, ()
    sizes = [size.strip() for size in about.get("shape", "").split(",")]
    return about.get("element_type") == "f32", tuple(int(size) if size.isdigit() else None for size in sizes)


def _ports(layer: ElementTree.Element, side: str) -> Shape:
    dims = [dim.text or "" for dim in layer.findall(f"./{side}/port/dim")]
    return tuple(int(dim) if dim.isdigit() else None for dim in dims)
