"""Events that nobody waits for: retries, ages, and who is told."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from gateway.clock import Clock
from gateway.functions.failures import FunctionFailed
from gateway.settings import Settings
from gateway.template.specs import AsyncSpec, Destination, FunctionSpec
from gateway.triggers.asynchronous import Asynchronous
from gateway.websocket.sender import Arguments, SendFailed
from tests.gateway.conftest import ROOT

pytestmark = pytest.mark.anyio

QUEUE = Destination("queue", "Q", "arn:q")
OTHER = Destination("function", "Other", "arn:o")


class Run:
    """Events at work. `calls` are (seconds since the start, function, event); `answers` what functions do, in turn."""

    def __init__(self, spec: AsyncSpec, *answers: bytes | FunctionFailed) -> None:
        self.clock = Clock()
        self.began = self.clock.monotonic()
        self.answers = list(answers)
        self.calls: list[tuple[int, str, Any]] = []
        self.sent: list[tuple[str, Arguments]] = []
        self.notes: list[str] = []
        self.refusal: SendFailed | None = None
        functions = {name: FunctionSpec(name, name, f"arn:{name}", "a.b", ROOT) for name in ("Fn", "Other")}
        self.events = Asynchronous(
            functions, {"Fn": spec}, self.submit, self.send, Settings(), self.clock, self.notes.append
        )

    def submit(self, function: str, payload: bytes, cause: str) -> asyncio.Future[bytes]:
        self.calls.append((round(self.clock.monotonic() - self.began), function, json.loads(payload)))
        result: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        answer = self.answers.pop(0)
        if isinstance(answer, bytes):
            result.set_result(answer)
        else:
            result.set_exception(answer)
        return result

    def send(self, queue: str, lane: str, arguments: Arguments) -> asyncio.Future[None]:
        result: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.sent.append((queue, arguments))
        if self.refusal is None:
            result.set_result(None)
        else:
            result.set_exception(self.refusal)
        return result

    async def put(self, hours: float = 7) -> None:
        self.events.put("Fn", b'{"a":1}', "cause", "request")
        await self.clock.turn(hours * 3600)
        await self.events.close()

    @property
    def times(self) -> list[int]:
        return [time for time, _, _ in self.calls]

    def record(self) -> dict[str, Any]:
        ((queue, arguments),) = self.sent
        assert queue == "Q"
        return dict(json.loads(arguments["MessageBody"]))


def error(kind: str = "ValueError") -> FunctionFailed:
    return FunctionFailed(kind, "wrong", ["line"])


async def test_two_retries_after_a_minute_and_after_two_more() -> None:
    run = Run(AsyncSpec(on_failure=QUEUE, on_success=QUEUE), error(), error(), error())
    await run.put()
    assert run.times == [0, 60, 180]
    record = run.record()
    assert record.pop("timestamp").endswith("Z")
    assert record == {
        "version": "1.0",
        "requestContext": {
            "requestId": "request",
            "functionArn": "arn:Fn:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"a": 1},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
        "responsePayload": {"errorMessage": "wrong", "errorType": "ValueError", "stackTrace": ["line"]},
    }


async def test_a_retry_that_goes_well_is_a_success() -> None:
    run = Run(AsyncSpec(on_failure=QUEUE, on_success=OTHER), error(), b'{"b":2}', b"null")
    await run.put()
    assert run.sent == []
    assert [(time, function) for time, function, _ in run.calls] == [(0, "Fn"), (60, "Fn"), (60, "Other")]
    record = run.calls[2][2]
    assert record["requestContext"]["condition"] == "Success"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["responseContext"] == {"statusCode": 200, "executedVersion": "$LATEST"}
    assert record["responsePayload"] == {"b": 2}


async def test_as_many_retries_as_the_function_says() -> None:
    run = Run(AsyncSpec(retries=0, dead_letters=QUEUE), error())
    await run.put()
    assert run.times == [0]
    assert run.sent == [
        (
            "Q",
            {
                "MessageBody": '{"a":1}',
                "MessageAttributes": {
                    "RequestID": {"DataType": "String", "StringValue": "request"},
                    "ErrorCode": {"DataType": "Number", "StringValue": "200"},
                    "ErrorMessage": {"DataType": "String", "StringValue": "wrong"},
                },
            },
        )
    ]


async def test_an_event_that_gets_too_old_is_given_up() -> None:
    run = Run(AsyncSpec(max_age=100, on_failure=QUEUE), error(), error())
    await run.put()
    assert run.times == [0, 60]
    assert run.record()["requestContext"]["condition"] == "EventAgeExceeded"


async def test_a_throttled_event_goes_on_for_six_hours_without_being_counted() -> None:
    busy: Callable[[], FunctionFailed] = lambda: error("TooManyRequestsException")  # noqa: E731
    run = Run(AsyncSpec(on_failure=QUEUE), *(busy() for _ in range(4)), error(), b"null")
    await run.put()
    assert run.times == [0, 1, 3, 7, 15, 75]
    run = Run(AsyncSpec(on_failure=QUEUE), *(busy() for _ in range(200)))
    await run.put()
    assert 21000 < run.times[-1] <= 21600
    record = run.record()
    assert record["requestContext"]["condition"] == "EventAgeExceeded"
    assert record["responseContext"] == {"statusCode": 429, "executedVersion": "$LATEST"}


async def test_a_destination_that_takes_nothing_is_told_of() -> None:
    run = Run(AsyncSpec(retries=0, on_failure=QUEUE), error())
    run.refusal = SendFailed("too big")
    await run.put()
    assert run.notes == ["Fn: cannot send to Q: too big"]
