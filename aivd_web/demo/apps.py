from django.apps import AppConfig


class DemoConfig(AppConfig):
    name = "aivd_web.demo"
    label = "demo"
    default_auto_field = "django.db.models.BigAutoField"
