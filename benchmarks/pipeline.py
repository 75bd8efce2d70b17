"""How fast is the pipeline around the models? `python -m benchmarks.pipeline`, or `make bench-pipeline`.

Real HTTP, 640x640 JPEGs, a real tritonserver, full durability, the load generator on the same cores. Three phases:

throughput  a node that answers constants; as many frames as go through, from the first POST to the last completion
added       the same node at 20 frames a second: from the start of a POST to the viewer's `frame.complete`, less what
            a bare client loop takes at the node at the same rate
share       the shipped detector's node on one core, everything else on the other: frames a second against a bare
            decode-and-infer loop alone on that core

Raw rows lie under var/bench/pipeline; the JSON of the last line is computed from them.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aivd_web.demo.follower import Follower
from benchmarks import history, models
from benchmarks.load import Load, Posted, boards
from benchmarks.ports import free_ports
from benchmarks.stack import BenchStack, bench_folder
from scheduling.serving.nodes import NodeSpec, node_command, prepare_node

NODE_READY_S = 90.0
DRAIN_S = 60.0
WARM_FRAMES = 20


def main() -> int:
    options = _options()
    folder = options.folder or bench_folder("pipeline")
    phases = options.phases.split(",")
    if {"throughput", "added"} & set(phases):
        constants = node_spec("edge-1", detector=models.DETECTOR, environment=models.ALLOWED)
        with running_node(constants, folder) as url, stack_of(folder, url) as stack:
            bench = Bench(stack, folder)
            bench.warm_up()
            if "throughput" in phases:
                bench.throughput(options.seconds, options.connections)
            if "added" in phases:
                bench.added(options.seconds, options.rate, url)
    if phases == ["share"]:
        share(folder, options)
    elif "share" in phases:
        _in_a_process_of_its_own("share", folder)
    summary = summarise(folder)
    (folder / "summary.json").write_text(json.dumps(summary, indent=1))
    print(f"raw rows: {folder}")
    print(json.dumps(summary))
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the pipeline around the models.")
    parser.add_argument("--seconds", type=float, default=20.0, help="how long each phase sends")
    parser.add_argument("--rate", type=float, default=20.0, help="frames a second in the phase `added`")
    parser.add_argument("--connections", type=int, default=8, help="connections that send at once")
    parser.add_argument("--detector", default="yolo-openvino", help="the real detector of the phase `share`")
    parser.add_argument("--phases", default="throughput,added,share")
    parser.add_argument("--folder", type=Path, help="put the raw rows there, beside those of other phases")
    return parser.parse_args()


def _in_a_process_of_its_own(phase: str, folder: Path) -> None:
    """Another stack has other secrets, and a process reads its settings once."""
    given = [*sys.argv[1:], f"--phases={phase}", f"--folder={folder}"]
    subprocess.run([sys.executable, "-m", "benchmarks.pipeline", *given], stdout=subprocess.DEVNULL, check=False)


@dataclass
class Bench:
    """The phases that run on one stack."""

    stack: BenchStack
    folder: Path

    def __post_init__(self) -> None:
        self.station, self.token = self.stack.token(describe=False)
        self.load = Load(self.stack.port, self.station.pk, self.token)

    def warm_up(self) -> None:
        """Imports, connections and the node's first batch are not what is measured."""
        asyncio.run(self._send_and_follow("warm", lambda: self.load.closed(WARM_FRAMES, connections=4)))

    def throughput(self, seconds: float, connections: int) -> None:
        asyncio.run(
            self._send_and_follow("throughput", lambda: self.load.for_seconds(seconds, connections=connections))
        )

    def added(self, seconds: float, rate: float, node_url: str) -> None:
        count = int(seconds * rate)
        history.write_rows(self.folder / "bare.jsonl", bare_calls(node_url, count, rate))
        asyncio.run(self._send_and_follow("added", lambda: self.load.paced(count, rate=rate)))

    async def _send_and_follow(self, phase: str, send: Any) -> None:
        url = f"ws://127.0.0.1:{self.stack.port}/ws/v1/lines/{self.station.line_id}/events"
        async with Follower(url, self.token) as viewer:
            posted: list[Posted] = await asyncio.to_thread(send)
            stored = {one.frame for one in posted if one.frame}
            missing = await viewer.wait_for("frame.complete", stored, timeout_s=DRAIN_S)
            completed = [(e["id"], e["heard_at"]) for e in viewer.events if e["type"] == "frame.complete"]
        if missing:
            print(f"{phase}: {len(missing)} of {len(stored)} frames were not complete in {DRAIN_S:g} s")
        history.write_rows(self.folder / f"{phase}-posted.jsonl", [one.as_row() for one in posted])
        rows = [{"frame": frame, "at": at} for frame, at in completed if frame in stored]
        history.write_rows(self.folder / f"{phase}-completed.jsonl", rows)


# -- nodes and stacks -------------------------------------------------------------------------------


def node_spec(name: str, *, detector: str, environment: Any = None) -> NodeSpec:
    first = free_ports(3)
    return NodeSpec(
        name=name,
        models=("edge_detector",),
        grpc_port=first,
        http_port=first + 1,
        metrics_port=first + 2,
        detector=detector,
        threads=1,
        environment=environment or {},
    )


@contextmanager
def running_node(spec: NodeSpec, folder: Path, *, core: int | None = None) -> Iterator[str]:
    """A tritonserver of the benchmark's own, on one core if asked; gives its gRPC address."""
    from scheduling.client.triton import NodeClient

    layout = folder / "node"
    prepare_node(spec, layout_dir=layout)
    argv, environment = node_command(spec, layout_dir=layout)
    pinned = ["taskset", "--cpu-list", str(core), *argv] if core is not None else argv
    with (folder / f"{spec.name}.log").open("wb") as log:
        process = subprocess.Popen(pinned, env=environment, stdout=log, stderr=log, cwd="/")
    client = NodeClient(spec.grpc_url, name=spec.name)
    try:
        ends_at = time.monotonic() + NODE_READY_S
        while not client.probe(timeout_s=1.0, models=spec.models).ready:
            if process.poll() is not None or time.monotonic() > ends_at:
                raise RuntimeError(f"the node did not become ready; see {folder / spec.name}.log")
            time.sleep(0.1)
        yield spec.grpc_url
    finally:
        client.close()
        process.terminate()
        process.wait(20)


def stack_of(folder: Path, node_url: str) -> BenchStack:
    return BenchStack(folder, AIVD_NODES=f"edge-1=edge@{node_url}", AIVD_LOG_LEVEL="WARNING")


# -- bare loops -------------------------------------------------------------------------------------


def bare_calls(node_url: str, count: int, rate: float) -> list[dict[str, float]]:
    """Each call's latency when a client does nothing but call, at the same rate."""
    from scheduling.client.triton import NodeClient

    client, pictures, rows = NodeClient(node_url, name="bare"), boards(), []
    due = time.perf_counter()
    for n in range(count):
        due += 1 / rate
        time.sleep(max(0.0, due - time.perf_counter()))
        started = time.perf_counter()
        client.detect(pictures[n % len(pictures)], min_score=0.25, timeout_s=5.0)
        rows.append({"latency_ms": (time.perf_counter() - started) * 1000})
    client.close()
    return rows


def bare_loop(detector: str, seconds: float) -> dict[str, float]:
    """Frames a second of decoding and detecting in a loop, in this process and nothing else."""
    from scheduling.serving.detectors import load_detector
    from scheduling.serving.pictures import decode_picture

    loaded, pictures = load_detector(detector, threads=1), boards()
    for picture in pictures[:5]:
        loaded.detect([decode_picture(picture)], min_score=0.25)
    began, count = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        loaded.detect([decode_picture(pictures[count % len(pictures)])], min_score=0.25)
        count += 1
    return {"frames": count, "seconds": time.perf_counter() - began}


def share(folder: Path, options: argparse.Namespace) -> None:
    """The shipped detector alone on the first core, then the same detector's node there and all else on the second."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        print("share: there is one core only; left out")
        return
    command = [sys.executable, "-c", f"import json, benchmarks.pipeline as p; "
               f"print(json.dumps(p.bare_loop({options.detector!r}, {options.seconds / 2})))"]  # fmt: skip
    pinned = ["taskset", "--cpu-list", str(cores[0]), *command]
    done = subprocess.run(pinned, capture_output=True, text=True, check=False, timeout=300)
    if done.returncode != 0:
        print(f"share: the detector {options.detector} does not run here; left out. {done.stderr.strip()[-200:]}")
        return
    history.write_rows(folder / "share-bare.jsonl", [json.loads(done.stdout.splitlines()[-1])])
    spec = node_spec("edge-1", detector=options.detector)
    with running_node(spec, folder, core=cores[0]) as url:
        os.sched_setaffinity(0, {cores[1]})
        try:
            with stack_of(folder, url) as stack:
                bench = Bench(stack, folder)
                bench.warm_up()
                asyncio.run(
                    bench._send_and_follow("share", lambda: bench.load.for_seconds(options.seconds, connections=4))
                )
        finally:
            os.sched_setaffinity(0, set(cores))


# -- from raw rows to figures -----------------------------------------------------------------------


def summarise(folder: Path) -> dict[str, float | None]:
    added_p50, added_p99 = added_ms(folder)
    return {
        "frames_per_s": rate_of(folder, "throughput"),
        "added_ms_p50": added_p50,
        "added_ms_p99": added_p99,
        "detector_share_of_bare": share_of_bare(folder),
    }


def rate_of(folder: Path, phase: str) -> float | None:
    """Frames a second from the first POST to the last completion."""
    posted, completed = _rows(folder, f"{phase}-posted"), _rows(folder, f"{phase}-completed")
    if not completed:
        return None
    took_s = max(row["at"] for row in completed) - min(row["sent_at"] for row in posted)
    return float(round(len(completed) / took_s, 1))


def added_ms(folder: Path) -> tuple[float | None, float | None]:
    bare = [row["latency_ms"] for row in _rows(folder, "bare")]
    completed = {row["frame"]: row["at"] for row in _rows(folder, "added-completed")}
    whole = [
        (completed[row["frame"]] - row["sent_at"]) * 1000
        for row in _rows(folder, "added-posted")
        if row["frame"] in completed
    ]
    if not bare or not whole:
        return None, None
    return tuple(round(percentile(whole, p) - percentile(bare, p), 1) for p in (50, 99))  # type: ignore[return-value]


def share_of_bare(folder: Path) -> float | None:
    bare, rate = _rows(folder, "share-bare"), rate_of(folder, "share")
    return round(rate / (bare[0]["frames"] / bare[0]["seconds"]), 3) if bare and rate else None


def percentile(values: Sequence[float], percent: int) -> float:
    """The smallest value that at least `percent` of the values do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def _rows(folder: Path, name: str) -> list[dict[str, Any]]:
    path = folder / f"{name}.jsonl"
    return history.read_rows(path) if path.exists() else []


if __name__ == "__main__":
    sys.exit(main())
