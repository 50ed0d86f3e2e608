"""Schedules: hands an event to a function or a queue at each time that an expression says."""

import contextlib
import json
import time
import uuid
from typing import Any

from gateway.clock import Clock
from gateway.functions.failures import FunctionFailed
from gateway.functions.runtime_api import Submit
from gateway.settings import Settings
from gateway.template.specs import ScheduleSpec
from gateway.triggers.asynchronous import Deliver
from gateway.triggers.timing import runs


def schedule_event(spec: ScheduleSpec, settings: Settings, now: float) -> dict[str, Any]:
    """Return the event of a run that has no input of its own; `now` in seconds since 1970.

    https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-run-lambda-schedule.html
    """
    return {
        "version": "0",
        "id": str(uuid.uuid4()),
        "detail-type": "Scheduled Event",
        "source": "aws.scheduler" if spec.scheduler else "aws.events",
        "account": settings.account_id,
        "time": _time(now),
        "region": settings.region,
        "resources": [spec.arn],
        # [R] Scheduler sends its empty detail as text, rules as an object.
        "detail": "{}" if spec.scheduler else {},
    }


def schedule_input(spec: ScheduleSpec, settings: Settings, now: float) -> str:
    """Return what the run due at `now` delivers: the schedule's own input, Scheduler's keywords in it filled in.

    https://docs.aws.amazon.com/scheduler/latest/UserGuide/managing-schedule-context-attributes.html
    """
    if spec.input is None:
        return json.dumps(schedule_event(spec, settings, now))
    if not spec.scheduler:
        return spec.input
    attributes = {
        "schedule-arn": spec.arn,
        "scheduled-time": _time(now),
        "execution-id": str(uuid.uuid4()),
        "attempt-number": "1",
    }
    text = spec.input
    for name, value in attributes.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


async def run_schedule(spec: ScheduleSpec, deliver: Deliver, settings: Settings, clock: Clock) -> None:
    """Deliver an event at each of the schedule's times, until the last one; nothing waits for what it sets off."""
    begin = max(clock.now(), spec.start or 0.0)
    for due in runs(spec.expression, spec.timezone, begin):
        if spec.end is not None and due > spec.end:
            return
        await clock.sleep(due - clock.now())
        text = schedule_input(spec, settings, due)
        await deliver(spec.logical_id, spec.target, text, spec.logical_id, spec.group)


async def run_every(
    spec: ScheduleSpec,
    period: float,
    submit: Submit,
    deliver: Deliver,
    settings: Settings,
    clock: Clock,
) -> None:
    """Deliver an event every `period` seconds in place of the schedule's own times, until cancelled.

    The first run is one period after the start. A function's run that takes longer than the period lets the next ones
    be missed, and one that fails is not tried again: the next one is as good as any.
    """
    due = clock.monotonic() + period
    while True:
        await clock.sleep(due - clock.monotonic())
        text = schedule_input(spec, settings, clock.now())
        if spec.target.kind == "function":
            # A failure's words are on the console.
            with contextlib.suppress(FunctionFailed):
                await submit(spec.target.name, text.encode(), spec.logical_id)
        else:
            await deliver(spec.logical_id, spec.target, text, spec.logical_id, spec.group)
        behind = max(0.0, clock.monotonic() - due)
        due += period * (1 + behind // period)


def _time(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
