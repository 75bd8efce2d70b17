"""Addresses of the inspections under /api/v1/."""

from django.urls import path

from . import frames, lateness, plant, policies, savings, uploads

urlpatterns = [
    path("me", plant.MeView.as_view(), name="me"),
    path("sites", plant.SitesView.as_view(), name="sites"),
    path("lines", plant.LinesView.as_view(), name="lines"),
    path("products", plant.ProductsView.as_view(), name="products"),
    path("lines/<int:line_id>/stations", plant.LineStationsView.as_view(), name="line-stations"),
    path("lateness", lateness.LatenessView.as_view(), name="lateness"),
    path("savings", savings.SavingsView.as_view(), name="savings"),
    path("line-policies", policies.LinePoliciesView.as_view(), name="line-policies"),
    path("lines/<int:line_id>/policy", policies.LinePolicyView.as_view(), name="line-policy"),
    path("stations", plant.StationsView.as_view(), name="stations"),
    path("stations/<int:station_id>", plant.StationView.as_view(), name="station"),
    path("stations/<int:station_id>/template", plant.StationTemplateView.as_view(), name="station-template"),
    path("stations/<int:station_id>/baseline", plant.StationBaselineView.as_view(), name="station-baseline"),
    path("stations/<int:station_id>/frames", uploads.StationFramesView.as_view(), name="station-frames"),
    path("defect-classes", plant.DefectClassesView.as_view(), name="defect-classes"),
    path("frames", frames.FramesView.as_view(), name="frames"),
    path("frames/counts", frames.FrameCountsView.as_view(), name="frame-counts"),
    path("frames/<uuid:frame_id>", frames.FrameView.as_view(), name="frame"),
    path("frames/<uuid:frame_id>/picture", frames.PictureView.as_view(), name="frame-picture"),
    path("frames/<uuid:frame_id>/rendition", frames.RenditionView.as_view(), name="frame-rendition"),
    path("frames/<uuid:frame_id>/thumbnail", frames.ThumbnailView.as_view(), name="frame-thumbnail"),
    path("frames/<uuid:frame_id>/dispatches", frames.FrameDispatchesView.as_view(), name="frame-dispatches"),
    path("frames/<uuid:frame_id>/reviews", frames.ReviewsView.as_view(), name="frame-reviews"),
    path("frames/<uuid:frame_id>/retry", frames.RetryView.as_view(), name="frame-retry"),
]
