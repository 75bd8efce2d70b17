"""REST of what the ladder and the skip have saved at the stations that one may see."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aivd_web.kernel.api import answers
from inspections import rules
from inspections.services.savings import savings


class SavingsQuery(serializers.Serializer):
    minutes = serializers.FloatField(default=60, min_value=0.1, max_value=24 * 60)


class LadderSavingsSerializer(serializers.Serializer):
    requests = serializers.IntegerField(help_text="Sent as JPEG of a lower quality, and answered")
    bytes = serializers.IntegerField(help_text="Less than at full quality")
    by_quality = serializers.DictField(child=serializers.IntegerField(), help_text="Requests of each rung")


class SkippedSavingsSerializer(serializers.Serializer):
    """Estimated by what described regions of the same stations took."""

    regions = serializers.IntegerField(help_text="Left undescribed, because the edge is sure of them")
    bytes = serializers.IntegerField()
    tokens = serializers.IntegerField()
    seconds = serializers.FloatField(help_text="Of a describer's time")


class SavingsSerializer(serializers.Serializer):
    minutes = serializers.FloatField()
    ladder = LadderSavingsSerializer()
    skipped = SkippedSavingsSerializer()


class SavingsView(APIView):
    @extend_schema(
        operation_id="get_savings",
        summary="What lower quality and skipped descriptions saved the links and the cloud",
        parameters=[SavingsQuery],
        responses=answers(200, SavingsSerializer, errors=[400]),
    )
    def get(self, request: Request) -> Response:
        query = SavingsQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        stations = rules.stations(request.user).values_list("pk", flat=True)
        return Response(SavingsSerializer(savings(minutes=query.validated_data["minutes"], stations=stations)).data)
