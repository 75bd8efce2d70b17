"""Django's admin for the fleet: nodes can be added and drained, what they did can be looked at only."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from scheduling.models import Dispatch, Node, Placement, ServedModel


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


@admin.register(Node)
class NodeAdmin(admin.ModelAdmin):
    list_display = ["name", "kind", "grpc_url", "capacity", "health", "draining", "last_ready_at"]
    list_filter = ["kind", "health", "draining"]
    search_fields = ["name", "grpc_url"]
    readonly_fields = ["health", "health_detail", "last_ready_at", "facts", "created_at"]
    inlines = [PlacementInline]


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
