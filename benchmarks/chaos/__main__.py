"""Does one input, or one part that stops, stop anybody? `python -m benchmarks.chaos`, or `make chaos`.

Brings up a whole installation of its own with two lines, and in turn: sends hostile uploads mixed with good ones; stops
and kills a worker, web, PostgreSQL and Redis under a steady stream of good frames; lets a worker work whose clock is an
hour off. Then it waits until the queue is empty and judges the raw rows. The last line is JSON; exit 0 only if every
aim is met. `--scale 0.05` is the same in about a minute.
"""

import argparse
import asyncio
import json
import struct
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks import history
from benchmarks.chaos import hostile, verdict
from benchmarks.chaos.attack import Answers, attack, is_error
from benchmarks.chaos.clock import NoCompiler, clock_off
from benchmarks.chaos.parts import PARTS, Memory, Parts
from benchmarks.senders import History, Pace, Picture, post_all
from benchmarks.stack import BenchStack, bench_folder, constant_models

LIMIT_S = 870.0
STUCK_S = 60.0
AIMS = {
    "server_errors": 0,
    "good_lost": 0,
    "doubled": 0,
    "stuck": 0,
    "false_holds": 0,
    "other_line_p99_s": 3.0,
    "web_rss_mb": 700,
    "worker_rss_mb": 700,
}
WATCHED = ("web", "worker-dispatch-1", "worker-dispatch-2")


@dataclass(frozen=True)
class Sizes:
    """How much of everything, by one number."""

    scale: float
    rate: float
    chosen_costly: int | None = None

    @property
    def hostile(self) -> int:
        return max(60, round(2_000 * self.scale))

    @property
    def costly(self) -> int:
        return self.chosen_costly if self.chosen_costly is not None else max(3, round(20 * self.scale))

    @property
    def good(self) -> int:
        return max(20, round(200 * self.scale))

    @property
    def stopped_s(self) -> float:
        return max(5.0, 20 * self.scale)

    @property
    def rest_s(self) -> float:
        return max(2.0, 10 * self.scale)

    @property
    def clock_off_s(self) -> float:
        return max(6.0, 60 * self.scale)

    @property
    def under_faults(self) -> int:
        """Frames that are sent while parts are stopped and killed, and while a clock is off."""
        return round(self.rate * (len(PARTS) * (self.stopped_s + 2 * self.rest_s) + self.clock_off_s))


def main() -> int:
    options = _options()
    folder = bench_folder("chaos")
    try:
        wrong_clock = clock_off(folder, 3600)
    except NoCompiler as error:
        print(f"make chaos was not run: {error}", file=sys.stderr)
        return 2
    began = time.monotonic()
    with BenchStack(folder, AIVD_LOG_LEVEL="WARNING", **constant_models(service_ms=30, token_ms=2)) as stack:
        run = Run(stack, folder, Sizes(options.scale, options.rate, options.costly), options.seed, wrong_clock)
        try:
            asyncio.run(run.all(options.limit_s - (time.monotonic() - began)))
        except TimeoutError:
            print(f"! not done within {options.limit_s:g} s; judged as it stood")
        found = run.judge()
    for line in run.words:
        print(line)
    print(f"raw rows: {folder}")
    print(json.dumps(found))
    return 0 if all(found[name] <= aim for name, aim in AIMS.items()) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument(
        "--scale", type=float, default=1.0, help="1 is 2,000 hostile uploads and parts stopped for 20 s"
    )
    parser.add_argument("--rate", type=float, default=10.0, help="good frames a second, both lines together")
    parser.add_argument("--costly", type=int, help="uploads that are dear to decode; by the scale, 20")
    parser.add_argument("--seed", type=int, default=8, help="of the hostile uploads")
    parser.add_argument("--limit-s", type=float, default=LIMIT_S, help="all together; what is not done by then counts")
    return parser.parse_args()


class Run:
    """One run: what is sent and broken, and the rows that are kept of it."""

    def __init__(self, stack: BenchStack, folder: Path, sizes: Sizes, seed: int, wrong_clock: dict[str, str]) -> None:
        self.stack, self.folder, self.sizes, self.seed, self.wrong_clock = stack, folder, sizes, seed, wrong_clock
        self.lines = [stack.token(describe=False) for _ in range(2)]  # (station, token)
        self.kept = [History(folder / f"operations-{n}.jsonl") for n in range(2)]
        self.answers = Answers()
        self.parts = Parts(stack)
        self.memory = Memory(self.parts, WATCHED)
        self.words: list[str] = []
        self._picture = board()

    async def all(self, within_s: float) -> None:
        watching = asyncio.create_task(self.memory.watch())
        try:
            async with asyncio.timeout(within_s):
                await self._uploads()
                await self._faults()
                await self._settle()
        finally:
            watching.cancel()
            for one in self.kept:
                one.close()

    async def _uploads(self) -> None:
        targets = [(station.pk, token) for station, token in self.lines]
        bad = hostile.uploads(self.sizes.hostile, self.sizes.costly, seed=self.seed)
        began = time.monotonic()
        await asyncio.gather(
            attack(self.stack.base_url, targets, bad, self.answers),
            self._send("beside", self.sizes.good, rate=5.0),
        )
        slowest = max(self.answers.rows, key=lambda row: row["took_s"])
        self.words.append(
            f"{len(self.answers.rows)} hostile uploads in {time.monotonic() - began:.0f} s; "
            f"the slowest answer: {slowest['kind']}, {slowest['took_s']} s"
        )
        self.words.append(self.answers.words())

    async def _faults(self) -> None:
        sizes = self.sizes
        sending = asyncio.create_task(self._send("under-faults", sizes.under_faults, rate=sizes.rate))
        await self.parts.one_after_the_other(stopped_s=sizes.stopped_s, rest_s=sizes.rest_s)
        self.parts.rows.append({"t": time.time(), "fault": "a worker works whose clock is an hour ahead"})
        worker = await asyncio.to_thread(self._start_worker)
        try:
            await asyncio.sleep(sizes.clock_off_s)
            await sending
        finally:
            worker.terminate()
            with suppress(subprocess.TimeoutExpired):
                await asyncio.to_thread(worker.wait, 20)
            if worker.poll() is None:
                worker.kill()

    async def _send(self, name: str, count: int, *, rate: float) -> None:
        """Good frames on both lines, each sent until it is accepted."""
        await asyncio.gather(
            *(
                post_all(
                    self.stack.base_url,
                    station.pk,
                    token,
                    pace=Pace([self._good(f"{name}-{n}-{line}") for n in range(count // 2)], rate / 2),
                    history=self.kept[line],
                    connections=8,
                )
                for line, (station, token) in enumerate(self.lines)
            )
        )

    def _good(self, key: str) -> Picture:
        """The board with its key in a comment: no two are the same file."""
        said = key.encode()
        data = self._picture[:2] + b"\xff\xfe" + struct.pack(">H", len(said) + 2) + said + self._picture[2:]
        return Picture(key, "rest", data)

    def _start_worker(self) -> "subprocess.Popen[bytes]":
        """One more worker, as the launcher starts them, but for the clock."""
        like = Path(f"/proc/{self.stack.process('worker-dispatch-2')}")
        argv = [word.decode() for word in (like / "cmdline").read_bytes().split(b"\0") if word]
        pairs = [pair.decode().partition("=") for pair in (like / "environ").read_bytes().split(b"\0") if pair]
        environ = {name: value for name, _, value in pairs if name != "AIVD_READY_FILE"} | self.wrong_clock
        argv = ["--hostname=clock-off@%h" if word.startswith("--hostname") else word for word in argv]
        argv = [word for word in argv if not word.startswith("--include")]
        with (self.folder / "clock-off.log").open("ab") as log:
            return subprocess.Popen(argv, env=environ, cwd=(like / "cwd").resolve(), stdout=log, stderr=log)

    async def _settle(self) -> None:
        """Until no Step is open, or nothing moves any more."""
        from benchmarks.durable import asked
        from inspections.models import Event, Step

        moved_at, seen = time.monotonic(), -1
        while await asyncio.to_thread(asked, Step.objects.open().count) and time.monotonic() < moved_at + STUCK_S:
            events = await asyncio.to_thread(asked, Event.objects.count)
            if events != seen:
                seen, moved_at = events, time.monotonic()
            await asyncio.sleep(0.3)

    # -- what is made of it -------------------------------------------------------------------------

    def judge(self) -> dict[str, Any]:
        from benchmarks.durable import asked

        frames: list[dict[str, Any]] = []
        lost = doubled = 0
        for line, (station, _) in enumerate(self.lines):
            rows, events = self._collected(line, station, asked)
            known = {row["key"] for row in self.kept[line].rows}
            judged = history.judge(self.kept[line].rows, [row for row in rows if row["key"] in known], events, [])
            refused = {row["key"] for row in self.kept[line].rows if row["outcome"] == "fail"}
            unsent = known - {row["key"] for row in self.kept[line].rows if row["outcome"] in ("ok", "fail")}
            lost += judged.lost + len(refused) + len(unsent)
            doubled += judged.doubled
            self.words += [f"! line {line}: {fault}" for fault in judged.faults[:10]]
            self.words += [f"! line {line}: good frame {key} was refused" for key in sorted(refused)[:5]]
            self.words += [f"! line {line}: good frame {key} was never accepted" for key in sorted(unsent)[:5]]
            frames += self._facts(line, station, rows, events, known)
        history.write_rows(self.folder / "frames.jsonl", frames)
        history.write_rows(self.folder / "faults.jsonl", self.parts.rows)
        history.write_rows(self.folder / "hostile.jsonl", self.answers.rows)
        return self._figures(frames, lost, doubled)

    def _figures(self, frames: list[dict[str, Any]], lost: int, doubled: int) -> dict[str, Any]:
        stuck, falsely = verdict.stuck(frames), verdict.false_holds(frames)
        errors = self.answers.errors()
        # Good frames are sent until they are accepted: 503 with a time to come back is what a killed database gives.
        sent = [row for one in self.kept for row in one.rows if "status" in row]
        errors += [row for row in sent if is_error(row["status"], row.get("retry_after", row["status"] == 503))]
        self.words += [f"! server error: {row}" for row in errors[:10]]
        self.words += [f"! stuck: {row}" for row in stuck[:10]]
        self.words += [f"! held falsely: {row}" for row in falsely[:10]]
        self.words += [f"{row['fault']}; held lines: {row.get('held_lines', [])}" for row in self.parts.rows]
        self.words.append(f"the largest process that a watched one started: {self.memory.helper_mb:g} MB")
        self.words.append(f"{sum(row['good'] for row in frames)} good frames, {len(frames)} in all")
        return {
            "server_errors": len(errors),
            "good_lost": lost,
            "doubled": doubled,
            "stuck": len(stuck),
            "false_holds": len(falsely),
            "other_line_p99_s": verdict.other_line_p99_s(frames, self.parts.rows),
            "web_rss_mb": self.memory.most_mb["web"],
            "worker_rss_mb": max(mb for name, mb in self.memory.most_mb.items() if name != "web"),
        }

    def _collected(self, line: int, station: Any, asked: Any) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        from benchmarks.durable import frame_row
        from inspections.models import Event, Frame, IdempotencyKey

        keys = {
            row.answer["frame"]: row.key
            for row in asked(lambda: list(IdempotencyKey.objects.filter(scope__endswith=f"@{station.pk}")))
            if row.answer
        }
        found = Frame.objects.filter(station=station).select_related("decision").prefetch_related("steps")
        rows = [frame_row(frame, keys) | {"code": _code(frame), "complete": frame.completed_at is not None}
                for frame in asked(lambda: list(found))]  # fmt: skip
        query = Event.objects.filter(line_id=station.line_id).order_by("seq")
        events = [
            {"seq": e.seq, "type": e.type, "frame": str(e.frame_id) if e.frame_id else None, "at": e.at.timestamp()}
            for e in asked(lambda: list(query))
        ]
        return rows, events

    def _facts(
        self, line: int, station: Any, rows: list[dict[str, Any]], events: list[dict[str, Any]], known: set[str]
    ) -> list[dict[str, Any]]:
        at = {(event["frame"], event["type"]): event["at"] for event in events}
        return [
            {
                "frame": row["frame"],
                "line": station.line_id,
                "good": row["key"] in known,
                "received": at.get((row["frame"], "frame.added"), 0.0),
                "decided": at.get((row["frame"], "frame.decided")),
                "deadline_ms": station.deadline_ms,
                "outcome": row["outcome"],
                "code": row["code"],
                "complete": row["complete"],
                "open_steps": row["open_steps"],
            }
            for row in rows
        ]


def _code(frame: Any) -> str | None:
    return frame.decision.code if hasattr(frame, "decision") else None


def board() -> bytes:
    from finetune.boards import encode_jpeg, generate_board

    return bytes(encode_jpeg(generate_board(8).image))


if __name__ == "__main__":
    sys.exit(main())
