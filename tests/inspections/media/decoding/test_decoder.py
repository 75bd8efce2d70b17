"""The pool of decoder processes: what ends a child, and that the next picture finds another one."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from inspections.media.decoding import decoder
from inspections.media.decoding.decoder import Decoder
from inspections.media.decoding.faults import Refused
from tests.boards import board, file_of
from tests.threads import together

WALL_S = 60.0  # long enough for a child to start on a busy machine


def job(tmp_path: Path, data: bytes, name: str = "stored") -> dict[str, Any]:
    path = tmp_path / name
    path.write_bytes(data)
    where = {"path": str(path), "out": str(tmp_path / f"{name}.out"), "lock": str(tmp_path / "lock")}
    return {"do": "check", "bit_depth": "auto", **where}


@pytest.fixture
def good(tmp_path: Path) -> dict[str, Any]:
    return job(tmp_path, file_of(board(3), "PNG"), "good")


@pytest.fixture
def large(tmp_path: Path) -> dict[str, Any]:
    """36 megapixels of nothing in a few kilobytes."""
    path = tmp_path / "flat.png"
    Image.new("RGB", (6_000, 6_000)).save(path)
    return job(tmp_path, path.read_bytes(), "large")


@pytest.fixture
def pool(request: pytest.FixtureRequest) -> Iterator[Decoder]:
    made = Decoder(wall_s=WALL_S, **getattr(request, "param", {"children": 1}))
    yield made
    made.close()


def only_child(pool: Decoder) -> decoder.Child:
    (child,) = pool._all
    return child


@pytest.mark.parametrize("pool", [{"children": 1, "limits": {"cpu_s": 0.02}}], indirect=True)
def test_a_picture_that_takes_too_long_ends_its_child_and_nothing_else(
    pool: Decoder, good: dict[str, Any], large: dict[str, Any]
) -> None:
    for _ in range(3):
        with pytest.raises(Refused, match="longer to decode") as refused:
            pool.ask(large)
        assert refused.value.code == "picture_too_costly"
        assert pool.ask(good)["width"] == 96


@pytest.mark.parametrize("pool", [{"children": 1, "limits": {"memory_bytes": 48 * 2**20}}], indirect=True)
def test_a_picture_that_takes_too_much_memory_is_refused(
    pool: Decoder, good: dict[str, Any], large: dict[str, Any]
) -> None:
    pool.ask(good)
    child = only_child(pool)
    with pytest.raises(Refused, match="more memory") as refused:
        pool.ask(large)
    assert refused.value.code == "picture_too_costly"
    assert pool.ask(good)["width"] == 96
    assert only_child(pool) is child


def test_a_child_that_does_not_answer_is_ended_and_replaced(pool: Decoder, good: dict[str, Any]) -> None:
    pool.ask(good)
    child = only_child(pool)
    os.kill(child.pid, signal.SIGSTOP)
    pool.wall_s = 0.05
    with pytest.raises(Refused) as refused:
        pool.ask(good)
    assert refused.value.code == "decoder_busy"
    assert not child.alive
    pool.wall_s = WALL_S
    assert pool.ask(good)["width"] == 96


def test_a_child_that_was_killed_while_it_was_idle_is_not_noticed_by_anybody(
    pool: Decoder, good: dict[str, Any]
) -> None:
    pool.ask(good)
    child = only_child(pool)
    os.kill(child.pid, signal.SIGKILL)
    child.how_it_ended()
    assert pool.ask(good)["width"] == 96


def test_when_all_are_busy_the_sender_is_asked_to_come_again(pool: Decoder, good: dict[str, Any]) -> None:
    assert pool._room.acquire()  # as a job that is under way
    with pytest.raises(Refused) as refused:
        pool.ask(good, wait_s=0.01)
    assert refused.value.code == "decoder_busy"
    pool._room.release()
    assert pool.ask(good)["width"] == 96


@pytest.mark.parametrize("pool", [{"children": 2, "wait_s": 60.0}], indirect=True)
def test_many_threads_share_few_children(pool: Decoder, good: dict[str, Any], tmp_path: Path) -> None:
    jobs = [job(tmp_path, file_of(board(3)[: 8 + index], "PNG"), f"p{index}") for index in range(40)]
    answers = together(40, lambda index: pool.ask(jobs[index]))
    assert [answer["height"] for answer in answers] == [8 + index for index in range(40)]
    assert len(pool._all) <= 2


def test_very_large_pictures_take_turns(pool: Decoder, large: dict[str, Any], good: dict[str, Any]) -> None:
    import fcntl

    with Path(large["lock"]).open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(Refused, match="Other very large") as refused:
            pool.ask(large, wait_s=0.0)
        assert refused.value.code == "decoder_busy"
        assert pool.ask(good)["width"] == 96
    assert pool.ask(large)["width"] == 6_000


@pytest.mark.parametrize(
    ("returncode", "code"),
    [(-signal.SIGPROF, "picture_too_costly"), (-signal.SIGKILL, "decoder_busy"), (-signal.SIGSEGV, "broken_picture")],
)
def test_how_a_child_ended_says_whose_fault_it_was(returncode: int, code: str) -> None:
    assert decoder._why_gone(returncode).code == code


def test_a_job_that_no_decoder_knows_is_answered(pool: Decoder, good: dict[str, Any]) -> None:
    with pytest.raises(Refused):
        pool.ask({**good, "do": "something else"})
    assert pool.ask(good)["width"] == 96


def test_what_is_put_in_place_of_pillows_open_here_does_not_reach_it(
    monkeypatch: pytest.MonkeyPatch, pool: Decoder, good: dict[str, Any]
) -> None:
    """As ultralytics does for the whole process that imports it."""

    def opens_nothing(*args: Any, **more: Any) -> None:
        raise AssertionError

    with monkeypatch.context() as patched:
        patched.setattr(Image, "open", opens_nothing)
        patched.setattr(Image, "OPEN", {})
        assert pool.ask(good)["width"] == 96


def test_the_child_imports_nothing_that_could_change_pillow_or_reach_anything() -> None:
    script = (
        "import inspections.media.decoding.child, sys; print(*sorted({name.partition('.')[0] for name in sys.modules}))"
    )
    names = subprocess.run(
        [sys.executable, "-c", script], cwd=decoder.ROOT, capture_output=True, text=True, check=True, timeout=60
    ).stdout.split()
    assert not {"django", "ultralytics", "torch", "celery", "channels", "psycopg", "redis"} & set(names)
    assert "PIL" in names
