"""A small sealed dataset on disk, as the datasets' side writes it, and recipes that finish within seconds."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

CLASSES = ("dent", "scratch")
SIDE = 96


def write_dataset(folder: Path, *, frames: int = 12, template: bool = True, **changes: Mapping[str, Any]) -> Path:
    """Grey plates with a dark dot (dent) and a bright line (scratch). `changes["f0"]` overrides a frame's fields."""
    (folder / "pictures").mkdir(parents=True)
    rng = np.random.default_rng(4)
    rows, found = [], []
    for number in range(frames):
        name = f"f{number}"
        plate = np.full((SIDE, SIDE, 3), 150, np.uint8) + rng.integers(0, 9, (SIDE, SIDE, 1), np.uint8)
        golden = plate.copy()
        x, y = (int(v) for v in rng.integers(10, 50, 2))
        cv2.circle(plate, (x + 8, y + 8), 6, (30, 30, 30), -1)
        cv2.line(plate, (60, 20), (84, 30), (250, 250, 250), 2)
        regions = [
            {"box": [x, y, 16, 16], "polygon": None, "class": "dent", "text": None, "source": "person"},
            {"box": [58, 16, 28, 18], "polygon": None, "class": "scratch", "source": "import", "text": {
                "appearance": "A bright mark.", "probable_cause": "A tool.", "recommended_action": "Polish it."}},
        ]  # fmt: skip
        row = {
            "frame": name, "picture": f"pictures/{name}.png", "width": SIDE, "height": SIDE,
            "split": ("train", "train", "val", "test")[number % 4], "regions": regions,
            "template": f"pictures/{name}-golden.png" if template else None,
        }  # fmt: skip
        cv2.imwrite(str(folder / "pictures" / f"{name}.png"), plate)
        cv2.imwrite(str(folder / "pictures" / f"{name}-golden.png"), golden)
        row["sha256"] = hashlib.sha256((folder / "pictures" / f"{name}.png").read_bytes()).hexdigest()
        rows.append(row | dict(changes.get(name, {})))
        boxes = [{"box": [x + 2, y - 1, 15, 18], "class": "scratch", "score": 0.8},
                 {"box": [2, 78, 14, 14], "class": "dent", "score": 0.6}]  # fmt: skip
        found.append({"frame": name, "boxes": boxes})
    (folder / "manifest.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "detector.jsonl").write_text("".join(json.dumps(row) + "\n" for row in found))
    (folder / "dataset.json").write_text(json.dumps({"digest": "d" * 64, "product": "plate", "classes": list(CLASSES)}))
    return folder


def write_recipe(folder: Path, dataset: Path, **fields: Any) -> Path:
    recipe = {
        "dataset": str(dataset), "seed": 1, "rank": 4, "alpha": 8, "batch": 2, "max_steps": 6, "epochs": 9,
        "checkpoint_steps": 2, "validate_steps": 3, "samples": 1, "most_validation_places": 4,
    }  # fmt: skip
    path = folder / "run.json"
    path.write_text(json.dumps(recipe | fields))
    return path
