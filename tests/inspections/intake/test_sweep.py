"""The sweep clears away what is old, and nothing that somebody may still ask for."""

import os
import time
from datetime import timedelta
from typing import Any

import pytest
from django.conf import settings
from django.db.models.functions import Now
from django.utils import timezone

from inspections.intake import ingest
from inspections.intake import sweep as inspections_sweep
from inspections.intake.sweep import INCOMING_LIFE_S, KEY_LIFE, Swept, sweep
from inspections.media import storage
from inspections.models import IdempotencyKey
from tests.cast import Cast, picture

pytestmark = [pytest.mark.stack, pytest.mark.django_db]


def _send(cast: Cast, key: str) -> ingest.Ingested:
    return ingest.add_frame(station=cast.station, data=picture(), sender="alice", idempotency_key=key)


def _age(**by: timedelta) -> None:
    for key, age in by.items():
        IdempotencyKey.objects.filter(key=key).update(created_at=timezone.now() - age)


def test_a_key_is_kept_for_its_life_and_no_longer(cast: Cast) -> None:
    for key in ("young", "old"):
        _send(cast, key)
    _age(young=KEY_LIFE - timedelta(minutes=1), old=KEY_LIFE + timedelta(minutes=1))
    assert sweep(now=timezone.now()).keys == 1
    assert not _send(cast, "young").created
    assert _send(cast, "old").created


def test_the_sweep_goes_on_until_nothing_old_is_left(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspections_sweep, "KEYS_AT_ONCE", 7)
    keys = [IdempotencyKey(scope="a", key=str(n), payload_sha256="0" * 64) for n in range(50)]
    IdempotencyKey.objects.bulk_create(keys)
    IdempotencyKey.objects.exclude(key="0").update(created_at=timezone.now() - KEY_LIFE - timedelta(hours=1))
    assert sweep(now=Now()).keys == 49
    assert IdempotencyKey.objects.get().key == "0"


def test_an_upload_left_behind_is_deleted_and_one_under_way_is_not(cast: Cast) -> None:
    with storage.received(picture(), max_bytes=10**6) as under_way:
        left_behind = under_way.path.with_name("left-behind")
        left_behind.write_bytes(b"half a picture")
        long_ago = time.time() - INCOMING_LIFE_S - 1
        os.utime(left_behind, (long_ago, long_ago))
        assert sweep(now=timezone.now()).files == 1
        assert under_way.path.exists()
        assert not left_behind.exists()


def test_with_nothing_to_clear_it_says_so(cast: Cast, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(settings, "MEDIA_DIR", tmp_path / "nowhere")
    assert sweep(now=timezone.now()) == Swept(keys=0, files=0)
