"""Pollers of queues, without an AWS."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from gateway.clock import Clock
from gateway.functions.failures import FunctionFailed
from gateway.settings import Settings
from gateway.template.specs import MappingSpec
from gateway.triggers.queues import Message, Poller, handled

pytestmark = pytest.mark.anyio
SETTINGS = Settings(poll_shortest=0.001, poll_longest=0.002, poll_notified=0.002, poll_after_error=0.001)


def message(number: int, group: str | None = None) -> Message:
    attributes = {"ApproximateReceiveCount": "1", **({"MessageGroupId": group} if group else {})}
    return {"MessageId": str(number), "ReceiptHandle": "r", "Body": "b", "MD5OfBody": "m", "Attributes": attributes}


class Queue:
    """Gives out messages without holding any group back: the worst that an emulator may do."""

    def __init__(self, *messages: Message) -> None:
        self.waiting = list(messages)
        self.deleted: list[str] = []
        self.faults: list[Exception] = []
        self.asked = 0

    async def receive(self, count: int) -> list[Message]:
        self.asked += 1
        if self.faults:
            raise self.faults.pop()
        given, self.waiting = self.waiting[:count], self.waiting[count:]
        return given

    async def delete(self, messages: Sequence[Message]) -> None:
        self.deleted += [message["MessageId"] for message in messages]


class Run:
    """A poller at work; `calls` holds each batch as its message ids, `answer` what the function does with it."""

    def __init__(
        self,
        queue: Queue,
        *,
        batch_size: int = 10,
        concurrency: int | None = None,
        settings: Settings = SETTINGS,
        window: float = 0,
        filters: tuple[dict[str, Any], ...] = (),
    ) -> None:
        self.queue = queue
        self.calls: list[list[str]] = []
        self.running: list[list[str]] = []
        self.most = 0
        self.results: list[asyncio.Future[bytes]] = []
        self.notes: list[str] = []
        self.clock = Clock()
        spec = MappingSpec("M", "Q", "arn", "Fn", batch_size, True, concurrency, window, filters)
        self.poller = Poller(spec, queue, self.submit, settings, self.clock, self.notes.append, notified=False)

    def submit(self, function: str, payload: bytes, cause: str) -> asyncio.Future[bytes]:
        return asyncio.ensure_future(self._run(payload))

    async def _run(self, payload: bytes) -> bytes:
        batch = [record["messageId"] for record in json.loads(payload)["Records"]]
        self.calls.append(batch)
        self.running.append(batch)
        self.most = max(self.most, len(self.running))
        result: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self.results.append(result)
        try:
            return await result
        finally:
            self.running.remove(batch)

    async def until(self, calls: int) -> None:
        async with asyncio.timeout(1):
            while len(self.calls) < calls:
                await asyncio.sleep(0.001)

    async def settle(self) -> None:
        await asyncio.sleep(0.02)

    async def __aenter__(self) -> "Run":
        self.task = asyncio.create_task(self.poller.run())
        return self

    async def __aexit__(self, *error: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def failures(*ids: object) -> dict[str, Any]:
    return {"batchItemFailures": [{"itemIdentifier": identifier} for identifier in ids]}


@pytest.mark.parametrize(
    ("answer", "deleted"),
    [
        (None, ["1", "2"]),
        ({}, ["1", "2"]),
        ({"batchItemFailures": []}, ["1", "2"]),
        ({"batchItemFailures": None}, ["1", "2"]),
        (failures("2"), ["1"]),
        (failures("1", "2"), []),
        (failures("3"), []),
        (failures(""), []),
        (failures(None), []),
        ({"batchItemFailures": [{"wrong": "1"}]}, []),
        ({"batchItemFailures": ["1"]}, []),
        ({"batchItemFailures": "1"}, []),
    ],
)
async def test_partial_batch_responses(answer: Any, deleted: list[str]) -> None:
    messages = [message(1), message(2)]
    assert [item["MessageId"] for item in handled(messages, answer, partial=True)] == deleted
    assert handled(messages, answer, partial=False) == messages


async def test_a_turn_of_the_clock_waits_until_what_was_handled_is_deleted() -> None:
    queue, deletes = Queue(message(1)), asyncio.Event()
    delete = queue.delete

    async def slowly(messages: Sequence[Message]) -> None:
        await deletes.wait()
        await delete(messages)

    queue.delete = slowly  # type: ignore[method-assign]
    async with Run(queue) as run:
        await run.until(1)
        run.results[0].set_result(b"null")
        turning = asyncio.create_task(run.clock.turn(60))
        await run.settle()
        assert not turning.done()
        deletes.set()
        await turning
        assert queue.deleted == ["1"]


async def test_what_was_handled_is_deleted() -> None:
    queue = Queue(message(1), message(2))
    async with Run(queue) as run:
        await run.until(1)
        assert queue.deleted == []
        run.results[0].set_result(json.dumps(failures("2")).encode())
        await run.settle()
    assert queue.deleted == ["1"]


async def test_a_failed_batch_stays_on_the_queue() -> None:
    queue = Queue(message(1))
    async with Run(queue) as run:
        await run.until(1)
        run.results[0].set_exception(FunctionFailed("E", "m"))
        await run.settle()
    assert queue.deleted == []


async def test_groups_run_at_the_same_time_and_each_in_order() -> None:
    queue = Queue(message(1, "a"), message(2, "b"), message(3, "a"))
    async with Run(queue) as run:
        await run.until(2)
        assert sorted(run.calls) == [["1", "3"], ["2"]]
        queue.waiting += [message(4, "a"), message(5, "a")]
        await run.settle()
        assert len(run.calls) == 2
        run.results[run.calls.index(["1", "3"])].set_result(b"null")
        await run.until(3)
        assert run.calls[2] == ["4", "5"]
        assert queue.deleted == ["1", "3"]


async def test_after_a_failure_what_came_later_is_not_handled_before_it() -> None:
    queue = Queue(message(1, "a"))
    async with Run(queue) as run:
        await run.until(1)
        queue.waiting.append(message(2, "a"))
        await run.settle()
        run.results[0].set_exception(FunctionFailed("E", "m"))
        await run.settle()
        assert run.calls == [["1"]]
        # Both come back with their visibility timeout.
        queue.waiting += [message(1, "a"), message(2, "a")]
        await run.until(2)
        assert run.calls[1] == ["1", "2"]


async def test_a_message_of_a_group_that_runs_wakes_nobody() -> None:
    queue = Queue(message(1, "a"))
    settings = replace(SETTINGS, poll_shortest=60)
    async with Run(queue, settings=settings) as run:
        await run.until(1)
        await run.settle()
        asked = queue.asked
        run.poller.wake("a")
        await run.settle()
        assert queue.asked == asked
        # Another group, and a change of which no group is known, may have something to handle.
        for number, group in enumerate(("b", ""), start=1):
            run.poller.wake(group)
            await run.settle()
            assert queue.asked == asked + number
        # So has the end of the batch.
        queue.waiting.append(message(2, "a"))
        run.results[0].set_result(b"null")
        await run.until(2)


async def test_after_fewer_messages_than_asked_for_the_next_receive_waits() -> None:
    queue = Queue(*(message(number) for number in range(11)))
    async with Run(queue, settings=replace(SETTINGS, poll_shortest=60)) as run:
        await run.until(2)
        await run.settle()
        assert queue.asked == 2


async def test_no_more_batches_than_allowed() -> None:
    queue = Queue(*(message(number, f"group {number}") for number in range(8)))
    async with Run(queue, concurrency=2) as run:
        for number in range(8):
            await run.until(number + 1)
            await run.settle()
            run.results[number].set_result(b"null")
        await run.settle()
    assert run.most == 2
    assert sorted(queue.deleted) == [str(number) for number in range(8)]


async def test_a_queue_that_cannot_be_reached_is_tried_again() -> None:
    queue = Queue(message(1))
    queue.faults.append(OSError("refused"))
    async with Run(queue) as run:
        await run.until(1)
    assert run.notes == ["M: cannot receive messages: refused"]


# ---- filters and windows


def text(number: int, body: str) -> Message:
    return {**message(number), "Body": body}


async def test_what_no_filter_lets_through_is_deleted_unseen() -> None:
    queue = Queue(
        text(1, '{"kind":"order"}'), text(2, '{"kind":"other"}'), text(3, "order"), text(4, '{"kind":"bill"}')
    )
    filters = ({"body": {"kind": ["order"]}}, {"body": {"kind": [{"prefix": "bi"}]}})
    async with Run(queue, filters=filters) as run:
        await run.until(1)
        run.results[0].set_result(b"null")
        await run.settle()
    assert run.calls == [["1", "4"]]
    assert sorted(queue.deleted) == ["1", "2", "3", "4"]


async def test_a_batch_gathers_until_its_window_is_over() -> None:
    queue = Queue(*(message(number) for number in range(15)))
    async with Run(queue, batch_size=100, window=20) as run:
        await run.settle()
        queue.waiting += [message(number) for number in range(15, 18)]
        await run.settle()
        assert run.calls == []
        await run.clock.turn(20)
        await run.until(1)
    assert run.calls == [[str(number) for number in range(18)]]


async def test_a_batch_that_is_full_waits_for_no_window() -> None:
    queue = Queue(*(message(number) for number in range(25)))
    async with Run(queue, batch_size=12, window=300) as run:
        await run.until(2)
        await run.settle()
    assert [len(batch) for batch in run.calls] == [12, 12]
