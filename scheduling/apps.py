"""The scheduling app: machines, who can run what, and one request to one of them."""

from pathlib import Path

from django.apps import AppConfig
from django.conf import settings


class SchedulingConfig(AppConfig):
    name = "scheduling"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from scheduling.services.process import FleetProcess

        self.process = FleetProcess(
            redis_url=settings.REDIS_URL, tls=settings.NODE_TLS, artifacts=Path(settings.MEDIA_DIR) / "artifacts"
        )
