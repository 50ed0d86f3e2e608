"""The connection records in DynamoDB.

A record's sockets are attributes of their own, `sid:/chat` and `data:/chat`, so that frames handled at once, each in
its own process, write beside each other.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from aws import keys
from aws.clients import translated
from aws.table import Item, Table, key, number, pack, text, unpack
from aws.updates import Update
from server.records import Beat, Change, Connection, Letter, Membership, Socket

_SID, _DATA = "sid:", "data:"

# The session has not gone from long polling to a WebSocket.
HAS_NOT_MOVED = "attribute_not_exists(moved)"

# The WebSocket has taken over what the polling connection held.
HAS_ADOPTED = "attribute_not_exists(probes)"
STILL_PROBES = "attribute_exists(probes)"

# No pong came since the heartbeat looked.
WAS_SILENT = "seen = :seen"

_MOVING = (0.02, 0.05, 0.1, 0.2, 0.4, 0)

CLAIM_LAPSE = 60_000
"""Milliseconds after which a claim to close a connection counts as abandoned."""

# The record is there, and nobody has begun to close it.
IS_OPEN = "attribute_exists(pk) AND attribute_not_exists(closing)"

# It is old enough to be closed, and nobody else is at it, or whoever was died half way.
MAY_CLOSE = "born <= :born_before AND (attribute_not_exists(closing) OR closing < :lapsed)"


class DynamoConnections:
    """Fills `server.ports.Connections`."""

    def __init__(self, table: Table) -> None:
        self._table = table

    def open(self, connection: Connection) -> None:
        item = {
            **connection_key(connection.id),
            "session": text(connection.session),
            "born": number(connection.born),
            "seen": number(connection.born),
            "environ": pack(connection.environ),
            "beat": text(keys.beat_shard(connection.id)),
            "ttl": number(connection.born // 1000 + keys.CONNECTION_TTL),
        }
        if connection.probes:
            item["probes"] = text(connection.probes)
        with translated():
            self._table.client.put_item(TableName=self._table.name, Item=item)

    def load(self, connection_id: str) -> Connection | None:
        for pause in _MOVING:
            item = self._read(connection_id)
            if item is None or "closing" in item:
                return None
            if "moved" not in item:
                return as_connection(connection_id, item)
            websocket = item["moved"]["S"]
            item = self._read(websocket)
            if item is None or "closing" in item:
                return None
            if "probes" not in item:
                return as_connection(websocket, item)
            time.sleep(pause)
        return None

    def _read(self, connection_id: str) -> Item | None:
        with translated():
            answer = self._table.client.get_item(
                TableName=self._table.name, Key=connection_key(connection_id), ConsistentRead=True
            )
        return answer.get("Item")

    def change(self, connection_id: str, change: Change) -> bool:
        if change.entered and change.exited:  # DynamoDB takes one change of an attribute at a time
            rest = Change(exited=change.exited)
            return self.change(connection_id, replace(change, exited=set())) and self.change(connection_id, rest)

        def update() -> Update:
            update = Update()
            for namespace, sid in change.joined.items():
                # Two frames may ask for one namespace at once; the second finds that it is there.
                update.when(f"attribute_not_exists({update.name(_SID + namespace)})")
                update.assign(_SID + namespace, text(sid))
            if change.joined:
                update.assign("joined", number(1))
            for namespace, data in change.data.items():
                update.assign(_DATA + namespace, pack(data))
            if change.pending is not None:
                update.assign("pending", pack(change.pending))
            if change.entered:
                update.add("rooms", _packed(change.entered))
            elif change.exited:
                update.delete("rooms", _packed(change.exited))
            return update

        return self._at_home(connection_id, update)

    def leave(self, connection_id: str, namespace: str) -> bool:
        def update() -> Update:
            update = Update().remove(_SID + namespace, _DATA + namespace)
            return update.when(f"attribute_exists({update.name(_SID + namespace)})")

        return self._at_home(connection_id, update)

    def touch(self, connection_id: str, seen: int) -> bool:
        update = Update().assign("seen", number(seen)).when(IS_OPEN)
        return update.run(self._table, connection_key(connection_id))[1]

    def claim(
        self, connection_id: str, *, at: int, born_before: int, seen: int | None = None, moved: bool = False
    ) -> Connection | None:
        update = Update().assign("closing", number(at))
        update.when(MAY_CLOSE, born_before=number(born_before), lapsed=number(at - CLAIM_LAPSE))
        if seen is not None:
            update.when(WAS_SILENT, seen=number(seen))
        if not moved:
            update.when(HAS_NOT_MOVED)
        item, is_done = update.run(self._table, connection_key(connection_id))
        return as_connection(connection_id, item) if is_done and item else None

    def adopt(self, connection_id: str, session: Connection) -> bool:
        update = Update().when(IS_OPEN, STILL_PROBES).remove("probes")
        update.assign("environ", pack(session.environ)).assign("origin", text(session.id))
        for namespace, socket in session.sockets.items():
            update.assign(_SID + namespace, text(socket.sid))
            if socket.data is not None:
                update.assign(_DATA + namespace, pack(socket.data))
        if session.sockets:
            update.assign("joined", number(1))
        if session.pending:
            update.assign("pending", pack(session.pending))
        if session.rooms:
            update.add("rooms", _packed(session.rooms))
        return update.run(self._table, connection_key(connection_id))[1]

    def remove(self, connection: Connection, places: Sequence[Membership]) -> None:
        letters = [key(keys.of_connection(connection.id), keys.LETTER + name) for name in connection.letters]
        self._table.delete_all([*map(place_key, places), *letters])
        records = [connection.id, *([connection.origin] if connection.origin else [])]
        self._table.delete_all([connection_key(each) for each in records])

    def beats(self) -> Iterator[Beat]:
        for shard in keys.BEAT_SHARDS:
            items = self._table.query(
                IndexName=keys.BEAT_INDEX,
                KeyConditionExpression="beat = :shard",
                ExpressionAttributeValues={":shard": text(shard)},
            )
            for item in items:
                connection_id = item["pk"]["S"].removeprefix(keys.CONNECTION)
                yield Beat(connection_id, int(item["born"]["N"]), int(item["seen"]["N"]), "joined" in item)

    def runs(self) -> list[int]:
        with translated():
            answer = self._table.client.get_item(
                TableName=self._table.name, Key=key(keys.RUNS, keys.RUNS), ConsistentRead=True
            )
        item: Item = answer.get("Item", {})
        return list(unpack(item.get("runs")) or [])

    def save_runs(self, runs: Sequence[int]) -> None:
        item = {**key(keys.RUNS, keys.RUNS), "runs": pack(list(runs))}
        with translated():
            self._table.client.put_item(TableName=self._table.name, Item=item)

    def _at_home(self, connection_id: str, update: Callable[[], Update]) -> bool:
        """Update the record, or that of the WebSocket which took it over; False if neither is open."""
        item, is_done = update().when(IS_OPEN, HAS_NOT_MOVED).run(self._table, connection_key(connection_id))
        if is_done or item is None or "moved" not in item:
            return is_done
        for pause in _MOVING:
            # An upgrade takes two writes, and this call may come between them.
            home, is_done = (
                update().when(IS_OPEN, HAS_ADOPTED).run(self._table, connection_key(str(item["moved"]["S"])))
            )
            if is_done or home is None or "probes" not in home or "closing" in home:
                return is_done
            time.sleep(pause)
        return False


def place_key(place: Membership) -> Item:
    """Return the key of a membership's item."""
    return key(keys.of_place(place.namespace, place.room, place.sid), keys.MEMBER + place.sid)


def connection_key(connection_id: str) -> Item:
    """Return the key of a connection's record."""
    return key(keys.of_connection(connection_id), keys.CONNECTION)


def _packed(rooms: set[tuple[str, str]]) -> list[str]:
    return sorted(keys.pack_room(*room) for room in rooms)


def as_connection(connection_id: str, item: Item) -> Connection:
    """Return the connection in a record."""
    sockets = {
        name.removeprefix(_SID): Socket(value["S"], unpack(item.get(_DATA + name.removeprefix(_SID))))
        for name, value in item.items()
        if name.startswith(_SID)
    }
    return Connection(
        id=connection_id,
        session=item["session"]["S"],
        born=int(item["born"]["N"]),
        environ=unpack(item["environ"]),
        sockets=sockets,
        rooms={keys.unpack_room(packed) for packed in item.get("rooms", {}).get("SS", [])},
        pending=tuple(unpack(item.get("pending")) or ()),
        probes=item.get("probes", {}).get("S"),
        origin=item.get("origin", {}).get("S"),
        offered=item.get("offered", {}).get("S"),
        letters=tuple(letter.key for letter in letters_of(item) if letter.key),
    )


def letters_of(item: Item) -> tuple[Letter, ...]:
    """Return the letters in a polling connection's record."""
    return tuple(Letter(*unpack(letter)) for letter in item.get("box", {}).get("L", []))
