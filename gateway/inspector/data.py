"""What tables and queues hold, read from the AWS endpoint. Every call waits: it is made in a thread."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from boto3.dynamodb.types import TypeDeserializer

from gateway.template.specs import QueueSpec, TableSpec

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_sqs import SQSClient

_PAGE = 100
_PEEKED = 10


class Data:
    """The tables and queues of a stack; `urls` are the queues' addresses by logical id."""

    def __init__(
        self,
        dynamodb: DynamoDBClient,
        sqs: SQSClient,
        tables: Sequence[TableSpec],
        queues: Sequence[QueueSpec],
        urls: Mapping[str, str],
    ) -> None:
        self._dynamodb = dynamodb
        self._sqs = sqs
        self._tables = {table.name: table for table in tables}
        self._queues = {queue.name: queue for queue in queues}
        self._urls = urls
        self._dead: dict[str, list[str]] = {}
        for queue in queues:
            if queue.redrive:
                self._dead.setdefault(_target(queue.redrive), []).append(queue.name)

    def tables(self) -> list[dict[str, Any]]:
        """Return each table's name and its keys."""
        return [
            {
                "name": table.name,
                "logical_id": table.logical_id,
                "keys": [part["AttributeName"] for part in table.arguments["KeySchema"]],
                "ttl": table.ttl,
            }
            for table in self._tables.values()
        ]

    def queue_names(self) -> list[str]:
        """Return the queues' names."""
        return list(self._queues)

    def items(self, name: str, key: str | None, start: Any) -> dict[str, Any]:
        """Return a page of a table's items, and where the next one starts: `{items, next, scanned}`.

        With a partition key's value its items, the last ones first; `start` is the `next` of the page before. Raises
        KeyError for a table that is not of the stack.
        """
        table = self._tables[name]
        more: dict[str, Any] = {"ExclusiveStartKey": start} if start else {}
        if key:
            partition = table.arguments["KeySchema"][0]["AttributeName"]
            kinds = {part["AttributeName"]: part["AttributeType"] for part in table.arguments["AttributeDefinitions"]}
            answer: Any = self._dynamodb.query(
                TableName=name,
                Limit=_PAGE,
                ScanIndexForward=False,
                ConsistentRead=True,
                KeyConditionExpression="#key = :key",
                ExpressionAttributeNames={"#key": partition},
                ExpressionAttributeValues={":key": {kinds[partition]: key}},
                **more,
            )
        else:
            answer = self._dynamodb.scan(TableName=name, Limit=_PAGE, ConsistentRead=True, **more)
        return {"items": [_plain(item) for item in answer["Items"]], "next": answer.get("LastEvaluatedKey")}

    def queues(self) -> list[dict[str, Any]]:
        """Return what waits on each queue."""
        return [self._queue(queue) for queue in self._queues.values()]

    def _queue(self, queue: QueueSpec) -> dict[str, Any]:
        counts = self._sqs.get_queue_attributes(QueueUrl=self._urls[queue.logical_id], AttributeNames=["All"])
        attributes: Mapping[Any, str] = counts["Attributes"]
        return {
            "name": queue.name,
            "logical_id": queue.logical_id,
            "fifo": queue.fifo,
            "waiting": int(attributes.get("ApproximateNumberOfMessages", 0)),
            "in_flight": int(attributes.get("ApproximateNumberOfMessagesNotVisible", 0)),
            "delayed": int(attributes.get("ApproximateNumberOfMessagesDelayed", 0)),
            "dead_letters_of": self._dead.get(queue.name, []),
        }

    def messages(self, name: str) -> list[dict[str, Any]]:
        """Return some messages of a dead-letter queue, which stay there.

        Of no other queue: to look at a message is to receive it, which counts, and holds it back from its function.
        Raises KeyError for a queue that is none of dead letters.
        """
        if name not in self._dead:
            raise KeyError(f"dead-letter queue {name}")
        answer = self._sqs.receive_message(
            QueueUrl=self._urls[self._queues[name].logical_id],
            MaxNumberOfMessages=_PEEKED,
            VisibilityTimeout=0,
            WaitTimeSeconds=0,
            MessageSystemAttributeNames=["All"],
        )
        return [
            {"id": message["MessageId"], "body": message["Body"], "attributes": dict(message.get("Attributes", {}))}
            for message in answer.get("Messages", [])
        ]


def _target(redrive: str) -> str:
    return str(json.loads(redrive).get("deadLetterTargetArn", "")).rpartition(":")[2]


def _plain(item: Mapping[str, Any]) -> dict[str, Any]:
    deserializer = TypeDeserializer()
    return {name: _json(deserializer.deserialize(value)) for name, value in item.items()}


def _json(value: Any) -> Any:
    """Return a value as JSON has it; bytes as base64, sets as lists, and a number exactly, as text where need be."""
    if isinstance(value, dict):
        return {name: _json(inner) for name, inner in value.items()}
    if isinstance(value, list | set | frozenset):
        return [_json(inner) for inner in (value if isinstance(value, list) else sorted(value, key=str))]
    if hasattr(value, "as_tuple"):
        return int(value) if value == value.to_integral_value() and abs(value) < 2**53 else str(value)
    if value is None or isinstance(value, str | bool):
        return value
    return {"base64": base64.b64encode(bytes(value)).decode()}
