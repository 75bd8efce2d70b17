"""What the other files here share."""

from typing import Any

from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from inspections.models import Detection, Mark

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
