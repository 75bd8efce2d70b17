"""REST of the demo line: start it, stop it, ask how it stands. Its pictures come in by the stream like any other's."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aivd_web.kernel.api import answers, checked
from inspections import rules
from inspections.rules import Action

from . import services


class DemoChangeSerializer(serializers.Serializer):
    action = serializers.ChoiceField(["start", "stop"])
    boards_per_s = serializers.FloatField(default=1.0, min_value=0.01, max_value=services.MAX_BOARDS_PER_S)
    count = serializers.IntegerField(default=100, min_value=1, max_value=services.MAX_BOARDS)


class DemoSerializer(serializers.Serializer):
    state = serializers.ChoiceField(["none", "queued", "running", "succeeded", "failed", "cancelled"])
    running = serializers.SerializerMethodField()
    boards_per_s = serializers.FloatField()
    count = serializers.IntegerField()
    sent = serializers.IntegerField()
    accepted = serializers.IntegerField()
    refused = serializers.IntegerField()
    error = serializers.CharField(allow_blank=True)

    def get_running(self, status: dict[str, object]) -> bool:
        return status["state"] in ("queued", "running")


class DemoView(APIView):
    @extend_schema(
        operation_id="get_demo",
        summary="How the demo line at this station stands",
        responses=answers(200, DemoSerializer, errors=[404]),
    )
    def get(self, request: Request, station_id: int) -> Response:
        station = rules.get(rules.stations, request.user, station_id)
        return Response(DemoSerializer(services.status(station=station)).data)

    @extend_schema(
        operation_id="control_demo",
        summary="Start or stop the demo line at this station",
        request=DemoChangeSerializer,
        responses=answers(200, DemoSerializer, errors=[400, 403, 404, 409, 422]),
    )
    def post(self, request: Request, station_id: int) -> Response:
        station = rules.get(rules.stations, request.user, station_id, Action.RUN_DEMO)
        asked = checked(DemoChangeSerializer, request.data)
        if asked["action"] == "start":
            services.start(station=station, boards_per_s=asked["boards_per_s"], count=asked["count"], by=request.user)
        else:
            services.stop(station=station, by=request.user)
        return Response(DemoSerializer(services.status(station=station)).data)
