"""Django's admin for the fleet: nodes can be added and drained, what they did can be looked at only."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from scheduling.models import Dispatch, Node, NodeAct, Placement, ReplayRun, ServedModel
from scheduling.services import fleet


class LookOnly:
    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class PlacementInline(admin.TabularInline):
    model = Placement
    fields = ["model", "served_model"]
    readonly_fields = ["served_model"]
    extra = 0


class NodeActInline(LookOnly, admin.TabularInline):
    model = NodeAct
    fields = ["act", "by", "at"]
    readonly_fields = ["at"]
    verbose_name_plural = "drained and undrained by"
    extra = 0


@admin.register(Node)
class NodeAdmin(admin.ModelAdmin):
    list_display = ["name", "kind", "grpc_url", "capacity", "health", "draining", "last_ready_at"]
    list_filter = ["kind", "health", "draining"]
    search_fields = ["name", "grpc_url"]
    readonly_fields = ["health", "health_detail", "last_ready_at", "facts", "created_at"]
    inlines = [PlacementInline, NodeActInline]

    def save_model(self, request: HttpRequest, obj: Node, form: Any, change: bool) -> None:
        """Draining goes by the service, which notes who did it and tells the fleet page."""
        wanted = obj.draining
        if change and "draining" in form.changed_data:
            obj.draining = not wanted
        super().save_model(request, obj, form, change)
        if change and "draining" in form.changed_data:
            fleet.set_draining(node=obj, draining=wanted, by=request.user.get_username())


@admin.register(ServedModel)
class ServedModelAdmin(LookOnly, admin.ModelAdmin):
    list_display = ["name", "version", "kind", "runtime", "digest", "first_seen_at"]
    list_filter = ["kind", "runtime"]
    search_fields = ["name", "digest"]


@admin.register(Dispatch)
class DispatchAdmin(LookOnly, admin.ModelAdmin):
    list_display = [
        "id", "model", "node", "attempt", "outcome", "predicted_ms", "measured_ms", "reason", "sent_at",
    ]  # fmt: skip
    list_filter = ["outcome", "model", "node", "policy"]
    list_select_related = ["node"]
    search_fields = ["subject"]
    show_full_result_count = False


@admin.register(ReplayRun)
class ReplayRunAdmin(LookOnly, admin.ModelAdmin):
    list_display = ["id", "policy", "since", "until", "state", "done", "total", "by", "created_at"]
    list_filter = ["state", "policy"]
