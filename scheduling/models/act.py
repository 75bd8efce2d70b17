"""NodeAct: what a person did with a Node. Written once, beside the change itself; nothing edits it."""

from django.db import models

from .node import Node


class NodeAct(models.Model):
    class Act(models.TextChoices):
        DRAIN = "drain", "taken out of rotation"
        UNDRAIN = "undrain", "given work again"

    node = models.ForeignKey(Node, on_delete=models.CASCADE, related_name="acts")
    act = models.CharField(max_length=10, choices=Act)
    by = models.CharField(max_length=150, help_text="The name they had then; people may be renamed or leave")
    at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.node_id} {self.get_act_display()} by {self.by}"
