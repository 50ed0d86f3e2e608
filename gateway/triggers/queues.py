"""Event source mappings: takes messages from a queue, gives them to a function, deletes what it has handled.

https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from gateway.chaos.faults import NO_FAULTS, Faults
from gateway.clock import Clock, Timer
from gateway.functions.failures import FunctionFailed
from gateway.functions.runtime_api import Submit
from gateway.settings import Settings
from gateway.template.specs import MappingSpec
from gateway.triggers.patterns import message_matches

Message = dict[str, Any]
MAX_RECEIVE = 10  # [D] messages a ReceiveMessage may ask for


class Queue(Protocol):
    """A queue, as the poller sees it."""

    async def receive(self, count: int) -> list[Message]:
        """Return up to `count` messages as ReceiveMessage gives them, at once."""

    async def delete(self, messages: Sequence[Message]) -> None:
        """Delete messages."""


def queue_event(messages: Sequence[Message], arn: str, region: str) -> dict[str, Any]:
    """Return the event of a batch. https://docs.aws.amazon.com/lambda/latest/dg/with-sqs.html"""
    return {"Records": [record_of(message, arn, region) for message in messages]}


def record_of(message: Message, arn: str, region: str) -> dict[str, Any]:
    """Return the record of a message in such an event."""
    record = {
        "messageId": message["MessageId"],
        "receiptHandle": message["ReceiptHandle"],
        "body": message["Body"],
        "attributes": dict(message.get("Attributes", {})),
        "messageAttributes": {name: _attribute(value) for name, value in message.get("MessageAttributes", {}).items()},
        "md5OfBody": message["MD5OfBody"],
        "eventSource": "aws:sqs",
        "eventSourceARN": arn,
        "awsRegion": region,
    }
    if "MD5OfMessageAttributes" in message:
        record["md5OfMessageAttributes"] = message["MD5OfMessageAttributes"]
    return record


def _attribute(value: dict[str, Any]) -> dict[str, Any]:
    attribute: dict[str, Any] = {"stringListValues": [], "binaryListValues": [], "dataType": value["DataType"]}
    if "StringValue" in value:
        attribute["stringValue"] = value["StringValue"]
    if "BinaryValue" in value:
        binary = value["BinaryValue"]
        attribute["binaryValue"] = binary.decode() if isinstance(binary, bytes) else binary
    return attribute


def handled(messages: Sequence[Message], answer: Any, *, partial: bool) -> list[Message]:
    """Return which messages of a batch to delete after the function returned `answer`.

    With ReportBatchItemFailures an answer that names what is no message of the batch fails all of it; one that names
    nothing is a complete success.
    """
    if not partial:
        return list(messages)
    failures = (answer.get("batchItemFailures") if isinstance(answer, dict) else None) or []
    if not isinstance(failures, list):
        return []
    named = [item.get("itemIdentifier") if isinstance(item, dict) else None for item in failures]
    known = {message["MessageId"] for message in messages}
    if any(name not in known for name in named):
        return []
    return [message for message in messages if message["MessageId"] not in named]


class Poller:
    """One mapping. `notified` tells that the AWS calls `wake` after each message, so idle polling can be slow."""

    def __init__(
        self,
        spec: MappingSpec,
        queue: Queue,
        submit: Submit,
        settings: Settings,
        clock: Clock,
        note: Callable[[str], None],
        *,
        notified: bool,
        faults: Faults = NO_FAULTS,
    ) -> None:
        self.spec = spec
        self._queue = queue
        self._submit = submit
        self._settings = settings
        self._clock = clock
        self._note = note
        self._faults = faults
        self._longest = settings.poll_notified if notified else settings.poll_longest
        # [D] More than a receive brings goes into a batch only where it has time to gather.
        self._size = spec.batch_size if spec.window else min(spec.batch_size, MAX_RECEIVE)
        self._asked = min(self._size, MAX_RECEIVE)
        self._limit = spec.concurrency or settings.poller_concurrency
        self._free = asyncio.Semaphore(self._limit)
        self._wake = asyncio.Event()
        self._batches: set[asyncio.Task[None]] = set()
        # What was received of a group while a batch of it ran: SQS holds a group back itself, but an emulator may
        # not, and two batches of a group at a time would break its order.
        self._held: dict[str, list[Message]] = {}
        self._gathered: list[Message] = []
        self._window: Timer | None = None

    def wake(self, group: str = "") -> None:
        """There may be a message, of `group` if it says one."""
        # While a batch of the group runs, the queue holds back what follows; the end of the batch wakes us again.
        if group not in self._held:
            self._wake.set()

    async def run(self) -> None:
        """Poll until cancelled."""
        pause = self._settings.poll_shortest
        try:
            while True:
                self._wake.clear()
                received = await self._poll() if len(self._batches) < self._limit else 0
                if received < 0:
                    await asyncio.sleep(self._settings.poll_after_error)
                    continue
                if received > 0:
                    pause = self._settings.poll_shortest
                # As many as asked for: there may be more. Fewer, and there were no more just now.
                if received < self._asked:
                    try:
                        async with asyncio.timeout(pause):
                            await self._wake.wait()
                        pause = self._settings.poll_shortest
                    except TimeoutError:
                        pause = min(2 * pause, self._longest)
        finally:
            if self._window is not None:
                self._window.cancel()
            for batch in self._batches:
                batch.cancel()

    async def _poll(self) -> int:
        try:
            messages = await self._queue.receive(self._asked)
        except Exception as error:
            self._note(f"{self.spec.logical_id}: cannot receive messages: {error}")
            return -1
        groups: dict[str | None, list[Message]] = {}
        for message in await self._filtered(messages):
            groups.setdefault(message.get("Attributes", {}).get("MessageGroupId"), []).append(message)
        for group, batch in groups.items():
            if group is not None and group in self._held:
                self._held[group] += batch
            elif group is None and self.spec.window:
                self._gather(batch)
            else:
                self._start(group, batch)
        return len(messages)

    async def _filtered(self, messages: list[Message]) -> list[Message]:
        """Return the messages that the filters let through; the others are deleted, as AWS does."""
        spec = self.spec
        if not spec.filters:
            return messages
        kept: list[Message] = []
        dropped: list[Message] = []
        for message in messages:
            record = record_of(message, spec.queue_arn, self._settings.region)
            (kept if message_matches(spec.filters, record) else dropped).append(message)
        await self._delete(dropped)
        return kept

    def _gather(self, messages: list[Message]) -> None:
        """Let a batch grow until it is full, or its window is over."""
        self._gathered += messages
        while len(self._gathered) >= self._size:
            self._flush()
        if self._gathered and self._window is None:
            self._window = self._clock.call_later(self.spec.window, self._flush)

    def _flush(self) -> None:
        if self._window is not None:
            self._window.cancel()
            self._window = None
        batch, self._gathered = self._gathered[: self._size], self._gathered[self._size :]
        self._start(None, batch)

    def _start(self, group: str | None, batch: list[Message]) -> None:
        if group is not None:
            self._held[group] = []
        task = asyncio.create_task(self._handle(batch, group))
        self._batches.add(task)
        task.add_done_callback(self._batches.discard)

    async def _handle(self, batch: list[Message], group: str | None) -> None:
        try:
            complete = await self._give(batch)
            while group is not None and complete and self._held[group]:
                batch, self._held[group] = self._held[group][: self._size], self._held[group][self._size :]
                complete = await self._give(batch)
        finally:
            # After a failure what is held stays unhandled, and comes back behind it with the visibility timeout.
            if group is not None:
                self._held.pop(group, None)
            self._wake.set()

    async def _give(self, batch: list[Message]) -> bool:
        """Invoke the function with a batch, and tell whether all of it was handled.

        What was not stays on the queue, and comes back when its visibility timeout has passed.
        """
        try:
            async with self._free:
                answer = await self._ask(batch)
                if self._faults.again(self.spec.logical_id):
                    answer = await self._ask([_received_again(message) for message in batch])
        except (FunctionFailed, ValueError):
            return False
        done = handled(batch, answer, partial=self.spec.partial)
        return await self._delete(done) and len(done) == len(batch)

    async def _ask(self, batch: Sequence[Message]) -> Any:
        event = queue_event(batch, self.spec.queue_arn, self._settings.region)
        return json.loads(await self._submit(self.spec.function, json.dumps(event).encode(), batch[0]["MessageId"]))

    async def _delete(self, messages: Sequence[Message]) -> bool:
        deleting = object()
        # What is handled must not come back because the clock is turned in the very moment before it is deleted.
        self._clock.hold(deleting)
        try:
            if messages:
                await self._queue.delete(messages)
        except Exception as error:
            self._note(f"{self.spec.logical_id}: cannot delete messages: {error}")
            return False
        finally:
            self._clock.release(deleting)
        return True


def _received_again(message: Message) -> Message:
    attributes = dict(message.get("Attributes", {}))
    attributes["ApproximateReceiveCount"] = str(int(attributes.get("ApproximateReceiveCount", "1")) + 1)
    return message | {"Attributes": attributes}
