"""REST views of sites, lines, stations and vocabularies, and of who is asking."""

from typing import Any

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aivd_web.kernel.api import answers
from aivd_web.kernel.errors import AivdError, NotFound
from inspections import rules
from inspections.models import DefectClass, Site
from inspections.querysets import StationQuerySet
from inspections.rules import Action
from inspections.services import renditions, stations, storage

from .frames import PICTURE_TYPES
from .media import media_type_of, send_picture
from .serializers import (
    DefectClassSerializer,
    LineSerializer,
    MeSerializer,
    SiteSerializer,
    StationChangeSerializer,
    StationSerializer,
)

LINE = OpenApiParameter("line", int, description="Only of this line")


class MeView(APIView):
    @extend_schema(
        operation_id="get_me", summary="Who you are and what you may do", responses=answers(200, MeSerializer)
    )
    def get(self, request: Request) -> Response:
        roles = [{"line": line, "role": role} for line, role in rules.roles(request.user)]
        me = {"username": request.user.username, "roles": roles, "can": rules.abilities(request.user)}
        return Response(MeSerializer(me).data)


class SitesView(APIView):
    @extend_schema(
        operation_id="list_sites",
        summary="Plants with a line that you may see",
        responses=answers(200, SiteSerializer(many=True)),
    )
    def get(self, request: Request) -> Response:
        sites = Site.objects.filter(pk__in=rules.lines(request.user).values("site"))
        return Response(SiteSerializer(sites, many=True).data)


class LinesView(APIView):
    @extend_schema(
        operation_id="list_lines",
        summary="Lines that you may see",
        responses=answers(200, LineSerializer(many=True)),
    )
    def get(self, request: Request) -> Response:
        return Response(LineSerializer(rules.lines(request.user).select_related("site"), many=True).data)


class StationsView(APIView):
    @extend_schema(
        operation_id="list_stations",
        summary="Stations that you may see",
        parameters=[LINE],
        responses=answers(200, StationSerializer(many=True), errors=[400]),
    )
    def get(self, request: Request) -> Response:
        found = _of_line(_stations(request.user, Action.SEE), request)
        return Response(StationSerializer(found, many=True).data)


class StationView(APIView):
    @extend_schema(
        operation_id="get_station", summary="A station", responses=answers(200, StationSerializer, errors=[404])
    )
    def get(self, request: Request, station_id: int) -> Response:
        return Response(StationSerializer(rules.get(_stations, request.user, station_id)).data)

    @extend_schema(
        operation_id="configure_station",
        summary="Change thresholds, deadline and description of a station",
        request=StationChangeSerializer,
        responses=answers(200, StationSerializer, errors=[400, 403, 404, 422]),
    )
    def patch(self, request: Request, station_id: int) -> Response:
        station = rules.get(rules.stations, request.user, station_id, Action.CONFIGURE)
        body = StationChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        changes = dict(body.validated_data)
        sent = changes.pop("thresholds", None)
        thresholds = None if sent is None else {row["defect_class_id"]: row["min_score"] for row in sent}
        stations.configure(station=station, by=request.user.username, changes=changes, thresholds=thresholds)
        return Response(StationSerializer(rules.get(_stations, request.user, station_id)).data)


class StationTemplateView(APIView):
    @extend_schema(
        operation_id="get_station_template",
        summary="The station's golden template as people and models see it: upright, 8 bits, flattened",
        responses=answers(200, OpenApiTypes.BINARY, errors=[404, 503])
        | {(200, media_type): OpenApiTypes.BINARY for media_type in PICTURE_TYPES[:2]},
    )
    def get(self, request: Request, station_id: int) -> Any:
        station = rules.get(rules.stations, request.user, station_id)
        path = storage.template_path(station)
        if path is None or not path.exists():
            raise NotFound("This station has no golden template.", hint="An engineer can add one.")
        try:
            path = renditions.template_shown_path(station)
        except renditions.BadMedia as bad:
            raise NotFound(str(bad), hint="Set the station's bit depth, or another template.") from None
        return send_picture(
            request._request,
            path=path,
            media_type=media_type_of(path),
            etag=f"{station.template_sha256}-{station.bit_depth}",
            name=f"template-{station.pk}",
        )


class DefectClassesView(APIView):
    @extend_schema(
        operation_id="list_defect_classes",
        summary="The defect vocabulary",
        parameters=[LINE],
        responses=answers(200, DefectClassSerializer(many=True), errors=[400]),
    )
    def get(self, request: Request) -> Response:
        found = _of_line(DefectClass.objects.filter(line__in=rules.lines(request.user)), request)
        return Response(DefectClassSerializer(found.select_related("line"), many=True).data)


def _stations(who: rules.Principal, action: Action) -> StationQuerySet:
    return rules.stations(who, action).prefetch_related("thresholds")


def _of_line(found: "QuerySet[Any]", request: Request) -> "QuerySet[Any]":
    line = request.query_params.get("line")
    if line is None:
        return found
    if not (line.isascii() and line.isdigit() and len(line) < 19):
        raise AivdError("The parameter 'line' is not a number.", hint="Give the id of a line.")
    return found.filter(line_id=int(line))
