"""REST views of runs: launch, follow, pause, cancel, resume."""

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar
from uuid import UUID

from django.http.response import HttpResponseBase
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aivd_web.kernel.api import answers, checked
from finetune import rules
from finetune.datasets.services import corrections_since_trained
from finetune.models import FineTuneRun
from finetune.runs import gates, previews, reports, services
from finetune.runs.recipes import KINDS
from inspections.api.media import picture_answers, send_picture
from inspections.models import Line
from inspections.rules import Action, get

from .datasets import of_line
from .serializers import (
    CorrectionsSerializer,
    GateThresholdSerializer,
    LineQuery,
    NewPreviewSerializer,
    NewRunSerializer,
    NewThresholdsSerializer,
    PreviewSerializer,
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
        asked = checked(NewRunSerializer, request.data)
        version = get(rules.versions, request.user, asked["version"], Action.TRAIN)
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


class RunReportView(APIView):
    @extend_schema(
        operation_id="get_run_report",
        summary="How the run's version does on the sealed test split beside its base, as the trainer wrote it",
        responses=answers(200, OpenApiTypes.OBJECT, errors=[404]),
    )
    def get(self, request: Request, run_id: UUID) -> Response:
        return Response(reports.read(get(rules.runs, request.user, run_id)))


class RunPictureView(APIView):
    """A picture that the trainer left. Subclasses say below which of the run's folders."""

    below: ClassVar[str]

    def get(self, request: Request, run_id: UUID, number: int) -> HttpResponseBase:
        folder = services.folder_of(get(rules.runs, request.user, run_id)) / "out" / self.below
        return _png(request, reports.picture(folder, number))


@extend_schema_view(
    get=extend_schema(
        operation_id="get_worst_crop",
        summary="One of the crops that the version names wrong",
        responses=picture_answers(["image/png"], errors=[]),
    )
)
class WorstCropView(RunPictureView):
    below = f"{reports.FOLDER}/crops"


@extend_schema_view(
    get=extend_schema(
        operation_id="get_sample_crop",
        summary="The crop of a sample answer",
        responses=picture_answers(["image/png"], errors=[]),
    )
)
class SampleCropView(RunPictureView):
    below = "samples"


def _png(request: Request, path: Path) -> HttpResponseBase:
    stat = path.stat()
    etag = f"{stat.st_size:x}-{stat.st_mtime_ns:x}"
    return send_picture(request._request, path=path, media_type="image/png", etag=etag, name=path.stem)


class PreviewsView(APIView):
    @extend_schema(
        operation_id="preview_run",
        summary="Show what a run by these settings would train on and cost",
        request=NewPreviewSerializer,
        responses=answers(202, PreviewSerializer, errors=[404, 409, 422]),
    )
    def post(self, request: Request) -> Response:
        asked = checked(NewPreviewSerializer, request.data)
        version = get(rules.versions, request.user, asked.pop("version"), Action.TRAIN)
        return Response(PreviewSerializer(previews.ask(version=version, by=request.user.username, **asked)).data, 202)


class PreviewView(APIView):
    @extend_schema(
        operation_id="get_preview", summary="How the preview stands", responses=answers(200, PreviewSerializer)
    )
    def get(self, request: Request, preview_id: UUID) -> Response:
        return Response(PreviewSerializer(get(rules.previews, request.user, preview_id)).data)


class PreviewCropView(APIView):
    @extend_schema(
        operation_id="get_preview_crop",
        summary="One of the preview's crops",
        responses=picture_answers(["image/png"], errors=[]),
    )
    def get(self, request: Request, preview_id: UUID, number: int) -> HttpResponseBase:
        preview = get(rules.previews, request.user, preview_id)
        return _png(request, reports.picture(previews.folder_of(preview) / "out" / "crops", number))


class CorrectionsView(APIView):
    @extend_schema(
        operation_id="list_new_corrections",
        summary="By line: how much people corrected since the newest adapter was trained",
        responses=answers(200, CorrectionsSerializer(many=True)),
    )
    def get(self, request: Request) -> Response:
        rows = []
        for line in rules.lines(request.user).select_related("site"):
            corrections, number = corrections_since_trained(line)
            rows.append({"line": line, "corrections": corrections, "version": number})
        return Response(CorrectionsSerializer(rows, many=True).data)


class GatesView(APIView):
    """What a version of the line must show before it may serve."""

    @extend_schema(
        operation_id="get_gates",
        summary="The gates before promotion on the line, with their thresholds",
        responses=answers(200, GateThresholdSerializer(many=True)),
    )
    def get(self, request: Request, line_id: int) -> Response:
        return self._told(get(rules.lines, request.user, line_id))

    @extend_schema(
        operation_id="set_gates",
        summary="Set the line's own thresholds",
        request=NewThresholdsSerializer,
        responses=answers(200, GateThresholdSerializer(many=True), errors=[422]),
    )
    def put(self, request: Request, line_id: int) -> Response:
        line = get(rules.lines, request.user, line_id, Action.TRAIN)
        asked = checked(NewThresholdsSerializer, request.data)
        gates.set_thresholds(line=line, values=asked["thresholds"], by=request.user.username)
        return self._told(line)

    def _told(self, line: Line) -> Response:
        return Response(GateThresholdSerializer(gates.told(line), many=True).data)


class ActView(APIView):
    """What a person wants of a run. Subclasses say which."""

    act: Callable[..., FineTuneRun]

    @extend_schema(request=None, responses=answers(200, RunSerializer, errors=[409]))
    def post(self, request: Request, run_id: UUID) -> Response:
        run = get(rules.runs, request.user, run_id, Action.TRAIN)
        return Response(RunSerializer(type(self).act(run=run)).data)
