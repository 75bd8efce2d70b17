"""What an earlier version let in does not stop an upgrade."""

from datetime import datetime
from importlib import import_module
from pathlib import Path

import pytest
from django.db import connection

from inspections import migrations
from inspections.models import Frame
from tests.cast import Cast, add_frame


@pytest.mark.stack
@pytest.mark.django_db(transaction=True)
def test_impossible_capture_times_are_forgotten_and_possible_ones_kept(cast: Cast) -> None:
    (path,) = Path(migrations.__path__[0]).glob("*_clocks_and_captured_at.py")
    forget = import_module(f"inspections.migrations.{path.stem}").FORGET_IMPOSSIBLE_TIMES
    bounds = next(one for one in Frame._meta.constraints if one.name == "frame_captured_in_its_time")
    said = ["0001-01-01 00:00 BC", "10000-01-01", "infinity", "1989-12-31", "2200-01-01", "2026-01-31T12:00Z"]
    frames = [add_frame(cast.station, seed) for seed in range(len(said))]
    with connection.schema_editor() as editor:
        editor.remove_constraint(Frame, bounds)
    try:
        with connection.cursor() as cursor:
            for frame, when in zip(frames, said, strict=True):
                cursor.execute("UPDATE inspections_frame SET captured_at = %s WHERE id = %s", [when, frame.pk])
            cursor.execute(forget)
    finally:
        with connection.schema_editor() as editor:
            editor.add_constraint(Frame, bounds)  # which fails where one is left
    kept = {frame.pk: frame.captured_at for frame in Frame.objects.all()}
    assert kept.pop(frames[-1].pk) == datetime.fromisoformat("2026-01-31T12:00:00+00:00")
    assert set(kept.values()) == {None}
