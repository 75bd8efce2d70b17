"""The Celery application of `runs.py`: the real worker and its beat, with a trainer that only pretends.

AIVD_VAR=... AIVD_TEST_DATABASE=... celery -A tests.crash.training_worker worker --beat ...
"""

import os
import sys
from functools import partial
from pathlib import Path

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

from django.conf import settings

settings.DATABASES["default"]["NAME"] = os.environ["AIVD_TEST_DATABASE"]

from aivd_web.celery import app  # noqa: E402

app.conf.beat_schedule = {"reap-runs": app.conf.beat_schedule["reap-runs"]}


@app.on_after_finalize.connect
def pretend(**_: object) -> None:
    from finetune.runs import supervisor

    trainer = (sys.executable, str(Path(__file__).parents[1] / "finetune" / "stand_in_trainer.py"))
    supervisor.train_waiting = partial(supervisor.train_waiting, command=trainer)
