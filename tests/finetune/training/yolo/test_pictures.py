"""Training pictures show what their targets say: boxes follow the pixels through every turn, shift and size."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from finetune.training.manifest import Manifest, read_manifest
from finetune.training.yolo.pictures import FrameStore, Piece, piece_of
from finetune.training.yolo.recipe import YoloRecipe

WIDTH, HEIGHT = 140, 100
BOX = (30, 20, 24, 16)


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """Frames of a dark plate with one bright rectangle each, which is the region."""
    folder = tmp_path_factory.mktemp("plates")
    rows = []
    for number, split in enumerate(("train", "train", "val", "test")):
        plate = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
        x, y, w, h = BOX
        plate[y : y + h, x : x + w] = 255
        cv2.imwrite(str(folder / f"{number}.png"), plate)
        region = {"box": list(BOX), "polygon": None, "class": "mark", "text": None}
        rows.append(
            {"frame": f"f{number}", "picture": f"{number}.png", "width": WIDTH, "height": HEIGHT, "split": split,
             "template": None, "regions": [region]}
        )  # fmt: skip
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "dataset.json").write_text('{"digest": "d", "product": "plate", "classes": ["mark"]}')
    return read_manifest(Path(folder))


def piece(manifest: Manifest, seed: int, *, tiles: bool = True, progress: float = 0.0, **fields: Any) -> Piece:
    recipe = YoloRecipe(dataset="", **{"side_px": 160, "light_jitter": 0.0, **fields})
    return piece_of(
        manifest.of("train"), 0, FrameStore(1 << 30), recipe, ("mark",), tiles=tiles, progress=progress,
        rng=np.random.default_rng(seed),
    )  # fmt: skip


def bright_boxes(picture: npt.NDArray[Any]) -> list[tuple[float, ...]]:
    mask = (picture[..., 0] > 150).astype(np.uint8)
    _, _, stats, _ = cv2.connectedComponentsWithStats(mask)
    return sorted(tuple(float(v) for v in (x, y, x + w, y + h)) for x, y, w, h, _ in stats[1:])


def boxes_of(one: Piece) -> list[tuple[float, ...]]:
    height, width = one.picture.shape[:2]
    size = np.array([width, height, width, height])
    boxes = [np.concatenate([t[1:3] - t[3:] / 2, t[1:3] + t[3:] / 2]) * size for t in one.targets]
    return sorted(tuple(float(v) for v in box) for box in boxes)


@pytest.mark.parametrize("fields", [{}, {"mosaic": 1.0}, {"crop_px": 96}, {"size_jitter": 0.5}, {"turns": "mirrored"}])
@pytest.mark.parametrize("tiles", [True, False])
def test_boxes_lie_where_the_pixels_are(manifest: Manifest, fields: dict[str, Any], tiles: bool) -> None:
    seen = 0
    for seed in range(40):
        one = piece(manifest, seed, tiles=tiles, **fields)
        found = bright_boxes(one.picture)
        for box in boxes_of(one):
            nearest = min(found, key=lambda other: max(abs(a - b) for a, b in zip(box, other, strict=True)))
            assert nearest == pytest.approx(box, abs=1.6)
            seen += 1
    assert seen > 20


def test_a_frame_that_may_only_lie_one_way_is_never_turned(manifest: Manifest) -> None:
    for seed in range(20):
        one = piece(manifest, seed, turns="none", size_jitter=0.0)
        (box,) = boxes_of(one)
        assert (box[2] - box[0], box[3] - box[1]) == pytest.approx((24, 16))


def test_the_same_stream_gives_the_same_piece_and_another_gives_another(manifest: Manifest) -> None:
    one, again, other = (piece(manifest, seed, mosaic=0.5, light_jitter=0.3) for seed in (5, 5, 6))
    assert np.array_equal(one.picture, again.picture)
    assert not np.array_equal(one.picture, other.picture)


def test_towards_the_end_every_picture_is_of_one_frame(manifest: Manifest) -> None:
    counts = {len(piece(manifest, seed, mosaic=1.0, progress=0.9, size_jitter=0.0).targets) for seed in range(20)}
    assert counts == {1}


def test_a_region_that_is_hardly_seen_is_no_target(manifest: Manifest) -> None:
    for seed in range(60):
        one = piece(manifest, seed, crop_px=64, size_jitter=0.0)
        for box in boxes_of(one):
            assert (box[2] - box[0]) * (box[3] - box[1]) >= 0.4 * 24 * 16 - 1e-3


def test_frames_are_kept_only_while_there_is_room(manifest: Manifest) -> None:
    store = FrameStore(WIDTH * HEIGHT)
    for frame in manifest.frames:
        assert store.picture(frame).shape == (HEIGHT, WIDTH, 3)
    assert len(store._kept) == 1
