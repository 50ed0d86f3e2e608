"""Schedules: invokes a function again and again, one run at a time."""

import contextlib
import json
import time
import uuid
from typing import Any

from gateway.clock import Clock
from gateway.functions.runtime_api import Submit
from gateway.functions.worker import FunctionFailed
from gateway.settings import Settings
from gateway.template.specs import ScheduleSpec


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
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)),
        "region": settings.region,
        "resources": [spec.arn],
        # [R] Scheduler sends its empty detail as text, rules as an object.
        "detail": "{}" if spec.scheduler else {},
    }


async def run_schedule(
    spec: ScheduleSpec,
    period: float,
    submit: Submit,
    settings: Settings,
    clock: Clock,
) -> None:
    """Invoke the schedule's function every `period` seconds until cancelled.

    The first run is one period after the start. A run that takes longer than the period lets the next ones be missed.
    """
    due = clock.monotonic() + period
    while True:
        await clock.sleep(due - clock.monotonic())
        payload = spec.input or json.dumps(schedule_event(spec, settings, clock.now()))
        # A failure's words are on the console; the next run is as good as any.
        with contextlib.suppress(FunctionFailed):
            await submit(spec.function, payload.encode(), spec.logical_id)
        behind = max(0.0, clock.monotonic() - due)
        due += period * (1 + behind // period)
