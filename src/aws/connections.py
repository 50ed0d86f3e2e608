"""The connection records in DynamoDB.

A record's sockets are attributes of their own, `sid:/chat` and `data:/chat`, so that frames handled at once, each in
its own process, write beside each other.
"""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from botocore.exceptions import ClientError

from aws import keys
from aws.clients import translated
from aws.table import Item, Table, key, number, pack, text, unpack
from server.records import Beat, Change, Connection, Letter, Membership, Socket

_SID, _DATA = "sid:", "data:"

# The session has not gone from long polling to a WebSocket.
HAS_NOT_MOVED = "attribute_not_exists(moved)"

# The WebSocket has taken over what the polling connection held.
HAS_ADOPTED = "attribute_not_exists(probes)"

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
        item = self._read(connection_id)
        if item is not None and "moved" in item:
            item = self._read(connection_id := item["moved"]["S"])
        return None if item is None or "closing" in item else as_connection(connection_id, item)

    def _read(self, connection_id: str) -> Item | None:
        with translated():
            answer = self._table.client.get_item(
                TableName=self._table.name, Key=connection_key(connection_id), ConsistentRead=True
            )
        return answer.get("Item")

    def change(self, connection_id: str, change: Change) -> bool:
        update = _Update()
        for namespace, sid in change.joined.items():
            update.assign(_SID + namespace, text(sid))
        if change.joined:
            update.assign("joined", number(1))
        for namespace, data in change.data.items():
            update.assign(_DATA + namespace, pack(data))
        if change.pending is not None:
            update.assign("pending", pack(change.pending))
        if change.entered:
            update.add("rooms", change.entered)
        elif change.exited:
            update.delete("rooms", change.exited)
        home = self._home(connection_id, update)
        if home is None:
            return False
        if change.entered and change.exited:  # DynamoDB takes one change of an attribute at a time
            rest = _Update()
            rest.delete("rooms", change.exited)
            return self._home(home, rest) is not None
        return True

    def leave(self, connection_id: str, namespace: str) -> bool:
        update = _Update()
        update.remove(_DATA + namespace)
        sid = update.remove(_SID + namespace)
        return self._home(connection_id, update, f"attribute_exists({sid})") is not None

    def touch(self, connection_id: str, seen: int) -> bool:
        update = _Update()
        update.assign("seen", number(seen))
        return self._update(connection_id, update)

    def claim(self, connection_id: str, *, at: int, born_before: int) -> Connection | None:
        values = {":at": number(at), ":born_before": number(born_before), ":lapsed": number(at - CLAIM_LAPSE)}
        item = self._conditional(
            connection_id,
            UpdateExpression="SET closing = :at",
            ConditionExpression=MAY_CLOSE,
            ExpressionAttributeValues=values,
            ReturnValues="ALL_NEW",
        )
        return None if item is None else as_connection(connection_id, item)

    def adopt(self, connection_id: str, session: Connection) -> bool:
        update = _Update()
        update.assign("environ", pack(session.environ))
        for namespace, socket in session.sockets.items():
            update.assign(_SID + namespace, text(socket.sid))
            if socket.data is not None:
                update.assign(_DATA + namespace, pack(socket.data))
        if session.sockets:
            update.assign("joined", number(1))
        if session.pending:
            update.assign("pending", pack(session.pending))
        update.assign("origin", text(session.id))
        update.remove("probes")
        if session.rooms:
            update.add("rooms", session.rooms)
        return self._update(connection_id, update)

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

    def _home(self, connection_id: str, update: "_Update", *conditions: str) -> str | None:
        """Update the record, or that of the WebSocket which took it over; returns which, or None if neither is open."""
        if self._update(connection_id, update, HAS_NOT_MOVED, *conditions):
            return connection_id
        for pause in _MOVING:  # an upgrade takes two writes, and this call may come between them
            item = self._read(connection_id)
            if item is None or "moved" not in item:
                return None
            websocket = str(item["moved"]["S"])
            if self._update(websocket, update, HAS_ADOPTED, *conditions):
                return websocket
            time.sleep(pause)
        return None

    def _update(self, connection_id: str, update: "_Update", *conditions: str) -> bool:
        condition = " AND ".join((IS_OPEN, *conditions))
        return self._conditional(connection_id, ConditionExpression=condition, **update.parameters()) is not None

    def _conditional(self, connection_id: str, **parameters: Any) -> Item | None:
        """Update the record; None if the condition does not hold."""
        with translated():
            try:
                answer = self._table.client.update_item(
                    TableName=self._table.name, Key=connection_key(connection_id), **parameters
                )
            except ClientError as error:
                if error.response["Error"]["Code"] == "ConditionalCheckFailedException":
                    return None
                raise
        return answer.get("Attributes", {})


class _Update:
    """Builds an update expression; attributes are aliased, since namespaces are part of their names."""

    def __init__(self) -> None:
        self._clauses: dict[str, list[str]] = {}
        self._names: dict[str, str] = {}
        self._values: Item = {}

    def assign(self, name: str, value: Item) -> None:
        self._clause("SET", f"{self._name(name)} = {self._value(value)}")

    def remove(self, name: str) -> str:
        """Remove an attribute; returns its alias."""
        alias = self._name(name)
        self._clause("REMOVE", alias)
        return alias

    def add(self, name: str, rooms: set[tuple[str, str]]) -> None:
        self._clause("ADD", f"{self._name(name)} {self._value(_packed(rooms))}")

    def delete(self, name: str, rooms: set[tuple[str, str]]) -> None:
        self._clause("DELETE", f"{self._name(name)} {self._value(_packed(rooms))}")

    def parameters(self) -> dict[str, Any]:
        expression = " ".join(f"{verb} {', '.join(terms)}" for verb, terms in self._clauses.items())
        parameters = {"UpdateExpression": expression, "ExpressionAttributeNames": self._names}
        return parameters | ({"ExpressionAttributeValues": self._values} if self._values else {})

    def _clause(self, verb: str, term: str) -> None:
        self._clauses.setdefault(verb, []).append(term)

    def _name(self, name: str) -> str:
        alias = f"#n{len(self._names)}"
        self._names[alias] = name
        return alias

    def _value(self, value: Item) -> str:
        alias = f":v{len(self._values)}"
        self._values[alias] = value
        return alias


def place_key(place: Membership) -> Item:
    """Return the key of a membership's item."""
    return key(keys.of_place(place.namespace, place.room, place.sid), keys.MEMBER + place.sid)


def connection_key(connection_id: str) -> Item:
    """Return the key of a connection's record."""
    return key(keys.of_connection(connection_id), keys.CONNECTION)


def _packed(rooms: set[tuple[str, str]]) -> Item:
    return {"SS": sorted(keys.pack_room(*room) for room in rooms)}


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
        letters=tuple(letter.key for letter in letters_of(item) if letter.key),
    )


def letters_of(item: Item) -> tuple[Letter, ...]:
    """Return the letters in a polling connection's record."""
    return tuple(Letter(*unpack(letter)) for letter in item.get("box", {}).get("L", []))
