"""REST views of datasets: make, import, add reviewed frames, seal."""

from typing import Any, BinaryIO, cast

from django.db import transaction
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aivd_web.kernel.api import answers, checked
from aivd_web.kernel.negotiation import JsonForAll
from finetune import leases, rules, tasks
from finetune.datasets import importing, sealing, services
from finetune.datasets.importing import ImportOptions
from finetune.datasets.sealing import SealOptions
from finetune.models import Dataset, ImportJob
from inspections.api.parsers import BytesParser, ZipParser
from inspections.rules import Action, get

from .serializers import (
    AddedSerializer,
    DatasetSerializer,
    DatasetVersionSerializer,
    ImportQuery,
    ImportSerializer,
    ImportWithTroublesSerializer,
    LineQuery,
    NewDatasetSerializer,
    SealSerializer,
    WholeDatasetSerializer,
)

IMPORTS_SHOWN = 20


class DatasetsView(APIView):
    @extend_schema(
        operation_id="list_datasets",
        summary="Datasets of the lines that you may see",
        parameters=[LineQuery],
        responses=answers(200, DatasetSerializer(many=True)),
    )
    def get(self, request: Request) -> Response:
        found = rules.datasets(request.user).with_counts()
        return Response(DatasetSerializer(of_line(found, request), many=True).data)

    @extend_schema(
        operation_id="make_dataset",
        summary="Make an empty dataset",
        request=NewDatasetSerializer,
        responses=answers(201, WholeDatasetSerializer, errors=[404, 409]),
    )
    def post(self, request: Request) -> Response:
        asked = checked(NewDatasetSerializer, request.data)
        line = get(rules.lines, request.user, asked["line"], Action.CONFIGURE)
        made = services.make(line=line, name=asked["name"], product=asked["product"], by=request.user.username)
        return Response(whole(made), status=201)


class DatasetView(APIView):
    @extend_schema(
        operation_id="get_dataset",
        summary="A dataset with what it holds, its imports and its sealed versions",
        responses=answers(200, WholeDatasetSerializer),
    )
    def get(self, request: Request, dataset_id: int) -> Response:
        return Response(whole(get(rules.datasets, request.user, dataset_id)))


class FormatIsOfThePictures(JsonForAll):
    """The framework takes `?format=` for the kind of answer; here it says how the archive is to be read."""

    def select_renderer(self, request: Any, renderers: Any, format_suffix: Any = None) -> Any:
        return renderers[0], renderers[0].media_type


class DatasetImportsView(APIView):
    parser_classes = [ZipParser, BytesParser]
    content_negotiation_class = FormatIsOfThePictures

    @extend_schema(
        operation_id="import_pictures",
        summary="Send a zip of pictures and labels",
        description="It is stored, and read afterwards: follow the import that is answered. What cannot be taken in "
        "is listed there with file and line; the rest comes in.",
        parameters=[ImportQuery],
        request={"application/zip": OpenApiTypes.BINARY, "application/octet-stream": OpenApiTypes.BINARY},
        responses=answers(202, ImportSerializer),
    )
    def post(self, request: Request, dataset_id: int) -> Response:
        dataset = get(rules.datasets, request.user, dataset_id, Action.CONFIGURE)
        asked = checked(ImportQuery, request.query_params)
        job = importing.from_archive(
            dataset=dataset,
            format=asked["format"],
            data=cast(BinaryIO, request._request),
            name=asked["name"],
            options=ImportOptions(asked.get("unlabelled", ""), asked["add_classes"], asked["group"]),
            by=request.user.username,
        )
        return Response(ImportSerializer(begun(job)).data, status=202)


class ImportView(APIView):
    @extend_schema(
        operation_id="get_import",
        summary="An import: how far it is, and what could not be taken in",
        responses=answers(200, ImportWithTroublesSerializer),
    )
    def get(self, request: Request, import_id: int) -> Response:
        return Response(ImportWithTroublesSerializer(get(rules.imports, request.user, import_id)).data)


class ImportCancelView(APIView):
    @extend_schema(
        operation_id="cancel_import",
        summary="End an import; what has come in stays",
        request=None,
        responses=answers(200, ImportSerializer, errors=[409]),
    )
    def post(self, request: Request, import_id: int) -> Response:
        job = get(rules.imports, request.user, import_id, Action.CONFIGURE)
        return Response(ImportSerializer(leases.want(job, "cancel")).data)


class ImportResumeView(APIView):
    @extend_schema(
        operation_id="resume_import",
        summary="Have an import that failed go on where it stopped",
        request=None,
        responses=answers(200, ImportSerializer, errors=[409]),
    )
    def post(self, request: Request, import_id: int) -> Response:
        job = get(rules.imports, request.user, import_id, Action.CONFIGURE)
        return Response(ImportSerializer(begun(leases.resume(job))).data)


class DatasetReviewedView(APIView):
    @extend_schema(
        operation_id="add_reviewed_frames",
        summary="Put what people reviewed on the line into the dataset",
        description="Frames whose standing review says what the part is, with its marks. Sent again, only what is "
        "new or was thought over changes.",
        request=None,
        responses=answers(200, AddedSerializer),
    )
    def post(self, request: Request, dataset_id: int) -> Response:
        dataset = get(rules.datasets, request.user, dataset_id, Action.CONFIGURE)
        changed = services.add_reviewed(dataset=dataset, frames=services.reviewed_frames(dataset.line))
        return Response(AddedSerializer({"changed": changed}).data)


class DatasetVersionsView(APIView):
    @extend_schema(
        operation_id="seal_dataset",
        summary="Seal what the dataset holds now; the version never changes",
        request=SealSerializer,
        responses=answers(201, DatasetVersionSerializer, errors=[422]),
    )
    def post(self, request: Request, dataset_id: int) -> Response:
        dataset = get(rules.datasets, request.user, dataset_id, Action.CONFIGURE)
        options = SealOptions(**checked(SealSerializer, request.data))
        version = sealing.seal(dataset=dataset, by=request.user.username, options=options)
        return Response(DatasetVersionSerializer(version).data, status=201)


def whole(dataset: Dataset) -> dict[str, Any]:
    about = {
        "id": dataset.pk,
        "line": dataset.line,
        "name": dataset.name,
        "product": dataset.product,
        "frames": dataset.items.count(),
        "without_defects": dataset.items.without_defects().count(),
        "classes": dataset.items.counts_by_class(),
        "stated_splits": dataset.items.counts_by_stated_split(),
        "corrections": services.corrections_since(dataset),
        "imports": dataset.imports.all()[:IMPORTS_SHOWN],
        "versions": dataset.versions.all(),
    }
    return dict(WholeDatasetSerializer(about).data)


def begun(job: ImportJob) -> ImportJob:
    """A worker is woken once the row can be seen; if that is lost, the queue is looked at every few seconds."""
    transaction.on_commit(lambda: tasks.import_pictures.delay(job.pk), robust=True)
    return job


def of_line(found: Any, request: Request) -> Any:
    line = checked(LineQuery, request.query_params).get("line")
    return found if line is None else found.filter(line_id=line)
