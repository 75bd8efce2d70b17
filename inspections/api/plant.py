"""REST views of sites, lines, stations and vocabularies, and of who is asking."""

from typing import Any, BinaryIO, cast

from django.db.models import QuerySet
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aivd_web.kernel.api import answers
from aivd_web.kernel.errors import AivdError, NotFound
from inspections import rules
from inspections.media import renditions, storage
from inspections.media.errors import EmptyBody
from inspections.models import DefectClass, Site, Station
from inspections.querysets import StationQuerySet
from inspections.rules import Action
from inspections.services import baselines, lines, products, stations, templates, vocabulary
from inspections.services.vocabulary import ClassName

from .frames import PICTURE_TYPES
from .media import RANGE_HEADER, media_type_of, picture_answers, send_picture
from .parsers import TEMPLATE_PARSERS
from .serializers import (
    BaselineChangeSerializer,
    BaselineSerializer,
    DefectClassSerializer,
    LineSerializer,
    MadeLineSerializer,
    MeSerializer,
    NewLineSerializer,
    NewStationSerializer,
    ProductSerializer,
    SiteSerializer,
    StationChangeSerializer,
    StationSerializer,
    TemplateFrameSerializer,
)

LINE_IDS = {"type": "integer", "format": "int64", "minimum": 0, "maximum": 10**18 - 1}
LINE = OpenApiParameter("line", LINE_IDS, description="Only of this line")


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

    @extend_schema(
        operation_id="make_line",
        summary="Make a line with its vocabulary and its first station",
        description="For superusers, and people with Django's permission to add lines.",
        request=NewLineSerializer,
        responses=answers(201, MadeLineSerializer, errors=[400, 403, 404, 409, 422]),
    )
    def post(self, request: Request) -> Response:
        by = rules.line_maker(request.user)
        body = NewLineSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        line, station = lines.make(
            site=asked["site"],
            name=asked["name"],
            classes=_classes(request, asked),
            station=asked["station"]["name"],
            product=asked["station"]["product"],
            bit_depth=asked["station"]["bit_depth"],
            by=by,
        )
        return Response(MadeLineSerializer({"line": line, "station": station}).data, status=201)


class LineStationsView(APIView):
    @extend_schema(
        operation_id="add_station",
        summary="Add a station to a line",
        request=NewStationSerializer,
        responses=answers(201, StationSerializer, errors=[400, 403, 404, 409]),
    )
    def post(self, request: Request, line_id: int) -> Response:
        line = rules.get(rules.lines, request.user, line_id, Action.CONFIGURE)
        body = NewStationSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        station = stations.add(line=line, by=request.user.username, **body.validated_data)
        return Response(StationSerializer(station).data, status=201)


class ProductsView(APIView):
    @extend_schema(
        operation_id="list_products",
        summary="What stations can look at: products that models here were trained for, with their defect classes",
        responses=answers(200, ProductSerializer(many=True)),
    )
    def get(self, request: Request) -> Response:
        allowed = rules.may_somewhere(request.user, Action.SEE) or rules.may_make_lines(request.user)
        return Response(ProductSerializer(products.known() if allowed else [], many=True).data)


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
        summary="Change product, bit depth, thresholds, deadline and description of a station",
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


class StationBaselineView(APIView):
    @extend_schema(
        operation_id="get_station_baseline",
        summary="What the station's first frames looked like, and whether they vouch for others",
        responses=answers(200, BaselineSerializer, errors=[404]),
    )
    def get(self, request: Request, station_id: int) -> Response:
        station = rules.get(rules.stations, request.user, station_id)
        return Response(BaselineSerializer(baselines.described(baselines.of(station))).data)

    @extend_schema(
        operation_id="change_station_baseline",
        summary="Confirm the station's first frames, or begin again; what was held stays held",
        request=BaselineChangeSerializer,
        responses=answers(200, BaselineSerializer, errors=[400, 403, 404, 409]),
    )
    def post(self, request: Request, station_id: int) -> Response:
        station = rules.get(rules.stations, request.user, station_id, Action.CONFIGURE)
        body = BaselineChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        act = baselines.confirm if body.validated_data["action"] == "confirm" else baselines.restart
        baseline = act(station=station, by=request.user.username)
        return Response(BaselineSerializer(baselines.described(baseline)).data)


class StationTemplateView(APIView):
    parser_classes = TEMPLATE_PARSERS

    @extend_schema(
        operation_id="get_station_template",
        summary="The station's golden template as people and models see it: upright, 8 bits, flattened",
        parameters=[RANGE_HEADER],
        responses=picture_answers(PICTURE_TYPES[:2], errors=[503]),
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

    @extend_schema(
        operation_id="set_station_template",
        summary="Give the station a golden template: a picture without defects, of the size of its frames",
        description="Send the picture as the body or as the form field `file`, or name a frame of this station as "
        "JSON. A frame must have passed, or its standing review must call it good. It is used from the next frame on.",
        request={
            "application/json": TemplateFrameSerializer,
            "image/*": OpenApiTypes.BINARY,
            "multipart/form-data": {
                "type": "object",
                "properties": {"file": {"type": "string", "format": "binary"}},
                "required": ["file"],
            },
        },
        responses=answers(200, StationSerializer, errors=[400, 403, 404, 413, 415, 422, 503]),
    )
    def put(self, request: Request, station_id: int) -> Response:
        station = rules.get(rules.stations, request.user, station_id, Action.CONFIGURE)
        kind = (request.content_type or "").lower()
        if kind.startswith("application/json"):
            self._from_frame(request, station)
        else:
            data = _form_file(request) if kind.startswith("multipart/") else cast(BinaryIO, request._request)
            templates.set_template(station=station, data=data, by=request.user.username)
        return Response(StationSerializer(rules.get(_stations, request.user, station_id)).data)

    @extend_schema(
        operation_id="clear_station_template",
        summary="Inspect without a golden template from the next frame on",
        responses=answers(200, StationSerializer, errors=[403, 404]),
    )
    def delete(self, request: Request, station_id: int) -> Response:
        station = rules.get(rules.stations, request.user, station_id, Action.CONFIGURE)
        templates.clear_template(station=station, by=request.user.username)
        return Response(StationSerializer(rules.get(_stations, request.user, station_id)).data)

    def _from_frame(self, request: Request, station: Station) -> None:
        body = TemplateFrameSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        frame = rules.get(rules.frames, request.user, body.validated_data["frame"])
        templates.set_template_from_frame(station=station, frame=frame, by=request.user.username)


def _form_file(request: Request) -> BinaryIO:
    files = [file for _, group in request.FILES.lists() for file in group]
    if len(files) != 1:
        raise EmptyBody(f"The form holds {len(files)} files.", hint="Put one picture into a field named 'file'.")
    return cast(BinaryIO, files[0].file)


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


def _classes(request: Request, asked: dict[str, Any]) -> list[ClassName]:
    """The vocabulary that was chosen for a new line. Raises NotFound for a line or a product that is not there."""
    if "classes_of_line" in asked:
        return vocabulary.of_line(rules.get(rules.lines, request.user, asked["classes_of_line"]))
    if "classes_of_product" in asked:
        wanted = asked["classes_of_product"]
        found = next((product for product in products.known() if product.name == wanted), None)
        if found is None:
            raise NotFound(f"No model here was trained for '{wanted}'.", hint="See /api/v1/products.")
        return list(found.classes)
    return [ClassName(row["name"], row["title"]) for row in asked["classes"]]


def _stations(who: rules.Principal, action: Action) -> StationQuerySet:
    return rules.stations(who, action).prefetch_related("thresholds")


def _of_line(found: "QuerySet[Any]", request: Request) -> "QuerySet[Any]":
    line = request.query_params.get("line")
    if line is None:
        return found
    if not (line.isascii() and line.isdigit() and len(line) < 19):
        raise AivdError("The parameter 'line' is not a number.", hint="Give the id of a line.")
    return found.filter(line_id=int(line))
