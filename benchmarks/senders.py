"""Clients that send pictures to a station, try again until they know the outcome, and write down everything.

They know no Django: they have a URL and a token, like a camera's program.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from aivd_web.demo.stream_client import Outgoing, StreamClient

RETRY_PAUSE_S = 0.2
GIVE_UP_S = 120.0
TRANSIENT = {429, 500, 502, 503, 504}


@dataclass(frozen=True)
class Picture:
    key: str
    door: str
    data: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.data).hexdigest()


class History:
    """What the clients did, one row an attempt and one an outcome, on disk as soon as it is known."""

    def __init__(self, path: Path) -> None:
        self.rows: list[dict[str, Any]] = []
        self.acknowledged = 0
        self._file = path.open("w", buffering=1)

    def note(self, picture: Picture, outcome: str, **more: Any) -> None:
        row = {
            "t": round(time.time(), 4),
            "op": "send",
            "key": picture.key,
            "outcome": outcome,
            "door": picture.door,
            "sha256": picture.sha256,
            **more,
        }
        self.acknowledged += outcome == "ok"
        self.rows.append(row)
        self._file.write(json.dumps(row) + "\n")

    def close(self) -> None:
        self._file.close()


class Pace:
    """Yields pictures at `rate` a second; when the server was away it does not hurry to make up for it."""

    def __init__(self, pictures: Sequence[Picture], rate: float) -> None:
        self._waiting = iter(pictures)
        self._gap_s = 1 / rate
        self._due = time.monotonic()
        self._turn = asyncio.Lock()

    async def next(self) -> Picture | None:
        async with self._turn:
            picture = next(self._waiting, None)
            self._due = max(self._due + self._gap_s, time.monotonic() - self._gap_s)
            await asyncio.sleep(max(0.0, self._due - time.monotonic()))
            return picture


async def post_all(
    base_url: str, station_id: int, token: str, *, pace: Pace, history: History, connections: int = 4
) -> None:
    """POST every picture of `pace`, each with its key, again and again until it is accepted or refused for good."""
    async with httpx.AsyncClient(
        base_url=base_url,
        headers={"Authorization": f"Bearer {token}", "Content-Type": "image/jpeg"},
        timeout=httpx.Timeout(10.0),
        trust_env=False,
    ) as http:

        async def sender() -> None:
            while (picture := await pace.next()) is not None:
                await _post(http, f"/api/v1/stations/{station_id}/frames", picture, history)

        await asyncio.gather(*(sender() for _ in range(connections)))


async def _post(http: httpx.AsyncClient, path: str, picture: Picture, history: History) -> None:
    ends_at = time.monotonic() + GIVE_UP_S
    while time.monotonic() < ends_at:
        history.note(picture, "info")
        try:
            answer = await http.post(path, content=picture.data, headers={"Idempotency-Key": picture.key})
        except httpx.HTTPError:
            await asyncio.sleep(RETRY_PAUSE_S)
            continue
        if answer.status_code == 201:
            history.note(picture, "ok", frame=answer.json()["frames"][0]["id"])
            return
        if answer.status_code not in TRANSIENT:
            history.note(picture, "fail", status=answer.status_code, detail=answer.text[:300])
            return
        history.note(picture, "info", status=answer.status_code)
        await asyncio.sleep(RETRY_PAUSE_S)


@dataclass
class Streamer:
    """One stream that is cut `cuts` times on its way, evenly spread over its pictures."""

    url: str
    token: str
    history: History
    cuts: int = 0
    cut_at: list[float] = field(default_factory=list)

    async def stream_all(self, pictures: Sequence[Picture], *, pace: Pace) -> None:
        by_key = {picture.key: picture for picture in pictures}

        def answered(key: str, message: dict[str, Any]) -> None:
            if message["type"] == "ack":
                self.history.note(by_key[key], "ok", frame=message["frame"])
            else:
                self.history.note(by_key[key], "fail", detail=str(message)[:300])

        client = StreamClient(self.url, self.token, on_answer=answered)
        every = max(1, len(pictures) // (self.cuts + 1))
        await client.send_all(self._outgoing(client, pace, every), give_up_after_s=GIVE_UP_S)

    async def _outgoing(self, client: StreamClient, pace: Pace, every: int) -> AsyncIterator[Outgoing]:
        sent = 0
        while (picture := await pace.next()) is not None:
            self.history.note(picture, "info")
            yield Outgoing(picture.key, picture.data)
            sent += 1
            if sent % every == 0 and len(self.cut_at) < self.cuts:
                self.cut_at.append(time.time())
                await client.cut()
