"""A queue on the AWS endpoint, for the poller: boto3 calls in a thread each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from gateway.sources import MAX_RECEIVE, Message

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient


class AwsQueue:
    """The queue at `url`."""

    def __init__(self, client: SQSClient, url: str, executor: Executor) -> None:
        self._client = client
        self._url = url
        self._executor = executor

    async def receive(self, count: int) -> list[Message]:
        """Return up to `count` messages at once: waiting for one would hold up a server without threads."""
        answer = await self._call(
            partial(
                self._client.receive_message,
                QueueUrl=self._url,
                MaxNumberOfMessages=count,
                WaitTimeSeconds=0,
                MessageSystemAttributeNames=["All"],
                MessageAttributeNames=["All"],
            )
        )
        return cast("list[Message]", answer.get("Messages", []))

    async def delete(self, messages: Sequence[Message]) -> None:
        """Delete messages. Raises RuntimeError where one is refused."""
        for start in range(0, len(messages), MAX_RECEIVE):
            entries: Any = [
                {"Id": str(index), "ReceiptHandle": message["ReceiptHandle"]}
                for index, message in enumerate(messages[start : start + MAX_RECEIVE])
            ]
            answer = await self._call(partial(self._client.delete_message_batch, QueueUrl=self._url, Entries=entries))
            if answer.get("Failed"):
                raise RuntimeError(str(answer["Failed"][0].get("Message", "refused")))

    async def _call(self, call: partial[Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)
