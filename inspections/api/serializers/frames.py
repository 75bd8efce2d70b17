"""A frame as its page and lists show it, and how many there are of each kind."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from inspections.models import Decision, Frame, FrameAppearance, Step
from inspections.pipeline.stages import STAGES
from scheduling.client.addresses import without_addresses

from .common import NamedSerializer
from .plant import DefectClassNameSerializer
from .regions import RegionSerializer
from .reviews import ReviewSerializer


class DecisionSerializer(serializers.ModelSerializer):
    class Meta:
        model = Decision
        fields = ["outcome", "reason", "code", "decided_at", "latency_ms"]


class AppearanceSerializer(serializers.ModelSerializer):
    """How the frame looks as a whole. Up to its limit, a distance is usual; null where there was nothing to compare."""

    statistics = serializers.DictField(child=serializers.FloatField())

    class Meta:
        model = FrameAppearance
        fields = ["model_distance", "model_limit", "station_distance", "station_limit", "statistics"]


class StepSerializer(serializers.ModelSerializer):
    title = serializers.SerializerMethodField(help_text="The stage's name as people read it")
    node = serializers.SerializerMethodField()
    error = serializers.SerializerMethodField()
    result = serializers.SerializerMethodField(
        help_text="What its model answered, where no region shows it: names and plain, untrusted text"
    )

    class Meta:
        model = Step
        fields = ["kind", "title", "state", "attempts", "node", "error", "result"]

    def get_title(self, step: Step) -> str:
        stage = STAGES.get(step.kind)
        return stage.title if stage else step.kind

    @extend_schema_field(serializers.DictField(child=serializers.CharField()))
    def get_result(self, step: Step) -> dict[str, str]:
        stage = STAGES.get(step.kind)
        return stage.shown(step.result) if stage else {}

    def get_node(self, step: Step) -> str | None:
        return step.node or None

    def get_error(self, step: Step) -> str | None:
        return without_addresses(step.error_detail) or step.error_code or None


class DispatchFactSerializer(serializers.Serializer):
    node = serializers.CharField(allow_null=True)
    predicted_ms = serializers.FloatField(allow_null=True)
    measured_ms = serializers.FloatField(allow_null=True)
    quality = serializers.CharField(
        allow_blank=True, help_text="What its pictures were sent in, `JPEG 75` or `JPEG 50`; empty: as they are"
    )


class FrameUrlsSerializer(serializers.Serializer):
    picture = serializers.CharField(help_text="As it was sent")
    rendition = serializers.CharField(help_text="As people and models see it; boxes are in its pixels")
    thumbnail = serializers.CharField()
    template = serializers.CharField(allow_null=True)


class FrameSerializer(serializers.ModelSerializer):
    """Needs `Frame.objects.with_findings()`; `dispatches` come by the context, by frame id."""

    station = NamedSerializer()
    line = NamedSerializer()
    inspection = serializers.IntegerField(source="inspection_id")
    part_id = serializers.SerializerMethodField()
    state = serializers.SerializerMethodField()
    decision = serializers.SerializerMethodField()
    appearance = serializers.SerializerMethodField()
    steps = StepSerializer(many=True)
    regions = RegionSerializer(many=True, source="detections")
    reviews = ReviewSerializer(many=True)
    dispatches = serializers.SerializerMethodField(
        help_text="The last Dispatch of each Step, by its kind; left out where there was none (and in lists)"
    )
    latency_ms = serializers.SerializerMethodField(help_text="From receipt to completion")
    bit_depth = serializers.IntegerField(
        read_only=True, help_text="Bits of its values that are used; 0 where that was not certain"
    )
    urls = serializers.SerializerMethodField()

    class Meta:
        model = Frame
        fields = [
            "id", "station", "line", "inspection", "name", "part_id", "sha256", "width", "height", "bytes",
            "bit_depth", "media_type", "received_at", "captured_at", "state", "decision", "appearance", "steps",
            "regions", "reviews", "dispatches", "latency_ms", "urls",
        ]  # fmt: skip

    def get_part_id(self, frame: Frame) -> str | None:
        return frame.inspection.part_id or None

    @extend_schema_field(serializers.ChoiceField(["queued", "running", "decided", "complete"]))
    def get_state(self, frame: Frame) -> str:
        if frame.completed_at is not None:
            return "complete"
        if frame.decided_at is not None:
            return "decided"
        running = any(step.state == Step.State.RUNNING for step in frame.steps.all())
        return "running" if running else "queued"

    @extend_schema_field(DecisionSerializer(allow_null=True))
    def get_decision(self, frame: Frame) -> dict[str, Any] | None:
        decision = getattr(frame, "decision", None)
        return None if decision is None else dict(DecisionSerializer(decision).data)

    @extend_schema_field(AppearanceSerializer(allow_null=True))
    def get_appearance(self, frame: Frame) -> dict[str, Any] | None:
        appearance = getattr(frame, "appearance", None)
        return None if appearance is None else dict(AppearanceSerializer(appearance).data)

    @extend_schema_field(serializers.DictField(child=DispatchFactSerializer()))
    def get_dispatches(self, frame: Frame) -> dict[str, Any]:
        found: dict[str, Any] = self.context.get("dispatches", {})
        return found

    def get_latency_ms(self, frame: Frame) -> float | None:
        if frame.completed_at is None:
            return None
        return round((frame.completed_at - frame.received_at).total_seconds() * 1000, 1)

    @extend_schema_field(FrameUrlsSerializer())
    def get_urls(self, frame: Frame) -> dict[str, str | None]:
        # Another template is another address: a picture that a page has in hand is never taken for it.
        version = frame.station.template_sha256[:12]
        template = f"{reverse('api:station-template', args=[frame.station_id])}?v={version}"
        return {
            "picture": reverse("api:frame-picture", args=[frame.pk]),
            "rendition": reverse("api:frame-rendition", args=[frame.pk]),
            "thumbnail": reverse("api:frame-thumbnail", args=[frame.pk]),
            "template": template if frame.station.template_sha256 else None,
        }


class FrameListSerializer(serializers.Serializer):
    frames = FrameSerializer(many=True)
    next_before = serializers.UUIDField(allow_null=True, help_text="Pass as `before` for the next page")


class StationFramesSerializer(NamedSerializer):
    count = serializers.IntegerField()


class ClassFramesSerializer(DefectClassNameSerializer):
    count = serializers.IntegerField()

    class Meta(DefectClassNameSerializer.Meta):
        fields = [*DefectClassNameSerializer.Meta.fields, "count"]


class ModelFramesSerializer(NamedSerializer):
    kind = serializers.CharField()
    version = serializers.CharField()
    count = serializers.IntegerField()


class FrameCountsSerializer(serializers.Serializer):
    """Frames of each kind. A kind without any is left out."""

    total = serializers.IntegerField()
    capped = serializers.BooleanField(help_text="There are more: only the newest were counted")
    disagreements = serializers.IntegerField()
    decisions = serializers.DictField(child=serializers.IntegerField(), help_text="By outcome; `none` is undecided")
    verdicts = serializers.DictField(child=serializers.IntegerField(), help_text="Of the newest review, or `none`")
    stations = StationFramesSerializer(many=True)
    classes = ClassFramesSerializer(many=True, help_text="Frames with a region of this class that counts")
    models = ModelFramesSerializer(many=True)
