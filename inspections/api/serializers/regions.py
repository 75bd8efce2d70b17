"""What the models said of a frame: its regions and their descriptions, also those that are still to come."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from inspections.models import Description, Detection, Step
from inspections.pipeline.stages.describe import DescribeStage
from inspections.pipeline.stages.describe_sure import DescribeSureStage

from .common import BoxField
from .plant import DefectClassNameSerializer


class ModelNameSerializer(serializers.Serializer):
    name = serializers.CharField()
    version = serializers.CharField()


class DescribedBySerializer(ModelNameSerializer):
    digest = serializers.CharField(help_text="Of the version that answered: its own, or an adapter's over it")


class DescriptionTextSerializer(serializers.Serializer):
    """Machine text: untrusted and plain. The first five fields are the model's, the last three the node's."""

    defect_class = serializers.CharField(required=False)
    appearance = serializers.CharField(required=False)
    probable_cause = serializers.CharField(required=False)
    recommended_action = serializers.CharField(required=False)
    confidence = serializers.JSONField(required=False, allow_null=True)
    location = serializers.JSONField(required=False, allow_null=True)
    size = serializers.JSONField(required=False, allow_null=True)
    severity = serializers.JSONField(required=False, allow_null=True)


class DescriptionSerializer(serializers.Serializer):
    id = serializers.IntegerField(allow_null=True)
    state = serializers.ChoiceField(["pending", "streaming", "done", "invalid", "skipped"])
    text = DescriptionTextSerializer(allow_null=True)
    partial = serializers.CharField(  # type: ignore[assignment]  # the base class uses the name for a flag
        allow_null=True, help_text="What an invalid answer said; text in the making comes by websocket"
    )
    model = DescribedBySerializer(allow_null=True)
    node = serializers.CharField(allow_null=True)
    latency_ms = serializers.FloatField(allow_null=True)


class RegionSerializer(serializers.ModelSerializer):
    box_xyxy = BoxField()
    defect_class = DefectClassNameSerializer()
    model = ModelNameSerializer(source="served_model")
    description = serializers.SerializerMethodField()

    class Meta:
        model = Detection
        fields = ["id", "box_xyxy", "score", "counts", "sure", "defect_class", "model", "node", "description"]

    @extend_schema_field(DescriptionSerializer(allow_null=True))
    def get_description(self, detection: Detection) -> dict[str, Any] | None:
        description: Description | None = getattr(detection, "description", None)
        if description is not None:
            return {
                "id": description.pk,
                "state": "done" if description.valid else "invalid",
                "text": description.answer if description.valid else None,
                "partial": None if description.valid else description.raw_text,
                "model": DescribedBySerializer(description.served_model).data,
                "node": description.node,
                "latency_ms": description.latency_ms,
            }
        return _coming(detection)


def _coming(detection: Detection) -> dict[str, Any] | None:
    """The state of a description that is not there yet, or None where none will be."""
    steps = {step.kind: step for step in detection.frame.steps.all()}
    step = steps.get(DescribeSureStage.kind if detection.sure else DescribeStage.kind)
    if step is None or step.state not in (*Step.OPEN, Step.State.SKIPPED) or not detection.counts:
        return None
    # The describer takes the best `max_regions` that count, and detections are in falling order of score.
    counting = [other.pk for other in detection.frame.detections.all() if other.counts]
    if detection.pk not in counting[: detection.frame.station.max_regions]:
        return None
    running = step.state == Step.State.RUNNING
    return {
        "id": None,
        "state": "skipped" if step.state == Step.State.SKIPPED else "streaming" if running else "pending",
        "text": None,
        "partial": None,
        "model": None,
        "node": step.node or None if running else None,
        "latency_ms": None,
    }
