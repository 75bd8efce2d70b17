"""Django's admin of datasets, runs and the registry: all written by services, and looked at here."""

from django.contrib import admin

from finetune.models import (
    Dataset,
    DatasetVersion,
    FineTuneRun,
    GateThresholds,
    ImportJob,
    ImportTrouble,
    ModelVersion,
    Promotion,
    Recipe,
    ShadowTrial,
)
from inspections.admin import LookOnly


class ImportTroubleInline(LookOnly, admin.TabularInline):
    model = ImportTrouble
    fields = ["code", "file", "line", "entry", "detail"]
    extra = 0


@admin.register(Dataset)
class DatasetAdmin(LookOnly, admin.ModelAdmin):
    list_display = ["name", "line", "product", "created_by", "created_at"]
    list_select_related = ["line__site"]
    search_fields = ["name"]


@admin.register(ImportJob)
class ImportJobAdmin(LookOnly, admin.ModelAdmin):
    list_display = ["id", "dataset", "format", "source", "state", "done", "total", "taken", "troubles_count"]
    list_filter = ["state", "format"]
    list_select_related = ["dataset"]
    inlines = [ImportTroubleInline]


@admin.register(DatasetVersion)
class DatasetVersionAdmin(LookOnly, admin.ModelAdmin):
    list_display = ["dataset", "number", "digest", "seed", "sealed_by", "sealed_at"]
    list_select_related = ["dataset"]


@admin.register(Recipe)
class RecipeAdmin(LookOnly, admin.ModelAdmin):
    list_display = ["name", "line", "kind", "created_by", "created_at"]
    list_select_related = ["line__site"]


@admin.register(FineTuneRun)
class FineTuneRunAdmin(LookOnly, admin.ModelAdmin):
    list_display = ["id", "kind", "version", "state", "step", "steps", "attempts", "error_code", "created_by"]
    list_filter = ["state", "kind"]
    list_select_related = ["version__dataset"]


@admin.register(ModelVersion)
class ModelVersionAdmin(LookOnly, admin.ModelAdmin):
    list_display = ["line", "kind", "number", "digest", "base", "registered_by", "registered_at"]
    list_filter = ["kind", "format"]
    list_select_related = ["line__site"]
    search_fields = ["digest"]


@admin.register(Promotion)
class PromotionAdmin(LookOnly, admin.ModelAdmin):
    list_display = ["line", "kind", "act", "before", "after", "reason", "by", "at"]
    list_select_related = ["line__site", "before", "after"]


@admin.register(ShadowTrial)
class ShadowTrialAdmin(LookOnly, admin.ModelAdmin):
    list_display = ["version", "share", "started_by", "started_at", "ended_at"]
    list_select_related = ["version"]


@admin.register(GateThresholds)
class GateThresholdsAdmin(LookOnly, admin.ModelAdmin):
    list_display = ["line", "values", "changed_by", "changed_at"]
    list_select_related = ["line__site"]
