"""The gateway's clock."""

import asyncio
import time

import pytest

from gateway.clock import Clock

pytestmark = pytest.mark.anyio


async def test_it_runs_as_the_machines() -> None:
    clock = Clock()
    assert abs(clock.now() - time.time()) < 0.1
    fired = asyncio.Event()
    clock.call_later(0.01, fired.set)
    async with asyncio.timeout(2):
        await fired.wait()
    await clock.sleep(0)
    await clock.sleep(0.001)


async def test_hours_pass_at_once_and_each_timer_comes_at_its_own_time() -> None:
    clock = Clock()
    began, wall, told = clock.now(), time.monotonic(), []

    def tell(name: str) -> None:
        told.append((name, round(clock.now() - began)))

    def again() -> None:
        tell("again")
        clock.call_later(600, tell, "and again")

    clock.call_later(7200, tell, "last")
    clock.call_later(600, again)
    clock.call_later(900, tell, "never").cancel()
    clock.call_later(8000, tell, "later")
    await clock.turn(7300)
    assert told == [("again", 600), ("and again", 1200), ("last", 7200)]
    assert round(clock.now() - began) == 7300
    assert time.monotonic() - wall < 2
    await clock.turn(700)
    assert told[3:] == [("later", 8000)]


async def test_what_is_left_comes_sooner() -> None:
    clock = Clock()
    fired = asyncio.Event()
    clock.call_later(60.05, fired.set)
    await clock.turn(60)
    assert not fired.is_set()
    async with asyncio.timeout(2):
        await fired.wait()


async def test_who_sleeps_wakes_up() -> None:
    clock = Clock()
    seen = []

    async def work() -> None:
        for _ in range(3):
            await clock.sleep(60)
            seen.append(round(clock.monotonic() - began))

    began = clock.monotonic()
    task = asyncio.create_task(work())
    await clock.turn(150)
    assert seen == [60, 120]
    await clock.turn(30)
    await task
    assert seen == [60, 120, 180]


async def test_a_timeout() -> None:
    clock = Clock()
    forever = asyncio.Event()

    async def work() -> str:
        try:
            async with clock.timeout(29):
                await forever.wait()
        except TimeoutError:
            return "timed out"
        return "done"

    task = asyncio.create_task(work())
    await clock.turn(28)
    assert not task.done()
    await clock.turn(2)
    assert await task == "timed out"
    async with clock.timeout(29):
        await asyncio.sleep(0)
    await clock.turn(60)


async def test_a_turn_waits_for_work_elsewhere() -> None:
    """Without it whoever answers within a moment of the machine's time would be out of the clock's."""
    clock = Clock()
    answered = asyncio.Event()

    async def ask() -> str:
        clock.hold(answered)
        asyncio.get_running_loop().call_later(0.05, answered.set)
        try:
            async with clock.timeout(3):
                await answered.wait()
        except TimeoutError:
            return "timed out"
        finally:
            clock.release(answered)
        return "answered"

    task = asyncio.create_task(ask())
    await clock.turn(600)
    assert await task == "answered"


async def test_a_turn_does_not_wait_for_ever() -> None:
    clock = Clock()
    told: list[int] = []
    clock.hold(object())
    for seconds in (60, 120, 180):
        clock.call_later(seconds, told.append, seconds)
    began = time.monotonic()
    await clock.turn(600)
    assert told == [60, 120, 180]
    assert time.monotonic() - began < 4


async def test_timers_that_are_over_are_forgotten() -> None:
    clock = Clock()
    for _ in range(5000):
        clock.call_later(600, forever).cancel()
    assert len(clock._timers) < 2500


def forever() -> None:
    raise AssertionError
