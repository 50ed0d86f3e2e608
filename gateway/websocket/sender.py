"""Sends messages to queues for service integrations: in order within a lane, lanes at the same time."""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from gateway.settings import Settings

Arguments = dict[str, Any]  # of SendMessage, but for the QueueUrl
MAX_BATCH = 10  # [D] messages of a SendMessageBatch
_MAX_BYTES = 262_144  # of the bodies in one; less than the service takes
_Waiting = tuple[Arguments, asyncio.Future[None]]


class SendFailed(Exception):
    """A queue did not take a message; one line says why."""


class Outlet(Protocol):
    """A queue, as the sender sees it."""

    async def send(self, messages: Sequence[Arguments]) -> list[str | None]:
        """Send up to `MAX_BATCH` messages in order; for each there is a reason if it was refused, else None.

        Fails with any exception where none was sent.
        """


class Sender:
    """The queues of a stack, by name. A lane is what keeps an order: a connection."""

    def __init__(self, queues: Mapping[str, Outlet], settings: Settings) -> None:
        self._queues = queues
        self._ordered = settings.ordered_sends
        self._lanes: dict[object, deque[_Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def send(self, queue: str, lane: str, arguments: Arguments) -> asyncio.Future[None]:
        """Send a message; the result is there once the queue has it, or SendFailed.

        Cancelling the result takes the message back only while others of its lane are still before it.
        """
        result: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        outlet = self._queues.get(queue)
        if outlet is None:
            result.set_exception(SendFailed(f"no queue {queue or 'at an empty QueueUrl'} in this template"))
            return result
        key = (queue, lane) if self._ordered else object()
        if key not in self._lanes:
            self._lanes[key] = deque()
            task = asyncio.create_task(self._drain(key, outlet))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        self._lanes[key].append((arguments, result))
        return result

    async def close(self) -> None:
        """Give up what has not been sent."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _drain(self, key: object, outlet: Outlet) -> None:
        # What has come while the last ones were on their way goes together.
        while batch := _next(self._lanes[key]):
            await _send(outlet, batch)
        del self._lanes[key]


def _next(waiting: deque[_Waiting]) -> list[_Waiting]:
    """Take the messages of the next request, but for those whose sender has given up; none is left after none."""
    batch: list[_Waiting] = []
    size = 0
    while waiting and len(batch) < MAX_BATCH:
        arguments, result = waiting[0]
        size += len(arguments["MessageBody"].encode())
        if batch and size > _MAX_BYTES:
            break
        waiting.popleft()
        if not result.done():
            batch.append((arguments, result))
    return batch


async def _send(outlet: Outlet, batch: Sequence[_Waiting]) -> None:
    reasons: Sequence[str | None]
    try:
        reasons = await outlet.send([arguments for arguments, _ in batch])
    except Exception as error:
        reasons = [str(error)] * len(batch)
    for (_, result), reason in zip(batch, reasons, strict=True):
        if result.done():
            continue
        if reason is None:
            result.set_result(None)
        else:
            result.set_exception(SendFailed(reason))
