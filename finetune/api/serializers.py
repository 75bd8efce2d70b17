"""The JSON of datasets, runs and models. Reads rows, writes none."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from finetune.datasets.formats import FORMATS
from finetune.models import (
    DatasetVersion,
    FineTuneRun,
    ImportJob,
    ImportTrouble,
    ModelVersion,
    RunEvent,
    RunPreview,
    State,
)
from finetune.models.registry import ModelKind
from finetune.models.run import Kind
from finetune.runs import gates
from inspections.api.serializers import NamedSerializer, ProductNameField

MOST_ID = 2**63 - 1
MOST_SEED = 2**31 - 1
TROUBLES_SHOWN = 200


class LineQuery(serializers.Serializer):
    line = serializers.IntegerField(required=False, min_value=1, max_value=MOST_ID, help_text="Only of this line")


# -- datasets ---------------------------------------------------------------------------------------


class LabelledClassSerializer(serializers.Serializer):
    name = serializers.CharField(source="regions__defect_class__name")
    title = serializers.CharField(source="regions__defect_class__title")
    regions = serializers.IntegerField(source="regions_count")
    frames = serializers.IntegerField(source="items_count")


class DatasetVersionSerializer(serializers.ModelSerializer):
    counts = serializers.JSONField(help_text="By split: frames, without_defects, regions by class")
    classes = serializers.ListField(child=serializers.CharField())
    notes = serializers.ListField(child=serializers.CharField())

    class Meta:
        model = DatasetVersion
        fields = ["id", "number", "digest", "seed", "classes", "counts", "notes", "sealed_by", "sealed_at"]


class ImportTroubleSerializer(serializers.ModelSerializer):
    class Meta:
        model = ImportTrouble
        fields = ["code", "file", "line", "entry", "detail", "hint"]


class ImportSerializer(serializers.ModelSerializer):
    state = serializers.ChoiceField(State.choices)
    dataset = serializers.IntegerField(source="dataset_id")

    class Meta:
        model = ImportJob
        fields = [
            "id", "dataset", "format", "source", "state", "wish", "total", "done", "taken", "troubles_count",
            "error_code", "error_detail", "error_hint", "created_by", "created_at", "finished_at",
        ]  # fmt: skip


class ImportWithTroublesSerializer(ImportSerializer):
    troubles = serializers.SerializerMethodField(help_text=f"The first {TROUBLES_SHOWN}")

    class Meta(ImportSerializer.Meta):
        fields = [*ImportSerializer.Meta.fields, "troubles"]

    @extend_schema_field(ImportTroubleSerializer(many=True))
    def get_troubles(self, job: ImportJob) -> list[dict[str, Any]]:
        return list(ImportTroubleSerializer(job.troubles.all()[:TROUBLES_SHOWN], many=True).data)


class DatasetSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    line = NamedSerializer()
    name = serializers.CharField()
    product = serializers.CharField()
    frames = serializers.IntegerField(source="items_count")
    versions = serializers.IntegerField(source="versions_count")
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()


class WholeDatasetSerializer(serializers.Serializer):
    id = serializers.IntegerField()
    line = NamedSerializer()
    name = serializers.CharField()
    product = serializers.CharField()
    frames = serializers.IntegerField()
    without_defects = serializers.IntegerField()
    classes = LabelledClassSerializer(many=True)
    stated_splits = serializers.DictField(child=serializers.IntegerField())
    corrections = serializers.IntegerField(help_text="Frames called wrong since it was last sealed")
    imports = ImportSerializer(many=True)
    versions = DatasetVersionSerializer(many=True)


class NewDatasetSerializer(serializers.Serializer):
    line = serializers.IntegerField(min_value=1, max_value=MOST_ID)
    name = serializers.CharField(max_length=100)
    product = ProductNameField(default="")


class ImportQuery(serializers.Serializer):
    """How the archive is to be read."""

    format = serializers.ChoiceField([(each.name, each.title) for each in FORMATS.values()])
    name = serializers.CharField(max_length=200, default="archive.zip", help_text="What people are to read")
    unlabelled = serializers.ChoiceField(
        [("good", "they show no defect"), ("skip", "leave them out")],
        required=False,
        help_text="Pictures that no label speaks of; left out: as the format has it",
    )
    add_classes = serializers.BooleanField(default=False, help_text="Names that the line does not know become classes")
    group = serializers.CharField(
        max_length=200, default="", allow_blank=True, help_text="A pattern whose bracket is what stays in one split"
    )


class AddedSerializer(serializers.Serializer):
    changed = serializers.IntegerField(help_text="Frames that are new or changed in the dataset")


class SealSerializer(serializers.Serializer):
    seed = serializers.IntegerField(default=0, min_value=0, max_value=MOST_SEED)
    keep_stated = serializers.BooleanField(default=True, help_text="Keep the splits that the sources state")
    accept_gaps = serializers.BooleanField(default=False, help_text="Seal although a class lacks samples in a split")


# -- runs -------------------------------------------------------------------------------------------


class SettingSerializer(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    default = serializers.JSONField()
    least = serializers.FloatField()
    most = serializers.FloatField()
    whole = serializers.BooleanField()
    choices = serializers.ListField(child=serializers.CharField())
    about = serializers.CharField()


class RunKindSerializer(serializers.Serializer):
    name = serializers.ChoiceField(Kind.choices)
    title = serializers.CharField()
    base = serializers.CharField()
    settings = SettingSerializer(many=True)
    previews = serializers.BooleanField(help_text="Whether it can be shown before the launch what it would train on")


class RunSerializer(serializers.ModelSerializer):
    line = NamedSerializer()
    state = serializers.ChoiceField(State.choices)
    kind = serializers.ChoiceField(Kind.choices)
    title = serializers.SerializerMethodField()
    dataset = serializers.CharField(source="version.dataset.name")
    version = serializers.IntegerField(source="version.number")
    settings = serializers.DictField(child=serializers.JSONField())
    report = serializers.JSONField(allow_null=True, help_text="In short; the whole is at /report")
    place = serializers.SerializerMethodField(help_text="In the queue of all lines, from 1; null: it does not wait")

    class Meta:
        model = FineTuneRun
        fields = [
            "id", "line", "title", "kind", "state", "wish", "dataset", "version", "base", "seed", "settings", "step",
            "steps", "place", "eta_s", "events_seq", "attempts", "error_code", "error_detail", "error_hint", "report",
            "created_by", "created_at", "started_at", "finished_at",
        ]  # fmt: skip

    def get_title(self, run: FineTuneRun) -> str:
        return str(run)

    @extend_schema_field(serializers.IntegerField(allow_null=True))
    def get_place(self, run: FineTuneRun) -> int | None:
        return run.ahead() + 1 if run.state == State.QUEUED else None


class NewRunSerializer(serializers.Serializer):
    version = serializers.IntegerField(min_value=1, max_value=MOST_ID, help_text="Id of the sealed version")
    kind = serializers.ChoiceField(Kind.choices)
    name = serializers.CharField(max_length=100, default="", allow_blank=True)
    seed = serializers.IntegerField(default=0, min_value=0, max_value=MOST_SEED)
    settings = serializers.DictField(child=serializers.JSONField(), default=dict)


class NewPreviewSerializer(serializers.Serializer):
    version = serializers.IntegerField(min_value=1, max_value=MOST_ID, help_text="Id of the sealed version")
    kind = serializers.ChoiceField(Kind.choices)
    seed = serializers.IntegerField(default=0, min_value=0, max_value=MOST_SEED)
    settings = serializers.DictField(child=serializers.JSONField(), default=dict)


class PreviewSerializer(serializers.ModelSerializer):
    state = serializers.ChoiceField(State.choices)
    shown = serializers.JSONField(allow_null=True, help_text="{estimate, places, crops: [{picture, question, ...}]}")

    class Meta:
        model = RunPreview
        fields = ["id", "version", "kind", "state", "progress", "shown", "error_code", "error_detail", "error_hint"]


class CorrectionsSerializer(serializers.Serializer):
    line = NamedSerializer()
    corrections = serializers.IntegerField(help_text="Frames called wrong since what the version was trained on")
    version = serializers.IntegerField(allow_null=True, help_text="Number of the line's newest adapter, if any")


class GateThresholdSerializer(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField()
    at_least = serializers.BooleanField(help_text="Otherwise at most")
    site = serializers.FloatField()
    threshold = serializers.FloatField(help_text="What holds for the line")


class NewThresholdsSerializer(serializers.Serializer):
    thresholds = serializers.DictField(child=serializers.JSONField(), help_text="By name; left out: the site's")


class RunEventSerializer(serializers.ModelSerializer):
    data = serializers.DictField(child=serializers.JSONField())  # type: ignore[assignment]  # as above

    class Meta:
        model = RunEvent
        fields = ["seq", "type", "level", "data", "at"]


class RunEventsQuery(serializers.Serializer):
    after = serializers.IntegerField(default=0, min_value=0, max_value=2**31 - 1, help_text="Only later ones")
    limit = serializers.IntegerField(default=500, min_value=1, max_value=2000)


# -- registry ---------------------------------------------------------------------------------------


class GateSerializer(serializers.Serializer):
    name = serializers.CharField()
    title = serializers.CharField(required=False)
    passed = serializers.BooleanField()
    figure = serializers.FloatField(required=False)
    threshold = serializers.FloatField(required=False)
    detail = serializers.CharField(required=False)


class ModelVersionSerializer(serializers.ModelSerializer):
    line = NamedSerializer()
    kind = serializers.ChoiceField(ModelKind.choices)
    run = serializers.UUIDField(source="run_id", allow_null=True)
    dataset = serializers.CharField(source="version", allow_null=True)
    classes = serializers.ListField(child=serializers.CharField())
    metrics = serializers.DictField(child=serializers.JSONField())
    gates = serializers.SerializerMethodField(help_text="By the thresholds of now")
    passed = serializers.SerializerMethodField()
    serves = serializers.BooleanField(read_only=True)
    in_shadow = serializers.BooleanField(read_only=True)

    class Meta:
        model = ModelVersion
        fields = [
            "id", "line", "kind", "number", "digest", "format", "bytes", "run", "dataset", "base", "base_digest",
            "classes", "metrics", "gates", "passed", "serves", "in_shadow", "registered_by", "registered_at",
        ]  # fmt: skip

    @extend_schema_field(GateSerializer(many=True))
    def get_gates(self, version: ModelVersion) -> list[dict[str, Any]]:
        return list(GateSerializer(gates.of(version), many=True).data)

    def get_passed(self, version: ModelVersion) -> bool:
        return gates.passed(version)


class ReasonSerializer(serializers.Serializer):
    reason = serializers.CharField(max_length=1000, default="", allow_blank=True)


class RollBackSerializer(ReasonSerializer):
    kind = serializers.ChoiceField(ModelKind.choices)


class ServingSerializer(serializers.Serializer):
    line = serializers.IntegerField(source="line_id")
    kind = serializers.ChoiceField(ModelKind.choices)
    version = serializers.IntegerField(source="version_id", allow_null=True, help_text="Null: the nodes' own model")
    digest = serializers.CharField(source="version.digest", default="")


class ShadowSerializer(serializers.Serializer):
    share = serializers.FloatField(min_value=0.001, max_value=1, help_text="Of the live crops")


class ShadowTrialSerializer(serializers.Serializer):
    version = serializers.IntegerField(source="version_id")
    share = serializers.FloatField()
    started_at = serializers.DateTimeField()
    ended_at = serializers.DateTimeField(allow_null=True)


class DisagreementSerializer(serializers.Serializer):
    """A region that the version in the shadow calls otherwise than the one that serves. Machine text, untrusted."""

    frame = serializers.UUIDField(source="detection.frame_id")
    region = serializers.UUIDField(source="detection_id")
    detector_class = serializers.CharField(source="detection.defect_class.name")
    live_class = serializers.CharField(source="live", allow_null=True, help_text="Null: its answer fits no schema")
    shadow_class = serializers.CharField(source="said", allow_null=True, help_text="Null: its answer fits no schema")
    live_digest = serializers.CharField(source="detection.description.served_model.digest")
    at = serializers.DateTimeField(source="created_at")


class ShadowReportSerializer(serializers.Serializer):
    trial = ShadowTrialSerializer(allow_null=True, help_text="The newest one of this version")
    seen = serializers.IntegerField(help_text="Regions that both have described, in all trials of this version")
    agreed = serializers.IntegerField(help_text="Of these, so many by the same class")
    latency_ms = serializers.FloatField(allow_null=True, help_text="Mean, of the version in the shadow")
    live_latency_ms = serializers.FloatField(allow_null=True, help_text="Mean, of the one that served")
    disagreements = DisagreementSerializer(many=True, help_text="The newest 50")
