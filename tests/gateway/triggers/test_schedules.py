"""Schedules: when they run, and what they deliver."""

import asyncio
import json
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import pytest

from gateway.clock import Clock
from gateway.functions.failures import FunctionFailed
from gateway.settings import Settings
from gateway.template.specs import Destination, ScheduleSpec
from gateway.triggers.schedules import run_every, run_schedule, schedule_event, schedule_input
from gateway.triggers.timing import ExpressionError, runs

pytestmark = pytest.mark.anyio
SPEC = ScheduleSpec("S", "arn:s", Destination("function", "Fn", "arn:f"), "rate(1 minute)", True)


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def first(expression: str, begin: str, count: int = 3, timezone: str = "UTC") -> list[str]:
    found = islice(runs(expression, timezone, at(begin)), count)
    return [datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M:%S") for time in found]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("rate(5 minutes)", ["2026-01-31 12:05:30", "2026-01-31 12:10:30", "2026-01-31 12:15:30"]),
        ("rate(1 hour)", ["2026-01-31 13:00:30", "2026-01-31 14:00:30", "2026-01-31 15:00:30"]),
        ("rate( 1  day )", ["2026-02-01 12:00:30", "2026-02-02 12:00:30", "2026-02-03 12:00:30"]),
        ("at(2026-02-01T00:00:00)", ["2026-02-01 00:00:00"]),
        ("at(2026-01-31T12:00:30)", []),
        ("cron(0/15 * * * ? *)", ["2026-01-31 12:15:00", "2026-01-31 12:30:00", "2026-01-31 12:45:00"]),
        ("cron(0 10 ? * MON-FRI *)", ["2026-02-02 10:00:00", "2026-02-03 10:00:00", "2026-02-04 10:00:00"]),
        ("cron(0 8 L * ? *)", ["2026-02-28 08:00:00", "2026-03-31 08:00:00", "2026-04-30 08:00:00"]),
        ("cron(0 8 15W * ? *)", ["2026-02-16 08:00:00", "2026-03-16 08:00:00", "2026-04-15 08:00:00"]),
        ("cron(0 8 ? * 6#3 *)", ["2026-02-20 08:00:00", "2026-03-20 08:00:00", "2026-04-17 08:00:00"]),
        ("cron(0 8 ? * 5L *)", ["2026-02-26 08:00:00", "2026-03-26 08:00:00", "2026-04-30 08:00:00"]),
        ("cron(0 8 29 2 ? *)", ["2028-02-29 08:00:00", "2032-02-29 08:00:00", "2036-02-29 08:00:00"]),
        ("cron(30  8,9 1 JAN ? 2027)", ["2027-01-01 08:30:00", "2027-01-01 09:30:00"]),
        ("cron(0 0 1 1 ? 2025)", []),
    ],
)
def test_times(expression: str, expected: list[str]) -> None:
    assert first(expression, "2026-01-31 12:00:30") == expected


def test_the_times_of_a_zone() -> None:
    # Berlin's clocks go from 2:00 to 3:00 on the 29th: there is no half past two.
    assert first("cron(30 2 * * ? *)", "2026-03-28 00:00:00", 3, "Europe/Berlin") == [
        "2026-03-28 01:30:00",
        "2026-03-30 00:30:00",
        "2026-03-31 00:30:00",
    ]
    # And back from 3:00 to 2:00 on October 25: half past two comes twice, the run once.
    expected = ["2026-10-25 00:30:00", "2026-10-26 01:30:00"]
    assert first("cron(30 2 * * ? *)", "2026-10-24 22:00:00", 2, "Europe/Berlin") == expected
    assert first("cron(30 2 * * ? *)", "2026-10-25 01:10:00", 1, "Europe/Berlin") == expected[1:]
    assert first("cron(0 3 * * ? *)", "2026-10-25 01:10:00", 1, "Europe/Berlin") == ["2026-10-25 02:00:00"]
    assert first("at(2026-07-01T09:00:00)", "2026-01-01", 1, "America/New_York") == ["2026-07-01 13:00:00"]


@pytest.mark.parametrize(
    "expression",
    [
        "every minute",
        "rate(0 minutes)",
        "rate(5 seconds)",
        "at(tomorrow)",
        "cron(0 8 * * *)",
        "cron(0 8 * * * *)",
        "cron(61 8 * * ? *)",
        "cron(0 8 LW * ? *)",
    ],
)
def test_what_is_no_expression_is_refused_at_once(expression: str) -> None:
    with pytest.raises(ExpressionError):
        runs(expression, "UTC", 0)
    with pytest.raises(ExpressionError, match="Mars"):
        runs("rate(1 minute)", "Mars/Olympus", 0)


async def test_the_event_of_a_rule() -> None:
    event = schedule_event(replace(SPEC, scheduler=False), Settings(), 1707502303)
    assert event.pop("id")
    assert event == {
        "version": "0",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2024-02-09T18:11:43Z",
        "region": "us-east-1",
        "resources": ["arn:s"],
        "detail": {},
    }


async def test_schedulers_keywords_in_an_input() -> None:
    text = '["<aws.scheduler.schedule-arn>","<aws.scheduler.scheduled-time>","<aws.scheduler.attempt-number>"]'
    given = replace(SPEC, input=text)
    assert json.loads(schedule_input(given, Settings(), 1707502303)) == ["arn:s", "2024-02-09T18:11:43Z", "1"]
    assert schedule_input(replace(given, scheduler=False), Settings(), 1707502303) == text
    found = schedule_input(replace(SPEC, input="<aws.scheduler.execution-id>"), Settings(), 0)
    assert len(found) == 36


class Delivered:
    """What a schedule delivers, with the seconds since it was begun."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.began = self.clock.now()
        self.found: list[tuple[int, str, str, str | None]] = []

    async def __call__(self, whose: str, target: Destination, text: str, cause: str, group: str | None) -> None:
        self.found.append((round(self.clock.now() - self.began), target.name, cause, group))


async def test_a_schedule_runs_between_its_dates() -> None:
    delivered = Delivered()
    began = delivered.began
    queue = Destination("queue", "Q", "arn:q")
    spec = replace(SPEC, target=queue, group="g", start=began + 600, end=began + 600 + 150)
    task = asyncio.create_task(run_schedule(spec, delivered, Settings(), delivered.clock))
    await delivered.clock.turn(3600)
    await asyncio.wait_for(task, 1)
    assert delivered.found == [(660, "Q", "S", "g"), (720, "Q", "S", "g")]


async def test_a_schedule_that_is_at_its_time_comes_once() -> None:
    delivered = Delivered()
    moment = datetime.fromtimestamp(delivered.began + 3600, UTC).strftime("at(%Y-%m-%dT%H:%M:%S)")
    task = asyncio.create_task(run_schedule(replace(SPEC, expression=moment), delivered, Settings(), delivered.clock))
    await delivered.clock.turn(7200)
    await asyncio.wait_for(task, 1)
    assert [found[1] for found in delivered.found] == ["Fn"]


async def test_runs_at_a_period_follow_each_other_even_after_a_failure() -> None:
    payloads: list[bytes] = []
    running = 0

    async def run(payload: bytes) -> bytes:
        nonlocal running
        payloads.append(payload)
        running += 1
        assert running == 1
        # Longer than the period: the next ones are missed, not run at the same time.
        await asyncio.sleep(0.015)
        running -= 1
        raise FunctionFailed("E", "m")

    def submit(function: str, payload: bytes, cause: str) -> asyncio.Future[bytes]:
        return asyncio.ensure_future(run(payload))

    async def deliver(*arguments: Any) -> None:
        raise AssertionError

    work = run_every(replace(SPEC, input='{"my":"input"}'), 0.01, submit, deliver, Settings(), Clock())
    task = asyncio.create_task(work)
    async with asyncio.timeout(2):
        while len(payloads) < 3:
            await asyncio.sleep(0.001)
    assert not task.done()
    task.cancel()
    assert payloads[:3] == [b'{"my":"input"}'] * 3
