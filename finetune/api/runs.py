"""REST views of runs: launch, follow, pause, cancel, resume."""

from collections.abc import Callable
from uuid import UUID

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aivd_web.kernel.api import answers, checked
from finetune import rules
from finetune.models import FineTuneRun
from finetune.runs import services
from finetune.runs.recipes import KINDS
from inspections.rules import Action, get

from .datasets import of_line
from .serializers import (
    LineQuery,
    NewRunSerializer,
    RunEventSerializer,
    RunEventsQuery,
    RunKindSerializer,
    RunSerializer,
)

RUNS_SHOWN = 100


class RunKindsView(APIView):
    @extend_schema(
        operation_id="list_run_kinds",
        summary="What can be trained, and the settings of each with default and bounds",
        responses=answers(200, RunKindSerializer(many=True)),
    )
    def get(self, request: Request) -> Response:
        return Response(RunKindSerializer(list(KINDS.values()), many=True).data)


class RunsView(APIView):
    @extend_schema(
        operation_id="list_runs",
        summary="The newest runs of the lines that you may see",
        parameters=[LineQuery],
        responses=answers(200, RunSerializer(many=True)),
    )
    def get(self, request: Request) -> Response:
        return Response(RunSerializer(of_line(rules.runs(request.user), request)[:RUNS_SHOWN], many=True).data)

    @extend_schema(
        operation_id="launch_run",
        summary="Queue a run on a sealed version",
        request=NewRunSerializer,
        responses=answers(201, RunSerializer, errors=[404, 409, 422]),
    )
    def post(self, request: Request) -> Response:
        body = NewRunSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        asked = body.validated_data
        version = get(rules.versions, request.user, asked["version"], Action.CONFIGURE)
        run = services.launch(
            version=version,
            kind=asked["kind"],
            settings=asked["settings"],
            seed=asked["seed"],
            name=asked["name"],
            by=request.user.username,
        )
        return Response(RunSerializer(run).data, status=201)


class RunView(APIView):
    @extend_schema(operation_id="get_run", summary="A run as it stands", responses=answers(200, RunSerializer))
    def get(self, request: Request, run_id: UUID) -> Response:
        return Response(RunSerializer(get(rules.runs, request.user, run_id)).data)


class RunEventsView(APIView):
    @extend_schema(
        operation_id="list_run_events",
        summary="What the trainer told: metrics, log, samples, in order",
        parameters=[RunEventsQuery],
        responses=answers(200, RunEventSerializer(many=True)),
    )
    def get(self, request: Request, run_id: UUID) -> Response:
        run = get(rules.runs, request.user, run_id)
        asked = checked(RunEventsQuery, request.query_params)
        found = run.events.filter(seq__gt=asked["after"])[: asked["limit"]]
        return Response(RunEventSerializer(found, many=True).data)


class ActView(APIView):
    """What a person wants of a run. Subclasses say which."""

    act: Callable[..., FineTuneRun]

    @extend_schema(request=None, responses=answers(200, RunSerializer, errors=[409]))
    def post(self, request: Request, run_id: UUID) -> Response:
        run = get(rules.runs, request.user, run_id, Action.CONFIGURE)
        return Response(RunSerializer(type(self).act(run=run)).data)
