"""The server's ports in memory, with a clock that tests turn and faults that they order."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from server.exceptions import JournalExpiredError, JournalMissingError
from server.jobs import Job, from_json
from server.ports import Gone, PortError, Ports
from server.records import Beat, Change, Connection, Entry, JournalRecord, Member, Membership, Socket

CLAIM_LAPSE = 60_000
NAMESPACE_ALL = "\0all"


@dataclass
class Record:
    connection: Connection
    seen: int
    joined: bool = False
    closing: int | None = None


class MemoryConnections:
    def __init__(self, rooms: "MemoryRooms") -> None:
        self.records: dict[str, Record] = {}
        self._rooms = rooms

    def open(self, connection: Connection) -> None:
        self.records[connection.id] = Record(copy.deepcopy(connection), connection.born)

    def load(self, connection_id: str) -> Connection | None:
        record = self.records.get(connection_id)
        return None if record is None or record.closing else copy.deepcopy(record.connection)

    def change(self, connection_id: str, change: Change) -> bool:
        record = self.records.get(connection_id)
        if record is None or record.closing:
            return False
        connection = record.connection
        for namespace, sid in change.joined.items():
            connection.sockets[namespace] = Socket(sid)
            record.joined = True
        for namespace, data in change.data.items():
            connection.sockets[namespace].data = copy.deepcopy(data)
        connection.rooms = (connection.rooms - change.exited) | change.entered
        return True

    def leave(self, connection_id: str, namespace: str) -> bool:
        record = self.records.get(connection_id)
        if record is None or record.closing:
            return False
        return record.connection.sockets.pop(namespace, None) is not None

    def touch(self, connection_id: str, seen: int) -> bool:
        record = self.records.get(connection_id)
        if record is None or record.closing:
            return False
        record.seen = seen
        return True

    def claim(self, connection_id: str, *, at: int, born_before: int) -> Connection | None:
        record = self.records.get(connection_id)
        if record is None or record.connection.born > born_before:
            return None
        if record.closing and record.closing >= at - CLAIM_LAPSE:
            return None
        record.closing = at
        return copy.deepcopy(record.connection)

    def remove(self, connection_id: str, places: Sequence[Membership]) -> None:
        self._rooms.leave(places)
        self.records.pop(connection_id, None)

    def beats(self) -> Iterator[Beat]:
        for record in list(self.records.values()):
            yield Beat(record.connection.id, record.connection.born, record.seen, record.joined)


class MemoryRooms:
    def __init__(self) -> None:
        self.items: dict[tuple[str, str | None], dict[str, Member]] = {}

    def enter(self, namespace: str, rooms: Sequence[str | None], member: Member) -> None:
        for room in rooms:
            self.items.setdefault((namespace, room), {})[member.sid] = copy.deepcopy(member)

    def leave(self, memberships: Iterable[Membership]) -> None:
        for each in memberships:
            members = self.items.get((each.namespace, each.room), {})
            members.pop(each.sid, None)
            if not members:
                self.items.pop((each.namespace, each.room), None)

    def members(self, namespace: str, room: str | None) -> list[Member]:
        return list(self.items.get((namespace, room), {}).values())


class MemoryJournals:
    def __init__(self, rooms: MemoryRooms) -> None:
        self._rooms = rooms
        self.heads: dict[tuple[str, str], tuple[Any, int]] = {}
        self.logs: dict[tuple[str, str], dict[str, Entry]] = {}

    def create(self, namespace: str, room: str, data: Any, expires_at: int) -> bool:
        if (namespace, room) in self.heads:
            return False
        self.heads[namespace, room] = (data, expires_at)
        self.logs[namespace, room] = {}
        return True

    def read(self, namespace: str, room: str) -> JournalRecord | None:
        if (namespace, room) not in self.heads:
            return None
        return JournalRecord(*self.heads[namespace, room], len(self.logs[namespace, room]))

    def append(self, namespace: str, room: str, key: str, body: Any, at: int) -> tuple[Entry, bool]:
        if (namespace, room) not in self.heads:
            raise JournalMissingError(room)
        if self.heads[namespace, room][1] <= at // 1000:
            raise JournalExpiredError(room)
        entries = self.logs[namespace, room]
        is_new = key not in entries
        return entries.setdefault(key, Entry(key, len(entries) + 1, at, copy.deepcopy(body))), is_new

    def entries(self, namespace: str, room: str, before: int | None, limit: int) -> list[Entry]:
        entries = self.logs.get((namespace, room), {}).values()
        return [entry for entry in entries if before is None or entry.seq < before][-limit:]

    def delete(self, namespace: str, room: str) -> None:
        self.heads.pop((namespace, room), None)
        self.logs.pop((namespace, room), None)
        self._rooms.items.pop((namespace, room), None)


@dataclass
class MemoryWire:
    """Keeps what was posted to whom; `faults` holds what the next posts to a connection raise."""

    posts: list[tuple[str, str]] = field(default_factory=list)
    closed: list[str] = field(default_factory=list)
    absent: set[str] = field(default_factory=set)
    faults: dict[str, list[PortError]] = field(default_factory=dict)

    def post(self, connection_id: str, frame: str) -> None:
        if faults := self.faults.get(connection_id):
            raise faults.pop(0)
        if connection_id in self.absent:
            raise Gone(connection_id)
        self.posts.append((connection_id, frame))

    def close(self, connection_id: str) -> None:
        self.closed.append(connection_id)

    def frames(self, connection_id: str) -> list[str]:
        return [frame for to, frame in self.posts if to == connection_id]


@dataclass
class MemoryQueue:
    jobs: list[tuple[str, str]] = field(default_factory=list)
    fault: PortError | None = None

    def put(self, jobs: Sequence[tuple[str, str]]) -> None:
        if self.fault:
            raise self.fault
        self.jobs.extend(jobs)

    def parsed(self) -> list[Job]:
        return [from_json(body) for _, body in self.jobs]


class World:
    """All ports, and the time: `clock` in Unix milliseconds; sleeping moves it."""

    def __init__(self, clock: int = 1_700_000_000_000) -> None:
        self.clock = clock
        self.rooms = MemoryRooms()
        self.connections = MemoryConnections(self.rooms)
        self.journals = MemoryJournals(self.rooms)
        self.wire = MemoryWire()
        self.queue = MemoryQueue()
        self.on_sleep: Callable[[], None] | None = None
        self.ports = Ports(
            self.connections, self.rooms, self.journals, self.wire, self.queue, lambda: self.clock, self.sleep
        )

    def sleep(self, seconds: float) -> None:
        self.clock += int(seconds * 1000)
        if self.on_sleep:
            self.on_sleep()

    @property
    def deadline(self) -> int:
        return self.clock + 29_000
