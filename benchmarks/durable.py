"""Is anything lost or doubled while parts are killed? `python -m benchmarks.durable`, or `make bench-durable`.

Brings up a whole installation of its own, sends boards half by REST and half by the stream while one part after
another is killed, waits until the queue is empty, and judges the raw rows with `benchmarks.history`. The last line is
JSON; exit 0 only if nothing was lost or doubled and nothing was seen that must not be.
"""

import argparse
import asyncio
import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from aivd_web.demo.follower import Follower
from benchmarks import history
from benchmarks.faults import Faults
from benchmarks.senders import History, Pace, Picture, Streamer, post_all
from benchmarks.stack import BenchStack, bench_folder, constant_models

STUCK_S = 60.0  # steps that are open after no event for this long are taken to be lost
VIEWER_S = 15.0
ASK_TIMES = 20


def main() -> int:
    options = _options()
    folder = bench_folder("durable")
    pictures = boards(options.frames)
    models = {} if options.models == "shipped" else constant_models(service_ms=30, token_ms=2)
    with BenchStack(folder, AIVD_LOG_LEVEL="WARNING", **models) as stack:
        station, token = stack.token()
        run = Run(stack, station, token, folder, options)
        run.meta["boards"] = pictures[0].key.partition("-")[0]
        asyncio.run(run.send(pictures))
        asked(run.collect)
    verdict = history.judge_folder(folder)
    for fault in verdict.faults[:20]:
        print(f"! {fault}")
    for row in history.read_rows(folder / "faults.jsonl"):
        print(f"{row['t'] - run.began:7.1f} s  {row['fault']}")
    print(f"raw rows: {folder}")
    print(json.dumps(verdict.as_dict()))
    return 0 if verdict.good else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--frames", type=int, default=500, help="how many boards are sent")
    parser.add_argument("--rate", type=float, default=12.0, help="boards a second, both doors together")
    parser.add_argument("--cuts", type=int, default=20, help="how often the stream's socket is cut")
    parser.add_argument("--frozen-s", type=float, default=10.0, help="how long a node is stopped")
    parser.add_argument(
        "--models",
        choices=("constant", "shipped"),
        default="constant",
        help="what the nodes run: constants after 30 ms, or the weights that come with AIVD",
    )
    return parser.parse_args()


def boards(count: int) -> list[Picture]:
    """The real DeepPCB test boards where AIVD_DATA has them, else generated ones; alternately for the two doors."""
    real = real_boards(count)
    kind, pictures = ("deeppcb", real) if real else ("generated", generated_boards(count))
    doors = ("rest", "stream")
    return [Picture(f"{kind}-{n}-{doors[n % 2]}", doors[n % 2], data) for n, data in enumerate(pictures)]


def real_boards(count: int) -> list[bytes]:
    folder = Path(os.environ.get("AIVD_DATA") or "/nonexistent") / "deeppcb"
    if not (folder / "test.txt").exists():
        return []
    names = (folder / "test.txt").read_text().split()[:count]
    return [jpeg(Image.open(folder / "images" / f"{Path(name).stem}.png").convert("RGB")) for name in names]


def generated_boards(count: int) -> list[bytes]:
    from finetune.boards import encode_jpeg, generate_board

    return [encode_jpeg(generate_board(seed).image) for seed in range(count)]


def jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


class Run:
    """One run: what is sent, what is followed, and the rows that are kept of it."""

    def __init__(self, stack: BenchStack, station: Any, token: str, folder: Path, options: argparse.Namespace) -> None:
        self.stack = stack
        self.station = station
        self.token = token
        self.folder = folder
        self.options = options
        self.began = time.time()
        self.meta: dict[str, Any] = {**vars(options), "began": self.began}

    async def send(self, pictures: list[Picture]) -> None:
        by_rest = [picture for picture in pictures if picture.door == "rest"]
        by_stream = [picture for picture in pictures if picture.door == "stream"]
        kept = History(self.folder / "operations.jsonl")
        faults = Faults(self.stack, frozen_s=self.options.frozen_s)
        streamer = Streamer(self._socket(f"stations/{self.station.pk}/stream"), self.token, kept, self.options.cuts)
        rate = self.options.rate / 2
        async with Follower(self._socket(f"lines/{self.station.line_id}/events"), self.token) as viewer:
            await asyncio.gather(
                post_all(self.stack.base_url, self.station.pk, self.token, pace=Pace(by_rest, rate), history=kept),
                streamer.stream_all(by_stream, pace=Pace(by_stream, rate)),
                faults.run(lambda: kept.acknowledged / len(pictures)),
            )
            self.meta["sent_s"] = round(time.time() - self.began, 1)
            await self._settle(viewer)
        kept.close()
        rows = [{"seq": event["seq"], "type": event["type"], "frame": event["id"]} for event in viewer.events]
        history.write_rows(self.folder / "viewer.jsonl", rows)
        history.write_rows(self.folder / "faults.jsonl", faults.rows)
        self.meta |= {"viewer_reconnects": viewer.reconnects, "stream_cuts": len(streamer.cut_at)}

    async def _settle(self, viewer: Follower) -> None:
        """Until no Step is open or nothing moves any more, and until the viewer has what the database has."""
        from inspections.models import EventHead, Step

        open_steps = Step.objects.open().filter(frame__station=self.station)
        heads = EventHead.objects.filter(line_id=self.station.line_id).values_list("seq", flat=True)
        head, moved_at = -1, time.monotonic()
        while await asyncio.to_thread(asked, open_steps.count) and time.monotonic() < moved_at + STUCK_S:
            seen = await asyncio.to_thread(asked, heads.get)
            if seen != head:
                head, moved_at = seen, time.monotonic()
            await asyncio.sleep(0.2)
        self.meta["settled_s"] = round(time.time() - self.began, 1)
        head = await asyncio.to_thread(asked, heads.get)
        ends_at = time.monotonic() + VIEWER_S
        while time.monotonic() < ends_at and (viewer.last_seq or 0) < head:
            await asyncio.sleep(0.1)

    def collect(self) -> int:
        """Write down what the database and the picture store hold; returns the number of frames."""
        from inspections.models import Event, Frame, IdempotencyKey

        keys = {
            row.answer["frame"]: row.key
            for row in IdempotencyKey.objects.filter(scope__endswith=f"@{self.station.pk}")
            if row.answer
        }
        frames = Frame.objects.filter(station=self.station).select_related("decision").prefetch_related("steps")
        history.write_rows(self.folder / "frames.jsonl", [frame_row(frame, keys) for frame in frames])
        events = Event.objects.filter(line_id=self.station.line_id).order_by("seq")
        rows = [{"seq": e.seq, "type": e.type, "frame": str(e.frame_id) if e.frame_id else None} for e in events]
        history.write_rows(self.folder / "events.jsonl", rows)
        (self.folder / "meta.json").write_text(json.dumps(self.meta, indent=1))
        return len(frames)

    def _socket(self, path: str) -> str:
        return f"ws{self.stack.base_url.removeprefix('http')}/ws/v1/{path}"


def asked(question: Callable[[], int]) -> int:
    """The database's answer; connections that PostgreSQL's crash left in the pool are used up on the way."""
    from django.db import DatabaseError

    from inspections.pipeline.worker import own_connection

    for attempt in range(ASK_TIMES):
        try:
            with own_connection():
                return question()
        except DatabaseError:
            time.sleep(0.1 * attempt)
    raise RuntimeError("The database does not answer.")


def frame_row(frame: Any, keys: dict[str, str]) -> dict[str, Any]:
    """A Frame as `benchmarks.history` reads it."""
    from inspections.media import storage

    try:
        stored = hashlib.sha256(storage.picture_path(frame).read_bytes()).hexdigest()
    except OSError:
        stored = None
    waited = (frame.completed_at - frame.received_at).total_seconds() if frame.completed_at else None
    return {
        "frame": str(frame.pk),
        "key": keys.get(str(frame.pk), ""),
        "sha256": frame.sha256,
        "stored_sha256": stored,
        "decisions": int(hasattr(frame, "decision")),
        "outcome": frame.decision.outcome if hasattr(frame, "decision") else None,
        "undone": sum(step.state != "done" for step in frame.steps.all()),
        "open_steps": sum(step.state in step.OPEN for step in frame.steps.all()),
        "attempts": sum(step.attempts for step in frame.steps.all()),
        "waited_s": waited,
    }


if __name__ == "__main__":
    sys.exit(main())
