"""Addresses of the fleet under /api/v1/."""

from django.urls import path
from drf_spectacular.utils import extend_schema, extend_schema_view

from . import replays, views


@extend_schema_view(post=extend_schema(operation_id="drain_node"))
class Drain(views.DrainView):
    draining = True


@extend_schema_view(post=extend_schema(operation_id="undrain_node"))
class Undrain(views.DrainView):
    draining = False


urlpatterns = [
    path("fleet", views.FleetView.as_view()),
    path("nodes", views.NodesView.as_view()),
    path("nodes/<slug:name>/drain", Drain.as_view()),
    path("nodes/<slug:name>/undrain", Undrain.as_view()),
    path("dispatches", views.DispatchesView.as_view()),
    path("dispatches/accuracy", views.AccuracyView.as_view()),
    path("replays", replays.ReplaysView.as_view()),
    path("replays/<int:replay_id>", replays.ReplayView.as_view()),
    path("replays/<int:replay_id>/cancel", replays.ReplayCancelView.as_view()),
]
