"""Who may do what: Memberships give people a role on a Line, ApiTokens give machines one."""

from django.conf import settings
from django.db import models
from django.db.models.functions import Now
from django.utils.functional import cached_property

from .plant import Line, Station


class Role(models.TextChoices):
    """In rising order; each may do all that the one before it may."""

    VIEWER = "viewer"
    INSPECTOR = "inspector"
    ENGINEER = "engineer"
    ADMIN = "admin"


class Membership(models.Model):
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="memberships")
    line = models.ForeignKey(Line, on_delete=models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=12, choices=Role)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "line"], name="membership_once_per_line")]

    def __str__(self) -> str:
        return f"{self.user} is {self.role} on {self.line}"


class ApiToken(models.Model):
    """A machine's key. Only its sha256 is kept; `prefix` lets a person recognise it in a list."""

    class Scope(models.TextChoices):
        INGEST = "ingest", "send frames"
        READ = "read", "read frames and events"

    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=12, unique=True)
    digest = models.CharField(max_length=64, unique=True)
    line = models.ForeignKey(Line, on_delete=models.CASCADE, related_name="tokens")
    station = models.ForeignKey(
        Station,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="tokens",
        help_text="If set, the token may send to this station only",
    )
    scopes = models.JSONField(default=list)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ["-created_at"]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"

    @cached_property
    def has_expired(self) -> bool:
        """By the database's clock; asked once where the query that found the token did not ask already."""
        if hasattr(self, "expired_when_found"):
            return bool(self.expired_when_found)
        return ApiToken.objects.filter(pk=self.pk, expires_at__lte=Now()).exists()

    @property
    def is_usable(self) -> bool:
        return self.revoked_at is None and (self.expires_at is None or not self.has_expired)
