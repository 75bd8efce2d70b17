"""The composition root as a Django app: it holds the commands, loads Celery and makes what a process has of its own."""

from django.apps import AppConfig


class AivdWebConfig(AppConfig):
    name = "aivd_web"

    def ready(self) -> None:
        from aivd_web import celery  # noqa: F401  (shared_task needs the app to be loaded)
        from aivd_web.kernel.parts import Parts
        from aivd_web.makers import MAKERS

        self.parts = Parts(MAKERS)
