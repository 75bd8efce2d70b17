"""Nodes (machines with Triton), the models they serve, and which is on which."""

from django.db import models


class Node(models.Model):
    """A machine with Triton, reached by its gRPC URL.

    `draining` is what a person asked for; `health` is what the heartbeat saw last.
    """

    class Kind(models.TextChoices):
        EDGE = "edge"
        CLOUD = "cloud"

    class Health(models.TextChoices):
        UNKNOWN = "unknown"
        READY = "ready"
        UNREACHABLE = "unreachable"
        WRONG_CONTRACT = "wrong_contract"

    name = models.SlugField(unique=True)
    kind = models.CharField(max_length=8, choices=Kind)
    grpc_url = models.CharField(max_length=200, help_text="host:port of Triton's gRPC service")
    capacity = models.PositiveSmallIntegerField(
        default=1, help_text="Requests the node really works on at the same time"
    )
    draining = models.BooleanField(default=False, help_text="Gets no new work; what runs there finishes")
    health = models.CharField(max_length=16, choices=Health, default=Health.UNKNOWN)
    health_detail = models.TextField(blank=True)
    last_ready_at = models.DateTimeField(null=True, blank=True)
    facts = models.JSONField(default=dict, blank=True, help_text="What the node said of itself")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(condition=models.Q(capacity__gte=1), name="node_capacity_at_least_one"),
        ]

    def __str__(self) -> str:
        return self.name


class ServedModel(models.Model):
    """One model with its weights, as a Node names it. Detections and Descriptions point here."""

    class Kind(models.TextChoices):
        DETECTOR = "detector"
        DESCRIBER = "describer"
        OTHER = "other"

    kind = models.CharField(max_length=12, choices=Kind)
    name = models.CharField(max_length=100)
    version = models.CharField(max_length=40)
    digest = models.CharField(max_length=64, help_text="sha256 of the weights")
    runtime = models.CharField(max_length=60)
    class_names = models.JSONField(default=list, blank=True)
    products = models.JSONField(default=list, blank=True, help_text="What it was trained for, as it declares")
    first_seen_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["kind", "name", "version"]
        constraints = [
            models.UniqueConstraint(fields=["kind", "name", "version", "digest", "runtime"], name="served_model_once"),
        ]

    def __str__(self) -> str:
        return f"{self.name} {self.version} ({self.runtime})"


class Placement(models.Model):
    """A Triton model that a Node is meant to serve, and the ServedModel it last answered with."""

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="placements")
    model = models.CharField(max_length=60, help_text="Triton's name of it, such as edge_detector")
    served_model = models.ForeignKey(
        ServedModel, null=True, blank=True, on_delete=models.SET_NULL, related_name="placements"
    )

    class Meta:
        ordering = ["node", "model"]
        constraints = [models.UniqueConstraint(fields=["node", "model"], name="placement_once")]

    def __str__(self) -> str:
        return f"{self.model} on {self.node}"
