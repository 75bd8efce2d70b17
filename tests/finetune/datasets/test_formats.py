"""Each format: what is written is read back as it was, also by readers that are not ours; what is wrong is named."""

import contextlib
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO

from finetune.datasets.formats import FORMATS
from finetune.datasets.formats.deeppcb import board_of
from finetune.datasets.formats.geometry import BadGeometry, box_around, inside_picture, placed
from finetune.datasets.formats.json_records import records
from finetune.datasets.formats.sources import FolderSource, UnsafeName, inside
from finetune.datasets.formats.values import (
    BrokenLabels,
    LabelledFrame,
    Place,
    ReadOptions,
    Region,
    StoredFrame,
    Trouble,
    UnreadableSource,
)
from finetune.training import ultralytics_import
from scheduling.serving import torchvision_ops

CLASSES = ("open", "short")
SIZE = (64, 48)


class Texts:
    """A source in memory: names to texts; pictures are only names here."""

    def __init__(self, files: Mapping[str, str | bytes]) -> None:
        self.files = files

    def names(self) -> Iterator[str]:
        return iter(self.files)

    @contextmanager
    def opened(self, name: str) -> Iterator[BinaryIO]:
        content = self.files[name]
        yield io.BytesIO(content if isinstance(content, bytes) else content.encode())


def read(format: str, files: Mapping[str, str | bytes], **options: object) -> tuple[list[LabelledFrame], list[Trouble]]:
    found = list(FORMATS[format].read(Texts(files), ReadOptions(**options)))  # type: ignore[arg-type]
    frames = [one for one in found if isinstance(one, LabelledFrame)]
    return frames, [one for one in found if isinstance(one, Trouble)]


def region(name: str = "open", box: tuple[float, ...] = (10, 12, 20, 8), **more: object) -> Region:
    return Region(name, box, **more)  # type: ignore[arg-type]


TRIANGLE = ((10.0, 12.0), (30.0, 12.0), (20.0, 20.0))


@pytest.fixture
def stored(tmp_path: Path) -> list[StoredFrame]:
    """Three frames with their pictures: two with defects, one without."""
    frames = []
    for number, (split, regions) in enumerate(
        (
            ("train", (region(), region("short", (1, 2, 3.5, 4)))),
            ("train", ()),
            ("test", (region("short", (0, 0, 64, 48)),)),
        )
    ):
        path = tmp_path / f"source-{number}.png"
        Image.new("RGB", SIZE, (number * 40, 90, 90)).save(path)
        frames.append(StoredFrame(f"board-{number}.png", str(path), *SIZE, split, regions))  # type: ignore[arg-type]
    return frames


# -- there and back ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORMATS)
def test_what_is_written_is_read_back(name: str, stored: list[StoredFrame], tmp_path: Path) -> None:
    out = tmp_path / "out"
    FORMATS[name].write(out, stored, CLASSES)

    found = list(FORMATS[name].read(FolderSource(out), ReadOptions()))

    assert [one for one in found if isinstance(one, Trouble)] == []
    back = {Path(frame.picture).name: frame for frame in found if isinstance(frame, LabelledFrame)}
    assert set(back) == {frame.picture for frame in stored}
    for frame in stored:
        again = back[frame.picture]
        regions, troubles = placed(again, *SIZE)
        assert troubles == []
        assert again.split == frame.split
        assert [one.class_name for one in regions] == [one.class_name for one in frame.regions]
        for one, other in zip(regions, frame.regions, strict=True):
            assert one.box_xywh == pytest.approx(other.box_xywh, abs=0.01)


@pytest.mark.parametrize("name", ["coco", "labelme"])
def test_polygons_are_kept_where_the_format_has_them(name: str, stored: list[StoredFrame], tmp_path: Path) -> None:
    drawn = region(box=box_around(TRIANGLE), polygon=TRIANGLE)
    frame = StoredFrame("a.png", stored[0].source, *SIZE, "train", (drawn,))
    FORMATS[name].write(tmp_path / "out", [frame], CLASSES)

    (back,) = FORMATS[name].read(FolderSource(tmp_path / "out"), ReadOptions())

    assert isinstance(back, LabelledFrame)
    assert back.regions[0].polygon == TRIANGLE


@pytest.mark.parametrize("name", ["coco", "swift"])
def test_texts_are_kept_where_the_format_has_room(name: str, stored: list[StoredFrame], tmp_path: Path) -> None:
    said = {"appearance": 'A gap, "clean" <cut>', "nets": 2}
    frame = StoredFrame("a.png", stored[0].source, *SIZE, "train", (region(text=said), region("short", (1, 1, 5, 5))))
    FORMATS[name].write(tmp_path / "out", [frame], CLASSES)

    (back,) = FORMATS[name].read(FolderSource(tmp_path / "out"), ReadOptions())

    assert isinstance(back, LabelledFrame)
    assert [one.text for one in back.regions] == [said, None]


def test_deeppcb_keeps_templates_and_boards(stored: list[StoredFrame], tmp_path: Path) -> None:
    frame = StoredFrame(
        "20085007.png", stored[0].source, *SIZE, "train", (region(),), "t.png", template_source=stored[1].source
    )
    FORMATS["deeppcb"].write(tmp_path / "out", [frame], CLASSES)

    (back,) = FORMATS["deeppcb"].read(FolderSource(tmp_path / "out"), ReadOptions())

    assert isinstance(back, LabelledFrame)
    assert (back.template, back.group) == ("templates/20085007.png", "20085")


def test_deeppcb_has_no_number_for_other_classes(stored: list[StoredFrame], tmp_path: Path) -> None:
    with pytest.raises(UnreadableSource, match="no type for the class 'rust'"):
        FORMATS["deeppcb"].write(tmp_path / "out", stored, ("rust",))


# -- read by others ---------------------------------------------------------------------------------


def test_pycocotools_reads_our_coco(stored: list[StoredFrame], tmp_path: Path) -> None:
    FORMATS["coco"].write(tmp_path, stored, CLASSES)

    coco = COCO(str(tmp_path / "annotations" / "train.json"))

    assert [one["name"] for one in coco.loadCats(coco.getCatIds())] == list(CLASSES)
    assert {one["file_name"] for one in coco.loadImgs(coco.getImgIds())} == {"board-0.png", "board-1.png"}
    assert [one["bbox"] for one in coco.loadAnns(coco.getAnnIds())] == [[10, 12, 20, 8], [1, 2, 3.5, 4]]


def test_ultralytics_reads_our_yolo(stored: list[StoredFrame], tmp_path: Path) -> None:
    ultralytics_import.ensure()
    from ultralytics.data.dataset import YOLODataset

    FORMATS["yolo"].write(tmp_path, stored, CLASSES)
    names = dict(enumerate(CLASSES))

    dataset = YOLODataset(
        img_path=str(tmp_path / "images" / "train"), data={"names": names, "channels": 3}, task="detect", augment=False
    )

    labels = {Path(one["im_file"]).name: one for one in dataset.labels}
    assert labels["board-0.png"]["cls"].ravel().tolist() == [0, 1]
    assert labels["board-0.png"]["bboxes"][0].tolist() == pytest.approx([20 / 64, 16 / 48, 20 / 64, 8 / 48], abs=1e-6)
    assert labels["board-1.png"]["cls"].size == 0


def test_torchvision_reads_our_voc(stored: list[StoredFrame], tmp_path: Path) -> None:
    torchvision_ops.ensure()
    from torchvision.datasets import VOCDetection

    root = tmp_path / "VOCdevkit" / "VOC2012"
    FORMATS["voc"].write(root, [StoredFrame("a.jpg", stored[0].source, *SIZE, "train", stored[0].regions)], CLASSES)

    _, document = VOCDetection(str(tmp_path), year="2012", image_set="train", download=False)[0]

    first = document["annotation"]["object"][0]
    assert first["name"] == "open"
    assert first["bndbox"] == {"xmin": "11", "ymin": "13", "xmax": "30", "ymax": "20"}  # from 1, both corners inside


# -- what is wrong is named, and the rest goes on ---------------------------------------------------

COCO_HEAD = '{"categories": [{"id": 1, "name": "open"}],\n "images": [{"id": 7, "file_name": "a.png"}],\n'
YOLO_HEAD = {"data.yaml": "names: [open, short]", "images/train/a.png": ""}
VOC_BOX = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"


def coco(*annotations: str) -> dict[str, str]:
    return {"train.json": COCO_HEAD + ' "annotations": [\n' + ",\n".join(annotations) + "]}", "a.png": ""}


def shape(label: str, points: object, kind: str = "polygon") -> str:
    return json.dumps({"label": label, "points": points, "shape_type": kind})


def labelme(*shapes: str, path: str = "a.png") -> dict[str, str]:
    joined = ",\n".join(shapes)
    return {"a.json": f'{{"imagePath": {json.dumps(path)},\n"shapes": [\n{joined}]}}', "a.png": ""}


BOX = '{"image_id": 7, "category_id": 1, "bbox": [1, 1, 5, 5]}'
SWIFT = '{"images": ["a.png"], "objects": {"ref": ["open"], "bbox": [[1, 1, 5, 5]]}}'
CASES = {
    "coco: two points": ("coco", coco(BOX, '{"image_id": 7, "category_id": 1, "segmentation": [[1, 1, 5, 5]]}'),
                         "bad_region", "train.json:5", 1),
    "coco: no such category": ("coco", coco(BOX, '{"image_id": 7, "category_id": 9, "bbox": [1, 1, 5, 5]}'),
                               "unknown_class", "train.json:5", 1),
    "coco: NaN": ("coco", coco('{"image_id": 7, "category_id": 1, "bbox": [NaN, 1, 5, 5]}', BOX),
                  "bad_region", "train.json:4", 1),
    "coco: no picture": ("coco", coco(BOX, '{"image_id": 8, "category_id": 1, "bbox": [1, 1, 5, 5]}'),
                         "no_picture", "train.json:5", 1),
    "yolo: words": ("yolo", {**YOLO_HEAD, "labels/train/a.txt": "0 .5 .5 .1 .1\n0 a b c d"},
                    "broken_labels", "labels/train/a.txt:2", 1),
    "yolo: class number": ("yolo", {**YOLO_HEAD, "labels/train/a.txt": "7 .5 .5 .1 .1\n1 .5 .5 .1 .1"},
                           "unknown_class", "labels/train/a.txt:1", 1),
    "yolo: two points": ("yolo", {**YOLO_HEAD, "labels/train/a.txt": "0 .5 .5 .1 .1\n0 .1 .1 .2"},
                         "bad_region", "labels/train/a.txt:2", 1),
    "yolo: labels of nothing": ("yolo", {**YOLO_HEAD, "labels/train/b.txt": "", "labels/train/a.txt": "0 .5 .5 .1 .1"},
                                "no_picture", "labels/train/b.txt", 1),
    "voc: turned box": ("voc", {"a.xml": f"<a><filename>a.png</filename>\n<object><name>x</name>{VOC_BOX}</object>\n"
                                "<object><name>x</name><bndbox><xmin>9</xmin><ymin>1</ymin><xmax>2</xmax><ymax>5</ymax>"
                                "</bndbox></object></a>", "a.png": ""}, "bad_region", "a.xml:3", 1),
    "voc: no numbers": ("voc", {"a.xml": f"<a><filename>a.png</filename><object><name>x</name>{VOC_BOX}</object>\n"
                                "<object><name>y</name></object></a>", "a.png": ""}, "bad_region", "a.xml:2", 1),
    "deeppcb: four numbers": ("deeppcb", {"labels/a.txt": "1 1 9 9 1\n1 1 9 9", "images/a.png": ""},
                              "broken_labels", "labels/a.txt:2", 1),
    "deeppcb: type 7": ("deeppcb", {"labels/a.txt": "1 1 9 9 7\n1 1 9 9 6", "images/a.png": ""},
                        "unknown_class", "labels/a.txt:1", 1),
    "labelme: two points": ("labelme", labelme(shape("x", [[1, 1], [5, 5]]), shape("x", [[1, 1], [9, 1], [5, 5]])),
                            "bad_region", "a.json:3", 1),
    "labelme: a line": ("labelme", labelme(shape("x", [[1, 1], [9, 9]], "line"),
                                           shape("x", [[1, 1], [9, 9]], "rectangle")), "unknown_shape", "a.json:3", 1),
    "labelme: no name": ("labelme", labelme(shape("", [[1, 1]]), shape("x", [[5, 5], [5, 9]], "circle")),
                         "bad_class", "a.json:3", 1),
    "swift: box of three": ("swift", {"train.jsonl": SWIFT.replace("[[1, 1, 5, 5]]", "[[1, 1, 5]]"), "a.png": ""},
                            "bad_region", "train.jsonl:1", 0),
    "swift: no JSON": ("swift", {"train.jsonl": "{\n" + SWIFT, "a.png": ""}, "broken_labels", "train.jsonl:1", 1),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_a_bad_label_is_named_and_the_rest_goes_on(case: str) -> None:
    format, files, code, place, kept = CASES[case]

    frames, troubles = read(format, files)

    assert [(one.code, str(one.place).split(" ")[0]) for one in troubles] == [(code, place)]
    assert sum(len(frame.regions) for frame in frames) == kept


@pytest.mark.parametrize("path", ["/etc/passwd", "../a.png", "C:\\scans\\a.png", "x/../../a.png", "\\\\host\\a.png"])
@pytest.mark.parametrize("format", ["coco", "labelme", "swift", "voc"])
def test_a_picture_outside_is_refused(format: str, path: str) -> None:
    files = {
        "coco": {"t.json": f'{{"images": [{{"id": 1, "file_name": {json.dumps(path)}}}]}}', "a.png": ""},
        "labelme": labelme(path=path),
        "swift": {"train.jsonl": json.dumps({"images": [path]}), "a.png": ""},
        "voc": {"a.xml": f"<a><filename>{path}</filename></a>", "a.png": ""},
    }[format]

    frames, troubles = read(format, files, unlabelled="skip")

    assert frames == []
    assert [one.code for one in troubles] == ["unsafe_path", "unlabelled"]


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("1 1 9 9 1")
    (tmp_path / "set" / "labels").mkdir(parents=True)
    (tmp_path / "set" / "labels" / "a.txt").symlink_to(secret)
    (tmp_path / "set" / "a.png").write_bytes(b"")

    with pytest.raises(UnsafeName):
        FolderSource(tmp_path / "set").opened("labels/a.txt")


def test_a_billion_laughs_is_refused() -> None:
    bomb = '<!DOCTYPE a [<!ENTITY x "ha">]>\n<a><filename>a.png</filename><object><name>&x;</name></object></a>'

    frames, troubles = read("voc", {"a.xml": bomb, "a.png": ""}, unlabelled="skip")

    assert frames == []
    assert troubles[0].detail == "The file declares a document type, which labels do not need."


def test_two_pictures_of_one_name_are_not_guessed_between() -> None:
    files = {"labels.json": '{"images": [{"id": 1, "file_name": "a.png"}]}', "x/a.png": "", "y/a.png": ""}

    frames, troubles = read("coco", files, unlabelled="skip")

    assert frames == []
    assert troubles[0].detail == "'a.png' may be any of 2 pictures: x/a.png, y/a.png."


def test_a_class_that_is_not_known_is_named() -> None:
    _, troubles = read("coco", coco(BOX), classes=("short",))

    assert str(troubles[0]) == "train.json:4 (annotations[0]): The class 'open' is not one of: short. Add or rename it."


@pytest.mark.parametrize(("custom", "frames", "troubles"), [("good", 2, 0), ("skip", 1, 1), ("", 1, 1)])
def test_pictures_without_labels(custom: str, frames: int, troubles: int) -> None:
    found, wrong = read("coco", {**coco(BOX), "b.png": ""}, unlabelled=custom)

    assert (len(found), len(wrong)) == (frames, troubles)


def test_yolo_takes_a_picture_without_labels_as_good() -> None:
    (frame,), troubles = read("yolo", YOLO_HEAD)

    assert (frame.regions, frame.split, troubles) == ((), "train", [])


def test_a_source_without_labels_is_said_at_once() -> None:
    for name, each in FORMATS.items():
        with pytest.raises(UnreadableSource) as error:
            list(each.read(Texts({"a.png": ""}), ReadOptions()))
        assert error.value.detail, name


def test_broken_json_names_its_line() -> None:
    _, troubles = read("coco", {"t.json": '{"images": [\n{"id": 1}\n{"id": 2}]}', "a.png": ""}, unlabelled="skip")

    assert str(troubles[0].place) == "t.json:3"


# -- arithmetic -------------------------------------------------------------------------------------

number = st.floats(min_value=-200, max_value=300, allow_nan=False)
side = st.floats(min_value=0.01, max_value=300)


@given(number, number, side, side)
def test_a_region_that_is_taken_lies_in_its_picture(x: float, y: float, w: float, h: float) -> None:
    try:
        kept = inside_picture(region(box=(x, y, w, h)), *SIZE)
    except BadGeometry:
        return
    left, top, width, height = kept.box_xywh
    assert left >= 0
    assert top >= 0
    assert left + width <= SIZE[0] + 1e-9
    assert top + height <= SIZE[1] + 1e-9
    assert min(width, height) >= 0.5 - 1e-9
    assert width * height >= 0.5 * w * h * (1 - 1e-9)


@given(st.lists(st.tuples(number, number), min_size=0, max_size=8))
def test_the_box_around_a_polygon_holds_its_points(points: list[tuple[float, float]]) -> None:
    try:
        x, y, w, h = box_around(points)
    except BadGeometry:
        assert len(points) < 3 or len({p[0] for p in points}) == 1 or len({p[1] for p in points}) == 1
        return
    assert all(x - 1e-6 <= px <= x + w + 1e-6 and y - 1e-6 <= py <= y + h + 1e-6 for px, py in points)


@given(st.dictionaries(st.text(max_size=5), st.lists(st.integers() | st.text(max_size=5), max_size=4), max_size=4))
def test_records_are_what_json_says(body: dict[str, list[object]]) -> None:
    for indent in (None, 2):
        found = [(one.section, one.index, one.value) for one in records(json.dumps(body, indent=indent))]
        assert found == [(name, n, value) for name, values in body.items() for n, value in enumerate(values)]


@given(st.text(alphabet='{}[]",:ab1 \n', max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(BrokenLabels):
        list(records(text))


@given(st.text(max_size=20), st.text(alphabet="abc/.", max_size=10))
def test_no_name_leads_out(name: str, near: str) -> None:
    try:
        found = inside(name, near=near.strip("/."))
    except UnsafeName:
        return
    assert not found.startswith(("/", "../"))
    assert found != ".."


def test_labels_of_another_size_are_left_out() -> None:
    frame = LabelledFrame("a.png", (region(),), Place("a.json"), stated_wh=(48, 64))

    regions, (wrong,) = placed(frame, *SIZE)

    assert regions == ()
    assert wrong.detail == "The labels were made for a picture of 48 x 64 pixels; it has 64 x 48."


def test_a_polygon_is_cut_with_its_box() -> None:
    drawn = ((-2.0, 10.0), (20.0, 10.0), (20.0, 30.0))
    kept = inside_picture(region(box=box_around(drawn), polygon=drawn), *SIZE)

    assert kept.box_xywh == (0, 10, 20, 20)
    assert kept.polygon == ((0.0, 10.0), (20.0, 10.0), (20.0, 30.0))


def test_the_board_of_a_picture() -> None:
    assert (board_of("20085007"), board_of("left")) == ("20085", "")
