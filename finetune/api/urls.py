"""Addresses of datasets, runs and models under /api/v1/."""

from django.urls import path
from drf_spectacular.utils import extend_schema, extend_schema_view

from finetune.runs import services

from . import datasets, registry, runs


@extend_schema_view(post=extend_schema(operation_id="pause_run", summary="Pause a run; it keeps its checkpoint"))
class Pause(runs.ActView):
    act = staticmethod(services.pause)


@extend_schema_view(post=extend_schema(operation_id="cancel_run", summary="End a run for good"))
class Cancel(runs.ActView):
    act = staticmethod(services.cancel)


@extend_schema_view(
    post=extend_schema(operation_id="resume_run", summary="Have a paused or failed run go on from its checkpoint")
)
class Resume(runs.ActView):
    act = staticmethod(services.resume)


urlpatterns = [
    path("datasets", datasets.DatasetsView.as_view()),
    path("datasets/<int:dataset_id>", datasets.DatasetView.as_view()),
    path("datasets/<int:dataset_id>/imports", datasets.DatasetImportsView.as_view()),
    path("datasets/<int:dataset_id>/reviewed", datasets.DatasetReviewedView.as_view()),
    path("datasets/<int:dataset_id>/versions", datasets.DatasetVersionsView.as_view()),
    path("imports/<int:import_id>", datasets.ImportView.as_view()),
    path("imports/<int:import_id>/cancel", datasets.ImportCancelView.as_view()),
    path("imports/<int:import_id>/resume", datasets.ImportResumeView.as_view()),
    path("run-kinds", runs.RunKindsView.as_view()),
    path("runs", runs.RunsView.as_view()),
    path("runs/<uuid:run_id>", runs.RunView.as_view()),
    path("runs/<uuid:run_id>/events", runs.RunEventsView.as_view()),
    path("runs/<uuid:run_id>/report", runs.RunReportView.as_view()),
    path("runs/<uuid:run_id>/report/crops/<int:number>", runs.WorstCropView.as_view()),
    path("runs/<uuid:run_id>/samples/<int:number>", runs.SampleCropView.as_view()),
    path("run-previews", runs.PreviewsView.as_view()),
    path("run-previews/<uuid:preview_id>", runs.PreviewView.as_view()),
    path("run-previews/<uuid:preview_id>/crops/<int:number>", runs.PreviewCropView.as_view()),
    path("new-corrections", runs.CorrectionsView.as_view()),
    path("lines/<int:line_id>/gates", runs.GatesView.as_view()),
    path("runs/<uuid:run_id>/pause", Pause.as_view()),
    path("runs/<uuid:run_id>/cancel", Cancel.as_view()),
    path("runs/<uuid:run_id>/resume", Resume.as_view()),
    path("model-versions", registry.ModelVersionsView.as_view()),
    path("model-versions/<int:version_id>", registry.ModelVersionView.as_view()),
    path("model-versions/<int:version_id>/promote", registry.PromoteView.as_view()),
    path("model-versions/<int:version_id>/shadow", registry.ShadowView.as_view()),
    path("lines/<int:line_id>/roll-back", registry.RollBackView.as_view()),
]
