"""The answer to whoever sends pictures."""

from rest_framework import serializers

from inspections.models import Frame


class StoredFrameSerializer(serializers.ModelSerializer):
    created = serializers.BooleanField(help_text="False where an earlier request with this key had stored it")

    class Meta:
        model = Frame
        fields = ["id", "name", "sha256", "width", "height", "bytes", "media_type", "received_at", "created"]


class RejectedSerializer(serializers.Serializer):
    name = serializers.CharField(allow_blank=True)
    code = serializers.CharField()
    detail = serializers.CharField()
    hint = serializers.CharField(allow_blank=True)
    retry_after_s = serializers.IntegerField(required=False)


class UploadedSerializer(serializers.Serializer):
    frames = StoredFrameSerializer(many=True)
    rejected = RejectedSerializer(many=True)
