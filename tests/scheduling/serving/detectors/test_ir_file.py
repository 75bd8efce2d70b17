"""A quantised detector in OpenVINO's own form is served like any other; an odd file is refused with a sentence."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import openvino
import pytest

from scheduling.serving.detectors import BadModel, load_detector
from tests.scheduling.serving.detectors.onnx_files import CLASSES, SIDE_PX, graph_model

ROWS = np.array([(8, 8, 40, 40, 0.9, 1), (10, 10, 20, 20, 0.4, 2)], np.float32)


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model = openvino.Core().read_model(model=graph_model(rows=ROWS).SerializeToString(), weights=b"")
    for key, value in {"name": "small", "version": "7", "class_names": json.dumps(CLASSES)}.items():
        model.set_rt_info(value, ["aivd", key])
    openvino.save_model(model, tmp_path / "m.xml", compress_to_fp16=False)
    return tmp_path / "m.xml"


def test_a_good_file_is_served_and_tells_who_it_is(saved: Path) -> None:
    detector = load_detector(str(saved), threads=1)
    assert (detector.name, detector.version, detector.class_names) == ("small", "7", CLASSES)
    assert len(detector.digest) == 64
    (regions,) = detector.detect([np.zeros((SIDE_PX, SIDE_PX, 3), np.uint8)])
    assert [(region.class_name, round(region.score, 2)) for region in regions] == [("short", 0.9), ("mousebite", 0.4)]


def test_the_digest_covers_the_weights(saved: Path) -> None:
    before = load_detector(str(saved), threads=1).digest
    weights = saved.with_suffix(".bin")
    weights.write_bytes(weights.read_bytes() + bytes(4))
    assert load_detector(str(saved), threads=1).digest != before


def replaced(old: str, new: str) -> Callable[[Path], None]:
    def spoil(path: Path) -> None:
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return spoil


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "entities": (replaced("<net ", '<!DOCTYPE net [<!ENTITY a "aaaa">]><net '), "XML declarations"),
    "cut off": (lambda path: path.write_bytes(path.read_bytes()[:300]), "cut off"),
    "no graph": (lambda path: path.write_text("<html/>"), "no OpenVINO graph"),
    "no weights file": (lambda path: path.with_suffix(".bin").unlink(), "there is no file m.bin"),
    "weights cut off": (lambda path: path.with_suffix(".bin").write_bytes(b"\0" * 4), "cannot load"),
    "a foreign operator": (replaced('version="opset1"', 'version="extension"'), "operators of no opset"),
    "an integer picture": (replaced('element_type="f32"', 'element_type="u8"'), "a detector takes float32"),
    "another head": (replaced("<dim>6</dim>", "<dim>7</dim>"), "end-to-end head"),
    "no classes": (replaced("class_names", "something"), "declares no classes"),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_an_odd_file_is_refused_with_a_sentence(kind: str, saved: Path) -> None:
    spoil, reason = HOSTILE[kind]
    spoil(saved)
    with pytest.raises(BadModel, match=reason):
        load_detector(str(saved), threads=1)


def test_onnx_runtime_does_not_take_it(saved: Path) -> None:
    with pytest.raises(BadModel, match="ONNX Runtime runs ONNX"):
        load_detector(f"onnxruntime:{saved}", threads=1)
