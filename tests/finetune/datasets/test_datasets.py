"""Pictures come into a dataset, from folders, archives and reviews, and are sealed as they are then."""

import hashlib
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from aivd_web.kernel.errors import Conflict
from finetune import leases
from finetune.datasets import exporting, importing, pictures, sealing
from finetune.datasets import services as datasets
from finetune.datasets.errors import BadSource, Unsealable
from finetune.datasets.importing import ImportOptions
from finetune.datasets.sealing import SealOptions
from finetune.models import Dataset, DatasetVersion, ImportJob, State
from inspections.models import Frame, Step
from inspections.services import reviews
from inspections.services.reviews import DrawnMark
from tests.cast import Cast, add_detection, add_frame, decide, picture

SIZE = (64, 48)


def write_yolo(folder: Path, *, frames: int = 12, names: tuple[str, ...] = ("open", "short")) -> Path:
    """A set of `frames` pictures: of every three, two with a defect of each class in turn and one without."""
    for part in ("images", "labels"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    (folder / "data.yaml").write_text(json.dumps({"names": list(names)}))
    for number in range(frames):
        (folder / "images" / f"b{number:03}.png").write_bytes(picture(number * 977 + 5, size_wh=SIZE, format="PNG"))
        kind = number % (len(names) + 1)
        text = "" if kind == len(names) else f"{kind} 0.5 0.5 0.25 0.25\n"
        (folder / "labels" / f"b{number:03}.txt").write_text(text)
    return folder


def import_folder(dataset: Dataset, folder: Path, format: str = "yolo", **options: Any) -> ImportJob:
    job = importing.from_folder(
        dataset=dataset, format=format, folder=folder, options=ImportOptions(**options), by="alice"
    )
    importing.carry_out(job.pk)
    job.refresh_from_db()
    return job


@pytest.fixture
def dataset(cast: Cast) -> Dataset:
    return datasets.make(line=cast.line, name="boards", product="bare-pcb", by="alice")


@pytest.fixture(autouse=True)
def looks_are_told_by_the_bytes(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Flat test pictures all look alike; a test that is about looks is marked `own_looks` by its name."""
    if "look" not in request.node.name:
        monkeypatch.setattr(pictures, "look_of", lambda kept: hashlib.sha256(kept.sha256.encode()).hexdigest()[:16])


# -- import -----------------------------------------------------------------------------------------


def test_a_folder_comes_in_without_frames_or_steps(dataset: Dataset, tmp_path: Path) -> None:
    job = import_folder(dataset, write_yolo(tmp_path))

    assert (job.state, job.total, job.done, job.taken, job.troubles_count) == (State.SUCCEEDED, 12, 12, 12, 0)
    assert dataset.items.count() == 12
    assert dataset.items.without_defects().count() == 4
    counts = {row["regions__defect_class__name"]: row["regions_count"] for row in dataset.items.counts_by_class()}
    assert counts == {"open": 4, "short": 4}
    first = dataset.items.get(name="images/b000.png")
    assert [(region.box_xywh, region.source) for region in first.regions.all()] == [((24, 18, 16, 12), "import")]
    assert Frame.objects.count() == Step.objects.count() == 0


def test_what_is_wrong_is_noted_and_the_rest_comes_in(dataset: Dataset, tmp_path: Path) -> None:
    write_yolo(tmp_path, frames=6)
    (tmp_path / "images" / "b000.png").write_bytes(picture(0, format="PNG")[:60])
    (tmp_path / "labels" / "b001.txt").write_text("0 0.5 0.5 0.1 0.1\n1 3 3 0.1 0.1\n")
    (tmp_path / "images" / "b002.png").write_bytes((tmp_path / "images" / "b003.png").read_bytes())
    (tmp_path / "labels" / "b004.txt").write_text("9 0.5 0.5 0.1 0.1\n")

    job = import_folder(dataset, tmp_path)

    assert job.state == State.SUCCEEDED
    noted = {(one.file, one.line): one.code for one in job.troubles.all()}
    assert noted == {
        ("images/b000.png", None): "broken_picture",
        ("labels/b001.txt", 2): "bad_region",
        ("labels/b004.txt", 1): "unknown_class",
        ("images/b003.png", None): "duplicate_picture",
    }
    assert set(dataset.items.values_list("name", flat=True)) == {f"images/b00{n}.png" for n in (1, 2, 5)}


def test_a_frame_all_of_whose_labels_are_bad_is_not_called_good(dataset: Dataset, tmp_path: Path) -> None:
    write_yolo(tmp_path, frames=1)
    for label in ("0 3 3 0.1 0.1\n", "7 0.5 0.5 0.1 0.1\n"):
        (tmp_path / "labels" / "b000.txt").write_text(label)
        import_folder(dataset, tmp_path)

    assert dataset.items.count() == 0


def test_classes_that_the_line_does_not_know(dataset: Dataset, tmp_path: Path) -> None:
    write_yolo(tmp_path, frames=3, names=("rust",))

    job = import_folder(dataset, tmp_path)
    assert {one.code for one in job.troubles.all()} == {"unknown_class"}

    import_folder(dataset, tmp_path, add_classes=True)
    assert dataset.line.defect_classes.get(name="rust").title == "Rust"


def test_an_import_that_was_killed_goes_on(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_yolo(tmp_path)
    job = importing.from_folder(dataset=dataset, format="yolo", folder=tmp_path, options=ImportOptions(), by="alice")
    take_in, taken = pictures.take_in, []

    def dies_at_the_fifth(data: Any, **more: Any) -> Any:
        taken.append(1)
        if len(taken) == 5:
            raise KeyboardInterrupt
        return take_in(data, **more)

    monkeypatch.setattr(pictures, "take_in", dies_at_the_fifth)
    with pytest.raises(KeyboardInterrupt):
        importing.carry_out(job.pk)
    assert dataset.items.count() == 4
    assert importing.carry_out(job.pk) is None  # its lease still runs

    ImportJob.objects.filter(pk=job.pk).update(lease_until=timezone.now() - importing.LEASE)
    assert leases.reap(ImportJob) == 1
    assert importing.carry_out(job.pk) == State.SUCCEEDED
    assert dataset.items.count() == 12
    assert len(taken) == 5 + 8  # what had come in was not read again


def test_who_lost_the_lease_writes_nothing(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_yolo(tmp_path, frames=3)
    job = importing.from_folder(dataset=dataset, format="yolo", folder=tmp_path, options=ImportOptions(), by="alice")
    take_in = pictures.take_in

    def taken_over(data: Any, **more: Any) -> Any:
        ImportJob.objects.filter(pk=job.pk).update(lease_epoch=7)
        return take_in(data, **more)

    monkeypatch.setattr(pictures, "take_in", taken_over)

    assert importing.carry_out(job.pk) is None
    assert dataset.items.count() == 0


def test_an_import_is_cancelled(dataset: Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    job = importing.from_folder(
        dataset=dataset, format="yolo", folder=write_yolo(tmp_path), options=ImportOptions(), by="alice"
    )
    monkeypatch.setattr(importing, "TELL_EVERY_S", 0)
    take_in = pictures.take_in

    def wished(data: Any, **more: Any) -> Any:
        leases.want(ImportJob.objects.get(pk=job.pk), "cancel")
        return take_in(data, **more)

    monkeypatch.setattr(pictures, "take_in", wished)

    assert importing.carry_out(job.pk) == State.CANCELLED
    assert dataset.items.count() == 1
    with pytest.raises(Conflict, match="nothing to cancel"):
        leases.want(ImportJob.objects.get(pk=job.pk), "cancel")


def test_an_archive_comes_in(dataset: Dataset, tmp_path: Path) -> None:
    folder = write_yolo(tmp_path / "set", frames=3)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, path.relative_to(folder).as_posix())
        archive.writestr("../../images/evil.png", picture(99, format="PNG"))
    packed.seek(0)

    job = importing.from_archive(
        dataset=dataset, format="yolo", data=packed, name="boards.zip", options=ImportOptions(), by="alice"
    )

    assert importing.carry_out(job.pk) == State.SUCCEEDED
    expected = {f"images/b00{n}.png" for n in range(3)} | {"images/evil.png"}  # it led nowhere
    assert set(dataset.items.values_list("name", flat=True)) == expected


def test_what_is_no_archive_is_said_at_once(dataset: Dataset) -> None:
    with pytest.raises(BadSource, match="cut off"):
        importing.from_archive(
            dataset=dataset, format="yolo", data=io.BytesIO(b"no zip"), name="x", options=ImportOptions(), by="alice"
        )
    assert ImportJob.objects.count() == 0


def test_a_source_without_labels_fails_with_its_reason(dataset: Dataset, tmp_path: Path) -> None:
    job = import_folder(dataset, tmp_path, format="coco")

    assert (job.state, job.error_code, job.error_detail) == (State.FAILED, "bad_source", "There is no JSON file here.")


def test_groups_by_a_pattern(dataset: Dataset, tmp_path: Path) -> None:
    import_folder(dataset, write_yolo(tmp_path, frames=3), group=r"^b(\d\d)")

    assert set(dataset.items.values_list("group", flat=True)) == {"00"}
    with pytest.raises(BadSource, match="no pattern"):
        import_folder(dataset, tmp_path, group="(")


def test_a_new_product_makes_its_line_with_its_classes(cast: Cast, tmp_path: Path) -> None:
    folder = write_yolo(tmp_path, names=("rust", "crack"))
    found = importing.survey(format="yolo", folder=folder)

    made = importing.new_line(
        site="Foundry", name="Castings", product="casting", classes=list(found.regions), dataset="first", by=cast.ada
    )

    assert import_folder(made, folder).troubles_count == 0
    assert (found.frames, found.without_defects) == (12, 4)
    assert [entry.name for entry in made.line.defect_classes.all()] == ["rust", "crack"]
    assert made.line.stations.get().product == "casting"


def test_pictures_that_look_nearly_the_same_have_nearly_the_same_hash(cast: Cast) -> None:
    from PIL import Image, ImageDraw

    def look(shift: int, seed: int) -> str:
        image = Image.new("L", (600, 480), 90)
        draw = ImageDraw.Draw(image)
        for n in range(12):
            x, y = (n * 111 * seed) % 540 + shift, (n * 159 * seed) % 420
            draw.rectangle((x, y, x + 75, y + 36), fill=(n * 31 * seed) % 255)
        data = io.BytesIO()
        image.save(data, "PNG")
        data.seek(0)
        return pictures.look_of(pictures.take_in(data))

    def apart(one: str, other: str) -> int:
        return (int(one, 16) ^ int(other, 16)).bit_count()

    assert apart(look(0, 1), look(1, 1)) <= 3
    assert apart(look(0, 1), look(0, 7)) > 10


# -- from reviews -----------------------------------------------------------------------------------


def judged(cast: Cast, seed: int, *, good: bool = False) -> Frame:
    frame = add_frame(cast.station, seed)
    found = add_detection(frame, x1=1, y1=2, x2=11, y2=12)
    decide(frame)
    marks = [
        DrawnMark(cast.classes["open"].pk, found.box_xyxy, found.pk),
        DrawnMark(cast.classes["short"].pk, (20, 20, 30, 26)),
    ]
    reviews.submit_review(
        frame=frame, reviewer=cast.bob, part="good" if good else "defective", marks=[] if good else marks
    )
    return frame


def test_reviewed_frames_come_in_with_their_marks(cast: Cast, dataset: Dataset) -> None:
    defective, good = judged(cast, 1), judged(cast, 2, good=True)
    add_frame(cast.station, 3)  # nobody judged it

    assert datasets.add_reviewed(dataset=dataset, frames=datasets.reviewed_frames(cast.line)) == 2
    assert datasets.add_reviewed(dataset=dataset, frames=datasets.reviewed_frames(cast.line)) == 0

    regions = dataset.items.get(frame=defective).regions.order_by("x")
    assert [(one.box_xywh, one.source) for one in regions] == [
        ((1, 2, 10, 10), "detector"),
        ((20, 20, 10, 6), "person"),
    ]
    assert dataset.items.get(frame=good).regions.count() == 0


def test_a_second_thought_replaces_the_first(cast: Cast, dataset: Dataset) -> None:
    frame = judged(cast, 1)
    datasets.add_reviewed(dataset=dataset, frames=datasets.reviewed_frames(cast.line))

    reviews.submit_review(frame=frame, reviewer=cast.bob, part="good")

    assert datasets.add_reviewed(dataset=dataset, frames=datasets.reviewed_frames(cast.line)) == 1
    assert dataset.items.get().regions.count() == 0


def test_corrections_are_counted_since_the_last_version(cast: Cast, dataset: Dataset, tmp_path: Path) -> None:
    judged(cast, 1, good=True)  # the machine had said fail
    assert datasets.corrections_since(dataset) == 1

    import_folder(dataset, write_yolo(tmp_path))
    sealing.seal(dataset=dataset, by="alice")
    assert datasets.corrections_since(dataset) == 0

    judged(cast, 2, good=True)
    assert datasets.corrections_since(dataset) == 1


# -- sealing ----------------------------------------------------------------------------------------


def test_a_sealed_folder_holds_what_a_trainer_needs(dataset: Dataset, tmp_path: Path) -> None:
    import_folder(dataset, write_yolo(tmp_path, frames=30))

    version = sealing.seal(dataset=dataset, by="alice", options=SealOptions(seed=3))

    folder = sealing.folder_of(version)
    text = (folder / "manifest.jsonl").read_text()
    head = json.loads((folder / "dataset.json").read_text())
    rows = [json.loads(line) for line in text.splitlines()]
    assert version.digest == head["digest"] == hashlib.sha256(text.encode()).hexdigest()
    assert (head["classes"], head["product"]) == (["open", "short"], "bare-pcb")
    assert {row["split"] for row in rows} == {"train", "val", "test"}
    assert sum(not row["regions"] for row in rows) == 10
    for row in rows:
        assert hashlib.sha256((folder / row["picture"]).read_bytes()).hexdigest() == row["sha256"]
        assert (row["width"], row["height"], row["template"]) == (*SIZE, None)
    (region,) = next(row["regions"] for row in rows if row["regions"])
    assert region == {"box": [24, 18, 16, 12], "polygon": None, "class": "open", "text": None, "source": "import"}


def test_the_same_pictures_are_the_same_version(dataset: Dataset, tmp_path: Path) -> None:
    import_folder(dataset, write_yolo(tmp_path, frames=30))
    first = sealing.seal(dataset=dataset, by="alice")

    assert sealing.seal(dataset=dataset, by="bob").pk == first.pk
    assert sealing.seal(dataset=dataset, by="bob", options=SealOptions(seed=9)).number == 2
    assert not list((sealing.folder_of(first).parent).glob(".sealing-*"))


def test_templates_are_sealed_beside_their_frames(dataset: Dataset, tmp_path: Path) -> None:
    for part in ("images", "templates", "labels"):
        (tmp_path / part).mkdir()
    for number in range(9):
        for part, seed in (("images", number * 977), ("templates", 50_000)):
            (tmp_path / part / f"{number}.png").write_bytes(picture(seed, size_wh=SIZE, format="PNG"))
        (tmp_path / "labels" / f"{number}.txt").write_text("1 1 9 9 1\n")
    import_folder(dataset, tmp_path, format="deeppcb")

    version = sealing.seal(dataset=dataset, by="alice")

    rows = [json.loads(line) for line in (sealing.folder_of(version) / "manifest.jsonl").read_text().splitlines()]
    assert len({row["template"] for row in rows}) == 1
    assert (sealing.folder_of(version) / rows[0]["template"]).read_bytes() == (
        tmp_path / "templates/0.png"
    ).read_bytes()


def test_what_cannot_be_sealed_says_why(cast: Cast, dataset: Dataset, tmp_path: Path) -> None:
    with pytest.raises(Unsealable, match=r"No frame is in the split 'test'\. No frame shows a defect"):
        sealing.seal(dataset=dataset, by="alice")

    write_yolo(tmp_path, frames=12)
    for number in range(1, 12, 3):
        (tmp_path / "labels" / f"b{number:03}.txt").write_text("1 0.5 0.5 0.2 0.2\n" if number == 1 else "")
    import_folder(dataset, tmp_path)
    with pytest.raises(Unsealable, match=r"The class 'short' has no sample in (train|test)\."):
        sealing.seal(dataset=dataset, by="alice")
    assert sealing.seal(dataset=dataset, by="alice", options=SealOptions(accept_gaps=True)).number == 1


def test_a_sealed_version_is_never_changed(dataset: Dataset, tmp_path: Path) -> None:
    import_folder(dataset, write_yolo(tmp_path, frames=30))
    version = sealing.seal(dataset=dataset, by="alice")

    with pytest.raises(IntegrityError, match="is not changed"), transaction.atomic():
        DatasetVersion.objects.filter(pk=version.pk).update(digest="0" * 64)
    with connection.cursor() as cursor, pytest.raises(Exception, match="is not changed"), transaction.atomic():
        cursor.execute("UPDATE finetune_datasetversion SET number = 2")


def test_what_the_detector_found_on_reviewed_frames_is_sealed_too(cast: Cast, dataset: Dataset, tmp_path: Path) -> None:
    import_folder(dataset, write_yolo(tmp_path, frames=30))
    frame = judged(cast, 1)
    datasets.add_reviewed(dataset=dataset, frames=datasets.reviewed_frames(cast.line))

    version = sealing.seal(dataset=dataset, by="alice")

    (row,) = map(json.loads, (sealing.folder_of(version) / "detector.jsonl").read_text().splitlines())
    assert row["frame"] == str(dataset.items.get(frame=frame).pk)
    assert row["boxes"] == [{"box": [1, 2, 10, 10], "class": "open", "score": 0.9}]


# -- export -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("format", ["coco", "yolo", "voc", "deeppcb", "labelme", "swift"])
def test_a_sealed_version_leaves_and_comes_back(cast: Cast, dataset: Dataset, tmp_path: Path, format: str) -> None:
    import_folder(dataset, write_yolo(tmp_path / "in", frames=15))
    version = sealing.seal(dataset=dataset, by="alice", options=SealOptions(accept_gaps=True))

    assert exporting.export(version=version, format=format, out=tmp_path / "out") == 15

    again = datasets.make(line=cast.line, name="again", by="alice")
    job = import_folder(again, tmp_path / "out", format=format)
    assert (job.taken, job.troubles_count) == (15, 0)

    def held(one: Dataset) -> list[tuple[str, list[Any]]]:
        items = one.items.order_by("sha256").prefetch_related("regions__defect_class")
        return [(i.sha256, [(r.defect_class.name, r.box_xywh) for r in i.regions.all()]) for i in items]

    assert held(again) == held(dataset)
    with pytest.raises(BadSource, match="not empty"):
        exporting.export(version=version, format=format, out=tmp_path / "out")
