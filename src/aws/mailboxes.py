"""Mailboxes in DynamoDB: a list in the connection's own record, so that every move of an upgrade is one write.

A letter that is large is an item of its own, and its key is in the list: each write of a record pays for all of it.
"""

import secrets
import time
from collections.abc import Iterator, Sequence

from aws import keys
from aws.clients import translated
from aws.connections import HAS_NOT_MOVED, IS_OPEN, as_connection, connection_key, letters_of
from aws.table import Item, Table, key, number, pack, text
from aws.updates import Update
from protocol.engineio import SEPARATOR
from server.ports import Gone, Rejected, Unavailable
from server.records import MAX_LETTER, OFFER_LAPSE, Box, Connection, Letter

INLINE = 1_024
"""Bytes of a letter up to which it is kept in the record."""

LARGEST = 300_000
"""Bytes of a letter: an item holds 400 KB (quotas of DynamoDB)."""

LOCK_LAPSE = 10_000
"""Milliseconds after which whoever empties a box counts as dead."""

IS_MY_POLL = "poll = :poll"

# Somebody waits for what is put into the box.
IS_POLLED = "attribute_exists(poll)"

# No other WebSocket may take the session over, or the one that might never came back.
MAY_OFFER = "(attribute_not_exists(offered) OR offered = :websocket OR offered_at < :lapsed)"

IS_OFFERED = "offered = :websocket"

# Nobody is emptying the box, or whoever was died.
IS_UNLOCKED = "(attribute_not_exists(locked_at) OR locked_at < :lapsed)"

IS_MY_LOCK = "locked_by = :holder"

IS_EMPTY = "(attribute_not_exists(box) OR size(box) = :nothing)"


class DynamoMailboxes:
    """Fills `server.ports.Mailboxes`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def append(self, connection_id: str, frames: Sequence[str], *, only_if_polled: bool = False) -> str | None:
        letters = [self._letter(connection_id, some) for some in _divided(frames)]
        update = self._here("put", spread=True).append("box", [_pack(letter) for letter in letters])
        if only_if_polled:
            update.when(IS_POLLED)
        try:
            item, is_done = update.run(self._table, connection_key(connection_id))
        except Rejected as error:
            if "size" in str(error).lower():
                raise Unavailable("the client's box is full") from error
            raise
        if is_done:
            return None
        self._delete(connection_id, letters)
        if item and "moved" in item:
            return str(item["moved"]["S"])
        if item and "closing" not in item and only_if_polled:
            return None
        raise Gone(f"{connection_id} is gone")

    def begin(self, connection_id: str, poll: str) -> Box | None:
        update = Update("begin").keep_previous("previous", "poll", text("")).assign("poll", text(poll)).when(IS_OPEN)
        item, is_done = update.run(self._table, connection_key(connection_id))
        return _box(item) if is_done and item else None

    def peek(self, connection_id: str, *, consistent: bool = False) -> Box | None:
        with translated():
            answer = self._table.client.get_item(
                TableName=self._table.name, Key=connection_key(connection_id), ConsistentRead=consistent
            )
        item: Item | None = answer.get("Item")
        return None if item is None or "closing" in item else _box(item)

    def read(self, connection_id: str, letters: Sequence[Letter]) -> list[str]:
        payloads = [letter.payload or self._fetch(connection_id, letter) for letter in letters]
        return [frame for payload in payloads for frame in payload.split(SEPARATOR)]

    def end(self, connection_id: str, poll: str, letters: Sequence[Letter]) -> bool:
        update = self._here("end").remove("poll").remove_first("box", len(letters)).when(IS_MY_POLL, poll=text(poll))
        _, is_done = update.run(self._table, connection_key(connection_id))
        if is_done:
            self._delete(connection_id, letters)
        return is_done

    def offer(self, connection_id: str, websocket: str, at: int) -> bool:
        update = self._here("offer").assign("offered", text(websocket)).assign("offered_at", number(at))
        update.when(MAY_OFFER, websocket=text(websocket), lapsed=number(at - OFFER_LAPSE))
        return update.run(self._table, connection_key(connection_id))[1]

    def withdraw(self, connection_id: str, websocket: str) -> None:
        update = self._here("withdraw").remove("offered", "offered_at").when(IS_OFFERED, websocket=text(websocket))
        update.run(self._table, connection_key(connection_id))

    def lock(self, connection_id: str, websocket: str, holder: str, at: int) -> Box | None:
        # A poll that is still on its way must not take what is about to be sent.
        update = self._here("lock").assign("locked_at", number(at)).assign("locked_by", text(holder)).remove("poll")
        update.when(IS_OFFERED, IS_UNLOCKED, websocket=text(websocket), lapsed=number(at - LOCK_LAPSE))
        item, is_done = update.run(self._table, connection_key(connection_id))
        return _box(item) if is_done and item else None

    def discard(self, connection_id: str, holder: str, letters: Sequence[Letter]) -> bool:
        update = self._here("discard").remove("locked_at", "locked_by").remove_first("box", len(letters))
        update.when(IS_MY_LOCK, holder=text(holder))
        _, is_done = update.run(self._table, connection_key(connection_id))
        if is_done:
            self._delete(connection_id, letters)
        return is_done

    def move(self, connection_id: str, websocket: str) -> Connection | None:
        # Without `beat` the heartbeat knows of it no more.
        update = self._here("move").assign("moved", text(websocket)).remove("beat")
        update.when(IS_OFFERED, IS_EMPTY, websocket=text(websocket), nothing=number(0))
        item, is_done = update.run(self._table, connection_key(connection_id))
        if item is None or not (is_done or item.get("moved") == text(websocket)) or "closing" in item:
            return None
        return as_connection(connection_id, item)

    def _here(self, kind: str, *, spread: bool = False) -> Update:
        return Update(kind, spread=spread).when(IS_OPEN, HAS_NOT_MOVED)

    def _letter(self, connection_id: str, frames: Sequence[str]) -> Letter:
        payload = SEPARATOR.join(frames)
        if len(payload.encode()) <= INLINE:
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
        if "Item" not in answer:
            raise Gone(f"{connection_id} is gone, and what waited for it")
        return str(answer["Item"]["payload"]["S"])

    def _delete(self, connection_id: str, letters: Sequence[Letter]) -> None:
        self._table.delete_all([self._kept(connection_id, letter) for letter in letters if letter.key])


def _divided(frames: Sequence[str]) -> Iterator[list[str]]:
    """Yield the frames in groups that make a letter."""
    some: list[str] = []
    size = 0
    for frame in frames:
        more = len(frame.encode()) + 1
        if some and (len(some) == MAX_LETTER or size + more > LARGEST):
            yield some
            some, size = [], 0
        some.append(frame)
        size += more
    if some:
        yield some


def _pack(letter: Letter) -> Item:
    return pack(list(letter))


def _box(item: Item) -> Box:
    return Box(
        letters=letters_of(item),
        poll=item.get("poll", {}).get("S"),
        interrupted=bool(item.get("previous", {}).get("S")),
        offered=item.get("offered", {}).get("S"),
        offered_at=int(item.get("offered_at", {}).get("N", 0)),
        moved=item.get("moved", {}).get("S"),
    )
