"""The benchmark on real nodes: its arrivals, its figures, and that nothing it starts is left behind."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from benchmarks.schedule_real.__main__ import BASELINES
from benchmarks.schedule_real.faults import Noticed
from benchmarks.schedule_real.figures import latency_p95_ms, on_time_share, prediction_error, verdict
from benchmarks.schedule_real.models import ProfiledDetector
from benchmarks.schedule_real.scenario import FAULTS, LENGTH_S, LINES, NODES, WARM_UP_S, Arrival, arrivals, picture
from benchmarks.schedule_real.worker import Outcome
from scheduling.policy.admission import SameAdmission
from scheduling.policy.registry import get_policy
from tests.waiting import eventually

ROOT = Path(__file__).parents[2]


def outcome(at_s: float, took_s: float | None, *, predicted_ms: float | None = None, commits: int = 1) -> Outcome:
    committed = None if took_s is None else at_s + took_s
    arrival = Arrival(int(1000 * at_s), at_s, "steady", 1, deadline_s=0.4)
    measured = None if took_s is None else 1000 * took_s
    return Outcome(arrival, committed, 0 if took_s is None else commits, 1, "edge-1", predicted_ms, measured)


def run(*outcomes: Outcome) -> dict[int, Outcome]:
    return dict(enumerate(outcomes))


def test_the_same_seed_gives_the_same_traffic_and_another_one_another() -> None:
    assert arrivals(3) == arrivals(3) != arrivals(4)


def test_traffic_keeps_to_its_lines_rates() -> None:
    frames = arrivals(1, length_s=400.0)
    assert [one.at_s for one in frames] == sorted(one.at_s for one in frames)
    assert frames[0].at_s >= -WARM_UP_S
    for line in LINES:
        share = line.burst_s / line.period_s
        rate = line.frames_s * (1 + share * (line.burst - 1))
        count = sum(one.line == line.name for one in frames)
        assert count == pytest.approx(rate * (400 + WARM_UP_S), rel=0.1)


def test_faults_hit_different_nodes_one_after_the_other_and_end_before_the_run() -> None:
    assert {fault.node for fault in FAULTS} <= {profile.name for profile in NODES}
    assert len({fault.node for fault in FAULTS}) == len(FAULTS) == 3
    moments = [moment for fault in FAULTS for moment in (fault.start_s, fault.end_s)]
    assert moments == sorted(moments)
    assert moments[-1] < LENGTH_S


@pytest.mark.parametrize("size_bytes", [2_000, 40_000, 200_000])
def test_a_picture_has_the_weight_that_was_asked_for_and_can_be_decoded(size_bytes: int) -> None:
    data = picture(size_bytes)
    assert len(data) == pytest.approx(size_bytes, abs=80)
    with Image.open(io.BytesIO(data)) as image:
        image.load()
        assert image.size == (32, 32)


def test_a_detector_takes_the_time_of_its_profile_without_burning_it() -> None:
    detector = ProfiledDetector(service_ms="30", sigma="0")
    started, burnt = time.perf_counter(), time.process_time()
    detector.detect([None, None])
    assert time.perf_counter() - started >= 0.06
    assert time.process_time() - burnt < 0.03


def test_on_time_counts_what_was_never_answered_and_leaves_out_the_warm_up() -> None:
    rows = [outcome(-1.0, 9.0), outcome(1.0, 0.3), outcome(2.0, 0.5), outcome(3.0, None), outcome(4.0, 0.4)]
    assert on_time_share(rows) == 0.5
    assert on_time_share(rows, start_s=0.5, end_s=1.5) == 1.0
    assert on_time_share([]) is None


def test_the_95th_percentile_is_of_all_counted_arrivals() -> None:
    rows = [outcome(float(n), n / 100) for n in range(1, 101)]
    assert latency_p95_ms(rows) == pytest.approx(950)
    assert latency_p95_ms([outcome(1.0, None)]) == float("inf")


def test_the_prediction_error_is_relative_to_what_was_measured() -> None:
    rows = [outcome(1.0, 0.1, predicted_ms=110.0), outcome(2.0, 0.2, predicted_ms=100.0), outcome(3.0, 0.1)]
    assert prediction_error(rows) == pytest.approx(0.3)


def test_the_verdict_counts_lost_and_doubled_over_all_runs_and_takes_the_worst_notice() -> None:
    good, bad = run(outcome(1.0, 0.1), outcome(2.0, 0.1)), run(outcome(1.0, None), outcome(2.0, 0.1, commits=2))
    noticed = [Noticed("killed", "a", 0.2, 0.5), Noticed("killed", "a", 0.4, 1.5), Noticed("stopped", "b", None, 0.1)]
    said = verdict({"pct-lb": [good, good], "round-robin": [good, bad]}, noticed, [2, 3])
    assert (said["lost"], said["doubled"]) == (3, 1)
    assert said["on_time"] == {"pct-lb": 1.0, "round-robin": 0.75}
    assert (said["killed_out_s"], said["stopped_out_s"], said["back_s"]) == (0.4, None, 1.5)
    assert said["shortfalls"] == [
        "3 requests were lost.",
        "1 requests were doubled.",
        "b, stopped, was not out of rotation.",
    ]
    json.dumps(said)


def test_a_rule_that_is_clearly_above_ours_is_a_shortfall() -> None:
    half, whole = run(outcome(1.0, 0.1), outcome(2.0, None)), run(outcome(1.0, 0.1), outcome(2.0, 0.1))

    said = verdict({"pct-lb": [half], "peak-ewma+admission": [whole]}, [], [2])

    assert said["shortfalls"][1:] == ["peak-ewma+admission was on time more often than pct-lb: 100.00% against 50.00%."]
    assert verdict({"pct-lb": [whole], "peak-ewma+admission": [whole]}, [], [2])["shortfalls"] == []


def test_every_rule_stands_behind_our_admission() -> None:
    assert all(isinstance(get_policy(name), SameAdmission) for name in BASELINES)


@pytest.mark.stack
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_all_processes_end_with_the_benchmark(number: signal.Signals) -> None:
    """Also where nobody can clean up: everything that listens on its ports dies with it."""
    mark = f"AIVD_BENCH_TEST_{os.getpid()}_{number}"
    environment = {**os.environ, "HOME": f"/nonexistent/{mark}", "AIVD_DATA": ""}
    command = [sys.executable, "-m", "benchmarks.schedule_real", "--repeats", "1", "--decisions", "5"]
    bench = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert bench.stdout is not None
        assert any(line.startswith("decisions:") for line in bench.stdout)
        assert len(_marked(mark)) > 12  # six nodes with their models, six links, Redis
        bench.send_signal(number)
        bench.wait(30)
        eventually(lambda: not _marked(mark), lambda: _marked(mark))
    finally:
        bench.kill()
        bench.communicate()


def _marked(mark: str) -> list[int]:
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and mark.encode() in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found
