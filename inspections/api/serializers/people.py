"""Who one is, and what one may do."""

from rest_framework import serializers


class RoleSerializer(serializers.Serializer):
    line = serializers.IntegerField()
    role = serializers.ChoiceField(["viewer", "inspector", "engineer", "admin"])


class AbilitiesSerializer(serializers.Serializer):
    """What one may do on at least one line; each request is still checked for its own line."""

    see = serializers.BooleanField()
    upload = serializers.BooleanField()
    review = serializers.BooleanField()
    retry = serializers.BooleanField()
    run_demo = serializers.BooleanField()
    configure = serializers.BooleanField()
    train = serializers.BooleanField()
    manage_fleet = serializers.BooleanField()
    manage_access = serializers.BooleanField()


class MeSerializer(serializers.Serializer):
    username = serializers.CharField()
    roles = RoleSerializer(many=True)
    can = AbilitiesSerializer()
