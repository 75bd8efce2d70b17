"""REST views of a station's baseline: how far its first hundred frames are, to confirm them, to begin anew."""

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aivd_web.kernel.api import answers
from inspections import rules
from inspections.models import Station
from inspections.rules import Action
from inspections.services import baselines


class BaselineSerializer(serializers.Serializer):
    frames = serializers.IntegerField(min_value=0, max_value=baselines.FIRST_FRAMES)
    needed = serializers.IntegerField(min_value=1, max_value=baselines.FIRST_FRAMES)
    is_set = serializers.BooleanField(help_text="New frames are compared with it")


def _json(station: Station) -> dict[str, object]:
    return {
        "frames": baselines.progress(station),
        "needed": baselines.FIRST_FRAMES,
        "is_set": station.baseline is not None,
    }


class StationBaselineView(APIView):
    @extend_schema(
        operation_id="get_station_baseline",
        summary="How many of the station's first hundred frames are there, and whether they are its baseline",
        responses=answers(200, BaselineSerializer, errors=[404]),
    )
    def get(self, request: Request, station_id: int) -> Response:
        return Response(_json(rules.get(rules.stations, request.user, station_id)))

    @extend_schema(
        operation_id="confirm_station_baseline",
        summary="Say that the latest hundred frames show the part as it should look",
        request=None,
        responses=answers(200, BaselineSerializer, errors=[403, 404, 409]),
    )
    def put(self, request: Request, station_id: int) -> Response:
        station = rules.get(rules.stations, request.user, station_id, Action.CONFIGURE)
        return Response(_json(baselines.confirm(station=station, by=request.user.username)))

    @extend_schema(
        operation_id="forget_station_baseline",
        summary="Begin anew with the next hundred frames: the camera was moved, or the light is another",
        request=None,
        responses=answers(200, BaselineSerializer, errors=[403, 404]),
    )
    def delete(self, request: Request, station_id: int) -> Response:
        station = rules.get(rules.stations, request.user, station_id, Action.CONFIGURE)
        return Response(_json(baselines.begin_anew(station=station, by=request.user.username)))
