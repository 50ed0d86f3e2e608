"""Every key and attribute of the table, by name. One table; an item is found by `pk` and `sk`.

| item | pk | sk |
|---|---|---|
| connection | `C` + connection id | `C` |
| letter too large for the connection's box | `C` + connection id | `L` + random |
| the heartbeat's last runs | `H` | `H` |
| member of a room | `R` + [namespace, room] | `M` + socket id |
| member of a namespace's room of all | `A` + shard + [namespace] | `M` + socket id |
| event that was sent to a room | as the room's members | `P` + offset |
| socket that its client may come back to | `S` + pid | `S` |
| emit that asks for acknowledgements | `Q` + packet id | `Q` |
| journal's head | `R` + [namespace, room] | `J` |
| journal's entry | `R` + [namespace, room] | `E` + key |
| value beside a journal | `V` + shard + [namespace, room] | `V` + name |
| uses of something that is limited, in one window | `U` + [name, window's end] | `U` |
| job on the agenda | `T` | time + random |

The events sent to a namespace's room of all are in its first shard. Values have partitions of their own, since each
takes 1,000 KB of writes a second: whoever sends a file to a room takes nothing from its messages.
Two indexes: `beat` holds the open connections for the heartbeat, and the sockets that are kept in silence; `log` a
journal's entries by number.
Names are JSON arrays in the keys, so that no two of them can be mistaken for each other.
"""

import json
import zlib

BEAT_INDEX = "beat"
LOG_INDEX = "log"

BEAT_SHARDS = tuple("0123")
"""Partitions of the heartbeat's index; each is one query a minute, and takes 1,000 writes a second."""

ALL_SHARDS = tuple("0123")
"""Partitions of a namespace's room of all; each is one query of an emit to everybody."""

VALUE_SHARDS = tuple("0123")
"""Partitions of the values beside a journal; each is one query when the journal is deleted."""

CONNECTION = "C"
HEAD = "J"
MEMBER = "M"
ENTRY = "E"
LETTER = "L"
RUNS = "H"
PACKET = "P"
PARKED = "S"
QUESTION = "Q"
VALUE = "V"
LIMIT = "U"
AGENDA = "T"

CONNECTION_TTL = 3 * 3600
"""Seconds that a connection's items may live; API Gateway ends a WebSocket after two hours, the heartbeat a poll."""

PARKED_TTL = 3600
"""Seconds that a socket's item may outlive the time in which its client may come back."""

QUESTION_TTL = 3600
"""Seconds that a question may outlive its time."""

JOURNAL_TTL = 3600
"""Seconds that a journal's items may outlive its end, so that late callers hear that it has expired."""

LIMIT_TTL = 60
"""Seconds that a count may outlive its window; the clocks of functions differ by less."""

AGENDA_TTL = 7 * 24 * 3600
"""Seconds that a job may outlive its time; for as long the heartbeat may fail."""


def of_connection(connection_id: str) -> str:
    """Return the pk of a connection."""
    return CONNECTION + connection_id


def of_room(namespace: str, room: str) -> str:
    """Return the pk of a room's members and journal."""
    return "R" + _name(namespace, room)


def of_all(namespace: str, sid: str) -> str:
    """Return the pk of the shard of a namespace's room of all that a socket is in."""
    return _shards_of_all(namespace)[_spread(sid, len(ALL_SHARDS))]


def of_members(namespace: str, room: str | None) -> list[str]:
    """Return the pks that hold a room's members; room None is the namespace's room of all."""
    return _shards_of_all(namespace) if room is None else [of_room(namespace, room)]


def of_place(namespace: str, room: str | None, sid: str) -> str:
    """Return the pk that holds a socket's membership of a room."""
    return of_all(namespace, sid) if room is None else of_room(namespace, room)


def of_values(namespace: str, room: str) -> list[str]:
    """Return the pks of the values beside a room's journal."""
    return [f"V{shard}{_name(namespace, room)}" for shard in VALUE_SHARDS]


def of_value(namespace: str, room: str, name: str) -> str:
    """Return the pk of a value beside a room's journal."""
    return of_values(namespace, room)[_spread(name, len(VALUE_SHARDS))]


def of_limit(name: str, until: int) -> str:
    """Return the pk of the uses of something in the window that ends then (Unix seconds)."""
    return LIMIT + _name(name, str(until))


def at(when: int) -> str:
    """Return a time (Unix seconds) as a text that sorts by it."""
    return f"{when:011d}"


def of_packets(namespace: str, room: str | None) -> str:
    """Return the pk of the events that were sent to a room."""
    return of_members(namespace, room)[0]


def beat_shard(connection_id: str) -> str:
    """Return the partition of the heartbeat's index that a connection is in."""
    return BEAT_SHARDS[_spread(connection_id, len(BEAT_SHARDS))]


def pack_room(namespace: str, room: str) -> str:
    """Return a (namespace, room) pair as the connection record lists it."""
    return _name(namespace, room)


def unpack_room(text: str) -> tuple[str, str]:
    """Return the pair that `pack_room` wrote."""
    namespace, room = json.loads(text)
    return namespace, room


def _shards_of_all(namespace: str) -> list[str]:
    return [f"A{shard}{_name(namespace)}" for shard in ALL_SHARDS]


def _name(*parts: str) -> str:
    return json.dumps(parts, separators=(",", ":"))


def _spread(text: str, among: int) -> int:
    return zlib.crc32(text.encode()) % among
