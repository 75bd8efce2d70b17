"""Settings for what needs models but no database: whether a migration is missing is answered without PostgreSQL."""

from aivd_web.settings import *  # noqa: F403

DATABASES = {"default": {"ENGINE": "django.db.backends.dummy"}}
DATABASE_ROUTERS = []
