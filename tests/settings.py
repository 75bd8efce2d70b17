"""Settings of the test suite: the real parts, on the services that tests/services.py started."""

import atexit
import os
import shutil
import tempfile

# A folder of the suite's own, chosen before anything asks for the layout: the tests throw away what is in it.
# Each worker of pytest-xdist has one, and what it starts uses that one too.
if (prefix := f"aivd-test-{os.environ.get('PYTEST_XDIST_WORKER', 'alone')}-") not in os.environ.get("AIVD_VAR", ""):
    os.environ["AIVD_VAR"] = tempfile.mkdtemp(prefix=prefix)
    os.chmod(os.environ["AIVD_VAR"], 0o711 if os.geteuid() == 0 else 0o700)
    atexit.register(shutil.rmtree, os.environ["AIVD_VAR"], ignore_errors=True)

from aivd_web.settings import *  # noqa: F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
CELERY_TASK_ALWAYS_EAGER = False
READERS_ALIAS = "default"  # one pool, except where a test asks for the readers' own (tests/test_patience.py)
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # noqa: F405  (WhiteNoise warns of a missing one)
