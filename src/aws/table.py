"""The table, with what all its users share: batched writes, whole queries, and JSON in attributes."""

import json
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

from aws import clients
from protocol.strict_json import is_utf8
from server.ports import Unavailable

Item = dict[str, Any]
"""An item in DynamoDB's notation: attribute name to ``{"S": …}``, ``{"N": …}`` or ``{"SS": …}``."""

_BATCH = 25  # the most that BatchWriteItem takes
_BATCH_GET = 100  # the most that BatchGetItem takes
_PAUSES = (0.05, 0.1, 0.2, 0.4, 0.8)


def text(value: str) -> dict[str, str]:
    """Return a string attribute."""
    return {"S": value}


def number(value: int) -> dict[str, str]:
    """Return a number attribute."""
    return {"N": str(value)}


def pack(value: Any) -> dict[str, str]:
    """Return any JSON value as a string attribute, so that it comes back as it was (DynamoDB has no floats)."""
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    # Escapes spend more bytes, but half of a surrogate pair, which a client may well send, is not UTF-8.
    return text(compact if is_utf8(compact) else json.dumps(value))


def unpack(attribute: dict[str, str] | None) -> Any:
    """Return the value that `pack` wrote; None for no attribute."""
    return None if attribute is None else json.loads(attribute["S"])


def key(pk: str, sk: str) -> Item:
    """Return an item's primary key."""
    return {"pk": text(pk), "sk": text(sk)}


class Table:
    """One DynamoDB table, by name."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.client = clients.dynamodb()

    def query(self, **parameters: Any) -> Iterator[Item]:
        """Yield every item that a Query finds, one call a page."""
        while True:
            with clients.translated():
                page = self.client.query(TableName=self.name, **parameters)
            yield from page["Items"]
            if "LastEvaluatedKey" not in page:
                return
            parameters["ExclusiveStartKey"] = page["LastEvaluatedKey"]

    def get_all(self, keys: Sequence[Item]) -> list[Item]:
        """Return the items of keys, which are distinct, as far as they exist (consistent reads)."""
        return [
            item for start in range(0, len(keys), _BATCH_GET) for item in self._get(keys[start : start + _BATCH_GET])
        ]

    def _get(self, keys: Sequence[Item]) -> list[Item]:
        found: list[Item] = []
        request: Any = {"Keys": list(keys), "ConsistentRead": True}
        for pause in (*_PAUSES, None):
            with clients.translated():
                answer = self.client.batch_get_item(RequestItems={self.name: request})
            found += answer.get("Responses", {}).get(self.name, [])
            request = answer.get("UnprocessedKeys", {}).get(self.name)
            if not request:
                break
            if pause is None:
                raise Unavailable("DynamoDB left some reads undone")
            time.sleep(pause)
        return found

    def put_all(self, items: Sequence[Item]) -> None:
        """Write items, in as few calls as there can be."""
        self.write(items, [])

    def delete_all(self, keys: Sequence[Item]) -> None:
        """Delete items, in as few calls as there can be; those that do not exist are passed over."""
        self.write([], keys)

    def delete_partition(self, pk: str, until: int) -> None:
        """Delete every item of a partition, in the order of their keys; Unavailable once it is `until` (Unix ms)."""
        items = self.query(
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": text(pk)},
            ProjectionExpression="pk, sk",
            ConsistentRead=True,
        )
        while some := list(islice(items, _BATCH)):
            if time.time() * 1000 > until:
                raise Unavailable("the time was up before everything was deleted")
            self.delete_all(some)

    def write(self, items: Sequence[Item], keys: Sequence[Item]) -> None:
        """Write some items and delete others, in as few calls as there can be."""
        distinct = {
            (key["pk"]["S"], key["sk"]["S"]): key for key in keys
        }  # BatchWriteItem refuses one that comes twice
        puts = [{"PutRequest": {"Item": item}} for item in items]
        self._write([*puts, *({"DeleteRequest": {"Key": key}} for key in distinct.values())])

    def _write(self, requests: Sequence[Any]) -> None:
        for start in range(0, len(requests), _BATCH):
            rest = list(requests[start : start + _BATCH])
            for pause in (*_PAUSES, None):
                with clients.translated():
                    answer = self.client.batch_write_item(RequestItems={self.name: rest})
                rest = list(answer.get("UnprocessedItems", {}).get(self.name, []))
                if not rest:
                    break
                if pause is None:
                    raise Unavailable(f"DynamoDB left {len(rest)} writes undone")
                time.sleep(pause)
