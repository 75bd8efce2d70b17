"""Does a board station know what is no board? `python -m benchmarks.unknown`, or `make bench-unknown`.

Brings up a whole installation of its own with the shipped models and a board station. Its first hundred frames are real
DeepPCB train boards. Then come 500 frames of hot-rolled steel (NEU-DET), 100 camera test patterns, and the 500 DeepPCB
test boards, all by REST. The last line is JSON; exit 0 only if the aims were met. Needs AIVD_DATA, and says so.
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from PIL import Image

from benchmarks import history
from benchmarks.durable import STUCK_S, asked, jpeg
from benchmarks.patterns import camera_patterns
from benchmarks.senders import History, Pace, Picture, post_all
from benchmarks.stack import BenchStack, bench_folder

FIRST = 100
STEEL = 500
PATTERNS = 100
LEAST_HELD = 0.98
MOST_KNOWN_HELD = 0.02
SEED = 8


def main() -> int:
    options = _options()
    data = Path(os.environ.get("AIVD_DATA") or "/nonexistent")
    missing = [
        name for name in ("deeppcb/train.txt", "deeppcb/test.txt", "neu-det/images") if not (data / name).exists()
    ]
    if missing:
        print(f"Not measured: {', '.join(missing)} not found. Set AIVD_DATA to the folder of the data sets.")
        return 2
    folder = bench_folder("unknown")
    split = "train" if options.rehearse else "test"
    first = deeppcb(data, "train", "first", FIRST)
    known = deeppcb(data, split, "known", options.known + FIRST * options.rehearse)[FIRST * options.rehearse :]
    unknown = [*steel(data, split), *patterns(SEED + options.rehearse)]
    with BenchStack(folder, AIVD_LOG_LEVEL="WARNING") as stack:
        station, token = stack.token(describe=False)
        for name, pictures in (("first", first), ("unknown", unknown), ("known", known)):
            asyncio.run(send(stack, station, token, pictures, folder / f"{name}.jsonl", options.rate))
            asked(lambda: wait_until_decided(station))
        rows = collect(station)
    history.write_rows(folder / "frames.jsonl", rows)
    verdict = judge(rows)
    print(f"raw rows: {folder}")
    print(json.dumps(verdict))
    return 0 if good(verdict) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--known", type=int, default=500, help="how many DeepPCB test boards are sent")
    parser.add_argument("--rate", type=float, default=8.0, help="frames a second")
    parser.add_argument("--rehearse", action="store_true", help="on training splits and other patterns")
    return parser.parse_args()


def deeppcb(data: Path, split: str, kind: str, count: int) -> list[Picture]:
    """A sample of the authors' split: the names stand there in order of their kind."""
    names = sample(data / "deeppcb" / f"{split}.txt", count)
    return [picture(f"{kind}-{name}", Image.open(data / "deeppcb" / "images" / f"{name}.png")) for name in names]


def steel(data: Path, split: str) -> list[Picture]:
    names = sample(data / "neu-det" / f"{split}.txt", STEEL)
    return [picture(f"steel-{name}", Image.open(data / "neu-det" / "images" / f"{name}.jpg")) for name in names]


def sample(path: Path, count: int) -> list[str]:
    names = [Path(name).stem for name in path.read_text().split()]
    random.Random(SEED).shuffle(names)
    return names[:count]


def patterns(seed: int) -> list[Picture]:
    drawn = camera_patterns(seed, PATTERNS)
    return [picture(f"pattern-{n}-{kind}", Image.fromarray(image)) for n, (kind, image) in enumerate(drawn)]


def picture(key: str, image: Image.Image) -> Picture:
    return Picture(key, "rest", jpeg(image.convert("RGB")))


async def send(stack: BenchStack, station: Any, token: str, pictures: list[Picture], path: Path, rate: float) -> None:
    kept = History(path)
    await post_all(stack.base_url, station.pk, token, pace=Pace(pictures, rate), history=kept)
    kept.close()


def wait_until_decided(station: Any) -> int:
    """Until every frame has a Decision; returns how many have none because nothing moved any more."""
    from inspections.models import Frame

    undecided = Frame.objects.filter(station=station, decided_at__isnull=True)
    left, moved_at = undecided.count(), time.monotonic()
    while left and time.monotonic() < moved_at + STUCK_S:
        time.sleep(0.3)
        now_left = undecided.count()
        if now_left != left:
            left, moved_at = now_left, time.monotonic()
    return left


def collect(station: Any) -> list[dict[str, Any]]:
    from inspections.models import Frame, IdempotencyKey

    keys = {
        row.answer["frame"]: row.key
        for row in IdempotencyKey.objects.filter(scope__endswith=f"@{station.pk}")
        if row.answer
    }
    frames = Frame.objects.filter(station=station).select_related("decision", "appearance").order_by("id")
    return [frame_row(frame, keys.get(str(frame.pk), "")) for frame in frames]


def frame_row(frame: Any, key: str) -> dict[str, Any]:
    decision, look = getattr(frame, "decision", None), getattr(frame, "appearance", None)
    return {
        "key": key,
        "outcome": getattr(decision, "outcome", None),
        "code": getattr(decision, "code", None),
        "model_distance": getattr(look, "model_distance", None),
        "station_distance": getattr(look, "station_distance", None),
        "station_limit": getattr(look, "station_limit", None),
    }


def judge(rows: list[dict[str, Any]]) -> dict[str, dict[str, int]]:
    """The counts of the verdict; what else came of the unknown frames is printed above it."""
    unknown = [row for row in rows if row["key"].startswith(("steel-", "pattern-"))]
    known = [row for row in rows if row["key"].startswith("known-")]
    for kind in ("first-", "steel-", "pattern-", "known-"):
        counted = Counter(f"{row['outcome']} ({row['code']})" for row in rows if row["key"].startswith(kind))
        print(f"{kind.rstrip('-'):<8} {dict(counted)}")
    return {
        "unknown": {
            "sent": len(unknown),
            "hold": sum(row["code"] == "unlike" for row in unknown),
            "passed": sum(row["outcome"] == "pass" for row in unknown),
        },
        "known": {"sent": len(known), "held_as_unknown": sum(row["code"] == "unlike" for row in known)},
    }


def good(verdict: dict[str, dict[str, int]]) -> bool:
    unknown, known = verdict["unknown"], verdict["known"]
    held = unknown["hold"] >= LEAST_HELD * unknown["sent"] and not unknown["passed"]
    return bool(
        unknown["sent"] and known["sent"] and held and known["held_as_unknown"] <= MOST_KNOWN_HELD * known["sent"]
    )


if __name__ == "__main__":
    sys.exit(main())
