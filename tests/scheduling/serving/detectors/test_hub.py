"""Detectors of transformers: tiny random ones are saved, loaded and detect alike; odd folders are refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from scheduling.serving import torchvision_ops
from scheduling.serving.contracts import BadFrame
from scheduling.serving.detectors import BadModel, load_detector
from scheduling.serving.detectors.fusion import judged_by_templates
from scheduling.serving.detectors.hub import FAMILIES, HubDetector, class_names_of, table_of
from scheduling.serving.detectors.template_difference import CLASS_NAMES

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
NAMES = ("scratch", "dent", "stain")


def build(family: str, names: tuple[str, ...] = NAMES) -> tuple[Any, Any]:
    """(model, processor) of the real classes, as small as they get, with random weights."""
    torchvision_ops.ensure()
    import transformers

    torch.manual_seed(4)
    stages: dict[str, Any] = {"out_features": ["stage2", "stage3", "stage4"]}
    backbone: Any = transformers.RTDetrResNetConfig(
        embedding_size=8, hidden_sizes=[8, 8, 8, 8], depths=[1, 1, 1, 1], layer_type="basic", **stages
    )
    if family == "d_fine":
        backbone = transformers.HGNetV2Config(
            stem_channels=[3, 4, 8], stage_in_channels=[8, 8, 8, 8], stage_mid_channels=[4, 4, 4, 4],
            stage_out_channels=[8, 8, 8, 8], stage_num_blocks=[1, 1, 1, 1], stage_numb_of_layers=[1, 1, 1, 1],
            hidden_sizes=[8, 8, 8, 8], **stages,
        )  # fmt: skip
    kind = {"rt_detr": "RTDetr", "rt_detr_v2": "RTDetrV2", "d_fine": "DFine"}[family]
    config = getattr(transformers, f"{kind}Config")(
        backbone_config=backbone, encoder_hidden_dim=16, encoder_in_channels=[8, 8, 8], encoder_ffn_dim=16,
        encoder_attention_heads=2, d_model=16, decoder_in_channels=[16, 16, 16], decoder_ffn_dim=16,
        decoder_layers=2, decoder_attention_heads=2, num_queries=20, num_denoising=0,
        id2label=dict(enumerate(names)), label2id={name: index for index, name in enumerate(names)},
    )  # fmt: skip
    model = getattr(transformers, f"{kind}ForObjectDetection")(config)
    return model.eval(), transformers.RTDetrImageProcessor(size={"height": 64, "width": 64})


def pictures() -> list[np.ndarray]:
    rng = np.random.default_rng(1)
    return [rng.integers(0, 256, shape, np.uint8) for shape in ((50, 80, 3), (90, 60, 3))]


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    model, processor = build("rt_detr_v2")
    HubDetector(model, processor, name="tiny", version="1", digest="0", threads=1).save(tmp_path / "m")
    return tmp_path / "m"


@pytest.mark.parametrize("family", FAMILIES)
def test_a_family_detects_is_saved_and_detects_alike_when_loaded(family: str, tmp_path: Path) -> None:
    model, processor = build(family)
    first = HubDetector(model, processor, name=family, version="1", digest="0", threads=1)
    first.save(tmp_path / "m")
    again = load_detector(f"hf:{tmp_path / 'm'}", threads=1)
    assert again.class_names == NAMES
    assert (again.name, len(again.digest), len(again.version)) == ("m", 64, 12)
    assert "transformers" in again.runtime
    found, found_again = (detector.detect(pictures(), min_score=0.0) for detector in (first, again))
    for picture, regions, regions_again in zip(pictures(), found, found_again, strict=True):
        assert len(regions) > 5
        assert [r.score for r in regions] == sorted((r.score for r in regions), reverse=True)
        for one, two in zip(regions, regions_again, strict=True):
            assert one.box_xyxy == pytest.approx(two.box_xyxy, abs=1e-2)
            assert one.class_name == two.class_name == NAMES[one.class_index]
            x0, y0, x1, y1 = one.box_xyxy
            assert 0 <= x0 < x1 <= picture.shape[1]
            assert 0 <= y0 < y1 <= picture.shape[0]


def test_the_table_agrees_with_the_library_s_own_answer() -> None:
    model, processor = build("rt_detr_v2")
    tensors = processor(images=pictures(), return_tensors="pt")
    with torch.inference_mode():
        outputs = model(**tensors)
    sizes = [picture.shape[:2] for picture in pictures()]
    expected = processor.post_process_object_detection(outputs, threshold=0.0, target_sizes=sizes)
    for row, ((height, width), theirs) in enumerate(zip(sizes, expected, strict=True)):
        table = table_of(outputs.logits[row], outputs.pred_boxes[row], size_wh=(width, height))
        assert np.allclose(table[:, 4], theirs["scores"], atol=1e-6)
        assert np.allclose(table[:, :4], theirs["boxes"], atol=1e-3)
        assert np.array_equal(table[:, 5], theirs["labels"])


def test_a_low_score_is_left_out(saved: Path) -> None:
    detector = load_detector(f"hf:{saved}", threads=1)
    (every,) = detector.detect(pictures()[:1], min_score=0.0)
    (some,) = detector.detect(pictures()[:1], min_score=every[3].score)
    assert some == every[:4]


def test_a_detector_of_bare_boards_heeds_the_template() -> None:
    model, processor = build("rt_detr_v2", CLASS_NAMES)
    detector = judged_by_templates(HubDetector(model, processor, name="tiny", version="1", digest="0", threads=1))
    picture = pictures()[0]
    with pytest.raises(BadFrame, match="same size"):
        detector.detect([picture], templates=[picture[:20]])
    (alone,) = detector.detect([picture], min_score=0.0)
    (doubted,) = detector.detect([picture], min_score=0.0, templates=[picture])
    assert doubted[0].score < alone[0].score


@pytest.mark.parametrize(
    ("labels", "reason"),
    [
        ({}, "not a list"),
        ({0: "a", 2: "b"}, "not a list"),
        ({0: ""}, "not a list"),
        ({0: "x" * 81}, "not a list"),
        (dict.fromkeys(range(1001), "a"), "not a list"),
        ({0: "LABEL_0", 1: "LABEL_1"}, "declares no classes"),
    ],
)
def test_labels_that_are_no_class_list_are_refused(labels: dict[int, str], reason: str) -> None:
    with pytest.raises(BadModel, match=reason):
        class_names_of(labels, "m")


def rewrite_config(folder: Path, **changes: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def cut_weights(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-9])


HOSTILE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pickle beside": (lambda m: (m / "pytorch_model.bin").write_bytes(b"\x80\x04x"), "may hold a pickle"),
    "code beside": (lambda m: (m / "modeling.py").write_text("import os"), "brings its own code"),
    "weights cut off": (cut_weights, "cut off"),
    "no weights": (lambda m: (m / "model.safetensors").unlink(), "no weights"),
    "no config": (lambda m: (m / "config.json").unlink(), "no config.json"),
    "config is no JSON": (lambda m: (m / "config.json").write_text("{"), "cannot be loaded"),
    "another kind": (lambda m: rewrite_config(m, model_type="bert"), "cannot be loaded"),
    "remote code": (
        lambda m: rewrite_config(m, model_type="x", auto_map={"AutoModelForObjectDetection": "evil/repo--m.Evil"}),
        "cannot be loaded",
    ),
    "too few weights": (lambda m: rewrite_config(m, decoder_layers=3), "lacks"),
    "widths that do not fit": (lambda m: rewrite_config(m, encoder_hidden_dim=24), "cannot be loaded|cannot look"),
    "placeholder labels": (
        lambda m: rewrite_config(m, id2label={str(i): f"LABEL_{i}" for i in range(3)}),
        "declares no classes",
    ),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_a_folder_that_is_not_served_is_refused_with_a_sentence(case: str, saved: Path) -> None:
    spoil, reason = HOSTILE[case]
    spoil(saved)
    with pytest.raises(BadModel, match=reason):
        load_detector(f"hf:{saved}", threads=1)


@pytest.mark.parametrize("spec", ["hf:no/such/folder", "hf:a b", "hf:../etc/x"])
def test_a_spec_that_names_nothing_is_refused(spec: str) -> None:
    with pytest.raises(BadModel, match="neither a folder here nor a hub id"):
        load_detector(spec, threads=1)
