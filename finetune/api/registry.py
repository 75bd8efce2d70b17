"""REST views of the registry: versions of models, the shadow, promotion and its way back."""

from dataclasses import asdict

from django.db.models import Exists, OuterRef, QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aivd_web.kernel.api import answers, checked
from finetune import rules
from finetune.models import ModelVersion, ServingChoice, ShadowTrial
from finetune.registry import services, shadow
from finetune.runs import gates
from inspections.rules import Action, Principal, get

from .datasets import of_line
from .serializers import (
    LineQuery,
    ModelVersionSerializer,
    ReasonSerializer,
    RollBackSerializer,
    ServingSerializer,
    ShadowReportSerializer,
    ShadowSerializer,
    ShadowTrialSerializer,
)

DISAGREEMENTS_SHOWN = 50


def with_standing(who: Principal, action: Action = Action.SEE) -> "QuerySet[ModelVersion]":
    """Each version with whether it serves its line, and whether it is in the shadow."""
    return rules.model_versions(who, action).annotate(
        serves=Exists(ServingChoice.objects.filter(version=OuterRef("pk"))),
        in_shadow=Exists(ShadowTrial.objects.filter(version=OuterRef("pk"), ended_at__isnull=True)),
    )


class ModelVersionsView(APIView):
    @extend_schema(
        operation_id="list_model_versions",
        summary="Versions of adapters and detectors, with digest, lineage, metrics and gates",
        parameters=[LineQuery],
        responses=answers(200, ModelVersionSerializer(many=True)),
    )
    def get(self, request: Request) -> Response:
        return Response(ModelVersionSerializer(of_line(with_standing(request.user), request), many=True).data)


class ModelVersionView(APIView):
    @extend_schema(
        operation_id="get_model_version", summary="A version", responses=answers(200, ModelVersionSerializer)
    )
    def get(self, request: Request, version_id: int) -> Response:
        return Response(ModelVersionSerializer(get(with_standing, request.user, version_id)).data)


class PromoteView(APIView):
    @extend_schema(
        operation_id="promote_model_version",
        summary="Have the version serve its line",
        description="Every region that is described from then on is described by it: a node that lacks it is brought "
        "it, while other requests go on. Where it missed a gate, or was not measured, only with a reason. A detector "
        "is only noted: nodes serve the one that they were started with.",
        request=ReasonSerializer,
        responses=answers(200, ServingSerializer, errors=[409]),
    )
    def post(self, request: Request, version_id: int) -> Response:
        version = get(rules.model_versions, request.user, version_id, Action.CONFIGURE)
        asked = checked(ReasonSerializer, request.data)
        if asked["reason"].strip() and not gates.passed(version):  # past a gate: an admin alone
            get(rules.model_versions, request.user, version_id, Action.TRAIN)
        choice = services.promote(version=version, by=request.user.username, reason=asked["reason"])
        return Response(ServingSerializer(choice).data)


class RollBackView(APIView):
    @extend_schema(
        operation_id="roll_back",
        summary="Have the line served as before the last promotion",
        request=RollBackSerializer,
        responses=answers(200, ServingSerializer, errors=[409]),
    )
    def post(self, request: Request, line_id: int) -> Response:
        line = get(rules.lines, request.user, line_id, Action.CONFIGURE)
        asked = checked(RollBackSerializer, request.data)
        choice = services.roll_back(line=line, by=request.user.username, **asked)
        return Response(ServingSerializer(choice).data)


class ShadowView(APIView):
    @extend_schema(
        operation_id="get_shadow",
        summary="What the version said in the shadow, against what served",
        responses=answers(200, ShadowReportSerializer),
    )
    def get(self, request: Request, version_id: int) -> Response:
        version = get(rules.model_versions, request.user, version_id)
        report = {
            "trial": version.trials.first(),
            **asdict(shadow.figures(version)),
            "disagreements": shadow.disagreements(version, limit=DISAGREEMENTS_SHOWN),
        }
        return Response(ShadowReportSerializer(report).data)

    @extend_schema(
        operation_id="start_shadow",
        summary="Have the version answer a share of the frames beside the one that serves",
        description="Nobody acts on its answers. They are made when there is spare room; a line tries one at a time.",
        request=ShadowSerializer,
        responses=answers(201, ShadowTrialSerializer, errors=[409]),
    )
    def post(self, request: Request, version_id: int) -> Response:
        version = get(rules.model_versions, request.user, version_id, Action.CONFIGURE)
        asked = checked(ShadowSerializer, request.data)
        trial = shadow.start(version=version, by=request.user.username, **asked)
        return Response(ShadowTrialSerializer(trial).data, status=201)

    @extend_schema(
        operation_id="end_shadow",
        summary="Take the version out of the shadow",
        responses=answers(200, ShadowTrialSerializer, errors=[409]),
    )
    def delete(self, request: Request, version_id: int) -> Response:
        version = get(rules.model_versions, request.user, version_id, Action.CONFIGURE)
        return Response(ShadowTrialSerializer(shadow.end(version=version)).data)
