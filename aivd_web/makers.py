"""How this process makes what it has one of. Read once, when the apps start; nothing is made before it is asked for."""

import atexit
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from django.conf import settings

from aivd_web.attempts import Attempts
from aivd_web.kernel.parts import part
from aivd_web.kernel.publish import Publisher
from aivd_web.passwords import Places
from aivd_web.reference import Description
from inspections.media.decoding.decoder import Decoder
from inspections.media.storage import DurableFolders
from inspections.pipeline.liveness import LoopTimes
from inspections.pipeline.process import WorkerProcess
from inspections.pipeline.worker import Worker
from scheduling.services.process import FleetProcess
from scheduling.services.redis_client import RedisHints, client_of


def decoder() -> Decoder:
    made = Decoder()
    atexit.register(made.close)
    return made


def fleet_process() -> FleetProcess:
    artifacts = Path(settings.MEDIA_DIR) / "artifacts"
    return FleetProcess(redis=part(RedisHints).client, tls=settings.NODE_TLS, artifacts=artifacts)


def worker() -> Worker:
    threads = int(os.environ.get("AIVD_WORKER_THREADS", "16"))
    return Worker(fleet=part(FleetProcess).dispatcher, lease_s=settings.LEASE_S, threads=threads)


MAKERS: Mapping[type[Any], Callable[[], Any]] = {
    Attempts: Attempts,
    Decoder: decoder,
    Description: Description,
    DurableFolders: DurableFolders,
    FleetProcess: fleet_process,
    LoopTimes: LoopTimes,
    Places: Places,
    Publisher: Publisher,
    RedisHints: lambda: RedisHints(client_of(settings.REDIS_URL)),
    Worker: worker,
    WorkerProcess: lambda: WorkerProcess(part(Worker), part(LoopTimes), lease_s=settings.LEASE_S),
}
