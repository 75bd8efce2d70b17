"""The inspections app: what was seen, what models said, what a person decided."""

from django.apps import AppConfig


class InspectionsConfig(AppConfig):
    name = "inspections"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from inspections import rules  # noqa: F401  (scheduling asks for permissions that it names)
