"""Journals in DynamoDB: numbers without gaps and each key once, in two writes.

The head counts, and remembers in a few fixed slots which number a recent key was given, in the same write: whoever
repeats a key, because an answer was lost or a function died half way, gets the same number, and finishes the work. A
number stays empty where a function died between the two writes and another key took the slot before the repetition.
The entry's own key is what holds for ever: one that comes again long after finds its entry there.
"""

import logging
import zlib
from typing import Any

from botocore.exceptions import ClientError

from aws import keys
from aws.clients import translated
from aws.table import Item, Table, key, number, pack, text, unpack
from server.exceptions import JournalExpiredError, JournalMissingError
from server.records import Entry, JournalRecord

log = logging.getLogger("fleeting.aws:journals")

SLOTS = 16

# The journal exists, its time is not up, and the slot does not say that this key has a number already.
TAKES_KEY = "attribute_exists(pk) AND expires > :now AND (attribute_not_exists(#slot) OR #slot <> :key)"

# The number was the last one given, and for this key: nobody builds on it yet, so it can be taken back.
IS_LAST = "#last = :seq AND #slot = :key"

IS_NEW = "attribute_not_exists(pk)"


class DynamoJournals:
    """Fills `server.ports.Journals`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def create(self, namespace: str, room: str, data: Any, expires_at: int) -> bool:
        head = {
            **_head(namespace, room),
            "data": pack(data),
            "expires": number(expires_at),
            "last": number(0),
            "ttl": number(expires_at + keys.JOURNAL_TTL),
        }
        return self._put(head) is None

    def read(self, namespace: str, room: str) -> JournalRecord | None:
        with translated():
            answer = self._table.client.get_item(
                TableName=self._table.name, Key=_head(namespace, room), ConsistentRead=True
            )
        head: Item | None = answer.get("Item")
        if head is None:
            return None
        return JournalRecord(unpack(head["data"]), int(head["expires"]["N"]), int(head["last"]["N"]))

    def append(
        self, namespace: str, room: str, key: str, body: Any, at: int, published: tuple[str, str] | None = None
    ) -> tuple[Entry, bool]:
        seq, expires = self._number(namespace, room, key, at)
        item = {
            **entry_key(namespace, room, key),
            "seq": number(seq),
            "at": number(at),
            "body": pack(body),
            "ttl": number(expires + keys.JOURNAL_TTL),
        }
        if published:
            item |= {"offset": text(published[0]), "event": text(published[1])}
        existing = self._put(item)
        if existing is None:
            return Entry(key, seq, at, body), True
        entry = as_entry(existing)
        if entry == Entry(key, seq, at, body):
            return entry, True  # the SDK repeated a call whose answer was lost
        if entry.seq != seq:
            self._take_back(namespace, room, key, seq)
        return entry, False

    def entries(self, namespace: str, room: str, before: int | None, limit: int) -> list[Entry]:
        values = {":pk": text(keys.of_room(namespace, room)), ":before": number(before or 10**15)}
        with translated():
            page = self._table.client.query(
                TableName=self._table.name,
                IndexName=keys.LOG_INDEX,
                KeyConditionExpression="pk = :pk AND seq < :before",
                ExpressionAttributeValues=values,
                ScanIndexForward=False,
                ConsistentRead=True,
                Limit=limit,
            )
        return [as_entry(item) for item in reversed(page["Items"])]

    def delete(self, namespace: str, room: str) -> None:
        with translated():
            self._table.client.delete_item(TableName=self._table.name, Key=_head(namespace, room))
        items = self._table.query(
            KeyConditionExpression="pk = :pk",
            ExpressionAttributeValues={":pk": text(keys.of_room(namespace, room))},
            ProjectionExpression="pk, sk",
            ConsistentRead=True,
        )
        self._table.delete_all(list(items))

    def _number(self, namespace: str, room: str, key: str, at: int) -> tuple[int, int]:
        """Return the key's number, a new one or the one that it has, and the journal's end."""
        slot = zlib.crc32(key.encode()) % SLOTS
        names = {"#slot": f"key{slot}", "#seq": f"seq{slot}", "#last": "last"}
        values = {":key": text(key), ":one": number(1), ":now": number(at // 1000)}
        with translated():
            try:
                answer = self._table.client.update_item(
                    TableName=self._table.name,
                    Key=_head(namespace, room),
                    UpdateExpression="SET #last = #last + :one, #seq = #last + :one, #slot = :key",
                    ConditionExpression=TAKES_KEY,
                    ExpressionAttributeNames=names,
                    ExpressionAttributeValues=values,
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
                head: Item = answer["Attributes"]
            except ClientError as error:
                head = _refused(error)
                if int(head["expires"]["N"]) <= at // 1000:
                    raise JournalExpiredError(f"{room!r} is past its time") from error
        return int(head[f"seq{slot}"]["N"]), int(head["expires"]["N"])

    def _take_back(self, namespace: str, room: str, key: str, seq: int) -> None:
        """Give back a number that was taken for a key whose entry turned out to exist."""
        slot = zlib.crc32(key.encode()) % SLOTS
        with translated():
            try:
                self._table.client.update_item(
                    TableName=self._table.name,
                    Key=_head(namespace, room),
                    UpdateExpression="SET #last = #last - :one REMOVE #slot, #seq",
                    ConditionExpression=IS_LAST,
                    ExpressionAttributeNames={"#slot": f"key{slot}", "#seq": f"seq{slot}", "#last": "last"},
                    ExpressionAttributeValues={":key": text(key), ":one": number(1), ":seq": number(seq)},
                )
            except ClientError as error:
                _refused(error)
                log.warning("number %d of %r stays empty: an old key came again beside a new one", seq, room)

    def _put(self, item: Item) -> Item | None:
        """Put an item unless it exists; returns the one that does."""
        with translated():
            try:
                self._table.client.put_item(
                    TableName=self._table.name,
                    Item=item,
                    ConditionExpression=IS_NEW,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
            except ClientError as error:
                return _refused(error)
        return None


def _refused(error: ClientError) -> Item:
    """Return the item that failed a condition; JournalMissingError if there is none, other errors as they are."""
    if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
        raise error
    item: Item | None = error.response.get("Item")  # type: ignore[assignment]
    if not item:
        raise JournalMissingError("there is no such journal") from error
    return item


def _head(namespace: str, room: str) -> Item:
    return key(keys.of_room(namespace, room), keys.HEAD)


def entry_key(namespace: str, room: str, name: str) -> Item:
    """Return the key of a journal's entry."""
    return key(keys.of_room(namespace, room), keys.ENTRY + name)


def as_entry(item: Item) -> Entry:
    """Return the entry in an item."""
    name = item["sk"]["S"].removeprefix(keys.ENTRY)
    return Entry(name, int(item["seq"]["N"]), int(item["at"]["N"]), unpack(item["body"]))
