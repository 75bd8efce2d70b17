"""REST of replays: run a recorded stretch through another policy, watch it, stop it."""

from typing import Any

import rules
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework import serializers
from rest_framework.permissions import BasePermission
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aivd_web.kernel.api import answers, checked
from aivd_web.kernel.errors import Forbidden, NotFound
from scheduling.models import ReplayRun
from scheduling.services import policies, replays, scopes

REPLAY, SEE = scopes.REPLAY, scopes.SEE
LAST_RUNS = 5


class MayReplay(BasePermission):
    """404 to whoever may not see the fleet; 403 to whoever may look at it but not compute with it."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        if not request.user.is_authenticated:
            return False
        if not rules.has_perm(SEE, request.user):
            raise NotFound("There is nothing here, or nothing that you may see.")
        if not rules.has_perm(REPLAY, request.user):
            raise Forbidden("You may see the fleet, but your role does not allow you to replay its decisions.")
        return True


def _asked_by(request: Request) -> dict[str, Any]:
    return {"by": request.user.get_username(), "scopes": scopes.of(REPLAY, request.user)}


class ChoiceSerializer(serializers.Serializer):
    action = serializers.CharField()
    node = serializers.CharField(allow_null=True)
    predicted_ms = serializers.FloatField(allow_null=True)


class ReplayExampleSerializer(serializers.Serializer):
    """One request that the two policies would have sent to different nodes."""

    at = serializers.FloatField(help_text="Unix seconds")
    item = serializers.CharField()
    model = serializers.CharField()
    slack_ms = serializers.FloatField(help_text="Time left to its deadline")
    was = ChoiceSerializer()
    would = ChoiceSerializer()
    change_ms = serializers.FloatField(allow_null=True, help_text="Predicted, the other less the recorded choice")


class ReplaySideSerializer(serializers.Serializer):
    sent = serializers.IntegerField()
    not_sent = serializers.DictField(child=serializers.IntegerField(), help_text="By what was done instead")
    in_time_share = serializers.FloatField(allow_null=True, help_text="Of those sent, predicted before their deadline")
    p50_predicted_ms = serializers.FloatField(allow_null=True)
    p95_predicted_ms = serializers.FloatField(allow_null=True)
    by_node = serializers.DictField(child=serializers.IntegerField())


class ReplayResultSerializer(serializers.Serializer):
    """`scheduling.replay.comparison.PolicyComparison.result()`."""

    looks = serializers.IntegerField(help_text="Recorded looks at the queue")
    decisions = serializers.IntegerField(help_text="Requests sent in these")
    same_node = serializers.IntegerField()
    recorded_by = serializers.DictField(child=serializers.IntegerField(), help_text="Decisions by recorded policy")
    was = ReplaySideSerializer()
    would = ReplaySideSerializer()
    median_change_ms = serializers.FloatField(allow_null=True, help_text="Of the requests sent to another node")
    unreadable = serializers.IntegerField(help_text="Records that today's policies cannot read")
    left_out = serializers.IntegerField(help_text="Records that the time limit left out")
    examples = ReplayExampleSerializer(many=True, help_text="What differs most")


class ReplaySerializer(serializers.ModelSerializer):
    state = serializers.ChoiceField(ReplayRun.State.choices)
    active = serializers.BooleanField(source="is_active")
    result = ReplayResultSerializer(allow_null=True)

    class Meta:
        model = ReplayRun
        fields = ["id", "policy", "since", "until", "state", "active", "done", "total", "error", "created_at", "result"]


class PolicyNameSerializer(serializers.Serializer):
    name = serializers.CharField()
    about = serializers.CharField(allow_blank=True)


class ReplaysSerializer(serializers.Serializer):
    available = PolicyNameSerializer(many=True)
    runs = ReplaySerializer(many=True, help_text="Your last ones, newest first")


class ReplayStartSerializer(serializers.Serializer):
    policy = serializers.CharField(max_length=40)
    minutes = serializers.FloatField(min_value=0.1, max_value=replays.MOST_MINUTES)


@extend_schema_view(
    get=extend_schema(
        operation_id="list_replays",
        summary="Policies to replay with, and your last replays",
        responses=answers(200, ReplaysSerializer, errors=[403, 404]),
    ),
    post=extend_schema(
        operation_id="start_replay",
        summary="Decide the last minutes again by another policy",
        request=ReplayStartSerializer,
        responses=answers(201, ReplaySerializer, errors=[400, 403, 404, 409, 422]),
    ),
)
class ReplaysView(APIView):
    permission_classes = [MayReplay]

    def get(self, request: Request) -> Response:
        runs = replays.theirs(**_asked_by(request), limit=LAST_RUNS)
        return Response(ReplaysSerializer({"available": policies.described(), "runs": runs}).data)

    def post(self, request: Request) -> Response:
        run = replays.start(**checked(ReplayStartSerializer, request.data), **_asked_by(request))
        return Response(ReplaySerializer(run).data, status=201)


class ReplayView(APIView):
    permission_classes = [MayReplay]

    @extend_schema(
        operation_id="get_replay",
        summary="How a replay of yours stands, or its result",
        responses=answers(200, ReplaySerializer, errors=[403, 404]),
    )
    def get(self, request: Request, replay_id: int) -> Response:
        return Response(ReplaySerializer(replays.get(pk=replay_id, **_asked_by(request))).data)


class ReplayCancelView(APIView):
    permission_classes = [MayReplay]

    @extend_schema(
        operation_id="cancel_replay",
        summary="Stop a replay of yours",
        request=None,
        responses=answers(200, ReplaySerializer, errors=[403, 404]),
    )
    def post(self, request: Request, replay_id: int) -> Response:
        run = replays.get(pk=replay_id, **_asked_by(request))
        return Response(ReplaySerializer(replays.cancel(run=run)).data)
