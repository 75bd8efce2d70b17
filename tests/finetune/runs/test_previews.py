"""Previews: shown before a launch, with each way in which they can end, and gone after a day."""

import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone
from rest_framework.test import APIClient

from finetune import leases
from finetune.models import DatasetVersion, FineTuneRun, RunPreview, State
from finetune.runs import previews
from finetune.runs.recipes import BadRecipe
from tests.cast import Cast
from tests.finetune.runs.test_runs import version as version

SHOWER = (sys.executable, str(Path(__file__).parents[1] / "stand_in_preview.py"))


@pytest.fixture(autouse=True)
def woken(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Who would have been woken; work is carried out when the test says so."""
    found: list[str] = []
    monkeypatch.setattr(previews, "wake", lambda preview_id: found.append(str(preview_id)))
    return found


def asked(version: DatasetVersion, **acts: Any) -> RunPreview:
    preview = previews.ask(version=version, kind="describer-lora", settings={"rank": 4}, seed=7, by="alice")
    preview.settings = {**preview.settings, "stand_in": acts}
    preview.save()
    return preview


def carried_out(preview: RunPreview) -> RunPreview:
    previews.carry_out(preview.pk, command=SHOWER)
    preview.refresh_from_db()
    return preview


def test_a_preview_shows_what_the_trainer_left(version: DatasetVersion) -> None:
    preview = carried_out(asked(version))

    assert (preview.state, preview.progress) == (State.SUCCEEDED, "")
    assert preview.shown["estimate"] == {"seconds": 12.5}
    assert preview.shown["crops"] == [{"question": "a�b"}]
    assert FineTuneRun.objects.count() == 0


def test_it_tells_what_it_does_meanwhile(version: DatasetVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    write = leases.Held.write
    monkeypatch.setattr(
        leases.Held, "write", lambda held, **values: (said.append(values.get("progress", "")), write(held, **values))
    )
    monkeypatch.setattr(previews, "POLL_S", 0.02)
    carried_out(asked(version, sleep_s=0.5))

    assert "Reads and checks 3 pictures." in said


@pytest.mark.parametrize(
    ("acts", "code", "detail"),
    [
        ({"fail": True}, "bad_picture", "a.png is no readable picture."),
        ({"crash": True}, "no_preview", "It ended with code 1 and without a word."),
        ({"shown": [1]}, "no_preview", "It ended with code 0 and without a word."),
    ],
)
def test_what_goes_wrong_is_said(version: DatasetVersion, acts: dict[str, Any], code: str, detail: str) -> None:
    preview = carried_out(asked(version, **acts))

    assert (preview.state, preview.error_code, preview.error_detail) == (State.FAILED, code, detail)


def test_one_that_takes_too_long_is_ended(version: DatasetVersion, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(previews, "MAX_S", 0.1)
    assert carried_out(asked(version, sleep_s=600)).state == State.FAILED


def test_it_is_carried_out_once(version: DatasetVersion) -> None:
    preview = carried_out(asked(version))
    assert previews.carry_out(preview.pk, command=SHOWER) is None


def test_a_preview_without_its_worker_waits_again_and_somebody_is_woken(
    version: DatasetVersion, woken: list[str]
) -> None:
    preview = asked(version)
    assert leases.claim(RunPreview, preview.pk, lease=previews.LEASE) is not None
    RunPreview.objects.update(lease_until=timezone.now() - previews.LEASE)

    assert previews.reap() == 1
    assert woken == [str(preview.pk)]


def test_it_is_kept_for_a_day(version: DatasetVersion) -> None:
    preview = carried_out(asked(version))
    folder = previews.folder_of(preview)
    previews.reap()
    assert (folder / "out" / "preview.json").exists()

    RunPreview.objects.update(created_at=timezone.now() - timedelta(days=2))
    previews.reap()
    assert not folder.exists()
    assert not RunPreview.objects.exists()


def test_a_kind_that_cannot_show_says_so(version: DatasetVersion) -> None:
    with pytest.raises(BadRecipe, match="A detector run has no preview"):
        previews.ask(version=version, kind="detector", by="alice")


def test_by_rest_for_admins_alone(version: DatasetVersion, cast: Cast) -> None:
    order = {"version": version.pk, "kind": "describer-lora", "settings": {"rank": 0}}
    ada, alice = APIClient(), APIClient()
    ada.force_login(cast.ada)
    alice.force_login(cast.alice)

    assert alice.post("/api/v1/run-previews", order | {"settings": {}}, format="json").status_code == 403
    assert ada.post("/api/v1/run-previews", order, format="json").json()["code"] == "bad_recipe"
    made = ada.post("/api/v1/run-previews", order | {"settings": {}}, format="json")
    assert made.status_code == 202
    carried_out(RunPreview.objects.get(pk=made.json()["id"]))
    address = f"/api/v1/run-previews/{made.json()['id']}"
    assert alice.get(address).json()["state"] == "succeeded"
    crop = alice.get(f"{address}/crops/0")
    assert (crop.status_code, crop["Content-Type"]) == (200, "image/png")
    assert alice.get(f"{address}/crops/1").status_code == 404
