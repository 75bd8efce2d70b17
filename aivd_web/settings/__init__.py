"""All settings of the site, read once from the environment and the launcher's layout.

Other code gets them as arguments or from `django.conf.settings`; nothing else reads the environment.
"""

import os
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

from aivd_web.launcher import layout, source
from aivd_web.origins import is_origin
from aivd_web.settings import database
from scheduling.client.tls import BadCertificates, tls_from

env = environ.Env()
LAYOUT = layout.current()

# -- identity ---------------------------------------------------------------------------------------
SECRET_KEY = env.str("AIVD_SECRET_KEY", default="") or LAYOUT.secrets().secret_key
DEBUG = env.bool("AIVD_DEBUG", default=False)
HOST = env.str("AIVD_HOST", default="127.0.0.1")
PORT = env.int("AIVD_PORT", default=8000)
ALLOWED_HOSTS = env.list("AIVD_ALLOWED_HOSTS", default=["127.0.0.1", "localhost", "[::1]"])
CSRF_TRUSTED_ORIGINS = env.list("AIVD_TRUSTED_ORIGINS", default=[])
BEHIND_TLS = env.bool("AIVD_BEHIND_TLS", default=False)
for origin in CSRF_TRUSTED_ORIGINS:
    if not is_origin(origin):
        raise ImproperlyConfigured(
            f"'{origin}' in AIVD_TRUSTED_ORIGINS is no origin. Write scheme, host and, unless it is the usual one, "
            "port, in small letters and without a wildcard or a slash at the end: https://aivd.example.com"
        )
if len(SECRET_KEY) < 32:
    raise ImproperlyConfigured("AIVD_SECRET_KEY is shorter than 32 characters; generate a longer one.")

# -- apps -------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "aivd_web.apps.AivdWebConfig",
    "aivd_web.demo.apps.DemoConfig",
    "finetune.apps.FinetuneConfig",
    "inspections.apps.InspectionsConfig",
    "scheduling.apps.SchedulingConfig",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_vite",
    "channels",
]
MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "aivd_web.headers.ContentSecurityPolicy",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "aivd_web.errors.ExpectedErrors",
]
ROOT_URLCONF = "aivd_web.urls"
ASGI_APPLICATION = "aivd_web.asgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [source.TEMPLATES],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# -- truth: PostgreSQL ------------------------------------------------------------------------------
CHOSEN_DATABASE = env.db_url("DATABASE_URL") if env.str("DATABASE_URL", default="") else LAYOUT.database_settings()
if CHOSEN_DATABASE["ENGINE"] != "django.db.backends.postgresql":
    raise ImproperlyConfigured("AIVD keeps its truth in PostgreSQL; DATABASE_URL must start with postgres://.")
ROLE = env.str("AIVD_ROLE", default="web")
if ROLE not in database.PATIENCE:
    raise ImproperlyConfigured(f"AIVD_ROLE is one of {', '.join(database.PATIENCE)}, not '{ROLE}'.")
DATABASES = database.databases(
    CHOSEN_DATABASE,
    role=ROLE,
    connections=env.int("AIVD_DB_POOL", default=24),
    readers=env.int("AIVD_DB_READERS", default=10),
)
READERS_ALIAS = database.READS
DATABASE_ROUTERS = ["aivd_web.kernel.reads.ReadsRouter"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# -- hints: Redis -----------------------------------------------------------------------------------
REDIS_URL = env.str("REDIS_URL", default="") or LAYOUT.redis_url()
CHANNEL_LAYERS = {
    "default": {
        "BACKEND": "channels_redis.core.RedisChannelLayer",
        # It waits 5 s at a time for a message, so a socket must be given longer than redis-py's own 5 s.
        "CONFIG": {"hosts": [{"address": REDIS_URL, "socket_timeout": 15}], "capacity": 500, "expiry": 30},
    }
}
CELERY_BROKER_URL = layout.broker_url(REDIS_URL)

# -- people -----------------------------------------------------------------------------------------
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{name}"}
    for name in ("UserAttributeSimilarityValidator", "MinimumLengthValidator", "CommonPasswordValidator")
]
AUTH_PASSWORD_VALIDATORS += [{"NAME": "aivd_web.passwords.MaximumLengthValidator"}]
PASSWORD_HASHERS = ["aivd_web.passwords.BoundedArgon2"]
AUTHENTICATION_BACKENDS = ["aivd_web.passwords.BoundedBackend"]
LOGIN_URL = "/sign-in/"
LOGIN_REDIRECT_URL = "/"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "aivd_web.errors.csrf_failure"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = BEHIND_TLS
SECURE_HSTS_SECONDS = 31_536_000 if BEHIND_TLS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = BEHIND_TLS
if BEHIND_TLS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

# -- API --------------------------------------------------------------------------------------------
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "inspections.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["aivd_web.kernel.negotiation.BoundedJSONParser"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "aivd_web.kernel.negotiation.JsonForAll",
    "DEFAULT_SCHEMA_CLASS": "aivd_web.kernel.description.Description",
    "EXCEPTION_HANDLER": "aivd_web.errors.api_error",
    "UNAUTHENTICATED_USER": "django.contrib.auth.models.AnonymousUser",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "AIVD",
    "DESCRIPTION": "Adaptive edge-cloud collaboration for industrial visual inspection.",
    "VERSION": "1",
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "WorkStateEnum": "finetune.models.work.State.choices",
        "RunKindEnum": "finetune.models.run.Kind.choices",
        "ModelKindEnum": "finetune.models.registry.ModelKind.choices",
    },
}

# -- files ------------------------------------------------------------------------------------------
STATIC_URL = "/static/"
STATIC_ROOT = LAYOUT.static_folder
FRONTEND_DIST = source.FRONT_END
STATICFILES_DIRS = [FRONTEND_DIST] if FRONTEND_DIST.is_dir() else []
# Compressing takes a minute and pays only over a network.
STATIC_STORAGE = (
    "whitenoise.storage.CompressedStaticFilesStorage"
    if BEHIND_TLS
    else "django.contrib.staticfiles.storage.StaticFilesStorage"
)
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": STATIC_STORAGE},
}
DJANGO_VITE = {"default": {"manifest_path": FRONTEND_DIST / "manifest.json"}}
MEDIA_DIR = Path(env.str("AIVD_MEDIA", default="") or LAYOUT.media_folder)
MAX_UPLOAD_BYTES = env.int("AIVD_MAX_UPLOAD_BYTES", default=64 * 1024 * 1024)
MAX_ARCHIVE_BYTES = env.int("AIVD_MAX_ARCHIVE_BYTES", default=512 * 1024 * 1024)
# The text of a form; the ASGI wrapper caps whole bodies while they arrive, also without a length.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FILES = 2_000
FILE_UPLOAD_MAX_MEMORY_SIZE = 4 * 1024 * 1024

# -- time, words ------------------------------------------------------------------------------------
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en"
USE_I18N = False

# -- nodes ------------------------------------------------------------------------------------------
try:
    NODE_TLS = tls_from(os.environ)
except BadCertificates as error:
    raise ImproperlyConfigured(str(error)) from error

# -- inspection -------------------------------------------------------------------------------------
LEASE_S = env.float("AIVD_LEASE_S", default=3.0)
MAX_WAITING_STEPS = env.int("AIVD_MAX_WAITING_STEPS", default=5_000)

# -- training ---------------------------------------------------------------------------------------
TRAINING_MEMORY_MIB = env.int("AIVD_TRAINING_MEMORY_MIB", default=0)
LEARNING_GATES = env.json("AIVD_LEARNING_GATES", default={})

# -- log --------------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"format": "%(asctime)s %(levelname)s %(name)s %(message)s"}},
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["console"], "level": env.str("AIVD_LOG_LEVEL", default="INFO")},
    "loggers": {
        "httpx": {"level": "WARNING"},
        "celery.app.trace": {"level": "WARNING"},
        "celery.worker.strategy": {"level": "WARNING"},
    },
}
