"""REST views of the fleet. Who may look or act is asked by permission name; roles are not known here."""

import rules
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aivd_web.kernel.api import answers, checked
from aivd_web.kernel.errors import Forbidden, NotFound
from scheduling.models import Dispatch, Node
from scheduling.services import fleet, scopes
from scheduling.services.accuracy import accuracy

from .serializers import (
    AccuracySerializer,
    DispatchSerializer,
    FleetSummarySerializer,
    NodeSerializer,
    shown_dispatches,
)

SEE, MANAGE = scopes.SEE, scopes.MANAGE
NODE_NAME = {"type": "string", "maxLength": 50, "pattern": "^[-a-zA-Z0-9_]+$"}
SITE_ROLE = "The nodes work for every line: it takes a role of the whole site, which whoever runs this AIVD gives."


class MaySeeFleet(BasePermission):
    """404 to whoever has no role anywhere; 403 to whoever may look but not act."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not request.user.is_authenticated:
            return False
        if not rules.has_perm(SEE, request.user):
            raise NotFound("There is nothing here, or nothing that you may see.")
        if request.method != "GET" and not rules.has_perm(MANAGE, request.user):
            raise Forbidden("You may see the fleet, but your role does not allow you to manage it.", hint=SITE_ROLE)
        return True


class DispatchQuery(serializers.Serializer):
    limit = serializers.IntegerField(default=50, min_value=1, max_value=500)


class AccuracyQuery(serializers.Serializer):
    minutes = serializers.FloatField(default=15, min_value=0.1, max_value=24 * 60)


class NodesView(APIView):
    permission_classes = [MaySeeFleet]

    @extend_schema(
        operation_id="list_nodes",
        summary="Every node: state, models, load and link as the workers see them now",
        responses=answers(200, NodeSerializer(many=True), errors=[404]),
    )
    def get(self, request: Request) -> Response:
        return Response(fleet.snapshot(addresses=rules.has_perm(MANAGE, request.user)))


class FleetView(APIView):
    permission_classes = [MaySeeFleet]

    @extend_schema(
        operation_id="get_fleet",
        summary="The fleet as a whole: its live workers, and the hints that were dropped",
        responses=answers(200, FleetSummarySerializer, errors=[404]),
    )
    def get(self, request: Request) -> Response:
        return Response(FleetSummarySerializer(fleet.summary()).data)


class DrainView(APIView):
    """`draining` comes from the URL: drain or undrain."""

    permission_classes = [MaySeeFleet]
    draining = True

    @extend_schema(
        parameters=[OpenApiParameter("name", NODE_NAME, OpenApiParameter.PATH)],
        request=None,
        summary="Take a node out of rotation, or back in",
        responses=answers(200, NodeSerializer, errors=[403, 404]),
    )
    def post(self, request: Request, name: str) -> Response:
        node = Node.objects.filter(name=name).first()
        if node is None:
            raise NotFound(f"There is no node '{name[:50]}'.", hint="See /api/v1/nodes for their names.")
        fleet.set_draining(node=node, draining=self.draining, by=request.user.username)
        return Response(next(row for row in fleet.snapshot(addresses=True) if row["name"] == node.name))


class DispatchesView(APIView):
    permission_classes = [MaySeeFleet]

    @extend_schema(
        operation_id="list_dispatches",
        summary="The last decisions of the scheduler, with their reasons",
        parameters=[DispatchQuery],
        responses=answers(200, DispatchSerializer(many=True), errors=[400, 404]),
    )
    def get(self, request: Request) -> Response:
        asked = checked(DispatchQuery, request.query_params)
        rows = Dispatch.objects.within(scopes.of(SEE, request.user)).newest(asked["limit"])
        return Response(shown_dispatches(rows, request.user))


class AccuracyView(APIView):
    permission_classes = [MaySeeFleet]

    @extend_schema(
        operation_id="get_accuracy",
        summary="Predicted against measured answer times",
        parameters=[AccuracyQuery],
        responses=answers(200, AccuracySerializer, errors=[400, 404]),
    )
    def get(self, request: Request) -> Response:
        asked = checked(AccuracyQuery, request.query_params)
        return Response(accuracy(minutes=asked["minutes"], scopes=scopes.of(SEE, request.user)))
