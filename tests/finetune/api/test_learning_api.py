"""The loop by REST: a set of pictures is sent, sealed, trained on, and what comes of it serves the line."""

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from rest_framework.test import APIClient

from finetune import tasks
from finetune.datasets import importing, pictures
from finetune.models import Dataset, FineTuneRun
from finetune.runs import services, supervisor
from inspections.models import Line, Membership, Station
from tests.cast import Cast
from tests.finetune.datasets.test_datasets import write_yolo
from tests.finetune.runs.test_runs import TRAINER

pytestmark = [pytest.mark.stack, pytest.mark.django_db]


@pytest.fixture
def alice(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> APIClient:
    """Signed in as an admin of the line; work is carried out when the test says so."""
    Membership.objects.filter(user=cast.alice, line=cast.line).update(role="admin")
    monkeypatch.setattr(services, "wake", lambda: None)
    monkeypatch.setattr(tasks.import_pictures, "delay", lambda job_id: None)
    monkeypatch.setattr(pictures, "look_of", lambda kept: kept.sha256[:16])
    client = APIClient()
    client.force_login(cast.alice)
    return client


def packed(folder: Path) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as archive:
        for path in sorted(folder.rglob("*.*")):
            archive.write(path, path.relative_to(folder).as_posix())
    return data.getvalue()


def test_the_loop(cast: Cast, alice: APIClient, tmp_path: Path) -> None:
    made = alice.post(
        "/api/v1/datasets", {"line": cast.line.pk, "name": "boards", "product": "bare-pcb"}, format="json"
    )
    assert made.status_code == 201
    dataset = f"/api/v1/datasets/{made.data['id']}"

    sent = alice.post(
        f"{dataset}/imports?format=yolo&name=boards.zip",
        packed(write_yolo(tmp_path, frames=60)),
        content_type="application/zip",
    )
    assert (sent.status_code, sent.data["state"]) == (202, "queued")
    importing.carry_out(sent.data["id"])
    followed = alice.get(f"/api/v1/imports/{sent.data['id']}").data
    assert (followed["state"], followed["done"], followed["taken"], followed["troubles"]) == ("succeeded", 60, 60, [])

    whole = alice.get(dataset).data
    assert (whole["frames"], whole["without_defects"]) == (60, 20)
    assert {row["name"]: (row["regions"], row["frames"]) for row in whole["classes"]} == {
        "open": (20, 20),
        "short": (20, 20),
    }

    sealed = alice.post(f"{dataset}/versions", {"seed": 3}, format="json")
    assert (sealed.status_code, sealed.data["number"], sealed.data["classes"]) == (201, 1, ["open", "short"])
    assert sum(split["frames"] for split in sealed.data["counts"].values()) == 60

    order = {"version": sealed.data["id"], "kind": "describer-lora", "settings": {"max_steps": 3}}
    launched = alice.post("/api/v1/runs", order, format="json")
    assert (launched.status_code, launched.data["state"]) == (201, "queued")
    run = f"/api/v1/runs/{launched.data['id']}"
    supervisor.train_waiting(command=TRAINER)
    assert alice.get(run).data["state"] == "succeeded"
    events = alice.get(f"{run}/events?after=1").data
    assert [event["type"] for event in events] == ["step", "step", "step", "validated", "done"]

    (version,) = alice.get(f"/api/v1/model-versions?line={cast.line.pk}").data
    assert (version["run"], version["serves"]) == (launched.data["id"], False)
    refused = alice.post(f"/api/v1/model-versions/{version['id']}/promote", {}, format="json")
    assert (refused.status_code, refused.data["code"]) == (409, "gate_missed")
    promoted = alice.post(f"/api/v1/model-versions/{version['id']}/promote", {"reason": "a trial"}, format="json")
    assert promoted.data["digest"] == version["digest"]
    assert alice.get(f"/api/v1/model-versions/{version['id']}").data["serves"] is True
    assert Line.objects.get(pk=cast.line.pk).describer == version["digest"]

    shadow = f"/api/v1/model-versions/{version['id']}/shadow"
    begun = alice.post(shadow, {"share": 0.5}, format="json")
    assert (begun.status_code, begun.data["share"]) == (201, 0.5)
    assert alice.post(shadow, {"share": 0.5}, format="json").status_code == 409
    told = alice.get(shadow).data
    assert (told["trial"]["share"], told["seen"], told["agreed"], told["disagreements"]) == (0.5, 0, 0, [])
    assert alice.delete(shadow).data["ended_at"] is not None

    back = alice.post(f"/api/v1/lines/{cast.line.pk}/roll-back", {"kind": "adapter"}, format="json")
    assert (back.status_code, back.data["version"]) == (200, None)


def test_a_class_without_samples_is_said_before_a_run(cast: Cast, alice: APIClient) -> None:
    dataset = Dataset.objects.create(line=cast.line, name="empty", created_by="alice")

    answer = alice.post(f"/api/v1/datasets/{dataset.pk}/versions", {}, format="json")

    assert (answer.status_code, answer.data["code"]) == (422, "unsealable")


def test_what_is_no_archive_is_refused(cast: Cast, alice: APIClient) -> None:
    dataset = Dataset.objects.create(line=cast.line, name="empty", created_by="alice")

    answer = alice.post(
        f"/api/v1/datasets/{dataset.pk}/imports?format=coco", b"GIF89a", content_type="application/octet-stream"
    )

    assert (answer.status_code, answer.data["code"]) == (422, "bad_source")


def test_a_run_is_not_launched_on_another_lines_version(cast: Cast, alice: APIClient) -> None:
    answer = alice.post("/api/v1/runs", {"version": 4711, "kind": "detector"}, format="json")

    assert answer.status_code == 404
    assert FineTuneRun.objects.count() == 0


# -- the command ------------------------------------------------------------------------------------


def test_the_command_makes_line_station_and_classes(
    cast: Cast, alice: APIClient, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_yolo(tmp_path / "castings", names=("rust", "crack"))

    call_command("import_dataset", "yolo", str(folder), new_line="Foundry/Castings", product="casting")

    line = Line.objects.get(name="Castings")
    assert Station.objects.get(line=line).product == "casting"
    assert json.loads(capsys.readouterr().out)["taken"] == 12
    with pytest.raises(SystemExit):  # once more is no second line; each picture is there already, and is listed
        call_command("import_dataset", "yolo", str(folder), new_line="Foundry/Castings")
    assert Dataset.objects.get(line=line).items.count() == 12


@pytest.mark.parametrize(("break_it", "code"), [("label", 1), ("all", 2)])
def test_the_command_ends_with_a_code(
    cast: Cast, alice: APIClient, tmp_path: Path, break_it: str, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    from django.core.management.base import CommandError

    folder = write_yolo(tmp_path, frames=3)
    broken = {"label": folder / "labels" / "b000.txt", "all": folder / "data.yaml"}[break_it]
    broken.write_text("words")

    with pytest.raises((SystemExit, CommandError)) as ended:
        call_command("import_dataset", "yolo", str(folder), line=cast.line.pk)

    found: Any = ended.value
    assert (found.code if isinstance(found, SystemExit) else found.returncode) == code
    if break_it == "label":
        assert "labels/b000.txt:1: 'words' is no list of numbers." in capsys.readouterr().err
