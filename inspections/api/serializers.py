"""The JSON of the inspections API, as clients and the front end read it. Reads rows, writes none."""

from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from inspections.models import (
    BitDepth,
    Decision,
    DefectClass,
    Description,
    Detection,
    Frame,
    FrameAppearance,
    Line,
    Mark,
    Review,
    Site,
    Station,
    StationBaseline,
    Step,
)
from inspections.pipeline.stages import STAGES
from inspections.pipeline.stages.describe import DescribeStage
from inspections.pipeline.stages.describe_sure import DescribeSureStage
from inspections.services import judgement
from inspections.services.vocabulary import MAX_CLASSES, MAX_LENGTH
from scheduling.client.addresses import without_addresses

MAX_THRESHOLDS = 1_000
MOST_PIXELS = 1_000_000
BOX: Any = serializers.ListSerializer(child=serializers.FloatField(), min_length=4, max_length=4)


@extend_schema_field(BOX)
class BoxField(serializers.Field):
    """x1, y1, x2, y2 in pixels of the stored frame, of any row that has these columns."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(source="*", read_only=True, **kwargs)

    def to_representation(self, row: Detection | Mark) -> list[float]:
        return [row.x1, row.y1, row.x2, row.y2]


class NamedSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()


# -- plant ------------------------------------------------------------------------------------------


class SiteSerializer(serializers.ModelSerializer):
    class Meta:
        model = Site
        fields = ["id", "name", "timezone"]


class LineSerializer(serializers.ModelSerializer):
    site = NamedSerializer()
    policy = serializers.CharField()

    class Meta:
        model = Line
        fields = ["id", "name", "site", "policy", "is_demo"]


class DefectClassSerializer(serializers.ModelSerializer):
    line = NamedSerializer()

    class Meta:
        model = DefectClass
        fields = ["id", "line", "name", "title", "colour_index", "position"]


class DefectClassNameSerializer(serializers.ModelSerializer):
    class Meta:
        model = DefectClass
        fields = ["id", "name", "title", "colour_index"]


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


class ClassNameSerializer(serializers.Serializer):
    name = serializers.CharField(max_length=MAX_LENGTH, help_text="As the detector names it")
    title = serializers.CharField(
        max_length=MAX_LENGTH, allow_blank=True, default="", help_text="As people read it; empty: made from the name"
    )


class ProductSerializer(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    classes = ClassNameSerializer(many=True)
    served = serializers.BooleanField(help_text="A model that is on a node now was trained for it")


class NewLineSerializer(serializers.Serializer):
    """A line, its site and its first station. Its classes are chosen in one of three ways."""

    site = serializers.CharField(max_length=100, help_text="The plant; made where there is none of this name")
    name = serializers.CharField(max_length=100)
    classes_of_product = serializers.CharField(max_length=40, required=False)
    classes_of_line = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    classes = ClassNameSerializer(many=True, required=False, max_length=MAX_CLASSES)  # type: ignore[call-arg]
    station = NewStationSerializer()

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        chosen = [name for name in ("classes_of_product", "classes_of_line", "classes") if name in values]
        if len(chosen) != 1:
            raise serializers.ValidationError(
                {"classes": ["Choose them once: of a product, of another line, or as a list."]}
            )
        return values


class MadeLineSerializer(serializers.Serializer):
    line = LineSerializer()
    station = StationSerializer()


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


# -- a frame ----------------------------------------------------------------------------------------


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


class MarkSerializer(serializers.ModelSerializer):
    detection = serializers.UUIDField(source="detection_id", allow_null=True)
    defect_class = serializers.IntegerField(source="defect_class_id")
    box_xyxy = BoxField()

    class Meta:
        model = Mark
        fields = ["id", "detection", "defect_class", "box_xyxy", "from_model"]


class ReviewSerializer(serializers.ModelSerializer):
    reviewer = serializers.CharField(source="reviewer.username")
    part = serializers.ChoiceField([*Review.Part.choices, ("", "")], help_text="Empty where nothing was said of it")
    at = serializers.DateTimeField(source="created_at")
    marks = MarkSerializer(many=True)
    stands = serializers.SerializerMethodField(help_text="The latest review of the frame is the one that stands")
    contradicts = serializers.SerializerMethodField(help_text="Others whose last word says the opposite of the part")

    class Meta:
        model = Review
        fields = ["id", "reviewer", "verdict", "part", "note", "at", "marks", "stands", "contradicts"]

    def get_stands(self, review: Review) -> bool:
        return judgement.standing(review.frame.reviews.all()) == review

    def get_contradicts(self, review: Review) -> list[str]:
        return [one.reviewer.username for one in judgement.contradicted_by(review, review.frame.reviews.all())]


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


class MarkChangeSerializer(serializers.Serializer):
    detection = serializers.UUIDField(allow_null=True, default=None, help_text="The Region it confirms or corrects")
    defect_class = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    box_xyxy = serializers.ListField(
        child=serializers.FloatField(min_value=-MOST_PIXELS, max_value=MOST_PIXELS), min_length=4, max_length=4
    )
    restored = serializers.BooleanField(
        default=False, help_text="The Region did not reach its threshold, and the person says it is a defect"
    )


class ReviewChangeSerializer(serializers.Serializer):
    """Say what the part is (`part`), or what the machine's decision is worth (`verdict`); the other one follows."""

    verdict = serializers.ChoiceField(Review.Verdict.choices, required=False)
    part = serializers.ChoiceField(Review.Part.choices, required=False)
    note = serializers.CharField(allow_blank=True, default="", max_length=2000)
    marks = MarkChangeSerializer(many=True, default=list, max_length=1000)  # type: ignore[call-arg]

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        if "verdict" not in values and "part" not in values:
            raise serializers.ValidationError({"part": ["Say what the part is, or give a verdict."]})
        return values


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


# -- taking in --------------------------------------------------------------------------------------


class StoredFrameSerializer(serializers.ModelSerializer):
    created = serializers.BooleanField(help_text="False where an earlier request with this key had stored it")

    class Meta:
        model = Frame
        fields = ["id", "name", "sha256", "width", "height", "bytes", "media_type", "received_at", "created"]


class RejectedSerializer(serializers.Serializer):
    name = serializers.CharField(allow_blank=True)
    code = serializers.CharField()
    detail = serializers.CharField()
    hint = serializers.CharField(allow_blank=True)
    retry_after_s = serializers.IntegerField(required=False)


class UploadedSerializer(serializers.Serializer):
    frames = StoredFrameSerializer(many=True)
    rejected = RejectedSerializer(many=True)


# -- people -----------------------------------------------------------------------------------------


class RoleSerializer(serializers.Serializer):
    line = serializers.IntegerField()
    role = serializers.ChoiceField(["viewer", "inspector", "engineer", "admin"])


class AbilitiesSerializer(serializers.Serializer):
    """What one may do on at least one line; each request is still checked for its own line."""

    see = serializers.BooleanField()
    upload = serializers.BooleanField()
    review = serializers.BooleanField()
    retry = serializers.BooleanField()
    run_demo = serializers.BooleanField()
    configure = serializers.BooleanField()
    train = serializers.BooleanField()
    manage_fleet = serializers.BooleanField()
    manage_access = serializers.BooleanField()


class MeSerializer(serializers.Serializer):
    username = serializers.CharField()
    roles = RoleSerializer(many=True)
    can = AbilitiesSerializer()
