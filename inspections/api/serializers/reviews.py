"""What people said of a frame, and what they may send."""

from typing import Any

from rest_framework import serializers

from inspections.models import Mark, Review
from inspections.services import judgement

from .common import BoxField

MOST_PIXELS = 1_000_000


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
