"""The JSON of nodes and dispatches. Reads, writes nothing."""

from collections.abc import Iterable
from typing import Any

import rules
from drf_spectacular.utils import extend_schema_serializer
from rest_framework import serializers

from scheduling.client.addresses import without_addresses
from scheduling.models import Dispatch, Node, NodeAct
from scheduling.services.scopes import MANAGE


class PlacedModelSerializer(serializers.Serializer):
    model = serializers.CharField(help_text="Triton's name of it")
    served_model = serializers.CharField(allow_null=True, help_text="What it last answered with")
    version = serializers.CharField(allow_null=True)
    digest = serializers.CharField(allow_null=True)


class LoadSerializer(serializers.Serializer):
    outstanding = serializers.IntegerField(help_text="Requests sent and not answered, over all workers")
    waiting_ms = serializers.FloatField(allow_null=True)
    service_ms = serializers.DictField(child=serializers.FloatField(), help_text="By model")
    placed_last_minute = serializers.IntegerField(help_text="Requests sent there in the last 60 s")


class LinkSerializer(serializers.Serializer):
    rtt_ms = serializers.FloatField(allow_null=True)
    bandwidth_bytes_s = serializers.FloatField(allow_null=True, help_text="Estimated rate of the way there")


class CreditsSerializer(serializers.Serializer):
    limit = serializers.IntegerField(allow_null=True, help_text="Requests the node may hold at once")
    left = serializers.IntegerField(allow_null=True, help_text="How many more, as the fullest worker sees it")


class NodeActSerializer(serializers.Serializer):
    act = serializers.ChoiceField(NodeAct.Act.choices)
    by = serializers.CharField()
    at = serializers.DateTimeField()


class NodeSerializer(serializers.Serializer):
    """One row of `scheduling.services.fleet.snapshot()`."""

    name = serializers.CharField()
    kind = serializers.ChoiceField(Node.Kind.choices)
    health = serializers.ChoiceField(Node.Health.choices)
    health_detail = serializers.CharField(allow_blank=True)
    draining = serializers.BooleanField()
    capacity = serializers.IntegerField()
    last_ready_at = serializers.DateTimeField(allow_null=True)
    models = PlacedModelSerializer(many=True)
    load = LoadSerializer()
    link = LinkSerializer()
    credits = CreditsSerializer()
    breaker = serializers.ChoiceField(["closed", "half-open", "open"], allow_null=True)
    counts = serializers.DictField(
        child=serializers.IntegerField(), help_text="How often something went wrong there, by what it was"
    )
    last_act = NodeActSerializer(allow_null=True, help_text="Who drained or undrained it last")


class FleetSummarySerializer(serializers.Serializer):
    """`scheduling.services.fleet.summary()`."""

    live_workers = serializers.IntegerField(help_text="Worker processes that told of themselves within seconds")
    dropped_hints = serializers.IntegerField(
        help_text="Messages to screens that these and the answering web process could not send since each began; "
        "the screens read what they missed from the database"
    )


class AlternativeSerializer(serializers.Serializer):
    node = serializers.CharField()
    predicted_ms = serializers.FloatField(allow_null=True)
    why_not = serializers.CharField(allow_blank=True, allow_null=True)


@extend_schema_serializer(component_name="Dispatch")
class DispatchSerializer(serializers.ModelSerializer):
    node = serializers.CharField(source="node.name")
    model = serializers.CharField()
    alternatives = AlternativeSerializer(many=True)
    breakdown = serializers.DictField(child=serializers.FloatField(), help_text="Parts of predicted_ms")

    class Meta:
        model = Dispatch
        fields = [
            "id", "subject", "model", "attempt", "node", "policy", "reason", "alternatives", "predicted_ms",
            "breakdown", "slack_ms", "measured_ms", "queue_ms", "service_ms", "payload_bytes", "full_bytes",
            "quality", "sent_at", "outcome", "error_code", "error_detail",
        ]  # fmt: skip


class ErrorFiguresSerializer(serializers.Serializer):
    """`error`: measured less predicted. `off`: by how much it missed, either way."""

    count = serializers.IntegerField()
    mean_error_ms = serializers.FloatField(allow_null=True, help_text="Negative: faster than predicted")
    median_error_ms = serializers.FloatField(allow_null=True, help_text="Above zero: slower than foreseen")
    median_off_ms = serializers.FloatField(allow_null=True)
    p95_off_ms = serializers.FloatField(allow_null=True)


class NodeErrorFiguresSerializer(ErrorFiguresSerializer):
    node = serializers.CharField()
    model = serializers.CharField()


class PredictionPointSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    node = serializers.CharField()
    model = serializers.CharField()
    predicted_ms = serializers.FloatField()
    measured_ms = serializers.FloatField()


class AccuracySerializer(serializers.Serializer):
    """`scheduling.services.accuracy.accuracy()`."""

    minutes = serializers.FloatField()
    all = ErrorFiguresSerializer()
    by_node = NodeErrorFiguresSerializer(many=True)
    points = PredictionPointSerializer(many=True, help_text="The newest first")


def shown_dispatches(rows: Iterable[Dispatch], who: Any) -> list[dict[str, Any]]:
    """Dispatches as `who` may read them: nodes' addresses are for those who manage the fleet."""
    shown = [dict(row) for row in DispatchSerializer(rows, many=True).data]
    if not rules.has_perm(MANAGE, who):
        for row in shown:
            row["error_detail"] = without_addresses(row["error_detail"])
    return shown


def dispatch_fact(row: Dispatch) -> dict[str, Any]:
    """As much of a Dispatch as a frame's page shows beside its step."""
    known = {"node": row.node.name, "predicted_ms": row.predicted_ms, "measured_ms": row.measured_ms}
    return known | {"quality": row.quality}
