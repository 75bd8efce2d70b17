"""A node refuses every file that is not a self-contained end-to-end ONNX detector, with a sentence."""

import io
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from scheduling.serving.detectors import BadModel, load_detector
from scheduling.serving.detectors.model_file import read_model_file
from tests.scheduling.serving.detectors.onnx_files import CLASSES, SIDE_PX, graph_model, write


class Bomb:
    """Unpickling this writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.write_text, (self.path, "unpickled"))


def a_pickle(folder: Path) -> bytes:
    return pickle.dumps(Bomb(folder / "fired"))


def a_zip_with_a_pickle(folder: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("archive/data.pkl", a_pickle(folder))
    return buffer.getvalue()


def external_weights(folder: Path) -> bytes:
    model = graph_model()
    tensor = model.graph.initializer[2]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../../../etc/passwd"
    return model.SerializeToString()


def external_weights_in_a_branch(folder: Path) -> bytes:
    model = graph_model()
    inner = external_weights(folder)
    branch = onnx.load_from_string(inner).graph
    node = helper.make_node("If", ["condition"], ["unused"], then_branch=branch, else_branch=branch)
    model.graph.node.append(node)
    return model.SerializeToString()


def external_weights_in_a_constant(folder: Path) -> bytes:
    model = graph_model()
    tensor = TensorProto(data_type=TensorProto.FLOAT, dims=[1], data_location=TensorProto.EXTERNAL)
    model.graph.node.append(helper.make_node("Constant", [], ["unused"], value=tensor))
    return model.SerializeToString()


def a_foreign_operator(folder: Path) -> bytes:
    model = graph_model()
    model.graph.node.append(helper.make_node("RunShell", ["images"], ["unused"], domain="com.example"))
    return model.SerializeToString()


HOSTILE: dict[str, tuple[Callable[[Path], bytes], str]] = {
    "pickle": (a_pickle, "is a Python pickle"),
    "zip with a pickle": (a_zip_with_a_pickle, "is a zip archive"),
    "gzip": (lambda _: b"\x1f\x8b\x08rest", "is a gzip archive"),
    "empty": (lambda _: b"", "holds no ONNX graph"),
    "noise": (lambda _: bytes(range(256)) * 20, "is not an ONNX file"),
    "cut off": (lambda _: graph_model(rows=np.ones((50, 6))).SerializeToString()[:900], "is not an ONNX file"),
    "weights elsewhere": (external_weights, "keeps weights in another file"),
    "weights elsewhere, in a branch": (external_weights_in_a_branch, "keeps weights in another file"),
    "weights elsewhere, in a constant": (external_weights_in_a_constant, "keeps weights in another file"),
    "foreign operator": (a_foreign_operator, "uses operators of com.example"),
    "raw head": (
        lambda _: graph_model(output_shape=("batch", 10, 8400)).SerializeToString(),
        r"answers \(any, 10, 8400\).*end-to-end head",
    ),
    "two-dimensional head": (
        lambda _: graph_model(output_shape=("batch", 6)).SerializeToString(),
        "answers one table",
    ),
    "one channel": (
        lambda _: graph_model(input_shape=("batch", 1, 64, 64)).SerializeToString(),
        "takes float32",
    ),
    "oblong": (
        lambda _: graph_model(input_shape=("batch", 3, 64, 96)).SerializeToString(),
        "must be fixed, square",
    ),
    "no classes": (lambda _: graph_model(class_names=None).SerializeToString(), "declares no classes"),
    "classes are code": (
        lambda _: graph_model(class_names="{0: __import__('os').system('true')}").SerializeToString(),
        "not a list of names",
    ),
    "classes are numbers": (lambda _: graph_model(class_names=[1, 2]).SerializeToString(), "is no text"),
    "a long class name": (
        lambda _: graph_model(class_names=["scratch", "d" * 61]).SerializeToString(),
        "has 61 characters; at most 60 are taken",
    ),
    "an empty class name": (lambda _: graph_model(class_names=["scratch", " "]).SerializeToString(), "is empty"),
    "a class twice": (lambda _: graph_model(class_names=["dent", "dent"]).SerializeToString(), "declared twice"),
    "a class name that turns the text around": (
        lambda _: graph_model(class_names=["dent\u202e"]).SerializeToString(),
        "cannot be shown",
    ),
    "no scale": (lambda _: graph_model(tile_px="huge").SerializeToString(), "declares tile_px 'huge'"),
    "sure of too much": (lambda _: graph_model(sure_score="1.5").SerializeToString(), "declares sure_score '1.5'"),
    "sure of nothing": (lambda _: graph_model(sure_score="nan").SerializeToString(), "declares sure_score 'nan'"),
    "a long version": (lambda _: graph_model(version="v" * 41).SerializeToString(), "has 41 characters"),
    "classes nest": (lambda _: graph_model(class_names="{" * 5000).SerializeToString(), "not a list of names"),
}


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
def test_hostile_file_is_refused_with_a_sentence(kind: str, runtime: str, tmp_path: Path) -> None:
    content, sentence = HOSTILE[kind]
    path = tmp_path / "model.onnx"
    path.write_bytes(content(tmp_path))
    with pytest.raises(BadModel, match=sentence):
        load_detector(f"{runtime}:{path}", threads=1)
    assert not (tmp_path / "fired").exists()


@pytest.mark.parametrize("runtime", ["openvino", "onnxruntime"])
@pytest.mark.parametrize(
    ("row", "sentence"),
    [((0, 0, 9, 9, 7.5, 0), "scores outside 0..1"), ((0, 0, 9, 9, float("nan"), 0), "not finite")],
)
def test_a_head_that_lies_about_its_columns_is_refused(
    runtime: str, row: tuple[float, ...], sentence: str, tmp_path: Path
) -> None:
    path = write(tmp_path / "model.onnx", graph_model(rows=np.array([row])))
    with pytest.raises(BadModel, match=sentence):
        load_detector(f"{runtime}:{path}", threads=1)


def test_a_missing_file_and_an_unknown_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadModel, match=r"there is no file gone\.onnx"):
        load_detector(str(tmp_path / "gone.onnx"), threads=1)
    with pytest.raises(BadModel, match="no detector is called 'yolo-tpu'"):
        load_detector("yolo-tpu", threads=1)
    with pytest.raises(BadModel, match="no detector is called"):
        load_detector("tensorrt:model.onnx", threads=1)


def test_a_good_file_tells_who_it_is(tmp_path: Path) -> None:
    model = read_model_file(write(tmp_path / "model.onnx", graph_model()))
    assert (model.name, model.version, model.class_names) == ("constant", "3", CLASSES)
    assert (model.side_px, model.batch, model.input_name) == (SIDE_PX, None, "images")
    assert len(model.digest) == 64


def test_classes_may_stand_in_a_file_beside_the_model(tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", graph_model(class_names=None))
    (tmp_path / "model.classes.json").write_text('["scratch", "dent"]')
    assert read_model_file(path).class_names == ("scratch", "dent")


def test_classes_as_ultralytics_writes_them_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", graph_model(class_names="{0: 'scratch', 1: 'dent'}"))
    assert read_model_file(path).class_names == ("scratch", "dent")
