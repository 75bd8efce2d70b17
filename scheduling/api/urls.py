"""Addresses of the fleet under /api/v1/."""

from django.urls import path
from drf_spectacular.utils import extend_schema, extend_schema_view

from . import views


@extend_schema_view(post=extend_schema(operation_id="drain_node"))
class Drain(views.DrainView):
    draining = True


@extend_schema_view(post=extend_schema(operation_id="undrain_node"))
class Undrain(views.DrainView):
    draining = False


urlpatterns = [
    path("nodes", views.NodesView.as_view()),
    path("nodes/<slug:name>/drain", Drain.as_view()),
    path("nodes/<slug:name>/undrain", Undrain.as_view()),
    path("dispatches", views.DispatchesView.as_view()),
    path("dispatches/accuracy", views.AccuracyView.as_view()),
]
