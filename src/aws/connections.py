"""The connection records in DynamoDB.

A record's sockets are attributes of their own, `sid:/chat` and `data:/chat`, and so are its rooms, so that frames
handled at once, each in its own process, write beside each other.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from aws import keys
from aws.clients import translated
from aws.table import Item, Table, key, number, pack, text, unpack
from aws.updates import Update
from server.records import Beat, Change, Connection, Dialect, Letter, Membership, Parked, Socket, Stays

_SID, _DATA, _ROOM = "sid:", "data:", "room:"

# The session has not gone from long polling to a WebSocket.
HAS_NOT_MOVED = "attribute_not_exists(moved)"

# The WebSocket has taken over what the polling connection held.
HAS_ADOPTED = "attribute_not_exists(probes)"
STILL_PROBES = "attribute_exists(probes)"

# No pong came since the heartbeat looked.
WAS_SILENT = "seen = :seen"

# Its client has not come back yet.
IS_PARKED = "attribute_exists(pk) AND attribute_not_exists(taken)"

_BATCH_GET = 100  # the most that BatchGetItem takes

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
        for name in ("dialect", "probes", "offered"):
            if value := getattr(connection, name):
                item[name] = text(value)
        with translated():
            self._table.client.put_item(TableName=self._table.name, Item=item)

    def load(self, connection_id: str) -> Connection | None:
        for pause in _MOVING:
            home, item = connection_id, self._read(connection_id)
            while item is not None and "moved" in item:
                home = item["moved"]["S"]
                item = self._read(home)
            if item is None or "closing" in item:
                return None
            if home == connection_id or "probes" not in item:
                return as_connection(home, item)
            time.sleep(pause)  # an upgrade takes two writes
        return None

    def load_all(self, connection_ids: Sequence[str]) -> list[Connection]:
        found: list[Connection] = []
        for start in range(0, len(connection_ids), _BATCH_GET):
            wanted = [connection_key(each) for each in connection_ids[start : start + _BATCH_GET]]
            for item in self._table.get_all(wanted):
                connection_id = item["pk"]["S"].removeprefix(keys.CONNECTION)
                if "moved" in item:
                    moved = self.load(connection_id)
                    found += [moved] if moved else []
                elif "closing" not in item:
                    found.append(as_connection(connection_id, item))
        return found

    def _read(self, connection_id: str) -> Item | None:
        with translated():
            answer = self._table.client.get_item(
                TableName=self._table.name, Key=connection_key(connection_id), ConsistentRead=True
            )
        return answer.get("Item")

    def change(self, connection_id: str, change: Change) -> bool:
        def update() -> Update:
            update = Update()
            for namespace, socket in change.joined.items():
                # Two frames may ask for one namespace at once; the second finds that it is there.
                update.when(f"attribute_not_exists({update.name(_SID + namespace)})")
                update.assign(_SID + namespace, _packed_socket(socket))
                if socket.data is not None and namespace not in change.data:
                    update.assign(_DATA + namespace, pack(socket.data))
            if change.joined:
                update.assign("joined", number(1))
            for namespace, data in change.data.items():
                update.assign(_DATA + namespace, pack(data))
            if change.pending is not None:
                update.assign("pending", pack(change.pending))
            for room, stays in change.stays.items():
                if stays:
                    update.assign(_ROOM + keys.pack_room(*room), pack(stays))
                else:
                    update.remove(_ROOM + keys.pack_room(*room))
            return update

        return self._at_home(connection_id, update)

    def handled(self, connection_id: str, number: int, pending: tuple[str, ...] | None = None) -> None:
        def update() -> Update:
            update = Update().assign("handled", {"N": str(number)})
            return update if pending is None else update.assign("pending", pack(pending))

        self._at_home(connection_id, update)

    def leave(self, connection_id: str, namespace: str) -> bool:
        def update() -> Update:
            update = Update().remove(_SID + namespace, _DATA + namespace)
            return update.when(f"attribute_exists({update.name(_SID + namespace)})")

        return self._at_home(connection_id, update)

    def touch(self, connection_id: str, seen: int) -> Dialect | None:
        update = Update().assign("seen", number(seen)).when(IS_OPEN)
        item, is_done = update.run(self._table, connection_key(connection_id))
        return Dialect(item.get("dialect", {}).get("S", "")) if is_done and item else None

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
            update.assign(_SID + namespace, _packed_socket(socket))
            if socket.data is not None:
                update.assign(_DATA + namespace, pack(socket.data))
        if session.sockets:
            update.assign("joined", number(1))
        if session.pending:
            update.assign("pending", pack(session.pending))
        if session.dialect:
            update.assign("dialect", text(session.dialect))
        for room, stays in session.stays.items():
            update.assign(_ROOM + keys.pack_room(*room), pack(stays))
        return update.run(self._table, connection_key(connection_id))[1]

    def remove(self, connection: Connection, places: Sequence[Membership], parked: Sequence[Parked] = ()) -> None:
        letters = [key(keys.of_connection(connection.id), keys.LETTER + name) for name in connection.letters]
        self._table.delete_all([*map(place_key, places), *letters])
        records = [connection.id, *([connection.origin] if connection.origin else [])]
        # Only now may a client come back: its places are the same.
        self._table.write([*map(_as_item, parked)], [connection_key(each) for each in records])

    def park(self, parked: Parked) -> None:
        self._table.put_all([_as_item(parked)])

    def unpark(self, pid: str) -> Parked | None:
        # Who marks it has it; the SDK may repeat a call, and a deletion would find nothing the second time.
        update = Update().assign("taken", number(1)).remove("beat").when(IS_PARKED)
        item, is_done = update.run(self._table, _parked_key(pid))
        return _as_parked(item) if is_done and item else None

    def beats(self) -> Iterator[Beat]:
        for shard in keys.BEAT_SHARDS:
            items = self._table.query(
                IndexName=keys.BEAT_INDEX,
                KeyConditionExpression="beat = :shard",
                ExpressionAttributeValues={":shard": text(shard)},
            )
            for item in items:
                yield _as_beat(item)

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


def _packed_socket(socket: Socket) -> Item:
    return pack([socket.sid, socket.pid, socket.at])


def _parked_key(pid: str) -> Item:
    return key(keys.PARKED + pid, keys.PARKED)


def _as_item(parked: Parked) -> Item:
    socket = parked.socket
    item = {
        **_parked_key(parked.pid),
        "namespace": text(parked.namespace),
        "socket": _packed_socket(socket),
        "session": pack(socket.data),
        "stays": pack(parked.stays),
        "environ": pack(parked.environ),
        "born": number(parked.until),
        "ttl": number(parked.until // 1000 + keys.PARKED_TTL),
    }
    if parked.silent:  # the heartbeat is to see to its end
        item |= {"seen": number(0), "beat": text(keys.beat_shard(parked.pid))}
    return item


def _as_parked(item: Item) -> Parked:
    return Parked(
        item["pk"]["S"].removeprefix(keys.PARKED),
        item["namespace"]["S"],
        _socket(item["socket"], item["session"]),
        {room: _stays(stays) for room, stays in unpack(item["stays"]).items()},
        unpack(item["environ"]),
        int(item["born"]["N"]),
        silent="seen" in item,
    )


def _as_beat(item: Item) -> Beat:
    pk, born, seen = item["pk"]["S"], int(item["born"]["N"]), int(item["seen"]["N"])
    if pk.startswith(keys.PARKED):
        return Beat("", born, seen, joined=True, pid=pk.removeprefix(keys.PARKED))
    dialect = Dialect(item.get("dialect", {}).get("S", ""))
    return Beat(pk.removeprefix(keys.CONNECTION), born, seen, "joined" in item, dialect)


def _socket(packed: Item, data: Item | None) -> Socket:
    sid, pid, at = unpack(packed)
    return Socket(sid, unpack(data), pid, at)


def _stays(listed: list[list[Any]]) -> Stays:
    return tuple((entered, left, info) for entered, left, info in listed)


def as_connection(connection_id: str, item: Item) -> Connection:
    """Return the connection in a record."""
    sockets = {
        name.removeprefix(_SID): _socket(value, item.get(_DATA + name.removeprefix(_SID)))
        for name, value in item.items()
        if name.startswith(_SID)
    }
    stays = {
        keys.unpack_room(name.removeprefix(_ROOM)): _stays(unpack(value))
        for name, value in item.items()
        if name.startswith(_ROOM)
    }
    return Connection(
        id=connection_id,
        session=item["session"]["S"],
        born=int(item["born"]["N"]),
        environ=unpack(item["environ"]),
        sockets=sockets,
        stays=stays,
        pending=tuple(unpack(item.get("pending")) or ()),
        handled=int(item.get("handled", {}).get("N", 0)),
        dialect=Dialect(item.get("dialect", {}).get("S", "")),
        probes=item.get("probes", {}).get("S"),
        origin=item.get("origin", {}).get("S"),
        offered=item.get("offered", {}).get("S"),
        letters=tuple(letter.key for letter in letters_of(item) if letter.key),
    )


def letters_of(item: Item) -> tuple[Letter, ...]:
    """Return the letters in a polling connection's record."""
    return tuple(Letter(*unpack(letter)) for letter in item.get("box", {}).get("L", []))
