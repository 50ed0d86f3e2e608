"""A queue on the AWS endpoint, for poller and sender: boto3 calls in a thread each."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from botocore.exceptions import ClientError, ParamValidationError

from gateway.triggers.queues import MAX_RECEIVE, Message
from gateway.websocket.sender import Arguments

if TYPE_CHECKING:
    from mypy_boto3_sqs import SQSClient

_REFUSED = (ClientError, ParamValidationError)


class AwsQueue:
    """The queue at `url`."""

    def __init__(self, client: SQSClient, url: str, executor: Executor) -> None:
        self._client = client
        self._url = url
        self._executor = executor

    async def send(self, messages: Sequence[Arguments]) -> list[str | None]:
        """Send messages in order, and return for each why it was refused, or None. Raises what botocore does."""
        if len(messages) == 1:
            return [await self._send_alone(messages[0])]
        entries: Any = [{"Id": str(index), **message} for index, message in enumerate(messages)]
        try:
            answer = await self._call(partial(self._client.send_message_batch, QueueUrl=self._url, Entries=entries))
        except _REFUSED:
            # One of them is wrong, and for it alone none was taken.
            return [await self._send_alone(message) for message in messages]
        reasons = {failed["Id"]: failed.get("Message") or failed["Code"] for failed in answer.get("Failed", [])}
        return [reasons.get(entry["Id"]) for entry in entries]

    async def _send_alone(self, message: Arguments) -> str | None:
        try:
            await self._call(partial(self._client.send_message, QueueUrl=self._url, **message))
        except _REFUSED as error:
            return str(error)
        return None

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
