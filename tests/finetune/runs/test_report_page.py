"""A run's report as page, file and figures: for those who see its line, with everything that it says."""

import re
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from finetune.models import FineTuneRun, State
from finetune.runs import reports
from finetune.training.manifest import read_manifest
from finetune.training.report.trials import trials_of
from tests.cast import Cast
from tests.finetune.training.lora.sealed import write_dataset
from tests.finetune.training.report.test_report import Says, written
from tests.learning import learning_ids

pytestmark = [pytest.mark.stack, pytest.mark.django_db]
ABOUT: dict[str, Any] = {
    "recipe": {"rank": 4},
    "digests": {"dataset": "d" * 64, "base": "b" * 64, "recipe": "r" * 64, "weights": "w" * 64},
    "trained_seconds": 100.0,
    "steps": 6,
    "estimate": {"seconds": 120.0, "memory_mib": 900, "parameters": 1000, "trained_parameters": 10},
    "packages": {"torch": "2"},
}


@pytest.fixture
def run(cast: Cast, tmp_path: Path) -> FineTuneRun:
    """A run that succeeded and left a real report of two describers that say one thing each."""
    run = FineTuneRun.objects.get(pk=learning_ids(cast)["run_id"])
    manifest = read_manifest(write_dataset(tmp_path / "v1"))
    trials = trials_of(manifest.of("test"), manifest.classes, seed=1, good_share=0.5, most=50)
    written(reports.folder_of(run), trials, Says("scratch"), Says("<i>dent</i>"), about=ABOUT)
    run.state, run.report = State.SUCCEEDED, {"measured": reports.summary(run)}
    run.settings = {"augmentation": "co"}
    run.save()
    return run


def page(who: Any, address: str) -> Any:
    client = Client()
    client.force_login(who)
    return client.get(address)


def test_the_page_says_what_was_measured(cast: Cast, run: FineTuneRun) -> None:
    answer = page(cast.vera, f"/runs/{run.pk}/report/")
    text = answer.content.decode()

    assert answer.status_code == 200
    assert "the version names the class right in 0.0 %" in text
    for words in ("Box noise 0.3", "The detector&#x27;s own boxes", "Gates missed", "w" * 64, "0:01:40"):
        assert words in text, words
    assert text.count('<svg class="plot"') == 3


def test_words_of_a_model_are_words(cast: Cast, run: FineTuneRun) -> None:
    text = page(cast.vera, f"/runs/{run.pk}/report/").content.decode()
    assert "called <b>&lt;i&gt;dent&lt;/i&gt;</b>" in text
    assert "<i>" not in text


def test_the_file_needs_nothing_from_the_site(cast: Cast, run: FineTuneRun) -> None:
    answer = page(cast.vera, f"/runs/{run.pk}/report.html")
    text = answer.content.decode()

    assert answer["Content-Disposition"] == f'attachment; filename="report-{run.pk}.html"'
    assert ".report .plot" in text
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert sources
    assert all(source.startswith("data:image/png;base64,") for source in sources)


def test_a_sister_with_the_other_augmentation_stands_beside(cast: Cast, run: FineTuneRun) -> None:
    sister = FineTuneRun.objects.create(
        line=run.line, version=run.version, kind=run.kind, base=run.base, seed=run.seed, created_by="alice",
        settings={"augmentation": "plain"}, state=State.SUCCEEDED, report=run.report,
    )  # fmt: skip
    text = page(cast.vera, f"/runs/{run.pk}/report/").content.decode()
    assert [title in text for title in (">Base<", ">Plain<", ">Augmented<")] == [True] * 3
    sister.seed = 5
    sister.save()
    assert ">Plain<" not in page(cast.vera, f"/runs/{run.pk}/report/").content.decode()


def test_figures_and_crops_by_rest(cast: Cast, run: FineTuneRun) -> None:
    assert page(cast.vera, f"/api/v1/runs/{run.pk}/report").json()["digests"]["weights"] == "w" * 64
    crop = page(cast.vera, f"/api/v1/runs/{run.pk}/report/crops/0")
    assert crop.content.startswith(b"\x89PNG")
    assert "sandbox" in crop["Content-Security-Policy"]


@pytest.mark.parametrize("rest", ["runs/{}/report/", "runs/{}/report.html", "api/v1/runs/{}/report"])
def test_others_see_none_of_it(cast: Cast, run: FineTuneRun, rest: str) -> None:
    assert page(cast.charlie, "/" + rest.format(run.pk)).status_code == 404


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"arms": 1, "gains": {}}', '{"arms": {"base": {}}}'])
def test_a_report_that_cannot_be_read_is_none(cast: Cast, run: FineTuneRun, content: str) -> None:
    (reports.folder_of(run) / "report.json").write_text(content)
    assert page(cast.vera, f"/runs/{run.pk}/report/").status_code == 404
    assert reports.summary(run) is None
