"""Readers of streams, without an AWS."""

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.clock import Clock
from gateway.functions.failures import FunctionFailed
from gateway.settings import Settings
from gateway.template.specs import Destination, StreamSpec
from gateway.triggers.streams import Record, StreamReader, event_record, failed_from

pytestmark = pytest.mark.anyio
SETTINGS = Settings(stream_poll=0.002, poll_after_error=0.001)
QUEUE = Destination("queue", "Q", "arn:q")


def change(number: int, name: str = "INSERT", at: float | None = None) -> Record:
    moment = datetime.now(UTC) if at is None else datetime.fromtimestamp(at, UTC)
    return {
        "eventID": f"e{number}",
        "eventName": name,
        "eventVersion": "1.0",
        "dynamodb": {
            "ApproximateCreationDateTime": moment,
            "Keys": {"pk": {"S": str(number)}},
            "NewImage": {"pk": {"S": str(number)}, "raw": {"B": b"\x00\xff"}, "set": {"BS": [b"a"]}},
            "SequenceNumber": str(100 + number),
            "SizeBytes": 10,
            "StreamViewType": "NEW_IMAGE",
        },
    }


class Shards:
    """A stream of lists of records; a shard that is `closed` ends."""

    def __init__(self, **shards: list[Record]) -> None:
        self.content = shards
        self.closed: set[str] = set()
        self.faults: list[Exception] = []

    async def shards(self, arn: str) -> list[str]:
        return list(self.content)

    async def iterator(self, arn: str, shard: str, *, latest: bool) -> str:
        return f"{shard} {len(self.content[shard]) if latest else 0}"

    async def records(self, iterator: str, count: int) -> tuple[list[Record], str | None]:
        if self.faults:
            raise self.faults.pop()
        shard, _, position = iterator.partition(" ")
        found = self.content[shard][int(position) : int(position) + count]
        over = shard in self.closed and not found
        return found, None if over else f"{shard} {int(position) + len(found)}"


class Run:
    """A reader at work. `answer(batch, number of the call)` is what the function does with a batch of keys."""

    def __init__(self, shards: Shards, answer: Any = None, **spec: Any) -> None:
        self.calls: list[list[str]] = []
        self.times: list[int] = []
        self.told: list[dict[str, Any]] = []
        self.notes: list[str] = []
        self.answer = answer
        self.clock = Clock()
        self.began = self.clock.monotonic()
        given = StreamSpec("M", "T", "arn:t", "Fn", "arn:f", **{"latest": False, "on_failure": QUEUE, **spec})
        self.reader = StreamReader(given, shards, self.submit, self.deliver, SETTINGS, self.clock, self.notes.append)

    def submit(self, function: str, payload: bytes, cause: str) -> asyncio.Future[bytes]:
        batch = [record["dynamodb"]["Keys"]["pk"]["S"] for record in json.loads(payload)["Records"]]
        self.calls.append(batch)
        self.times.append(round(self.clock.monotonic() - self.began))
        result: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        value = self.answer(batch, len(self.calls)) if self.answer else None
        if isinstance(value, Exception):
            result.set_exception(value)
        else:
            result.set_result(json.dumps(value).encode())
        return result

    async def deliver(self, whose: str, target: Destination, text: str, cause: str, group: str | None) -> None:
        assert (whose, target) == ("M", QUEUE)
        self.told.append(json.loads(text))

    async def until(self, calls: int) -> None:
        async with asyncio.timeout(2):
            while len(self.calls) < calls:
                await asyncio.sleep(0.001)

    async def turned(self, calls: int) -> None:
        """Return once there were so many calls, letting the waits between them pass at once."""
        async with asyncio.timeout(2):
            while len(self.calls) < calls:
                await asyncio.sleep(0.001)
                await self.clock.turn(1)

    async def settle(self) -> None:
        await asyncio.sleep(0.02)

    async def __aenter__(self) -> "Run":
        self.task = asyncio.create_task(self.reader.run())
        return self

    async def __aexit__(self, *error: object) -> None:
        self.task.cancel()
        await asyncio.gather(self.task, return_exceptions=True)


def changes(count: int) -> list[Record]:
    return [change(number) for number in range(count)]


FAILURE = FunctionFailed("E", "m")


def test_the_record_of_a_change() -> None:
    record = event_record(
        {**change(1, at=1707502303.4), "userIdentity": {"Type": "Service", "PrincipalId": "d"}}, "a", "r"
    )
    assert record == {
        "eventID": "e1",
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "r",
        "dynamodb": {
            "ApproximateCreationDateTime": 1707502303,
            "Keys": {"pk": {"S": "1"}},
            "NewImage": {"pk": {"S": "1"}, "raw": {"B": "AP8="}, "set": {"BS": ["YQ=="]}},
            "SequenceNumber": "101",
            "SizeBytes": 10,
            "StreamViewType": "NEW_IMAGE",
        },
        "eventSourceARN": "a",
        "userIdentity": {"type": "Service", "principalId": "d"},
    }


@pytest.mark.parametrize(
    ("answer", "index"),
    [
        (None, 3),
        ({"batchItemFailures": []}, 3),
        ({"batchItemFailures": [{"itemIdentifier": "102"}]}, 2),
        ({"batchItemFailures": [{"itemIdentifier": "102"}, {"itemIdentifier": "101"}]}, 1),
        ({"batchItemFailures": [{"itemIdentifier": "999"}]}, 0),
        ({"batchItemFailures": [{"wrong": "102"}]}, 0),
        ({"batchItemFailures": "x"}, 0),
    ],
)
def test_partial_batch_responses(answer: Any, index: int) -> None:
    assert failed_from(changes(3), answer) == index


async def test_batches_in_order_from_the_beginning() -> None:
    async with Run(Shards(one=changes(5)), batch_size=2) as run:
        await run.until(3)
    assert run.calls == [["0", "1"], ["2", "3"], ["4"]]


async def test_the_latest_leaves_out_what_was_there() -> None:
    shards = Shards(one=changes(3))
    async with Run(shards, latest=True) as run:
        await run.settle()
        shards.content["one"] += [change(3)]
        # A shard that comes later is read from its beginning: nothing between the two is lost.
        shards.closed.add("one")
        shards.content["two"] = [change(4)]
        await run.until(2)
    assert run.calls == [["3"], ["4"]]


async def test_filters_and_a_fault() -> None:
    shards = Shards(one=[change(0), change(1, "MODIFY"), change(2, "REMOVE"), change(3)])
    shards.faults.append(OSError("refused"))
    filters = ({"eventName": ["INSERT"]}, {"dynamodb": {"Keys": {"pk": {"S": ["2"]}}}})
    async with Run(shards, filters=filters) as run:
        await run.until(1)
    assert run.calls == [["0", "2", "3"]]
    assert run.notes == ["M: cannot read the stream: refused"]


async def test_a_batch_gathers_until_its_window_is_over() -> None:
    shards = Shards(one=changes(2))
    async with Run(shards, window=30) as run:
        await run.settle()
        shards.content["one"] += [change(2)]
        await run.settle()
        assert run.calls == []
        await run.clock.turn(30)
        await run.until(1)
    assert run.calls == [["0", "1", "2"]]


async def test_what_fails_holds_up_what_follows() -> None:
    def answer(batch: list[str], number: int) -> Any:
        return FAILURE if number < 4 else None

    async with Run(Shards(one=changes(3)), answer, batch_size=2) as run:
        await run.turned(5)
    assert run.calls == [["0", "1"]] * 4 + [["2"]]
    assert run.told == []


async def test_what_is_given_up_is_told_of() -> None:
    def answer(batch: list[str], number: int) -> Any:
        return FAILURE if "0" in batch else None

    async with Run(Shards(one=changes(3)), answer, batch_size=2, retries=1) as run:
        await run.turned(3)
    assert run.calls == [["0", "1"], ["0", "1"], ["2"]]
    (record,) = run.told
    assert record["requestContext"]["condition"] == "RetryAttemptsExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["requestContext"]["functionArn"] == "arn:f"
    assert record["responseContext"]["functionError"] == "Unhandled"
    batch = record["DDBStreamBatchInfo"]
    assert batch.pop("approximateArrivalOfFirstRecord").endswith("Z")
    assert batch.pop("approximateArrivalOfLastRecord").endswith("Z")
    assert batch == {
        "shardId": "one",
        "startSequenceNumber": "100",
        "endSequenceNumber": "101",
        "batchSize": 2,
        "streamArn": "arn:t",
    }


async def test_a_batch_is_split_until_the_bad_record_is_alone() -> None:
    def answer(batch: list[str], number: int) -> Any:
        return FAILURE if "2" in batch else None

    async with Run(Shards(one=changes(5)), answer, batch_size=4, retries=1, bisect=True) as run:
        await run.turned(7)
    assert run.calls == [["0", "1", "2", "3"], ["0", "1"], ["2", "3"], ["2"], ["2"], ["3"], ["4"]]
    assert [told["DDBStreamBatchInfo"]["startSequenceNumber"] for told in run.told] == ["102"]


async def test_after_a_partial_answer_the_rest_is_tried_again() -> None:
    def answer(batch: list[str], number: int) -> Any:
        return {"batchItemFailures": [{"itemIdentifier": "101"}]} if number == 1 else None

    async with Run(Shards(one=changes(3)), answer, partial=True) as run:
        await run.turned(2)
    assert run.calls == [["0", "1", "2"], ["1", "2"]]


async def test_records_that_are_too_old_are_given_up() -> None:
    began = Clock().now()
    shards = Shards(one=[change(0, at=began - 100), change(1, at=began + 1000)])
    async with Run(shards, lambda batch, number: FAILURE if number < 3 else None, max_age=60) as run:
        await run.turned(3)
    assert run.calls == [["1"]] * 3
    (record,) = run.told
    assert record["requestContext"]["condition"] == "RecordAgeExceeded"
    assert record["DDBStreamBatchInfo"]["endSequenceNumber"] == "100"
