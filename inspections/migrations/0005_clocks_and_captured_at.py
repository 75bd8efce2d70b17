from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import migrations, models
from django.db.models import F, Q
from django.db.models.functions import Now

# What a device without a clock said goes; when the frame was received is known anyway.
FORGET_IMPOSSIBLE_TIMES = """
UPDATE inspections_frame SET captured_at = NULL
WHERE captured_at < '1990-01-01 00:00+00' OR captured_at > received_at + interval '2 days'
"""


def by_the_database(**more: Any) -> "models.DateTimeField[Any, Any]":
    return models.DateTimeField(db_default=Now(), editable=False, **more)


class Migration(migrations.Migration):
    dependencies = [("inspections", "0004_renditions")]

    operations = [
        migrations.AlterField("inspection", "started_at", by_the_database()),
        migrations.AlterField("frame", "received_at", by_the_database()),
        migrations.AlterField("step", "created_at", by_the_database()),
        migrations.AlterField("idempotencykey", "created_at", by_the_database(db_index=True)),
        migrations.RunSQL(FORGET_IMPOSSIBLE_TIMES, migrations.RunSQL.noop),
        migrations.AddConstraint(
            "frame",
            models.CheckConstraint(
                condition=Q(captured_at__isnull=True)
                | Q(
                    captured_at__gte=datetime(1990, 1, 1, tzinfo=UTC),
                    captured_at__lte=F("received_at") + timedelta(days=2),
                ),
                name="frame_captured_in_its_time",
            ),
        ),
    ]
