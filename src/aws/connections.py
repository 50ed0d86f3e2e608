"""The connection records in DynamoDB.

A record's sockets are attributes of their own, `sid:/chat` and `data:/chat`, and so are its rooms, so that frames
handled at once, each in its own process, write beside each other. `left:/chat` says when a socket's end has begun, and
by whom.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from aws import keys
from aws.clients import translated
from aws.table import Item, Table, key, number, pack, text, unpack
from aws.updates import Update
from server.records import (
    END_LAPSE,
    Beat,
    Change,
    Connection,
    Dialect,
    Ending,
    Letter,
    Membership,
    Parked,
    Socket,
    Stays,
)

_SID, _DATA, _ROOM, _LEFT = "sid:", "data:", "room:", "left:"

# The session has not gone from long polling to a WebSocket.
HAS_NOT_MOVED = "attribute_not_exists(moved)"

# The WebSocket has taken over what the polling connection held.
HAS_ADOPTED = "attribute_not_exists(probes)"
STILL_PROBES = "attribute_exists(probes)"

# No pong came since the heartbeat looked.
WAS_SILENT = "seen = :seen"

# Nobody has taken it yet, or it is one of those that somebody has to see to the end of, and whoever took it has died.
MAY_TAKE = "attribute_exists(pk) AND (attribute_not_exists(taken) OR (attribute_exists(beat) AND taken < :lapsed))"

_MOVING = (0.02, 0.05, 0.1, 0.2, 0.4, 0)

TAKE_LAPSE = 180_000
"""Milliseconds after which whoever took what was kept of a socket counts as dead.

By then the heartbeat has closed the box of one that had one, and put the socket back.
"""

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
        if connection.holds:
            item["holds"] = {"M": _as_item(connection.holds)}
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
        for item in self._table.get_all([connection_key(each) for each in connection_ids]):
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
            update = Update("join" if change.joined else "change")
            for namespace, socket in change.joined.items():
                # Two frames may ask for one namespace at once; the second finds that it is there.
                sid, left = update.name(_SID + namespace), update.name(_LEFT + namespace)
                update.when(f"(attribute_not_exists({sid}) OR attribute_exists({left}))")
                update.assign(_SID + namespace, _packed_socket(socket)).remove(_LEFT + namespace)
                if namespace not in change.data:
                    # Somebody may have saved the session of a socket before it, just when that one left.
                    data = _DATA + namespace
                    update.remove(data) if socket.data is None else update.assign(data, pack(socket.data))
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

        return self._at_home(connection_id, update) is not None

    def handled(
        self,
        connection_id: str,
        number: int,
        pending: tuple[str, ...] | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        def update() -> Update:
            update = Update("handled").assign("handled", {"N": str(number)})
            for namespace, session in (data or {}).items():
                update.assign(_DATA + namespace, pack(session))
            return update if pending is None else update.assign("pending", pack(pending))

        self._at_home(connection_id, update)

    def leave(self, connection_id: str, namespace: str, at: int, by: str) -> Connection | None:
        def update() -> Update:
            update = Update("leave").assign(_LEFT + namespace, _packed_end(at, by))
            sid, left = update.name(_SID + namespace), update.name(_LEFT + namespace)
            update.when(f"attribute_exists({sid})")
            return update.when(
                f"(attribute_not_exists({left}) OR {left} < :lapsed OR contains({left}, :by))",
                lapsed=_packed_end(at - END_LAPSE, ""),
                by=text(_mark(by)),
            )

        item = self._at_home(connection_id, update)
        return None if item is None else as_connection(connection_id, item)

    def left(self, connection_id: str, namespace: str, rooms: Sequence[str]) -> None:
        def update() -> Update:
            update = Update("left").remove(*(prefix + namespace for prefix in (_SID, _DATA, _LEFT)))
            update.remove(*(_ROOM + keys.pack_room(namespace, room) for room in rooms))
            return update.when(f"attribute_exists({update.name(_LEFT + namespace)})")

        self._at_home(connection_id, update, while_closing=True)

    def touch(self, connection_id: str, seen: int) -> Dialect | None:
        update = Update("seen").assign("seen", number(seen)).when(IS_OPEN)
        item, is_done = update.run(self._table, connection_key(connection_id))
        return Dialect(item.get("dialect", {}).get("S", "")) if is_done and item else None

    def claim(
        self, connection_id: str, *, at: int, born_before: int, seen: int | None = None, moved: bool = False
    ) -> Connection | None:
        update = Update("close").assign("closing", number(at))
        update.when(MAY_CLOSE, born_before=number(born_before), lapsed=number(at - END_LAPSE))
        if seen is not None:
            update.when(WAS_SILENT, seen=number(seen))
        if not moved:
            update.when(HAS_NOT_MOVED)
        item, is_done = update.run(self._table, connection_key(connection_id))
        return as_connection(connection_id, item) if is_done and item else None

    def adopt(self, connection_id: str, session: Connection) -> bool:
        update = Update("adopt").when(IS_OPEN, STILL_PROBES).remove("probes")
        update.assign("environ", pack(session.environ)).assign("origin", text(session.id))
        for namespace, socket in session.sockets.items():
            update.assign(_SID + namespace, _packed_socket(socket))
            if socket.data is not None:
                update.assign(_DATA + namespace, pack(socket.data))
        for namespace, ending in session.leaving.items():
            update.assign(_SID + namespace, _packed_socket(ending.socket))
            update.assign(_LEFT + namespace, _packed_end(ending.at, ending.by))
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

    def unpark(self, pid: str, at: int) -> Parked | None:
        # Who marks it has it; the SDK may repeat a call, and a deletion would find nothing the second time.
        update = Update("take").assign("taken", number(at)).when(MAY_TAKE, lapsed=number(at - TAKE_LAPSE))
        item, is_done = update.run(self._table, _parked_key(pid))
        return _as_parked(item) if is_done and item else None

    def forget(self, pid: str) -> None:
        self._table.delete_all([_parked_key(pid)])

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

    def _at_home(self, connection_id: str, update: Callable[[], Update], *, while_closing: bool = False) -> Item | None:
        """Update the record, or that of the WebSocket which took it over; None if neither is open (or closing)."""
        is_open = () if while_closing else (IS_OPEN,)
        item, is_done = update().when(*is_open, HAS_NOT_MOVED).run(self._table, connection_key(connection_id))
        if is_done or item is None or "moved" not in item:
            return item if is_done else None
        for pause in _MOVING:
            # An upgrade takes two writes, and this call may come between them.
            home, is_done = (
                update().when(*is_open, HAS_ADOPTED).run(self._table, connection_key(str(item["moved"]["S"])))
            )
            if is_done or home is None or "probes" not in home or "closing" in home:
                return home if is_done else None
            time.sleep(pause)
        return None


def place_key(place: Membership) -> Item:
    """Return the key of a membership's item."""
    return key(keys.of_place(place.namespace, place.room, place.sid), keys.MEMBER + place.sid)


def connection_key(connection_id: str) -> Item:
    """Return the key of a connection's record."""
    return key(keys.of_connection(connection_id), keys.CONNECTION)


def _packed_socket(socket: Socket) -> Item:
    return pack([socket.sid, socket.pid, socket.at, socket.returned, socket.box])


def _packed_end(at: int, by: str) -> Item:
    return text(f"{at:013d}{_mark(by)}")  # sorts by time


def _mark(work: str) -> str:
    return f" {work};"  # no other one's is a part of it


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
    sid, pid, at, returned, box = unpack(packed)
    return Socket(sid, unpack(data), pid, at, returned, box)


def _ending(socket: Socket, packed: Item) -> Ending:
    at, by = packed["S"].split(" ", 1)
    return Ending(socket, int(at), by.removesuffix(";"))


def _stays(listed: list[list[Any]]) -> Stays:
    return tuple((entered, left, info) for entered, left, info in listed)


def as_connection(connection_id: str, item: Item) -> Connection:
    """Return the connection in a record."""
    sockets = {
        name.removeprefix(_SID): _socket(value, item.get(_DATA + name.removeprefix(_SID)))
        for name, value in item.items()
        if name.startswith(_SID)
    }
    leaving = {
        namespace: _ending(sockets.pop(namespace), item[_LEFT + namespace])
        for namespace in list(sockets)
        if _LEFT + namespace in item
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
        holds=_as_parked(item["holds"]["M"]) if "holds" in item else None,
        leaving=leaving,
        joined="joined" in item,
    )


def letters_of(item: Item) -> tuple[Letter, ...]:
    """Return the letters in a polling connection's record."""
    return tuple(Letter(*unpack(letter)) for letter in item.get("box", {}).get("L", []))
