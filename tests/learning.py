"""Rows of the learning loop, one of each kind."""

from typing import Any

from finetune.models import Dataset, DatasetVersion, FineTuneRun, ImportJob, ModelVersion, RunPreview
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
