"""The registry's acts: take weights in, promote them, roll back. Trying one in the shadow is in `shadow.py`.

Weights are safetensors or ONNX, told by their bytes and not by their name; anything else is refused. A promotion is one
transaction under a lock, so at each moment exactly one version serves a Line. `Line.describer` is what its requests ask
for; a node that lacks that version is brought it from here (docs/decisions/0034-node-versions.md).
"""

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from django.conf import settings
from django.db import transaction

from aivd_web.kernel.errors import Conflict, Unprocessable
from finetune.models import FineTuneRun, ModelVersion, Promotion, ServingChoice
from finetune.models.registry import ModelKind
from finetune.runs import gates
from inspections.events import numbering
from inspections.models import Line
from scheduling.dispatch.versions import ArtifactMissing, ArtifactStore
from scheduling.serving.describers.adapters import Adapter
from scheduling.serving.model_folder import RefusedFiles, check_safetensors

FOLDER = "artifacts"
MAX_FILES = 50
KIND_OF_RUN = {"describer-lora": ModelKind.ADAPTER, "detector": ModelKind.DETECTOR}
SUFFIXES = {".safetensors": "safetensors", ".onnx": "onnx"}


class RefusedWeights(Unprocessable):
    code = "refused_weights"
    hint = "Bring safetensors or ONNX weights."


# -- weights come in --------------------------------------------------------------------------------


def register_from_run(*, run: FineTuneRun, told: dict[str, Any], folder: Path) -> ModelVersion:
    """What a run made, by its `done` event. Twice is the same as once. Raises RefusedWeights."""
    adapter = told.get("adapter") or told.get("detector") or {}
    made = (folder / str(adapter.get("path", "adapter"))).resolve()
    if not made.is_relative_to(folder.resolve()) or not made.exists():
        raise RefusedWeights("The run says that it is done, and its weights are not there.")
    last = run.events.filter(type="validated").order_by("-seq").first()
    metrics = {name: value for name, value in (last.data if last else {}).items() if name not in ("at", "best", "step")}
    lineage = _lineage(made)
    return register(
        line=run.line,
        kind=KIND_OF_RUN[run.kind],
        files=made,
        run=run,
        base=run.base,
        base_digest=str((lineage.get("base") or {}).get("digest") or "")[:64],
        classes=run.version.classes,
        metrics={**metrics, **{name: told[name] for name in ("field_f1",) if name in told}},
        gates=told.get("gates") or [],
        packages=lineage.get("packages") or {},
        by=run.created_by,
    )


def register(
    *,
    line: Line,
    kind: str,
    files: Path,
    base: str,
    by: str,
    run: FineTuneRun | None = None,
    base_digest: str = "",
    classes: list[str] | None = None,
    metrics: dict[str, Any] | None = None,
    gates: list[dict[str, Any]] | None = None,
    packages: dict[str, str] | None = None,
) -> ModelVersion:
    """Keep a weights file, or a folder with one, under its digest. The same weights again are the same version."""
    weights = _weights_in(files)
    format = check_weights(weights)
    digest = _adapter_digest(files) if kind == ModelKind.ADAPTER else _sha256(weights)
    _keep(files, digest)
    with transaction.atomic():
        Line.objects.select_for_update(no_key=True).get(pk=line.pk)  # numbers are counted one after the other
        of_kind = ModelVersion.objects.filter(line=line, kind=kind)
        known = of_kind.filter(digest=digest).first()
        if known is not None:
            return known
        last = of_kind.order_by("-number").first()
        return ModelVersion.objects.create(
            line=line,
            kind=kind,
            number=last.number + 1 if last else 1,
            digest=digest,
            format=format,
            bytes=weights.stat().st_size,
            run=run,
            version=run.version if run else None,
            base=base,
            base_digest=base_digest,
            classes=classes or [],
            metrics=metrics or {},
            gates=gates or [],
            packages=packages or {},
            registered_by=by,
        )


def _weights_in(files: Path) -> Path:
    if files.is_file():
        return files
    found = [path for path in sorted(files.iterdir()) if path.suffix in SUFFIXES]
    if len(found) != 1:
        raise RefusedWeights(f"There are {len(found)} weights files, and there should be one.")
    return found[0]


def check_weights(path: Path) -> str:
    """The format of the file, told by its bytes: a pickle by another name is refused. Raises RefusedWeights."""
    if path.suffix == ".safetensors":
        try:
            check_safetensors(path)
        except RefusedFiles as error:
            raise RefusedWeights(str(error)) from None
        return "safetensors"
    with path.open("rb") as file:
        head = file.read(1)
    if path.suffix == ".onnx" and head == b"\x08":  # field 1, ir_version: every ONNX file begins with it
        return "onnx"
    raise RefusedWeights(f"'{path.name}' holds neither safetensors nor ONNX weights.")


def _adapter_digest(files: Path) -> str:
    """Of the folder as nodes take it. Raises RefusedWeights for what no node could serve."""
    if not files.is_dir():
        raise RefusedWeights("An adapter is a folder: its weights alone do not say what they lie over.")
    try:
        return Adapter.read(files).digest
    except RefusedFiles as error:
        raise RefusedWeights(str(error)) from None


def _keep(files: Path, digest: str) -> None:
    """Copy under the digest: made under another name and renamed when it is whole."""
    root = Path(settings.MEDIA_DIR) / FOLDER
    target = root / digest
    if target.exists():
        return
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".keeping-") as made:
        sources = [files] if files.is_file() else sorted(path for path in files.iterdir() if path.is_file())
        if len(sources) > MAX_FILES:
            raise RefusedWeights(f"The folder holds {len(sources)} files.")
        inner = Path(made) / "files"
        inner.mkdir()
        for source in sources:
            shutil.copyfile(source, inner / source.name)
            with (inner / source.name).open("rb") as file:
                os.fsync(file.fileno())
        try:
            os.rename(inner, target)
        except OSError:
            if not target.exists():
                raise


def folder_of(version: ModelVersion) -> Path:
    return _store().folder / version.digest


def _store() -> ArtifactStore:
    return ArtifactStore(Path(settings.MEDIA_DIR) / FOLDER)


def check_kept(version: ModelVersion | None) -> None:
    """Raises Conflict for an adapter that nodes could not be brought: what serves is always there and whole."""
    if version is None or version.kind != ModelKind.ADAPTER:
        return
    try:
        _store().files(version.digest)
    except ArtifactMissing as error:
        raise Conflict(str(error), hint="Bring the weights back into the store, or train them again.") from None


def _lineage(made: Path) -> dict[str, Any]:
    """What the trainer wrote beside the weights."""
    for path in sorted(made.glob("*lineage*.json")) if made.is_dir() else ():
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError):
            continue
        if isinstance(found, dict):
            return found
    return {}


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# -- which one serves -------------------------------------------------------------------------------


def serving(line: Line, kind: str) -> ModelVersion | None:
    """What the line is served by; None: the model that the nodes have of themselves."""
    choice = ServingChoice.objects.filter(line=line, kind=kind).select_related("version").first()
    return choice.version if choice else None


@transaction.atomic
def promote(*, version: ModelVersion, by: str, reason: str = "") -> ServingChoice:
    """Have the version serve its line. Raises GateMissed where it missed a gate, or was not measured, without a
    reason; Conflict where it serves already or its weights are not kept whole."""
    choice = _locked(version.line, version.kind)
    if choice.version_id == version.pk:
        raise Conflict(f"{version} serves already.", hint="Reload the page.")
    gates.require_passed(version, reason=reason)
    check_kept(version)
    return _set(choice, version, Promotion.Act.PROMOTE, by=by, reason=reason)


@transaction.atomic
def roll_back(*, line: Line, kind: str, by: str, reason: str = "") -> ServingChoice:
    """Have the line served as it was before the last promotion. Raises Conflict where there was none."""
    choice = _locked(line, kind)
    if choice.promotion is None or choice.promotion.act == Promotion.Act.ROLLBACK:
        raise Conflict("There is no promotion to take back.", hint="Promote the version that should serve.")
    check_kept(choice.before)
    return _set(choice, choice.before, Promotion.Act.ROLLBACK, by=by, reason=reason)


def _locked(line: Line, kind: str) -> ServingChoice:
    """The line's one row of this kind; whoever changes it next waits."""
    ServingChoice.objects.bulk_create([ServingChoice(line=line, kind=kind)], ignore_conflicts=True)
    return (
        ServingChoice.objects.select_for_update(of=("self",))
        .select_related("version", "promotion")
        .get(line=line, kind=kind)
    )


def _set(choice: ServingChoice, version: ModelVersion | None, act: str, *, by: str, reason: str) -> ServingChoice:
    before = choice.version
    choice.promotion = Promotion.objects.create(
        line=choice.line, kind=choice.kind, act=act, before=before, after=version, by=by, reason=reason
    )
    choice.version, choice.before = version, before
    choice.save()
    if choice.kind == ModelKind.ADAPTER:
        Line.objects.filter(pk=choice.line_id).update(describer=version.digest if version else "")
    hint = {"type": "serving.changed", "kind": choice.kind, "digest": version.digest if version else ""}
    numbering.hint_on_commit(line_id=choice.line_id, message=hint)
    return choice
