"""Room for messages: what fits goes in, what does not waits, and one of any size fits where nothing else is."""

import asyncio
import random

import pytest

from aivd_web.kernel.room import Room


async def settle() -> None:
    """Let every task that can run do so."""
    for _ in range(20):
        await asyncio.sleep(0)


@pytest.mark.parametrize("seed", range(20))
async def test_no_more_than_fits_is_ever_under_way_and_all_come_through(seed: int) -> None:
    rng = random.Random(seed)
    room, under_way, done = Room(messages=4, size=100), [], []

    async def pass_through(size: int) -> None:
        await room.take(size)
        under_way.append(size)
        assert len(under_way) == 1 or (len(under_way) <= 4 and sum(under_way) <= 100)
        await asyncio.sleep(0)
        under_way.remove(size)
        room.give(size)
        done.append(size)

    sizes = [rng.choice([0, 1, 30, 60, 100, 150]) for _ in range(40)]
    async with asyncio.timeout(10):
        await asyncio.gather(*map(pass_through, sizes))
    assert sorted(done) == sorted(sizes)
    assert (room.messages, room.size) == (0, 0)


async def test_who_gives_up_waiting_takes_no_room() -> None:
    room = Room(messages=1, size=100)
    await room.take(50)
    waiting = asyncio.create_task(room.take(50))
    await settle()
    waiting.cancel()
    await settle()
    room.give(50)
    assert (waiting.cancelled(), room.messages) == (True, 0)
    async with asyncio.timeout(1):
        await room.take(500)
