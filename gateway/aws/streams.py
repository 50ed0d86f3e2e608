"""The streams of tables on the AWS endpoint, for stream readers: boto3 calls in a thread each."""

import asyncio
from concurrent.futures import Executor
from functools import partial
from typing import Any


class AwsStreams:
    """Every stream; `client` is boto3's of `dynamodbstreams`."""

    def __init__(self, client: Any, executor: Executor) -> None:
        self._client = client
        self._executor = executor

    async def shards(self, arn: str) -> list[str]:
        """Return the ids of a stream's shards, oldest first."""
        answer = await self._call(partial(self._client.describe_stream, StreamArn=arn))
        return [shard["ShardId"] for shard in answer["StreamDescription"].get("Shards", [])]

    async def iterator(self, arn: str, shard: str, *, latest: bool) -> str:
        """Return where to read a shard from: behind all that is in it, or from its beginning."""
        kind = "LATEST" if latest else "TRIM_HORIZON"
        call = partial(self._client.get_shard_iterator, StreamArn=arn, ShardId=shard, ShardIteratorType=kind)
        return str((await self._call(call))["ShardIterator"])

    async def records(self, iterator: str, count: int) -> tuple[list[dict[str, Any]], str | None]:
        """Return up to `count` records, and where to read on; None at a shard's end."""
        answer = await self._call(partial(self._client.get_records, ShardIterator=iterator, Limit=count))
        return answer["Records"], answer.get("NextShardIterator")

    async def _call(self, call: partial[Any]) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, call)


def stream_arns(dynamodb: Any, tables: dict[str, str]) -> dict[str, str]:
    """Return the ARN of each table's stream, by logical id; `tables` are the names by logical id.

    Raises botocore's errors.
    """
    found = {
        logical_id: dynamodb.describe_table(TableName=name)["Table"].get("LatestStreamArn")
        for logical_id, name in tables.items()
    }
    # A table that was there before may have none.
    return {logical_id: arn for logical_id, arn in found.items() if arn}
