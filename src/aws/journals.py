"""Journals in DynamoDB: numbers without gaps and each key once, in two writes; and the values beside them.

The head counts, and remembers which numbers the last keys were given, in the same write: whoever repeats a key, because
an answer was lost or a function died half way, gets the same number, and finishes the work. A number stays empty only
where so many others came before the repetition that the head has forgotten the key. The entry's own key is what holds
for ever: one that comes again long after finds its entry there.
"""

import hashlib
import logging
from collections.abc import Collection, Sequence
from contextlib import suppress
from typing import Any

from botocore.exceptions import ClientError

from aws import keys
from aws.clients import translated
from aws.table import Item, Table, key, number, pack, text, unpack
from aws.updates import Update
from server.exceptions import JournalExpiredError, JournalMissingError
from server.records import Entry, JournalRecord

log = logging.getLogger("fleeting.aws:journals")

KEPT = 24
"""Keys that the head remembers at least: each takes some 20 bytes of every write."""

MOST = 2 * KEPT
"""Keys above which those too many are forgotten in a write of their own; as a rule the next one does it."""

ROOMS = 1_000
"""Rooms of which a process remembers what their heads may forget."""

# The journal exists, its time is not up, and the key has no number yet.
TAKES_KEY = "attribute_exists(pk) AND expires > :now AND attribute_not_exists(recent.#key)"

# The number was the last one given, and for this key: nobody builds on it yet, so it can be taken back.
IS_LAST = "#last = :seq AND recent.#key = :seq"

# The journal's time is not up.
IS_ALIVE = "expires > :now"

IS_NEW = "attribute_not_exists(pk)"


class DynamoJournals:
    """Fills `server.ports.Journals`."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._old: dict[tuple[str, str], list[str]] = {}  # by room: what its head may forget

    def create(self, namespace: str, room: str, data: Any, expires_at: int) -> bool:
        head = {
            **_head(namespace, room),
            "data": pack(data),
            "expires": number(expires_at),
            "last": number(0),
            "recent": {"M": {}},
            "ttl": number(expires_at + keys.JOURNAL_TTL),
        }
        return self._put(head) is None

    def read(self, namespace: str, room: str) -> JournalRecord | None:
        with translated():
            answer = self._table.client.get_item(
                TableName=self._table.name, Key=_head(namespace, room), ConsistentRead=True
            )
        head: Item | None = answer.get("Item")
        return None if head is None else _record(head)

    def change(self, namespace: str, room: str, data: Any, new: Any, at: int) -> tuple[JournalRecord | None, bool]:
        update = Update("change").assign("data", pack(new))
        update.when(f"{update.name('data')} = :old", IS_ALIVE, old=pack(data), now=number(at // 1000))
        head, is_done = update.run(self._table, _head(namespace, room))
        return None if head is None else _record(head), is_done

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

    def entry(self, namespace: str, room: str, key: str) -> Entry | None:
        with translated():
            answer = self._table.client.get_item(
                TableName=self._table.name, Key=entry_key(namespace, room, key), ConsistentRead=True
            )
        return as_entry(answer["Item"]) if "Item" in answer else None

    def rewrite(self, namespace: str, room: str, key: str, body: Any, new: Any, at: int) -> tuple[Entry | None, bool]:
        now = at // 1000
        update = Update("rewrite").assign("body", pack(new))
        update.when(f"{update.name('body')} = :old", old=pack(body))
        update.when(f"{update.name('ttl')} > :ttl", ttl=number(now + keys.JOURNAL_TTL))  # its journal's time is not up
        item, is_done = update.run(self._table, entry_key(namespace, room, key))
        if item and not is_done and not _is_alive(item, now):
            raise JournalExpiredError(f"{room!r} is past its time")
        return None if item is None else as_entry(item), is_done

    def store(self, namespace: str, room: str, name: str, value: Any, expires_at: int) -> None:
        item = {**_value_key(namespace, room, name), "value": pack(value), "ttl": number(expires_at + keys.JOURNAL_TTL)}
        with translated():
            self._table.client.put_item(TableName=self._table.name, Item=item)

    def load(self, namespace: str, room: str, names: Sequence[str], at: int) -> dict[str, Any]:
        items = self._table.get_all([_value_key(namespace, room, name) for name in dict.fromkeys(names)])
        return {
            item["sk"]["S"].removeprefix(keys.VALUE): unpack(item["value"])
            for item in items
            if _is_alive(item, at // 1000)
        }

    def discard(self, namespace: str, room: str, names: Sequence[str]) -> None:
        self._table.delete_all([_value_key(namespace, room, name) for name in names])

    def delete(self, namespace: str, room: str, until: int) -> None:
        with translated():
            self._table.client.delete_item(TableName=self._table.name, Key=_head(namespace, room))
        for pk in (keys.of_room(namespace, room), *keys.of_values(namespace, room)):
            self._table.delete_partition(pk, until)

    def _number(self, namespace: str, room: str, key: str, at: int) -> tuple[int, int]:
        """Return the key's number, a new one or the one that it has, and the journal's end."""
        name = _short(key)
        old = [each for each in self._old.pop((namespace, room), []) if each != name]
        forgotten = {f"#old{n}": each for n, each in enumerate(old)}
        with translated():
            try:
                answer = self._table.client.update_item(
                    TableName=self._table.name,
                    Key=_head(namespace, room),
                    UpdateExpression=f"SET #last = #last + :one, recent.#key = #last + :one {_removing(forgotten)}",
                    ConditionExpression=TAKES_KEY,
                    ExpressionAttributeNames={"#key": name, "#last": "last", **forgotten},
                    ExpressionAttributeValues={":one": number(1), ":now": number(at // 1000)},
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                )
                head: Item = answer["Attributes"]
            except ClientError as error:
                head = _refused(error)
                if int(head["expires"]["N"]) <= at // 1000:
                    raise JournalExpiredError(f"{room!r} is past its time") from error
        self._forget(namespace, room, head)
        return int(head["recent"]["M"][name]["N"]), int(head["expires"]["N"])

    def _forget(self, namespace: str, room: str, head: Item) -> None:
        """Note which keys the room's next write may let the head forget; now, if they are far too many."""
        recent, last = head["recent"]["M"], int(head["last"]["N"])
        old = [name for name, seq in recent.items() if int(seq["N"]) <= last - KEPT]
        if len(recent) > MOST:
            names = {f"#old{n}": name for n, name in enumerate(old)}
            with translated(), suppress(self._table.client.exceptions.ConditionalCheckFailedException):
                self._table.client.update_item(
                    TableName=self._table.name,
                    Key=_head(namespace, room),
                    UpdateExpression=_removing(names),
                    ConditionExpression="attribute_exists(pk)",  # the room may burn just now
                    ExpressionAttributeNames=names,
                )
        elif old:
            if len(self._old) >= ROOMS:
                self._old.clear()
            self._old[namespace, room] = old

    def _take_back(self, namespace: str, room: str, key: str, seq: int) -> None:
        """Give back a number that was taken for a key whose entry turned out to exist."""
        with translated():
            try:
                self._table.client.update_item(
                    TableName=self._table.name,
                    Key=_head(namespace, room),
                    UpdateExpression="SET #last = #last - :one REMOVE recent.#key",
                    ConditionExpression=IS_LAST,
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    ExpressionAttributeNames={"#key": _short(key), "#last": "last"},
                    ExpressionAttributeValues={":one": number(1), ":seq": number(seq)},
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


def _short(key: str) -> str:
    """Return what a key is called in the head."""
    return hashlib.blake2b(key.encode(), digest_size=8).hexdigest()


def _removing(names: Collection[str]) -> str:
    """Return the clause by which the head forgets keys, by their aliases."""
    return f"REMOVE {', '.join(f'recent.{name}' for name in names)}" if names else ""


def _record(head: Item) -> JournalRecord:
    return JournalRecord(unpack(head["data"]), int(head["expires"]["N"]), int(head["last"]["N"]))


def _value_key(namespace: str, room: str, name: str) -> Item:
    return key(keys.of_value(namespace, room, name), keys.VALUE + name)


def _is_alive(item: Item, now: int) -> bool:
    """Tell whether the journal of an entry or a value is not past its time (Unix seconds)."""
    return int(item["ttl"]["N"]) - keys.JOURNAL_TTL > now


def entry_key(namespace: str, room: str, name: str) -> Item:
    """Return the key of a journal's entry."""
    return key(keys.of_room(namespace, room), keys.ENTRY + name)


def as_entry(item: Item) -> Entry:
    """Return the entry in an item."""
    name = item["sk"]["S"].removeprefix(keys.ENTRY)
    return Entry(name, int(item["seq"]["N"]), int(item["at"]["N"]), unpack(item["body"]))
