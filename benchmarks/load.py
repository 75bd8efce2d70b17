"""A load generator that costs little itself: plain keep-alive HTTP from a few threads. Knows no Django."""

import http.client
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any

from finetune.boards import encode_jpeg, generate_board

TIMEOUT_S = 30.0


@dataclass(frozen=True)
class Posted:
    """One POST: when it began and was answered (seconds of the wall clock), and the frame it made."""

    sent_at: float
    answered_at: float
    status: int
    frame: str

    def as_row(self) -> dict[str, Any]:
        return asdict(self)


@cache
def boards(count: int = 16) -> list[bytes]:
    """Boards as 640x640 JPEGs."""
    return [encode_jpeg(generate_board(seed).image) for seed in range(count)]


def unlike(picture: bytes, n: int) -> bytes:
    """The same picture as another file, so that each has to be written and synced: bytes after a JPEG's end."""
    return picture + n.to_bytes(8, "big") + time.time_ns().to_bytes(8, "big")


class Load:
    """Posts to one station. Every method returns what was posted, in no certain order."""

    def __init__(self, port: int, station_id: int, token: str) -> None:
        self._port = port
        self._path = f"/api/v1/stations/{station_id}/frames"
        self._headers = {"Authorization": f"Bearer {token}", "Content-Type": "image/jpeg"}
        self._own = threading.local()

    def closed(self, count: int, *, connections: int) -> list[Posted]:
        """`count` pictures, each connection sending its next one when it has its answer."""
        with ThreadPoolExecutor(connections) as pool:
            return list(pool.map(self.post, range(count)))

    def for_seconds(self, seconds: float, *, connections: int) -> list[Posted]:
        """As `closed`, for a time instead of a number."""
        ends_at = time.monotonic() + seconds

        def sender(index: int) -> list[Posted]:
            posted: list[Posted] = []
            while time.monotonic() < ends_at:
                posted.append(self.post(index * 1_000_000 + len(posted)))
            return posted

        with ThreadPoolExecutor(connections) as pool:
            return [one for many in pool.map(sender, range(connections)) for one in many]

    def paced(self, count: int, *, rate: float, connections: int = 12) -> list[Posted]:
        """`count` pictures at `rate` a second, whether or not earlier ones have been answered."""
        began = time.monotonic()

        def at_its_time(n: int) -> Posted:
            time.sleep(max(0.0, began + n / rate - time.monotonic()))
            return self.post(n)

        with ThreadPoolExecutor(connections) as pool:
            return list(pool.map(at_its_time, range(count)))

    def post(self, n: int) -> Posted:
        pictures = boards()
        body = unlike(pictures[n % len(pictures)], n)
        sent_at = time.time()
        try:
            connection = self._connection()
            connection.request("POST", self._path, body, self._headers)
            answer = connection.getresponse()
            text = answer.read()
        except (OSError, http.client.HTTPException):
            self._own.connection = None
            return Posted(sent_at, time.time(), 0, "")
        frame = json.loads(text)["frames"][0]["id"] if answer.status == 201 else ""
        return Posted(sent_at, time.time(), answer.status, frame)

    def _connection(self) -> http.client.HTTPConnection:
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
            self._own.connection = connection
        return connection
