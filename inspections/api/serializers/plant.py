"""Sites, lines and their defect classes: as they are, and as a new line is asked for."""

from typing import Any

from rest_framework import serializers

from inspections.models import DefectClass, Line, Site
from inspections.services.vocabulary import MAX_CLASSES, MAX_LENGTH

from .common import NamedSerializer
from .stations import NewStationSerializer, StationSerializer


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
