"""The Celery application. Messages are wake-ups that carry ids; rows in PostgreSQL are the work."""

import os

from celery import Celery
from kombu.entity import Queue

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "aivd_web.settings")

app = Celery("aivd")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.conf.update(
    accept_content=["json"],
    task_serializer="json",
    task_ignore_result=True,
    task_acks_late=False,
    worker_prefetch_multiplier=1,
    worker_soft_shutdown_timeout=5,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_transport_options={
        "socket_timeout": 5,
        "socket_connect_timeout": 2,
        "health_check_interval": 5,
        "global_keyprefix": "celery:",
    },
    task_queues=[
        # A lost wake-up costs a poll interval; remembering each until it is acknowledged would cost more than it saves.
        Queue(name, routing_key=name, no_ack=name == "dispatch")  # type: ignore[no-untyped-call]
        for name in ("dispatch", "housekeeping", "training")
    ],
    task_default_queue="dispatch",
    task_routes={
        "scheduling.*": {"queue": "housekeeping"},
        "aivd_web.demo.*": {"queue": "housekeeping"},
        "finetune.reap": {"queue": "housekeeping"},
        "finetune.import_pictures": {"queue": "housekeeping"},
        "finetune.preview": {"queue": "housekeeping"},
        "finetune.*": {"queue": "training"},
    },
    beat_schedule={
        "wake-workers": {"task": "inspections.dispatch_waiting", "schedule": 1.0, "options": {"expires": 2}},
        "reap": {
            "task": "inspections.reap",
            "schedule": 1.0,
            "options": {"queue": "housekeeping", "expires": 2},
        },
        "hold-overdue": {
            "task": "inspections.hold_overdue",
            "schedule": 1.0,
            "options": {"queue": "housekeeping", "expires": 2},
        },
        "sweep": {
            "task": "inspections.sweep",
            "schedule": 600.0,
            "options": {"queue": "housekeeping", "expires": 3 * 3600},  # longer than clocks differ
        },
        "reap-runs": {"task": "finetune.reap", "schedule": 5.0, "options": {"expires": 10}},
        "resume-demo": {"task": "aivd_web.demo.resume", "schedule": 10.0, "options": {"expires": 10}},
    },
)
app.autodiscover_tasks()
