"""Mailboxes in DynamoDB: a list in the connection's own record, so that every move of an upgrade is one write.

A letter that is large is an item of its own, and its key is in the list: each write of a record pays for all of it.
"""

import secrets
import time
from collections.abc import Sequence
from typing import Any

from botocore.exceptions import ClientError

from aws import keys
from aws.clients import translated
from aws.connections import HAS_NOT_MOVED, IS_OPEN, as_connection, connection_key, letters_of
from aws.table import Item, Table, key, number, pack, text
from protocol.engineio import SEPARATOR
from server.ports import Gone, Unavailable
from server.records import MAX_LETTER, OFFER_LAPSE, Box, Connection, Letter

INLINE = 1_024
"""Characters of a letter up to which it is kept in the record."""

LOCK_LAPSE = 10_000
"""Milliseconds after which whoever empties a box counts as dead."""

IS_HERE = f"{IS_OPEN} AND {HAS_NOT_MOVED}"
IS_MY_POLL = f"{IS_HERE} AND poll = :poll"

# No other WebSocket may take the session over, or the one that might never came back.
MAY_OFFER = f"{IS_HERE} AND (attribute_not_exists(offered) OR offered = :websocket OR offered_at < :lapsed)"

# This WebSocket may take the session over, and nobody is emptying the box into it.
MAY_LOCK = f"{IS_HERE} AND offered = :websocket AND (attribute_not_exists(locked_at) OR locked_at < :lapsed)"

# This WebSocket may take the session over, and nothing waits any more.
MAY_MOVE = f"{IS_HERE} AND offered = :websocket AND (attribute_not_exists(box) OR size(box) = :nothing)"


class DynamoMailboxes:
    """Fills `server.ports.Mailboxes`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def append(self, connection_id: str, frames: Sequence[str]) -> str | None:
        letters = [
            self._letter(connection_id, frames[start : start + MAX_LETTER])
            for start in range(0, len(frames), MAX_LETTER)
        ]
        try:
            item, is_done = self._update(
                connection_id,
                UpdateExpression="SET box = list_append(if_not_exists(box, :none), :letters)",
                ConditionExpression=IS_HERE,
                ExpressionAttributeValues={":none": {"L": []}, ":letters": {"L": [_pack(each) for each in letters]}},
            )
        except ClientError as error:
            if "size" in str(error).lower() and error.response["Error"]["Code"] == "ValidationException":
                raise Unavailable("the client's box is full") from error
            raise
        if is_done:
            return None
        self._delete(connection_id, letters)
        if item and "moved" in item:
            return str(item["moved"]["S"])
        raise Gone(f"{connection_id} is gone")

    def begin(self, connection_id: str, poll: str) -> Box | None:
        item, is_done = self._update(
            connection_id,
            UpdateExpression="SET previous = if_not_exists(poll, :nobody), poll = :poll",
            ConditionExpression=IS_OPEN,
            ExpressionAttributeValues={":poll": text(poll), ":nobody": text("")},
        )
        return _box(item) if is_done and item else None

    def peek(self, connection_id: str) -> Box | None:
        with translated():
            answer = self._table.client.get_item(TableName=self._table.name, Key=connection_key(connection_id))
        item: Item | None = answer.get("Item")
        return None if item is None or "closing" in item else _box(item)

    def read(self, connection_id: str, letters: Sequence[Letter]) -> list[str]:
        payloads = [letter.payload or self._fetch(connection_id, letter) for letter in letters]
        return [frame for payload in payloads for frame in payload.split(SEPARATOR)]

    def end(self, connection_id: str, poll: str, letters: Sequence[Letter]) -> bool:
        _, is_done = self._update(
            connection_id,
            UpdateExpression=f"REMOVE poll{_first(letters)}",
            ConditionExpression=IS_MY_POLL,
            ExpressionAttributeValues={":poll": text(poll)},
        )
        if is_done:
            self._delete(connection_id, letters)
        return is_done

    def offer(self, connection_id: str, websocket: str, at: int) -> bool:
        _, is_done = self._update(
            connection_id,
            UpdateExpression="SET offered = :websocket, offered_at = :at",
            ConditionExpression=MAY_OFFER,
            ExpressionAttributeValues=_since(websocket, at, OFFER_LAPSE),
        )
        return is_done

    def lock(self, connection_id: str, websocket: str, at: int) -> Box | None:
        item, is_done = self._update(
            connection_id,
            UpdateExpression="SET locked_at = :at",
            ConditionExpression=MAY_LOCK,
            ExpressionAttributeValues=_since(websocket, at, LOCK_LAPSE),
        )
        return _box(item) if is_done and item else None

    def discard(self, connection_id: str, letters: Sequence[Letter]) -> None:
        self._update(connection_id, UpdateExpression=f"REMOVE locked_at{_first(letters)}", ConditionExpression=IS_HERE)
        self._delete(connection_id, letters)

    def move(self, connection_id: str, websocket: str) -> Connection | None:
        item, is_done = self._update(
            connection_id,
            # Without `beat` the heartbeat knows of it no more.
            UpdateExpression="SET moved = :websocket REMOVE beat",
            ConditionExpression=MAY_MOVE,
            ExpressionAttributeValues={":websocket": text(websocket), ":nothing": number(0)},
        )
        return as_connection(connection_id, item) if is_done and item else None

    def _update(self, connection_id: str, **parameters: Any) -> tuple[Item | None, bool]:
        """Update the record; returns it as it is now and True, or as it was and False if the condition fails."""
        with translated():
            try:
                answer = self._table.client.update_item(
                    TableName=self._table.name,
                    Key=connection_key(connection_id),
                    ReturnValues="ALL_NEW",
                    ReturnValuesOnConditionCheckFailure="ALL_OLD",
                    **parameters,
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "ConditionalCheckFailedException":
                    raise
                return error.response.get("Item"), False  # type: ignore[return-value]
        return answer["Attributes"], True

    def _letter(self, connection_id: str, frames: Sequence[str]) -> Letter:
        payload = SEPARATOR.join(frames)
        if len(payload) <= INLINE:
            return Letter(len(frames), len(payload), payload)
        letter = Letter(len(frames), len(payload), key=secrets.token_hex(8))
        ttl = number(int(time.time()) + keys.CONNECTION_TTL)
        self._table.put_all([self._kept(connection_id, letter) | {"payload": text(payload), "ttl": ttl}])
        return letter

    def _kept(self, connection_id: str, letter: Letter) -> Item:
        return key(keys.of_connection(connection_id), keys.LETTER + letter.key)

    def _fetch(self, connection_id: str, letter: Letter) -> str:
        with translated():
            answer = self._table.client.get_item(
                TableName=self._table.name, Key=self._kept(connection_id, letter), ConsistentRead=True
            )
        return str(answer["Item"]["payload"]["S"])

    def _delete(self, connection_id: str, letters: Sequence[Letter]) -> None:
        self._table.delete_all([self._kept(connection_id, letter) for letter in letters if letter.key])


def _first(letters: Sequence[Letter]) -> str:
    return "".join(f", box[{n}]" for n in range(len(letters)))


def _pack(letter: Letter) -> Item:
    return pack([letter.count, letter.size, letter.payload, letter.key])


def _since(websocket: str, at: int, lapse: int) -> Item:
    return {":websocket": text(websocket), ":at": number(at), ":lapsed": number(at - lapse)}


def _box(item: Item) -> Box:
    return Box(
        letters=letters_of(item),
        poll=item.get("poll", {}).get("S"),
        interrupted=bool(item.get("previous", {}).get("S")),
        offered_at=int(item.get("offered_at", {}).get("N", 0)),
        moved=item.get("moved", {}).get("S"),
    )
