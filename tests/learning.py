"""Rows of the learning loop, one of each kind."""

import json
import struct
from pathlib import Path
from typing import Any

from django.conf import settings

from finetune.models import Dataset, DatasetVersion, FineTuneRun, ImportJob, ModelVersion, RunPreview
from scheduling.serving.describers.adapters import Adapter
from tests.cast import Cast


def learning_ids(cast: Cast) -> dict[str, Any]:
    """A dataset of the line with an import, a sealed version, a run and weights."""
    dataset = Dataset.objects.create(line=cast.line, name="boards", created_by="alice")
    job = ImportJob.objects.create(dataset=dataset, format="coco", source="a.zip", created_by="alice")
    version = DatasetVersion.objects.create(
        dataset=dataset, number=1, digest="d" * 64, folder="x", seed=0, classes=[], counts={}, sealed_by="alice"
    )
    run = FineTuneRun.objects.create(
        line=cast.line, version=version, kind="describer-lora", base="aivd-small", created_by="alice"
    )
    made = ModelVersion.objects.create(
        line=cast.line, kind="adapter", number=1, digest="e" * 64, format="safetensors", bytes=9, run=run,
        version=version, base="aivd-small", registered_by="alice",
    )  # fmt: skip
    preview = RunPreview.objects.create(version=version, kind="describer-lora", base="aivd-small", created_by="alice")
    return {
        "dataset_id": dataset.pk,
        "import_id": job.pk,
        "run_id": run.pk,
        "version_id": made.pk,
        "preview_id": preview.pk,
        "number": 0,
    }


def keep_weights(version_id: int) -> None:
    """Give a version weights that are kept whole, so that it may serve."""
    kept = Path(settings.MEDIA_DIR) / "artifacts"
    kept.mkdir(exist_ok=True)
    digest = Adapter.read(adapter(kept, 1)).digest
    (kept / "adapter-1").rename(kept / digest)
    ModelVersion.objects.filter(pk=version_id).update(digest=digest)


def adapter(folder: Path, seed: int, *, alpha: int = 4) -> Path:
    """A folder that looks like an adapter; no two seeds give one digest."""
    made = folder / f"adapter-{seed}"
    made.mkdir(exist_ok=True)
    weights(made, seed)
    (made / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": alpha}))
    (made / "lineage.json").write_text(json.dumps({"base": {"spec": "aivd-small", "digest": ""}, "classes": ["open"]}))
    return made


def weights(folder: Path, seed: int, name: str = "adapter_model.safetensors") -> Path:
    """A safetensors file of one number."""
    header = json.dumps({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
    path = folder / name
    path.write_bytes(struct.pack("<Q", len(header)) + header + struct.pack("<I", seed))
    return path
