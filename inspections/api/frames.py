"""REST views of frames: what they are now, their pictures, what a person says of them."""

from pathlib import Path
from typing import Any, cast
from uuid import UUID

from django.contrib.auth.models import User
from django.http import HttpRequest
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from aivd_web.kernel.api import answers, header
from aivd_web.kernel.errors import NotFound
from inspections import rules
from inspections.intake import uploads
from inspections.media import renditions, storage
from inspections.models import Decision, Frame, Review
from inspections.pipeline import steps
from inspections.pipeline.stages import STAGES
from inspections.querysets import FrameQuerySet
from inspections.rules import Action
from inspections.services import review_queue, reviews
from scheduling.api.serializers import DispatchSerializer, dispatch_fact, shown_dispatches
from scheduling.models import Dispatch

from .media import RANGE_HEADER, media_type_of, picture_answers, send_picture
from .serializers import (
    FrameCountsSerializer,
    FrameListSerializer,
    FrameSerializer,
    ReviewChangeSerializer,
    ReviewSerializer,
)

PICTURE_TYPES = ["image/jpeg", "image/png", "image/webp", "image/tiff", "image/bmp"]


class FrameFilterQuery(serializers.Serializer):
    """What frames can be narrowed by. Other parameters are refused, not ignored."""

    station = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    line = serializers.IntegerField(required=False, min_value=1, max_value=2**63 - 1)
    decision = serializers.ChoiceField([*Decision.Outcome.values, "none"], required=False)
    verdict = serializers.ChoiceField(
        [*Review.Verdict.values, "none"], required=False, help_text="Of the newest review"
    )
    defect_class = serializers.IntegerField(
        required=False,
        min_value=1,
        max_value=2**63 - 1,
        help_text="A region of this class that counts; with a score range, one within it",
    )
    model = serializers.IntegerField(
        required=False, min_value=1, max_value=2**63 - 1, help_text="A region that this model found or described"
    )
    min_score = serializers.FloatField(required=False, min_value=0, max_value=1)
    max_score = serializers.FloatField(required=False, min_value=0, max_value=1)
    disagreement = serializers.BooleanField(  # null, or a form's way of reading it would take "not asked" for "no"
        required=False,
        allow_null=True,
        help_text="A describer names another class than the detector, on a region that counts",
    )
    part = serializers.CharField(required=False, max_length=100, help_text="Within the part's or the file's name")
    since = serializers.DateTimeField(required=False, help_text="Received at this moment or later")
    until = serializers.DateTimeField(required=False, help_text="Received before this moment")

    def validate(self, values: dict[str, Any]) -> dict[str, Any]:
        unknown = set(self.initial_data) - set(self.fields)
        if unknown:
            raise serializers.ValidationError({name: ["Not a known filter."] for name in sorted(unknown)})
        return values


class FrameQuery(FrameFilterQuery):
    before = serializers.UUIDField(required=False, help_text="Only frames older than this one")
    limit = serializers.IntegerField(default=50, min_value=1, max_value=200)


class FramesView(APIView):
    @extend_schema(
        operation_id="list_frames",
        summary="Newest frames first",
        parameters=[FrameQuery],
        responses=answers(200, FrameListSerializer, errors=[400]),
    )
    def get(self, request: Request) -> Response:
        query = FrameQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        wanted = dict(query.validated_data)
        limit = wanted.pop("limit")
        frames = rules.frames(request.user).newest().with_findings()
        page, next_before = review_queue.narrowed(frames, review_queue.FrameFilter(**wanted)).page(limit)
        body = {"frames": FrameSerializer(page, many=True).data, "next_before": next_before}
        return Response(body)


class FrameCountsView(APIView):
    @extend_schema(
        operation_id="count_frames",
        summary="How many frames each choice of a filter would show, the others as they are",
        description=f"The newest {review_queue.MOST_COUNTED} of each kind are counted; `capped` says there are more.",
        parameters=[FrameFilterQuery],
        responses=answers(200, FrameCountsSerializer, errors=[400]),
    )
    def get(self, request: Request) -> Response:
        query = FrameFilterQuery(data=request.query_params)
        query.is_valid(raise_exception=True)
        wanted = review_queue.FrameFilter(**query.validated_data)
        return Response(review_queue.counts(rules.frames(request.user), wanted))


class FrameView(APIView):
    @extend_schema(
        operation_id="get_frame",
        summary="A frame with decision, regions, descriptions and reviews",
        responses=answers(200, FrameSerializer, errors=[404]),
    )
    def get(self, request: Request, frame_id: UUID) -> Response:
        frame = rules.get(_with_findings, request.user, frame_id)
        return Response(frame_json(frame))


def frame_json(frame: Frame) -> dict[str, Any]:
    """The whole Frame JSON; `frame` comes from `with_findings()`."""
    rows = Dispatch.objects.about(str(frame.pk))
    kinds = {str(step.pk): step.kind for step in frame.steps.all()}
    # Later attempts come later, so the last of each Step stays. Rows from before the upgrade name no Step.
    facts = {kind: dispatch_fact(row) for row in rows if (kind := kinds.get(row.item) or _kind_of_old(row))}
    return dict(FrameSerializer(frame, context={"dispatches": facts}).data)


def _kind_of_old(row: Dispatch) -> str | None:
    return None if row.item else STAGES.kind_of_model(row.model)


def _with_findings(who: rules.Principal, action: Action) -> FrameQuerySet:
    return rules.frames(who, action).with_findings()


class FrameDispatchesView(APIView):
    @extend_schema(
        operation_id="list_frame_dispatches",
        summary="Each attempt to have a node work on this frame, with its reason",
        responses=answers(200, DispatchSerializer(many=True), errors=[404]),
    )
    def get(self, request: Request, frame_id: UUID) -> Response:
        frame = rules.get(rules.frames, request.user, frame_id)
        return Response(shown_dispatches(Dispatch.objects.about(str(frame.pk)), request.user))


class PictureView(APIView):
    @extend_schema(
        operation_id="get_frame_picture",
        summary="The stored picture, byte for byte as it was sent",
        parameters=[RANGE_HEADER],
        responses=picture_answers(PICTURE_TYPES, errors=[]),
    )
    def get(self, request: Request, frame_id: UUID) -> Any:
        frame = rules.get(rules.frames, request.user, frame_id)
        return send_picture(
            _plain(request),
            path=storage.picture_path(frame),
            media_type=frame.media_type,
            etag=frame.sha256,
            name=str(frame.pk),
        )


class RenditionView(APIView):
    @extend_schema(
        operation_id="get_frame_rendition",
        summary="The picture as people and models see it: upright, 8 bits, flattened; a JPEG or a PNG",
        description="All boxes are in pixels of this one. Where the stored picture is that already, it is sent.",
        parameters=[RANGE_HEADER],
        responses=picture_answers(PICTURE_TYPES[:2], errors=[503]),
    )
    def get(self, request: Request, frame_id: UUID) -> Any:
        frame = rules.get(rules.frames, request.user, frame_id)
        path = _shown(frame)
        return send_picture(
            _plain(request),
            path=path,
            media_type=media_type_of(path),
            etag=renditions.shown_name(frame),
            name=str(frame.pk),
        )


def _shown(frame: Frame) -> Path:
    try:
        path = renditions.shown_path(frame)
    except renditions.BadMedia as bad:
        raise NotFound(str(bad), hint="Tell an admin.") from None
    if not path.exists():
        raise NotFound("The stored picture is missing.", hint="Tell an admin.")
    return path


class ThumbnailView(APIView):
    @extend_schema(
        operation_id="get_frame_thumbnail",
        summary="A JPEG of at most 480 pixels",
        parameters=[RANGE_HEADER],
        responses=picture_answers(["image/jpeg"], errors=[503]),
    )
    def get(self, request: Request, frame_id: UUID) -> Any:
        frame = rules.get(rules.frames, request.user, frame_id)
        return send_picture(
            _plain(request),
            path=renditions.thumbnail_path(frame),
            media_type="image/jpeg",
            etag=f"{frame.sha256}-{frame.bit_depth}-{renditions.THUMBNAIL_PX}",
            name=f"{frame.pk}-small",
        )


class ReviewsView(APIView):
    @extend_schema(
        operation_id="review_frame",
        summary="Say what you, a person, decided about this frame",
        description="A retry with the same Idempotency-Key gives the stored review with 200: twice is once.",
        parameters=[header("Idempotency-Key", most=uploads.MAX_KEY_LENGTH, pattern="^[ -~]*$", about="Of this review")],
        request=ReviewChangeSerializer,
        responses=answers(201, ReviewSerializer, errors=[400, 403, 404, 409, 422]) | {200: ReviewSerializer},
    )
    def post(self, request: Request, frame_id: UUID) -> Response:
        frame = rules.get(rules.frames, request.user, frame_id, Action.REVIEW)
        body = ReviewChangeSerializer(data=request.data)
        body.is_valid(raise_exception=True)
        sent = body.validated_data
        key = request.headers.get("Idempotency-Key", "")
        uploads.check_key(key)
        done = reviews.submit_review(
            frame=frame,
            reviewer=cast(User, request.user),  # a token has no right to review
            verdict=sent.get("verdict", ""),
            part=sent.get("part", ""),
            note=sent["note"],
            marks=[_drawn(mark) for mark in sent["marks"]],
            client_key=key,
        )
        return Response(ReviewSerializer(done.review).data, status=201 if done.created else 200)


def _drawn(mark: dict[str, Any]) -> reviews.DrawnMark:
    return reviews.DrawnMark(mark["defect_class"], tuple(mark["box_xyxy"]), mark["detection"], mark["restored"])


class RetryView(APIView):
    @extend_schema(
        operation_id="retry_frame",
        summary="Put the failed steps of this frame back into the queue",
        request=None,
        responses=answers(200, FrameSerializer, errors=[403, 404, 409]),
    )
    def post(self, request: Request, frame_id: UUID) -> Response:
        frame = rules.get(rules.frames, request.user, frame_id, Action.RETRY)
        steps.retry(frame=frame, by=request.user)
        return Response(frame_json(rules.get(_with_findings, request.user, frame_id)))


def _plain(request: Request) -> HttpRequest:
    plain: HttpRequest = request._request
    return plain
