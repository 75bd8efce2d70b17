"""Promotion whose process is killed at any moment: exactly one version serves, and its weights are whole."""

import os
import random
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connection, transaction

from finetune.models import ModelVersion, Promotion, ServingChoice
from inspections.models import Line
from scheduling.dispatch.versions import ArtifactStore
from tests.cast import Cast
from tests.finetune.registry.test_registry import registered

pytestmark = [pytest.mark.stack, pytest.mark.django_db(transaction=True), pytest.mark.usefixtures("redis_server")]
ROOT = Path(__file__).resolve().parents[3]
KILLS = 10


def killed_while_it_promotes(versions: list[ModelVersion], *, after_s: float) -> None:
    """`after_s` after its first promotion: in the middle of any of the next ones, or between two."""
    name = str(connection.settings_dict["NAME"])
    command = [sys.executable, "-m", "tests.finetune.registry.promoter", name, str(settings.MEDIA_DIR)]
    command += [str(version.pk) for version in versions]
    with subprocess.Popen(command, cwd=ROOT, env=dict(os.environ), stdout=subprocess.PIPE) as promoter:
        try:
            assert promoter.stdout is not None
            assert promoter.stdout.readline(), "the promoter did not begin"
            threading.Event().wait(after_s)
        finally:
            promoter.kill()


def test_a_promotion_that_is_killed_leaves_exactly_one_version_that_serves(cast: Cast, tmp_path: Path) -> None:
    versions = [registered(cast, tmp_path, seed) for seed in (1, 2)]
    moments = random.Random(7)
    for _ in range(KILLS):
        killed_while_it_promotes(versions, after_s=moments.uniform(0, 0.2))

        with transaction.atomic():  # what its server process still does ends first: the row is locked until then
            ServingChoice.objects.select_for_update().get(line=cast.line, kind="adapter")
        choice = ServingChoice.objects.get(line=cast.line, kind="adapter")
        assert choice.version in versions
        assert choice.version is not None
        assert Line.objects.get(pk=cast.line.pk).describer == choice.version.digest
        assert Promotion.objects.first() == choice.promotion
        assert choice.promotion is not None
        assert choice.promotion.after == choice.version
        assert ArtifactStore(Path(settings.MEDIA_DIR) / "artifacts").files(choice.version.digest)
    assert Promotion.objects.count() > KILLS
