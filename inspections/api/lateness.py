"""REST of the one figure that a plant asks for first: how many frames came too late."""

from datetime import timedelta

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aivd_web.kernel.api import answers
from aivd_web.kernel.database import database_now
from inspections import rules

MINUTES = 60


class LatenessSerializer(serializers.Serializer):
    minutes = serializers.IntegerField()
    received = serializers.IntegerField(help_text="Frames received in that time on lines that you may see")
    late = serializers.IntegerField(help_text="Those of them that were held because no decision came in time")


class LatenessView(APIView):
    @extend_schema(
        operation_id="get_lateness",
        summary="Frames of the last hour, and how many of them had no decision in time",
        responses=answers(200, LatenessSerializer),
    )
    def get(self, request: Request) -> Response:
        recent = rules.frames(request.user).received_since(database_now() - timedelta(minutes=MINUTES))
        counts = {"minutes": MINUTES, "received": recent.count(), "late": recent.late().count()}
        return Response(LatenessSerializer(counts).data)
