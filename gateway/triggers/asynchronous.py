"""Asynchronous invocations: events that nobody waits for, tried again after an error, and who is told in the end.

https://docs.aws.amazon.com/lambda/latest/dg/invocation-async.html
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from gateway.clock import Clock
from gateway.functions.failures import NOT_RUN, FunctionFailed
from gateway.functions.invoke import error_report
from gateway.functions.runtime_api import Submit
from gateway.ids import new_request_id
from gateway.settings import Settings
from gateway.template.specs import AsyncSpec, Destination, FunctionSpec
from gateway.websocket.sender import Arguments, SendFailed

# What is no fault of the function's: such events wait, and their tries are not counted.
_SYSTEM = ("TooManyRequestsException", "ServiceException")
Send = Callable[[str, str, Arguments], asyncio.Future[None]]
Deliver = Callable[[str, Destination, str, str, str | None], Awaitable[None]]
"""Hands an event to a destination; see `Asynchronous.deliver`."""


class Asynchronous:
    """The events of every function. `functions` and `specs` are by logical id; `send` is Sender.send."""

    def __init__(
        self,
        functions: Mapping[str, FunctionSpec],
        specs: Mapping[str, AsyncSpec],
        submit: Submit,
        send: Send,
        settings: Settings,
        clock: Clock,
        note: Callable[[str], None],
    ) -> None:
        self._functions = functions
        self._specs = specs
        self._submit = submit
        self._send = send
        self._settings = settings
        self._clock = clock
        self._note = note
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, function: str, payload: bytes, cause: str, request_id: str) -> None:
        """Take an event; `request_id` is what whoever is told in the end knows it by."""
        task = asyncio.create_task(self._run(function, payload, cause, request_id))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Forget what waits."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, function: str, payload: bytes, cause: str, request_id: str) -> None:
        spec = self._specs.get(function, AsyncSpec())
        settings = self._settings
        retries = settings.async_retries if spec.retries is None else spec.retries
        deadline = self._clock.monotonic() + (settings.async_longest_age if spec.max_age is None else spec.max_age)
        tries = throttled = 0
        while True:
            try:
                answer = await self._submit(function, payload, cause)
            except FunctionFailed as failure:
                if failure.error_type == NOT_RUN:
                    self._note(f"an event for {function} is lost: {failure.message}")
                    return
                condition = None
                if failure.error_type in _SYSTEM:
                    wait = min(settings.async_throttled_wait * 2**throttled, settings.async_throttled_longest)
                    throttled += 1
                else:
                    tries += 1
                    wait = settings.async_retry_waits[min(tries, len(settings.async_retry_waits)) - 1]
                    condition = "RetriesExhausted" if tries > retries else None
                if condition is None and self._clock.monotonic() + wait > deadline:
                    condition = "EventAgeExceeded"
                if condition is not None:
                    await self._failed(function, spec, payload, request_id, condition, tries, failure)
                    return
                await self._clock.sleep(wait)
                continue
            if spec.on_success is not None:
                record = self._record(function, payload, request_id, "Success", tries + 1)
                await self._tell(function, spec.on_success, record | {"responsePayload": _value(answer)})
            return

    async def _failed(
        self,
        function: str,
        spec: AsyncSpec,
        payload: bytes,
        request_id: str,
        condition: str,
        tries: int,
        failure: FunctionFailed,
    ) -> None:
        if spec.on_failure is not None:
            record = self._record(function, payload, request_id, condition, tries)
            if tries:
                record["responseContext"]["functionError"] = "Unhandled"
            await self._tell(function, spec.on_failure, record | {"responsePayload": error_report(failure)})
        if spec.dead_letters is not None:
            attributes = {
                "RequestID": {"DataType": "String", "StringValue": request_id},
                "ErrorCode": {"DataType": "Number", "StringValue": "200" if tries else "429"},
                # [D] the first kilobyte; SQS takes no empty value.
                "ErrorMessage": {"DataType": "String", "StringValue": failure.message[:1024] or failure.error_type},
            }
            arguments: Arguments = {"MessageBody": payload.decode(), "MessageAttributes": attributes}
            await self._send_to(function, spec.dead_letters, arguments)

    def _record(self, function: str, payload: bytes, request_id: str, condition: str, tries: int) -> dict[str, Any]:
        return {
            "version": "1.0",
            "timestamp": timestamp(self._clock.now()),
            "requestContext": {
                "requestId": request_id,
                "functionArn": f"{self._functions[function].arn}:$LATEST",
                "condition": condition,
                "approximateInvokeCount": tries,
            },
            "requestPayload": _value(payload),
            "responseContext": {"statusCode": 200 if tries else 429, "executedVersion": "$LATEST"},
        }

    async def _tell(self, function: str, destination: Destination, record: dict[str, Any]) -> None:
        text = json.dumps(record, ensure_ascii=False)
        await self.deliver(function, destination, text, record["requestContext"]["requestId"], None)

    async def deliver(self, whose: str, destination: Destination, text: str, cause: str, group: str | None) -> None:
        """Hand an event to a function or a queue; what goes wrong is told at the terminal, with `whose` it was."""
        if destination.kind == "function":
            self.put(destination.name, text.encode("utf-8", "surrogatepass"), cause, new_request_id())
        else:
            arguments = {"MessageBody": text, **({"MessageGroupId": group} if group else {})}
            await self._send_to(whose, destination, arguments)

    async def _send_to(self, whose: str, destination: Destination, arguments: Arguments) -> None:
        try:
            await self._send(destination.name, whose, arguments)
        except SendFailed as error:
            self._note(f"{whose}: cannot send to {destination.name}: {error}")


def timestamp(seconds: float) -> str:
    """Return a time as destination records write it: `2019-11-14T18:16:05.568Z`."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _value(payload: bytes) -> Any:
    try:
        return json.loads(payload)
    except ValueError:
        return payload.decode("utf-8", "replace")
