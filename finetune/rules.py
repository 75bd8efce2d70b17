"""Who may do what with datasets, runs and models: whoever may see a whole line sees its own; engineers change them,
and admins alone train: a run takes hours of a machine that others wait for.

A station's token sees none: a dataset tells of all stations of its line.
"""

from django.db.models import QuerySet

from finetune.datasets.querysets import DatasetQuerySet
from finetune.models import Dataset, DatasetVersion, FineTuneRun, ImportJob, ModelVersion, RunPreview
from finetune.runs.querysets import RunQuerySet
from inspections.querysets import LineQuerySet
from inspections.rules import Action, Principal, whole_lines


def lines(who: Principal, action: Action = Action.SEE) -> LineQuerySet:
    return whole_lines(who, action)


def datasets(who: Principal, action: Action = Action.SEE) -> DatasetQuerySet:
    return Dataset.objects.on_lines(lines(who, action))


def imports(who: Principal, action: Action = Action.SEE) -> "QuerySet[ImportJob]":
    return ImportJob.objects.filter(dataset__line__in=lines(who, action))


def versions(who: Principal, action: Action = Action.SEE) -> "QuerySet[DatasetVersion]":
    return DatasetVersion.objects.filter(dataset__line__in=lines(who, action)).select_related("dataset__line")


def runs(who: Principal, action: Action = Action.SEE) -> RunQuerySet:
    return FineTuneRun.objects.on_lines(lines(who, action))


def previews(who: Principal, action: Action = Action.SEE) -> "QuerySet[RunPreview]":
    found = RunPreview.objects.filter(version__dataset__line__in=lines(who, action))
    return found.select_related("version__dataset")


def model_versions(who: Principal, action: Action = Action.SEE) -> "QuerySet[ModelVersion]":
    found = ModelVersion.objects.filter(line__in=lines(who, action))
    return found.select_related("line__site", "line__gate_thresholds", "run", "version")
