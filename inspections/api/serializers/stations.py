"""A station: its settings, its golden template and its baseline."""

from typing import Any

from rest_framework import serializers

from inspections.models import BitDepth, Station, StationBaseline

from .common import NamedSerializer

MAX_THRESHOLDS = 1_000


class ThresholdSerializer(serializers.Serializer):
    defect_class = serializers.IntegerField(
        source="defect_class_id", min_value=1, max_value=2**63 - 1, help_text="Id of the DefectClass"
    )
    min_score = serializers.FloatField(min_value=0, max_value=1)


class StationSerializer(serializers.ModelSerializer):
    line = NamedSerializer()
    thresholds = ThresholdSerializer(many=True)
    has_template = serializers.SerializerMethodField()

    class Meta:
        model = Station
        fields = [
            "id", "name", "line", "product", "bit_depth", "deadline_ms", "min_score", "context_ratio", "describe",
            "max_regions", "describe_within_ms", "ladder", "sure_regions", "admission", "thresholds", "has_template",
        ]  # fmt: skip

    def get_has_template(self, station: Station) -> bool:
        return bool(station.template_sha256)


class BaselineSerializer(serializers.Serializer):
    """What a station's first frames looked like, and whether they vouch for others."""

    state = serializers.ChoiceField(StationBaseline.State.choices)
    collected = serializers.IntegerField(help_text="How many of the first frames were measured")
    wanted = serializers.IntegerField(help_text="So many are collected")
    limit = serializers.FloatField(allow_null=True, help_text="Up to this distance a frame is like them")
    confirmed_by = serializers.CharField(allow_blank=True)


class BaselineChangeSerializer(serializers.Serializer):
    action = serializers.ChoiceField(
        [("confirm", "they show the right product"), ("restart", "forget them and collect anew")]
    )


class ProductNameField(serializers.RegexField):
    """What a station looks at, as models name it: `bare-pcb` for example. Empty: nobody has chosen yet."""

    def __init__(self, **kwargs: Any) -> None:
        message = "Use letters, digits, '-', '_' and '.', at most 40, beginning with a letter or digit."
        limits: dict[str, Any] = {"allow_blank": True, "max_length": 40, "error_messages": {"invalid": message}}
        super().__init__(r"^[A-Za-z0-9][A-Za-z0-9_.-]*\Z", **(limits | kwargs))


class NewStationSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=100)
    product = ProductNameField(default="")
    bit_depth = serializers.ChoiceField(BitDepth.choices, default=BitDepth.AUTO)


class StationChangeSerializer(serializers.Serializer):
    """What an engineer may change; what is left out stays as it is, `thresholds` are replaced as a whole."""

    product = ProductNameField(required=False)
    bit_depth = serializers.ChoiceField(BitDepth.choices, required=False)
    deadline_ms = serializers.IntegerField(required=False, min_value=100, max_value=3_600_000)
    min_score = serializers.FloatField(required=False, min_value=0, max_value=1)
    context_ratio = serializers.FloatField(required=False, min_value=1, max_value=4)
    describe = serializers.BooleanField(required=False)
    max_regions = serializers.IntegerField(required=False, min_value=1, max_value=64)
    describe_within_ms = serializers.IntegerField(required=False, min_value=100, max_value=86_400_000)
    ladder = serializers.BooleanField(required=False, help_text="Lower picture quality where a link is too slow")
    sure_regions = serializers.ChoiceField(Station.SureRegions.choices, required=False)
    admission = serializers.BooleanField(
        required=False, help_text="Answer 429 to a frame that is foreseen to be decided after its deadline"
    )
    thresholds = ThresholdSerializer(many=True, required=False, max_length=MAX_THRESHOLDS)  # type: ignore[call-arg]


class TemplateFrameSerializer(serializers.Serializer):
    frame = serializers.UUIDField(help_text="A frame of this station without a defect")
