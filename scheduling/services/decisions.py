"""Keep what the policies saw, bounded in rate, size and number, and find it again.

A busy worker decides hundreds of times a second; a few of these are recorded whole, the reasons of all are on their
Dispatch rows.
"""

import logging
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from django.db.models import Max
from django.db.models.functions import Now

from scheduling.models import RecordedDecision
from scheduling.replay.records import DecisionRecord

MOST_BYTES = 256 * 1024
MOST_RECORDS = 5_000
KEPT_FOR = timedelta(days=7)
log = logging.getLogger(__name__)


def store(records: Sequence[DecisionRecord]) -> list[int | None]:
    """Write them in the current transaction; the key of each, or None for one that is too large to keep."""
    rows = [_row(record) for record in records]
    RecordedDecision.objects.bulk_create([row for row in rows if row is not None])
    return [None if row is None else row.pk for row in rows]


def load(row: RecordedDecision) -> DecisionRecord:
    return DecisionRecord.from_json(row.body)


def prune() -> int:
    """Remove what is beyond the number and the age that are kept; returns how many."""
    newest = RecordedDecision.objects.aggregate(newest=Max("id"))["newest"]
    if newest is None:
        return 0
    many = RecordedDecision.objects.filter(id__lte=newest - MOST_RECORDS)
    old = RecordedDecision.objects.filter(at__lt=Now() - KEPT_FOR)
    _, by_model = (many | old).delete()
    return by_model.get(RecordedDecision._meta.label, 0)


def _row(record: DecisionRecord) -> RecordedDecision | None:
    try:
        body = record.to_json()
    except ValueError as error:
        log.warning("A decision of %s cannot be kept: %s", record.policy, error)
        return None
    if len(body) > MOST_BYTES:
        log.warning("A decision of %s is not kept: its record has %d bytes", record.policy, len(body))
        return None
    at = datetime.fromtimestamp(record.at, UTC)
    return RecordedDecision(at=at, policy=record.policy, policy_version=record.policy_version, body=body)
