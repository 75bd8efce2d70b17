"""REST of how Nodes are chosen for a Line: what it is, what it may be, who changed it last, and changing it."""

from typing import Any

from django.db.models import Prefetch
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aivd_web.kernel.api import answers
from inspections import rules
from inspections.models import Line, PolicyChange
from inspections.rules import Action
from inspections.services import lines
from scheduling.services import policies

LAST_CHANGES = 5


class PolicyOptionSerializer(serializers.Serializer):
    name = serializers.CharField()
    about = serializers.CharField(allow_blank=True, help_text="One sentence")
    recommended = serializers.BooleanField(help_text="The others are there to be compared with")


class PolicyChangeSerializer(serializers.ModelSerializer):
    class Meta:
        model = PolicyChange
        fields = ["before", "after", "by", "at"]


class LinePolicySerializer(serializers.Serializer):
    line = serializers.IntegerField(source="pk")
    name = serializers.CharField()
    site = serializers.CharField(source="site.name")
    policy = serializers.CharField()
    may_change = serializers.BooleanField(help_text="Whether you may choose another one")
    available = PolicyOptionSerializer(many=True)
    changes = PolicyChangeSerializer(source="last_changes", many=True, help_text="The last ones, newest first")


class PolicyChoiceSerializer(serializers.Serializer):
    policy = serializers.CharField(max_length=40)


class LinePoliciesView(APIView):
    @extend_schema(
        operation_id="list_line_policies",
        summary="How nodes are chosen, for every line that you may see",
        responses=answers(200, LinePolicySerializer(many=True)),
    )
    def get(self, request: Request) -> Response:
        theirs = set(rules.lines(request.user, Action.CONFIGURE).values_list("pk", flat=True))
        return Response([_shown(line, line.pk in theirs) for line in _lines(request.user, Action.SEE)])


@extend_schema_view(
    get=extend_schema(
        operation_id="get_line_policy",
        summary="How nodes are chosen for this line",
        responses=answers(200, LinePolicySerializer, errors=[404]),
    ),
    put=extend_schema(
        operation_id="set_line_policy",
        summary="Choose another policy for this line; it holds from the next request on",
        request=PolicyChoiceSerializer,
        responses=answers(200, LinePolicySerializer, errors=[400, 403, 404, 422]),
    ),
)
class LinePolicyView(APIView):
    def get(self, request: Request, line_id: int) -> Response:
        mine = rules.lines(request.user, Action.CONFIGURE).filter(pk=line_id).exists()
        return Response(_shown(rules.get(_lines, request.user, line_id), mine))

    def put(self, request: Request, line_id: int) -> Response:
        line = rules.get(rules.lines, request.user, line_id, Action.CONFIGURE)
        body = PolicyChoiceSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        lines.set_policy(line=line, policy=body.validated_data["policy"], by=request.user.get_username())
        return self.get(request, line_id)


def _lines(who: rules.Principal, action: Action) -> Any:
    changes = Prefetch("policy_changes", PolicyChange.objects.order_by("-id")[:LAST_CHANGES], to_attr="last_changes")
    return rules.lines(who, action).select_related("site").prefetch_related(changes)


def _shown(line: Line, may_change: bool) -> dict[str, Any]:
    shown: Any = line
    shown.may_change = may_change
    shown.available = policies.offered()
    return dict(LinePolicySerializer(shown).data)
