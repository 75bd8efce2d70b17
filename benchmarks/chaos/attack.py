"""Send hostile uploads, a few at a time, and write down what each was answered. Knows no Django.

Over sockets of its own where the request states a length that is not true: no client library sends such a thing.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from benchmarks.chaos.hostile import Upload

ANSWER_WITHIN_S = 60.0
BODY_BYTES = 2_000_000


@dataclass
class Answers:
    """`rows`: one an upload. A server error is a 5xx without Retry-After, or no answer to a whole request."""

    rows: list[dict[str, Any]] = field(default_factory=list)

    def note(self, upload: Upload, status: int | None, retry: bool, took_s: float) -> None:
        self.rows.append(
            {"kind": upload.kind, "status": status, "retry_after": retry, "took_s": round(took_s, 3),
             "bytes": len(upload.data), "whole": upload.claims is None}
        )  # fmt: skip

    def errors(self) -> list[dict[str, Any]]:
        return [row for row in self.rows if is_error(row["status"], row["retry_after"], whole=row["whole"])]

    def words(self) -> str:
        counted = Counter((row["kind"], row["status"]) for row in self.rows)
        return ", ".join(f"{kind} {status}: {count}" for (kind, status), count in sorted(counted.items(), key=str))


def is_error(status: int | None, retry_after: bool, *, whole: bool = True) -> bool:
    """503 with a time to come back is a promise kept; a request that ends before its length is owed no answer."""
    if status is None:
        return whole
    return status >= 500 and not (status in (503, 507) and retry_after)


async def attack(
    base_url: str, targets: list[tuple[int, str]], uploads: Iterator[Upload], answers: Answers, *, at_once: int = 6
) -> None:
    """`targets`: station and token, taken in turns."""
    turn = iter(enumerate(uploads))

    async def one() -> None:
        for number, upload in turn:
            station, token = targets[number % len(targets)]
            began = time.monotonic()
            status, retry = await _send(base_url, station, token, upload)
            answers.note(upload, status, retry, time.monotonic() - began)

    await asyncio.gather(*(one() for _ in range(at_once)))


async def _send(base_url: str, station: int, token: str, upload: Upload) -> tuple[int | None, bool]:
    try:
        async with asyncio.timeout(ANSWER_WITHIN_S if upload.claims is None else 5):
            return await _exchange(base_url, f"/api/v1/stations/{station}/frames", token, upload)
    except (OSError, TimeoutError, EOFError, ValueError):
        return None, False


async def _exchange(base_url: str, path: str, token: str, upload: Upload) -> tuple[int | None, bool]:
    at = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    try:
        length = len(upload.data) if upload.claims is None else upload.claims
        head = [
            f"POST {path} HTTP/1.1".encode(),
            b"Host: " + at.netloc.encode(),
            b"Authorization: Bearer " + token.encode(),
            b"Content-Type: " + upload.content_type.encode(),
            b"Content-Length: " + str(length).encode(),
            b"Connection: close",
            *(name.encode() + b": " + value for name, value in upload.headers.items()),
        ]
        writer.write(b"\r\n".join(head) + b"\r\n\r\n" + upload.data)
        await writer.drain()
        if length > len(upload.data):
            writer.write_eof()
        return _status(await reader.read(BODY_BYTES))
    finally:
        writer.close()


def _status(answer: bytes) -> tuple[int | None, bool]:
    if not answer:
        return None, False
    head = answer.partition(b"\r\n\r\n")[0].lower()
    return int(head.split()[1]), b"\r\nretry-after:" in head
