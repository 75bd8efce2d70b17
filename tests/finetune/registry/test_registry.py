"""The registry: what is let in, what may serve, and that exactly one version serves at every moment."""

from pathlib import Path

import pytest

from aivd_web.kernel.errors import Conflict
from finetune.models import ModelVersion, Promotion, ServingChoice
from finetune.registry import services
from finetune.registry.services import RefusedWeights
from finetune.runs.gates import GateMissed
from inspections.models import Line
from tests.cast import Cast
from tests.learning import adapter, weights

GOOD = [{"name": "noise", "passed": True}]


def registered(cast: Cast, folder: Path, seed: int, **more: object) -> ModelVersion:
    values = {"line": cast.line, "kind": "adapter", "base": "aivd-small", "by": "alice", "gates": GOOD}
    return services.register(files=adapter(folder, seed), **values | more)  # type: ignore[arg-type]


def asked_for(line: Line) -> str:
    """The version that the line's requests ask nodes for."""
    return Line.objects.get(pk=line.pk).describer


def test_versions_are_numbered_by_line_and_kept_by_digest(cast: Cast, tmp_path: Path) -> None:
    first, second = registered(cast, tmp_path, 1), registered(cast, tmp_path, 2)
    other = registered(cast, tmp_path, 1, line=cast.other_line)

    assert (first.number, second.number, other.number) == (1, 2, 1)
    assert registered(cast, tmp_path, 1).pk == first.pk
    assert (services.folder_of(first) / "adapter_model.safetensors").stat().st_size == first.bytes


@pytest.mark.parametrize("name", ["model.pt", "model.safetensors", "model.onnx"])
def test_a_pickle_is_refused_whatever_it_is_called(cast: Cast, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04\x95 a pickle")

    with pytest.raises(RefusedWeights):
        services.register(line=cast.line, kind="detector", files=tmp_path / name, base="x", by="alice")
    assert ModelVersion.objects.count() == 0


def test_an_adapter_without_what_it_lies_over_is_refused(cast: Cast, tmp_path: Path) -> None:
    made = adapter(tmp_path, 1)
    (made / "lineage.json").unlink()

    for files, said in ((made, "has no lineage.json"), (made / "adapter_model.safetensors", "An adapter is a folder")):
        with pytest.raises(RefusedWeights, match=said):
            services.register(line=cast.line, kind="adapter", files=files, base="x", by="alice")


def test_what_changes_an_adapters_answers_changes_its_digest(cast: Cast, tmp_path: Path) -> None:
    first = registered(cast, tmp_path, 1)
    louder = services.register(
        line=cast.line, kind="adapter", files=adapter(tmp_path, 1, alpha=8), base="aivd-small", by="alice"
    )

    assert louder.bytes == first.bytes
    assert louder.digest != first.digest


def test_two_weights_in_a_folder_are_one_too_many(cast: Cast, tmp_path: Path) -> None:
    weights(tmp_path, 1)
    weights(tmp_path, 2, "other.safetensors")

    with pytest.raises(RefusedWeights, match="There are 2 weights files"):
        services.register(line=cast.line, kind="adapter", files=tmp_path, base="x", by="alice")


def test_promote_and_roll_back(cast: Cast, tmp_path: Path) -> None:
    first, second = registered(cast, tmp_path, 1), registered(cast, tmp_path, 2)
    assert services.serving(cast.line, "adapter") is None

    services.promote(version=first, by="alice")
    services.promote(version=second, by="alice")
    assert services.serving(cast.line, "adapter") == second

    services.roll_back(line=cast.line, kind="adapter", by="bob", reason="it says 'open' too often")
    assert services.serving(cast.line, "adapter") == first
    with pytest.raises(Conflict, match="no promotion to take back"):
        services.roll_back(line=cast.line, kind="adapter", by="bob")
    assert [(each.act, each.after, each.by) for each in Promotion.objects.order_by("id")] == [
        ("promote", first, "alice"),
        ("promote", second, "alice"),
        ("rollback", first, "bob"),
    ]
    assert ServingChoice.objects.filter(line=cast.line).count() == 1


def test_the_first_promotion_is_taken_back_to_the_nodes_own_model(cast: Cast, tmp_path: Path) -> None:
    services.promote(version=registered(cast, tmp_path, 1), by="alice")

    assert asked_for(cast.line) == ModelVersion.objects.get().digest

    services.roll_back(line=cast.line, kind="adapter", by="alice")

    assert services.serving(cast.line, "adapter") is None
    assert asked_for(cast.line) == ""


@pytest.mark.parametrize("harm", ["zeroed", "gone"])
def test_weights_that_are_not_whole_are_not_promoted(cast: Cast, tmp_path: Path, harm: str) -> None:
    version = registered(cast, tmp_path, 1)
    kept = services.folder_of(version) / "adapter_model.safetensors"
    if harm == "zeroed":
        kept.write_bytes(bytes(kept.stat().st_size))
    else:
        kept.unlink()

    with pytest.raises(Conflict, match="damaged in the store"):
        services.promote(version=version, by="alice")
    assert asked_for(cast.line) == ""


def test_another_line_keeps_its_own(cast: Cast, tmp_path: Path) -> None:
    services.promote(version=registered(cast, tmp_path, 1), by="alice")

    assert services.serving(cast.other_line, "adapter") is None
    assert asked_for(cast.other_line) == ""


@pytest.mark.parametrize(
    ("gates", "said"),
    [
        ([], "was not measured against its gates"),
        ([{"name": "noise", "passed": True}, {"name": "forgetting", "passed": False}], "missed forgetting"),
    ],
)
def test_a_missed_gate_needs_a_reason(cast: Cast, tmp_path: Path, gates: list[dict[str, object]], said: str) -> None:
    version = registered(cast, tmp_path, 1, gates=gates)

    with pytest.raises(GateMissed, match=said):
        services.promote(version=version, by="alice")
    assert services.serving(cast.line, "adapter") is None

    services.promote(version=version, by="alice", reason="the trial of Tuesday")
    assert Promotion.objects.get().reason == "the trial of Tuesday"


def test_what_serves_is_not_promoted_again(cast: Cast, tmp_path: Path) -> None:
    version = registered(cast, tmp_path, 1)
    services.promote(version=version, by="alice")

    with pytest.raises(Conflict, match="serves already"):
        services.promote(version=version, by="alice")
