"""Run by `test_killed.py` in a process of its own: promotes versions in turn until somebody kills it.

python -m tests.finetune.registry.promoter DATABASE MEDIA_FOLDER VERSION_ID VERSION_ID
"""

import itertools
import os
import sys
from pathlib import Path

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

import django
from django.conf import settings


def main(database: str, media: str, *version_ids: str) -> None:
    for alias in settings.DATABASES:
        settings.DATABASES[alias]["NAME"] = database
    settings.MEDIA_DIR = Path(media)
    django.setup()
    from finetune.models import ModelVersion
    from finetune.registry import services

    for pk in itertools.cycle(version_ids):
        version = ModelVersion.objects.get(pk=pk)
        if services.serving(version.line, version.kind) != version:
            services.promote(version=version, by="alice")
        print(pk, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
