"""The server's ports in memory, with a clock that tests turn and faults that they order."""

import copy
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from protocol.engineio import SEPARATOR
from server.exceptions import JournalExpiredError, JournalMissingError
from server.jobs import Job, from_json
from server.ports import Gone, PortError, Ports
from server.records import (
    END_LAPSE,
    MAX_LETTER,
    OFFER_LAPSE,
    Asked,
    Beat,
    Box,
    Change,
    Connection,
    Dialect,
    Ending,
    Entry,
    JournalRecord,
    Letter,
    Member,
    Membership,
    Packet,
    Parked,
)

TAKE_LAPSE = 180_000
LOCK_LAPSE = 10_000


@dataclass
class Record:
    connection: Connection
    seen: int
    joined: bool = False
    closing: int | None = None
    box: list[Letter] = field(default_factory=list)
    poll: str | None = None
    previous: str | None = None
    offered: str | None = None
    offered_at: int = 0
    locked_at: int | None = None
    locked_by: str | None = None
    moved: str | None = None
    left: dict[str, tuple[int, str]] = field(default_factory=dict)

    def read(self) -> Connection:
        connection = replace(copy.deepcopy(self.connection), joined=self.joined)
        for namespace, (at, by) in self.left.items():
            connection.leaving[namespace] = Ending(connection.sockets.pop(namespace), at, by)
        return connection


class MemoryConnections:
    def __init__(self, rooms: "MemoryRooms") -> None:
        self.records: dict[str, Record] = {}
        self.parked: dict[str, Parked] = {}
        self.taken: dict[str, int] = {}
        self.past_runs: list[int] = []
        self._rooms = rooms

    def open(self, connection: Connection) -> None:
        record = Record(copy.deepcopy(connection), connection.born, offered=connection.offered)
        self.records[connection.id] = record

    def _at_home(self, connection_id: str) -> Record | None:
        record = self.records.get(connection_id)
        while record is not None and record.moved:
            record = self.records.get(record.moved)
        return record

    def load(self, connection_id: str) -> Connection | None:
        record = self._at_home(connection_id)
        return None if record is None or record.closing else record.read()

    def load_all(self, connection_ids: Sequence[str]) -> list[Connection]:
        return [connection for each in connection_ids if (connection := self.load(each))]

    def handled(
        self,
        connection_id: str,
        number: int,
        pending: tuple[str, ...] | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        record = self._at_home(connection_id)
        if record is None or record.closing:
            return
        record.connection.handled = number
        if pending is not None:
            record.connection.pending = pending
        for namespace, session in (data or {}).items():
            if namespace in record.connection.sockets:
                record.connection.sockets[namespace].data = copy.deepcopy(session)

    def change(self, connection_id: str, change: Change) -> bool:
        record = self._at_home(connection_id)
        if record is None or record.closing:
            return False
        connection = record.connection
        if change.joined.keys() & connection.sockets.keys() - record.left.keys():
            return False
        if change.pending is not None:
            connection.pending = change.pending
        for namespace, socket in change.joined.items():
            connection.sockets[namespace] = copy.deepcopy(socket)
            record.left.pop(namespace, None)
            record.joined = True
        for namespace, data in change.data.items():
            if namespace in connection.sockets:  # which another may have ended
                connection.sockets[namespace].data = copy.deepcopy(data)
        for room, stays in change.stays.items():
            connection.stays.pop(room, None)
            if stays:
                connection.stays[room] = stays
        return True

    def leave(self, connection_id: str, namespace: str, at: int, by: str) -> Connection | None:
        record = self._at_home(connection_id)
        if record is None or record.closing or namespace not in record.connection.sockets:
            return None
        begun, other = record.left.get(namespace, (at - END_LAPSE - 1, ""))
        if begun >= at - END_LAPSE and other != by:
            return None
        record.left[namespace] = (at, by)
        return record.read()

    def left(self, connection_id: str, namespace: str, rooms: Sequence[str]) -> None:
        record = self._at_home(connection_id)
        if record is None or namespace not in record.left:
            return
        del record.left[namespace], record.connection.sockets[namespace]
        for room in rooms:
            record.connection.stays.pop((namespace, room), None)

    def touch(self, connection_id: str, seen: int) -> Dialect | None:
        record = self.records.get(connection_id)
        if record is None or record.closing:
            return None
        record.seen = seen
        return record.connection.dialect

    def claim(
        self, connection_id: str, *, at: int, born_before: int, seen: int | None = None, moved: bool = False
    ) -> Connection | None:
        record = self.records.get(connection_id)
        if record is None or record.connection.born > born_before or (record.moved and not moved):
            return None
        if seen is not None and record.seen != seen:
            return None
        if record.closing and record.closing >= at - END_LAPSE:
            return None
        record.closing = at
        return replace(record.read(), offered=record.offered)

    def adopt(self, connection_id: str, session: Connection) -> bool:
        record = self.records.get(connection_id)
        if record is None or record.closing or record.connection.probes is None:
            return False
        adopted = copy.deepcopy(session)
        record.connection = Connection(
            connection_id,
            record.connection.session,
            record.connection.born,
            adopted.environ,
            adopted.sockets,
            adopted.stays,
            adopted.pending,
            dialect=adopted.dialect,
            origin=session.id,
        )
        for namespace, ending in adopted.leaving.items():
            record.connection.sockets[namespace] = ending.socket
            record.left[namespace] = (ending.at, ending.by)
        record.joined = bool(adopted.sockets)
        return True

    def remove(self, connection: Connection, places: Sequence[Membership], parked: Sequence[Parked] = ()) -> None:
        self._rooms.leave(places)
        for each in parked:
            self.park(each)
        self.records.pop(connection.id, None)
        self.records.pop(connection.origin or "", None)

    def park(self, parked: Parked) -> None:
        self.parked[parked.pid] = copy.deepcopy(parked)
        self.taken.pop(parked.pid, None)

    def unpark(self, pid: str, at: int) -> Parked | None:
        parked = self.parked.get(pid)
        if parked is None or (pid in self.taken and not (parked.silent and self.taken[pid] < at - TAKE_LAPSE)):
            return None
        self.taken[pid] = at
        return copy.deepcopy(parked)

    def forget(self, pid: str) -> None:
        self.parked.pop(pid, None)

    def beats(self) -> Iterator[Beat]:
        for record in [record for record in self.records.values() if not record.moved]:
            connection = record.connection
            yield Beat(connection.id, connection.born, record.seen, record.joined, connection.dialect)
        for parked in [parked for parked in self.parked.values() if parked.silent]:
            yield Beat("", parked.until, 0, True, pid=parked.pid)

    def runs(self) -> list[int]:
        return list(self.past_runs)

    def save_runs(self, runs: Sequence[int]) -> None:
        self.past_runs = list(runs)


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

    def evict(self, memberships: Iterable[Membership], connection_id: str) -> None:
        self.leave(each for each in list(memberships) if self._is_theirs(each, connection_id))

    def rehome(self, memberships: Iterable[Membership], old: str, new: str) -> None:
        for each in memberships:
            if self._is_theirs(each, old):
                members = self.items[each.namespace, each.room]
                members[each.sid] = members[each.sid]._replace(connection_id=new)

    def _is_theirs(self, place: Membership, connection_id: str) -> bool:
        member = self.items.get((place.namespace, place.room), {}).get(place.sid)
        return member is not None and member.connection_id == connection_id

    def members(self, namespace: str, room: str | None) -> list[Member]:
        return list(self.items.get((namespace, room), {}).values())


class MemoryPackets:
    def __init__(self, journals: "MemoryJournals") -> None:
        self.items = journals.packets
        self._published = journals.published

    def write(self, packets: Sequence[tuple[str, str | None, Packet]], until: int) -> None:
        for namespace, room, packet in packets:
            self.items.setdefault((namespace, room), {})[packet.offset] = packet

    def delay(self, namespace: str, room: str | None, offset: str, late: int, entry: str | None = None) -> None:
        packets = self.items[namespace, room] if entry is None else self._published[namespace, room]
        packets[offset] = packets[offset]._replace(late=late)

    def since(self, namespace: str, room: str | None, offset: str) -> list[Packet]:
        packets = self.items.get((namespace, room), {}) | self._published.get((namespace, room), {})
        return [packets[each] for each in sorted(packets) if each > offset]


class MemoryQuestions:
    def __init__(self) -> None:
        self.items: dict[int, Asked] = {}
        self.frames: dict[tuple[int, str], int] = {}  # which frame brought an answer
        self.closed: set[int] = set()

    def end(self, number: int) -> bool:
        is_first = number not in self.closed
        self.closed.add(number)
        return is_first

    def open(self, number: int, asked: Asked) -> bool:
        if number in self.items:
            return False
        self.items[number] = asked
        return True

    def answer(self, number: int, namespace: str, sid: str, frames: Sequence[str], frame: int, at: int) -> Asked | None:
        asked = self.items.get(number)
        if asked is None or number in self.closed or asked.namespace != namespace or asked.until <= at:
            return None
        if sid not in asked.waiting and not (frame and self.frames.get((number, sid)) == frame):
            return None
        asked = asked._replace(waiting=asked.waiting - {sid}, answers=asked.answers | {sid: list(frames)})
        self.items[number] = asked
        self.frames[number, sid] = frame
        return asked

    def close(self, number: int, at: int) -> Asked | None:
        asked = self.items.get(number)
        if asked is None or number in self.closed or not asked.waiting:
            return None
        if asked.until <= at:
            self.closed.add(number)
        return asked

    def read(self, number: int) -> Asked | None:
        return self.items.get(number)


class MemoryJournals:
    def __init__(self, rooms: MemoryRooms) -> None:
        self._rooms = rooms
        self.heads: dict[tuple[str, str], tuple[Any, int]] = {}
        self.logs: dict[tuple[str, str], dict[str, Entry]] = {}
        self.values: dict[tuple[str, str], dict[str, tuple[Any, int]]] = {}  # each with its end
        self.packets: dict[tuple[str, str | None], dict[str, Packet]] = {}
        self.published: dict[tuple[str, str | None], dict[str, Packet]] = {}

    def create(self, namespace: str, room: str, data: Any, expires_at: int) -> bool:
        if (namespace, room) in self.heads:
            return False
        self.heads[namespace, room] = (copy.deepcopy(data), expires_at)
        self.logs[namespace, room] = {}
        return True

    def read(self, namespace: str, room: str) -> JournalRecord | None:
        if (namespace, room) not in self.heads:
            return None
        data, expires_at = self.heads[namespace, room]
        return JournalRecord(copy.deepcopy(data), expires_at, len(self.logs[namespace, room]))

    def change(self, namespace: str, room: str, data: Any, new: Any, at: int) -> tuple[JournalRecord | None, bool]:
        found = self.read(namespace, room)
        if found is None or found.data != data or found.expires_at <= at // 1000:
            return found, False
        self.heads[namespace, room] = (copy.deepcopy(new), found.expires_at)
        return self.read(namespace, room), True

    def append(
        self, namespace: str, room: str, key: str, body: Any, at: int, published: tuple[str, str] | None = None
    ) -> tuple[Entry, bool]:
        if (namespace, room) not in self.heads:
            raise JournalMissingError(room)
        if self.heads[namespace, room][1] <= at // 1000:
            raise JournalExpiredError(room)
        entries = self.logs[namespace, room]
        is_new = key not in entries
        entry = entries.setdefault(key, Entry(key, len(entries) + 1, at, copy.deepcopy(body)))
        if published and is_new:
            offset, event = published
            packets = self.published.setdefault((namespace, room), {})
            packets[offset] = Packet(offset, event=event, entry=entry)
        return entry, is_new

    def entries(self, namespace: str, room: str, before: int | None, limit: int) -> list[Entry]:
        entries = self.logs.get((namespace, room), {}).values()
        return [entry for entry in entries if before is None or entry.seq < before][-limit:]

    def entry(self, namespace: str, room: str, key: str) -> Entry | None:
        return copy.deepcopy(self.logs.get((namespace, room), {}).get(key))

    def rewrite(self, namespace: str, room: str, key: str, body: Any, new: Any, at: int) -> tuple[Entry | None, bool]:
        found = self.entry(namespace, room, key)
        if found is None:
            return None, False
        if self.heads[namespace, room][1] <= at // 1000:
            raise JournalExpiredError(room)
        if found.body != body:
            return found, False
        self.logs[namespace, room][key] = found._replace(body=copy.deepcopy(new))
        packets = self.published.get((namespace, room), {})
        for offset, packet in packets.items():
            if packet.entry == found:
                packets[offset] = packet._replace(entry=self.logs[namespace, room][key])
        return self.entry(namespace, room, key), True

    def store(self, namespace: str, room: str, name: str, value: Any, expires_at: int) -> None:
        self.values.setdefault((namespace, room), {})[name] = (copy.deepcopy(value), expires_at)

    def load(self, namespace: str, room: str, names: Sequence[str], at: int) -> dict[str, Any]:
        values = self.values.get((namespace, room), {})
        return {name: values[name][0] for name in names if name in values and values[name][1] > at // 1000}

    def discard(self, namespace: str, room: str, names: Sequence[str]) -> None:
        for name in names:
            self.values.get((namespace, room), {}).pop(name, None)

    def delete(self, namespace: str, room: str, until: int) -> None:
        kept: list[dict[Any, Any]] = [self.heads, self.logs, self.values, self.packets, self.published]
        for each in (*kept, self._rooms.items):
            each.pop((namespace, room), None)


class MemoryMailboxes:
    def __init__(self, connections: MemoryConnections) -> None:
        self._records = connections.records

    def _open(self, connection_id: str) -> Record | None:
        record = self._records.get(connection_id)
        return None if record is None or record.closing else record

    def append(self, connection_id: str, frames: Sequence[str], *, only_if_polled: bool = False) -> str | None:
        record = self._open(connection_id)
        if record is None:
            raise Gone(connection_id)
        if only_if_polled and record.moved is None and record.poll is None:
            return None
        if record.moved is None:
            for start in range(0, len(frames), MAX_LETTER):
                some = frames[start : start + MAX_LETTER]
                payload = SEPARATOR.join(some)
                record.box.append(Letter(len(some), len(payload), payload))
        return record.moved

    def begin(self, connection_id: str, poll: str) -> Box | None:
        record = self._open(connection_id)
        if record is None:
            return None
        record.previous, record.poll = record.poll, poll
        return self._box(record)

    def peek(self, connection_id: str, *, consistent: bool = False) -> Box | None:
        record = self._open(connection_id)
        return None if record is None else self._box(record)

    def read(self, connection_id: str, letters: Sequence[Letter]) -> list[str]:
        return [frame for letter in letters for frame in letter.payload.split(SEPARATOR)]

    def end(self, connection_id: str, poll: str, letters: Sequence[Letter]) -> bool:
        record = self._open(connection_id)
        if record is None or record.moved or record.poll != poll:
            return False
        record.poll = None
        del record.box[: len(letters)]
        return True

    def offer(self, connection_id: str, websocket: str, at: int) -> bool:
        record = self._open(connection_id)
        if record is None or record.moved:
            return False
        if record.offered not in (None, websocket) and record.offered_at >= at - OFFER_LAPSE:
            return False
        record.offered, record.offered_at = websocket, at
        return True

    def withdraw(self, connection_id: str, websocket: str) -> None:
        record = self._open(connection_id)
        if record is not None and not record.moved and record.offered == websocket:
            record.offered, record.offered_at = None, 0

    def lock(self, connection_id: str, websocket: str, holder: str, at: int) -> Box | None:
        record = self._open(connection_id)
        if record is None or record.moved or record.offered != websocket:
            return None
        if record.locked_at is not None and record.locked_at >= at - LOCK_LAPSE:
            return None
        record.locked_at, record.locked_by, record.poll = at, holder, None
        return self._box(record)

    def discard(self, connection_id: str, holder: str, letters: Sequence[Letter]) -> bool:
        record = self._open(connection_id)
        if record is None or record.locked_by != holder:
            return False
        record.locked_at = record.locked_by = None
        del record.box[: len(letters)]
        return True

    def move(self, connection_id: str, websocket: str) -> Connection | None:
        record = self._open(connection_id)
        if record is None or record.offered != websocket or record.box or record.moved not in (None, websocket):
            return None
        record.moved = websocket
        return record.read()

    @staticmethod
    def _box(record: Record) -> Box:
        return Box(
            tuple(record.box), record.poll, bool(record.previous), record.offered, record.offered_at, record.moved
        )


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


@dataclass
class MemoryLimits:
    used: dict[tuple[str, int], int] = field(default_factory=dict)

    def count(self, name: str, limit: int, until: int) -> bool:
        if self.used.get((name, until), 0) >= limit:
            return False
        self.used[name, until] = self.used.get((name, until), 0) + 1
        return True


@dataclass
class MemoryAgenda:
    items: dict[str, tuple[int, str]] = field(default_factory=dict)
    count: int = 0

    def add(self, job: str, when: int) -> None:
        self.count += 1
        self.items[f"{self.count}"] = (when, job)

    def due(self, at: int) -> Iterator[tuple[str, str]]:
        for id, (when, job) in sorted(self.items.items(), key=lambda item: item[1][0]):
            if when <= at:
                yield id, job

    def remove(self, ids: Sequence[str]) -> None:
        for id in ids:
            self.items.pop(id, None)


@dataclass
class MemoryTimers:
    started: list[tuple[str, int]] = field(default_factory=list)

    def start(self, job: str, seconds: int) -> None:
        self.started.append((job, seconds))


class World:
    """All ports, and the time: `clock` in Unix milliseconds; sleeping moves it."""

    def __init__(self, clock: int = 1_700_000_000_000) -> None:
        self.clock = clock
        self.rooms = MemoryRooms()
        self.connections = MemoryConnections(self.rooms)
        self.journals = MemoryJournals(self.rooms)
        self.wire = MemoryWire()
        self.queue = MemoryQueue()
        self.packets = MemoryPackets(self.journals)
        self.questions = MemoryQuestions()
        self.limits = MemoryLimits()
        self.agenda = MemoryAgenda()
        self.timers = MemoryTimers()
        self.on_sleep: Callable[[], None] | None = None
        self.mailboxes = MemoryMailboxes(self.connections)
        self.ports = Ports(
            self.connections,
            self.rooms,
            self.journals,
            self.mailboxes,
            self.packets,
            self.questions,
            self.limits,
            self.agenda,
            self.wire,
            self.queue,
            self.queue,
            self.timers,
            lambda: self.clock,
            self.sleep,
        )

    def sleep(self, seconds: float) -> None:
        self.clock += int(seconds * 1000)
        if self.on_sleep:
            self.on_sleep()

    @property
    def deadline(self) -> int:
        return self.clock + 29_000
