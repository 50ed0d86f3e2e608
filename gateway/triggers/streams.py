"""Event source mappings of DynamoDB streams: reads a table's changes, and gives them to a function in their order.

https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html
"""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Protocol

from gateway.clock import Clock
from gateway.functions.failures import FunctionFailed
from gateway.functions.runtime_api import Submit
from gateway.ids import new_request_id
from gateway.settings import Settings
from gateway.template.specs import StreamSpec
from gateway.triggers.asynchronous import Deliver, timestamp
from gateway.triggers.patterns import matches

Record = dict[str, Any]

_LONGEST_BATCH = 1000  # [D] records of a GetRecords


class Stream(Protocol):
    """A stream, as the reader sees it."""

    async def shards(self, arn: str) -> list[str]:
        """Return the ids of the shards."""

    async def iterator(self, arn: str, shard: str, *, latest: bool) -> str:
        """Return where to read a shard from: behind all that is in it, or from its beginning."""

    async def records(self, iterator: str, count: int) -> tuple[list[Record], str | None]:
        """Return up to `count` records as GetRecords gives them, and where to read on; None at a shard's end."""


def event_record(record: Record, arn: str, region: str) -> Record:
    """Return a record as an event has it. https://docs.aws.amazon.com/lambda/latest/dg/with-ddb.html"""
    change = {
        name: int(value.timestamp()) if isinstance(value, datetime) else _encoded(value)
        for name, value in record["dynamodb"].items()
    }
    made: Record = {
        "eventID": record["eventID"],
        "eventName": record["eventName"],
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": region,
        "dynamodb": change,
        "eventSourceARN": arn,
    }
    if "userIdentity" in record:
        # [D] Only so is a deletion by the time to live told from others.
        identity = record["userIdentity"]
        made["userIdentity"] = {"type": identity["Type"], "principalId": identity["PrincipalId"]}
    return made


def _encoded(value: Any) -> Any:
    """Return a value with its binary parts in base64."""
    if isinstance(value, dict):
        return {name: _encoded(item) for name, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_encoded(item) for item in value]
    return base64.b64encode(value).decode() if isinstance(value, bytes) else value


def failed_from(records: Sequence[Record], answer: Any) -> int:
    """Return the index of the first record that a partial answer does not count as handled.

    [D] That is the lowest number it names; an answer that names what is no record of the batch fails all of it.
    """
    failures = (answer.get("batchItemFailures") if isinstance(answer, dict) else None) or []
    if not isinstance(failures, list):
        return 0
    numbers = [record["dynamodb"]["SequenceNumber"] for record in records]
    named = [item.get("itemIdentifier") if isinstance(item, dict) else None for item in failures]
    return min((numbers.index(name) if name in numbers else 0 for name in named), default=len(records))


class StreamReader:
    """One mapping. `deliver` tells of what is given up."""

    def __init__(
        self,
        spec: StreamSpec,
        stream: Stream,
        submit: Submit,
        deliver: Deliver,
        settings: Settings,
        clock: Clock,
        note: Callable[[str], None],
    ) -> None:
        self.spec = spec
        self._stream = stream
        self._submit = submit
        self._deliver = deliver
        self._settings = settings
        self._clock = clock
        self._note = note

    async def run(self) -> None:
        """Read every shard until cancelled; shards that follow others are read as they come, from their beginning."""
        known: dict[str, asyncio.Task[None]] = {}
        arn, latest = self.spec.stream_arn, self.spec.latest
        try:
            while True:
                for shard in await self._try(partial(self._stream.shards, arn)):
                    if shard not in known:
                        start = await self._try(partial(self._stream.iterator, arn, shard, latest=latest))
                        known[shard] = asyncio.create_task(self._read(shard, start))
                latest = False
                # A shard ends when another follows it; whichever ends first is the time to look.
                if not known:
                    await asyncio.sleep(self._settings.stream_poll)
                    continue
                done, _ = await asyncio.wait(known.values(), return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
                await asyncio.sleep(self._settings.stream_poll)
        finally:
            for task in known.values():
                task.cancel()

    async def _try(self, call: Callable[[], Awaitable[Any]]) -> Any:
        """Return what a call gives in the end; a failure is told once, and tried again."""
        told = False
        while True:
            try:
                return await call()
            except Exception as error:
                if not told:
                    self._note(f"{self.spec.logical_id}: cannot read the stream: {error}")
                told = True
                await asyncio.sleep(self._settings.poll_after_error)

    # ---- one shard

    async def _read(self, shard: str, start: str) -> None:
        position: str | None = start
        gathered: list[Record] = []
        since = 0.0
        while position is not None or gathered:
            fresh: list[Record] = []
            if position is not None:
                count = min(self.spec.batch_size, _LONGEST_BATCH)
                fresh, position = await self._try(partial(self._stream.records, position, count))
            if fresh and not gathered:
                since = self._clock.monotonic()
            gathered += [made for made in map(self._made, fresh) if self._wanted(made)]
            over = position is None or self._clock.monotonic() - since >= self.spec.window
            while len(gathered) >= self.spec.batch_size or (gathered and over):
                batch, gathered = gathered[: self.spec.batch_size], gathered[self.spec.batch_size :]
                await self._handle(shard, batch)
            if not fresh and position is not None:
                await asyncio.sleep(self._settings.stream_poll)

    def _made(self, record: Record) -> Record:
        return event_record(record, self.spec.stream_arn, self._settings.region)

    def _wanted(self, record: Record) -> bool:
        return not self.spec.filters or any(matches(pattern, record) for pattern in self.spec.filters)

    async def _handle(self, shard: str, batch: list[Record]) -> None:
        """Invoke the function until a batch is handled, or given up; what follows it waits."""
        retries = self.spec.retries
        waiting, failure = [(batch, 0)], False
        while waiting:
            batch, tries = waiting.pop(0)
            young = self._young(batch)
            await self._tell(shard, batch[: len(batch) - len(young)], "RecordAgeExceeded", tries, failure)
            if not young:
                continue
            done, failure = await self._give(young)
            tries += 1
            halves = self._halves(young[done:], done)
            # [D] What is split is tried again whatever the number of tries, and does not count as one.
            if len(halves) > 1:
                waiting[:0] = [(half, tries - 1) for half in halves]
            elif retries is None or tries <= retries:
                waiting[:0] = [(half, tries) for half in halves]
            else:
                await self._tell(shard, young[done:], "RetryAttemptsExhausted", tries, failure)
                continue
            if halves:
                wait = self._settings.stream_retry_wait * 2 ** min(tries - 1, 20)
                await self._clock.sleep(min(wait, self._settings.stream_retry_longest))

    def _halves(self, batch: list[Record], done: int) -> list[list[Record]]:
        if not self.spec.bisect or len(batch) < 2 or done:
            return [batch] if batch else []
        middle = (len(batch) + 1) // 2
        return [batch[:middle], batch[middle:]]

    def _young(self, batch: list[Record]) -> list[Record]:
        """Return the records that are not too old; the old ones come first in a batch."""
        if self.spec.max_age is None:
            return batch
        oldest = self._clock.now() - self.spec.max_age
        return [record for record in batch if record["dynamodb"]["ApproximateCreationDateTime"] > oldest - 1]

    async def _give(self, batch: list[Record]) -> tuple[int, bool]:
        """Return how many of a batch were handled, and whether the function failed."""
        payload = json.dumps({"Records": batch}, ensure_ascii=False).encode()
        try:
            answer = json.loads(await self._submit(self.spec.function, payload, batch[0]["eventID"]))
        except (FunctionFailed, ValueError):
            return 0, True
        return (failed_from(batch, answer) if self.spec.partial else len(batch)), False

    async def _tell(self, shard: str, batch: list[Record], condition: str, tries: int, failure: bool) -> None:
        """Send what is given up to the destination for failures: where it is, not what."""
        if self.spec.on_failure is None or not batch:
            return
        request_id = new_request_id()
        first, last = batch[0]["dynamodb"], batch[-1]["dynamodb"]
        record: Record = {
            "requestContext": {
                "requestId": request_id,
                "functionArn": self.spec.function_arn,
                "condition": condition,
                "approximateInvokeCount": tries,
            },
            "responseContext": {
                "statusCode": 200,
                "executedVersion": "$LATEST",
                **({"functionError": "Unhandled"} if failure else {}),
            },
            "version": "1.0",
            "timestamp": timestamp(self._clock.now()),
            "DDBStreamBatchInfo": {
                "shardId": shard,
                "startSequenceNumber": first["SequenceNumber"],
                "endSequenceNumber": last["SequenceNumber"],
                "approximateArrivalOfFirstRecord": timestamp(first["ApproximateCreationDateTime"]),
                "approximateArrivalOfLastRecord": timestamp(last["ApproximateCreationDateTime"]),
                "batchSize": len(batch),
                "streamArn": self.spec.stream_arn,
            },
        }
        await self._deliver(self.spec.logical_id, self.spec.on_failure, json.dumps(record), request_id, None)
