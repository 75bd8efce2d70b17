"""Whether pictures of nothing that the models know are held, on the board station of a whole AIVD with its own models.

    AIVD_DATA=/path/to/data make bench-unknown [ARGS="--frames 500 --patterns 100"]

The station's first hundred frames are boards of DeepPCB's training split, as a line's would be. Then come steel strips
of NEU-DET's test split and test patterns of cameras, and the real boards of DeepPCB's test split, shuffled.
The last line is JSON; each frame's decision is in var/bench/unknown.
"""

import argparse
import io
import json
import os
import random
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx
from PIL import Image

from benchmarks.camera_patterns import patterns
from benchmarks.stack import BenchStack, bench_folder

BASELINE = 100
SEED = 20_261
COMPLETE_WITHIN_S = 900.0
TYPES = {".png": "image/png", ".jpg": "image/jpeg"}


@dataclass(frozen=True)
class Sent:
    kind: str  # baseline, steel, pattern or board
    name: str
    frame: str
    outcome: str = ""
    code: str = ""
    reason: str = ""


@dataclass(frozen=True)
class Source:
    kind: str
    name: str
    data: bytes
    media_type: str


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.unknown", description=__doc__.splitlines()[0])
    parser.add_argument("--frames", type=int, default=500, help="steel strips, and as many boards")
    parser.add_argument("--patterns", type=int, default=100)
    options = parser.parse_args()
    data = _data()
    first = _read("baseline", data / "deeppcb", "images", "train", BASELINE)
    mixed = [
        *_read("steel", data / "neu-det", "images", "test", options.frames),
        *_patterns(options.patterns),
        *_read("board", data / "deeppcb", "images", "test", options.frames),
    ]
    random.Random(SEED).shuffle(mixed)
    folder = bench_folder("unknown")
    with BenchStack(folder) as stack:
        rows = _inspect(stack, first, mixed)
    (folder / "frames.jsonl").write_text("".join(json.dumps(asdict(row)) + "\n" for row in rows))
    print(json.dumps(figures(rows)))


def figures(rows: Sequence[Sent]) -> dict[str, object]:
    """What the benchmark promises to print, and what the rest of each group came to."""
    unknown = [row for row in rows if row.kind in ("steel", "pattern")]
    known = [row for row in rows if row.kind == "board"]
    unlike = [row for row in unknown if row.code == "unlike"]
    return {
        "unknown": {
            "sent": len(unknown),
            "hold": len(unlike),
            "passed": sum(row.outcome == "pass" for row in unknown),
        },
        "known": {"sent": len(known), "held_as_unknown": sum(row.code == "unlike" for row in known)},
        "by_kind": {
            kind: dict(Counter(f"{row.outcome}/{row.code}" for row in rows if row.kind == kind))
            for kind in ("baseline", "steel", "pattern", "board")
        },
    }


def _data() -> Path:
    folder = Path(os.environ.get("AIVD_DATA") or "/nonexistent")
    missing = [name for name in ("deeppcb/test.txt", "neu-det/test.txt") if not (folder / name).is_file()]
    if missing:
        sys.exit(f"Nothing was measured: AIVD_DATA must name the folder that holds {' and '.join(missing)}.")
    return folder


def _read(kind: str, folder: Path, pictures: str, split: str, count: int) -> list[Source]:
    """`count` pictures of the split, evenly spread over it."""
    names = (folder / f"{split}.txt").read_text().split()
    chosen = names[:: max(1, len(names) // count)][:count]
    return [_source(kind, next((folder / pictures).glob(f"{name}.*"))) for name in chosen]


def _source(kind: str, path: Path) -> Source:
    return Source(kind, path.name, path.read_bytes(), TYPES[path.suffix])


def _patterns(count: int) -> Iterable[Source]:
    for index, (name, picture) in enumerate(patterns(count, seed=SEED)):
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG")
        yield Source("pattern", f"{name} {index}", file.getvalue(), "image/png")


def _inspect(stack: BenchStack, first: Sequence[Source], mixed: Sequence[Source]) -> list[Sent]:
    station, token = stack.token(describe=False)
    client = httpx.Client(
        base_url=stack.base_url, headers={"Authorization": f"Bearer {token}"}, timeout=60, trust_env=False
    )
    with client:
        rows = _decided(client, _send(client, station.pk, first))
        baseline = client.get(f"/api/v1/stations/{station.pk}/baseline").raise_for_status().json()
        print(f"baseline: {json.dumps(baseline)}", flush=True)
        return rows + _decided(client, _send(client, station.pk, mixed))


def _send(client: httpx.Client, station: int, sources: Sequence[Source]) -> list[Sent]:
    def one(source: Source) -> Sent:
        for _ in range(60):
            answer = client.post(
                f"/api/v1/stations/{station}/frames",
                content=source.data,
                headers={"Content-Type": source.media_type, "Idempotency-Key": f"{source.kind}/{source.name}"},
            )
            if answer.status_code not in (429, 503):
                break
            time.sleep(float(answer.headers.get("Retry-After", "1")))
        return Sent(source.kind, source.name, answer.raise_for_status().json()["frames"][0]["id"])

    with ThreadPoolExecutor(3) as pool:
        return list(pool.map(one, sources))


def _decided(client: httpx.Client, sent: Sequence[Sent]) -> list[Sent]:
    """Each with its decision. Raises TimeoutError where one has none in time."""
    ends_at, rows, waiting = time.monotonic() + COMPLETE_WITHIN_S, list[Sent](), list(sent)
    while waiting:
        if time.monotonic() > ends_at:
            raise TimeoutError(f"{len(waiting)} frames were not decided within {COMPLETE_WITHIN_S:g} s")
        row = waiting[0]
        decision = client.get(f"/api/v1/frames/{row.frame}").raise_for_status().json()["decision"]
        if decision is None:
            time.sleep(0.2)
            continue
        rows.append(Sent(row.kind, row.name, row.frame, decision["outcome"], decision["code"], decision["reason"]))
        waiting.pop(0)
    return rows


if __name__ == "__main__":
    main()
