"""What the server needs of the world, as protocols; the package ``aws`` fills them in.

Every call may fail with ``Unavailable``; the other errors are named where they occur.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from server.records import (
    Asked,
    Beat,
    Box,
    Change,
    Connection,
    Dialect,
    Entry,
    JournalRecord,
    Letter,
    Member,
    Membership,
    Packet,
    Parked,
)


class PortError(Exception):
    """Base of what a port raises."""


class Unavailable(PortError):
    """The service refused for now (throttled, 5xx, timed out): the same call may succeed later."""


class Gone(PortError):
    """The connection does not exist: closed, or not open yet."""


class Rejected(PortError):
    """The service will never take this call: too large, forbidden, malformed."""


class Connections(Protocol):
    """The connection records."""

    def open(self, connection: Connection) -> None:
        """Store a new connection; its last sign of life is its birth."""

    def load(self, connection_id: str) -> Connection | None:
        """Return the connection, or None if there is none or it is being closed.

        For a polling connection whose session was upgraded, it is the WebSocket's.
        """

    def load_all(self, connection_ids: Sequence[str]) -> list[Connection]:
        """Return those of the connections that are open, as `load` does."""

    def handled(
        self,
        connection_id: str,
        number: int,
        pending: tuple[str, ...] | None = None,
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Note that the frame with this number of the queue was handled to its end.

        In the same write: what waits since (if new), and the sessions that its handler saved (by namespace).
        """

    def change(self, connection_id: str, change: Change) -> bool:
        """Write a handler's changes; False, and nothing written, if the connection is gone or being closed.

        A socket joins where there is none, or where one is leaving: then that one's rooms are to be forgotten with it.
        What is said of a polling connection is written to the WebSocket that has taken it over.
        """

    def leave(self, connection_id: str, namespace: str, at: int, by: str) -> Connection | None:
        """Take the right to end the connection's socket in a namespace, which only one work gets; `at` is now.

        Returns the connection as it is then; None if the socket is not there, or the connection is being closed, or
        another work has been ending it for less than `END_LAPSE`. Who has the right says `left` at the end of it.
        """

    def left(self, connection_id: str, namespace: str, rooms: Sequence[str]) -> None:
        """Forget a socket that was left, its session and its rooms; another one that is there meanwhile stays.

        A connection that is being closed may be waiting for that.
        """

    def touch(self, connection_id: str, seen: int) -> Dialect | None:
        """Note a sign of life; None if there is no such connection."""

    def claim(
        self, connection_id: str, *, at: int, born_before: int, seen: int | None = None, moved: bool = False
    ) -> Connection | None:
        """Take the right to close a connection, which only one caller gets.

        None if there is no such connection, if it was born after `born_before`, if it gave a sign of life other than
        `seen`, if its session has moved (unless `moved`), or if another caller took it less than a minute before `at`;
        an older claim is one that died half way, and can be taken over.
        """

    def adopt(self, connection_id: str, session: Connection) -> bool:
        """Make a WebSocket the session's connection, with all that the polling one held.

        False if it is gone, or has adopted it already.
        """

    def remove(self, connection: Connection, places: Sequence[Membership], parked: Sequence[Parked] = ()) -> None:
        """Delete a connection's places and what waits for it, then its record and that of its origin.

        What is kept of its sockets is written once the places are free.
        """

    def unpark(self, pid: str, at: int) -> Parked | None:
        """Take what was kept of a socket, which only one caller gets; `at` is now.

        What was kept in silence stays until it is forgotten: after `TAKE_LAPSE` another caller may take it, since the
        first one has died.
        """

    def forget(self, pid: str) -> None:
        """Delete what was kept of a socket, and taken."""

    def park(self, parked: Parked) -> None:
        """Keep it again."""

    def beats(self) -> Iterable[Beat]:
        """Yield every connection that is open, and every socket that is kept in silence."""

    def runs(self) -> list[int]:
        """Return when the heartbeat ran last, oldest first."""

    def save_runs(self, runs: Sequence[int]) -> None:
        """Remember when the heartbeat ran."""


class Rooms(Protocol):
    """Who is in which room. Room ``None`` is the namespace's room of all."""

    def enter(self, namespace: str, rooms: Sequence[str | None], member: Member) -> None:
        """Put the member into the rooms; again is the same."""

    def leave(self, memberships: Iterable[Membership]) -> None:
        """Take sockets out of rooms; those who are not there are passed over."""

    def evict(self, memberships: Iterable[Membership], connection_id: str) -> None:
        """Free these places where they are that connection's: a socket may be back with another one."""

    def rehome(self, memberships: Iterable[Membership], old: str, new: str) -> None:
        """Say of the places of one connection that they are another one's; those that are not any more stay so."""

    def members(self, namespace: str, room: str | None) -> list[Member]:
        """Return who is in the room now (a consistent read)."""


class Packets(Protocol):
    """The events that were sent to rooms, for those who come back. Room ``None`` is the namespace's room of all."""

    def write(self, packets: Sequence[tuple[str, str | None, Packet]], until: int) -> None:
        """Write events down, each with its namespace and room, to be kept until then."""

    def delay(self, namespace: str, room: str | None, offset: str, late: int, entry: str | None = None) -> None:
        """Say of an event that it is late; `entry` is the key of one that was published."""

    def since(self, namespace: str, room: str | None, offset: str) -> list[Packet]:
        """Return the events after an offset (a consistent read)."""


class Questions(Protocol):
    """Emits that ask for acknowledgements, by the id in their packets."""

    def open(self, number: int, asked: Asked) -> bool:
        """Store a question; False if the id is taken."""

    def answer(self, number: int, namespace: str, sid: str, frames: Sequence[str], frame: int, at: int) -> Asked | None:
        """Store a socket's answer; returns how the question stands then.

        None if there is none, or it is over, or this socket's answer is not awaited. The same `frame` again (not 0) is
        the same answer.
        """

    def close(self, number: int, at: int) -> Asked | None:
        """End a question whose time is up; returns it, or None if it is over. Before its time it is left as it is."""

    def end(self, number: int) -> bool:
        """End a question that everybody has answered; False if it has ended."""

    def read(self, number: int) -> Asked | None:
        """Return a question (a consistent read)."""


class Journals(Protocol):
    """A room's record, its numbered log, and the values beside it."""

    def create(self, namespace: str, room: str, data: Any, expires_at: int) -> bool:
        """Make a journal; False if the room has one."""

    def read(self, namespace: str, room: str) -> JournalRecord | None: ...

    def change(self, namespace: str, room: str, data: Any, new: Any, at: int) -> tuple[JournalRecord | None, bool]:
        """Put new data in the place of these, if these are there and the journal's time is not up.

        Returns the record as it is then, None if there is none, and whether this call changed it.
        """

    def append(
        self, namespace: str, room: str, key: str, body: Any, at: int, published: tuple[str, str] | None = None
    ) -> tuple[Entry, bool]:
        """Give the body the next number, once for each key.

        What is `published` is found as a packet as well, by this offset and with this event's name.
        Returns the entry and whether this call made it. Raises server.exceptions.JournalMissingError or
        JournalExpiredError.
        """

    def entries(self, namespace: str, room: str, before: int | None, limit: int) -> list[Entry]:
        """Return the last `limit` entries numbered below `before`, oldest first."""

    def entry(self, namespace: str, room: str, key: str) -> Entry | None: ...

    def rewrite(self, namespace: str, room: str, key: str, body: Any, new: Any, at: int) -> tuple[Entry | None, bool]:
        """Put a new body in the place of this one, if this one is there and the journal's time is not up.

        Returns the entry as it is then, None if there is none, and whether this call changed it. Raises
        server.exceptions.JournalExpiredError.
        """

    def store(self, namespace: str, room: str, name: str, value: Any, expires_at: int) -> None:
        """Keep a value, or replace it; `expires_at` is the journal's end (Unix seconds)."""

    def load(self, namespace: str, room: str, names: Sequence[str], at: int) -> dict[str, Any]:
        """Return the values that are there, and not past their journal's time (a consistent read)."""

    def discard(self, namespace: str, room: str, names: Sequence[str]) -> None:
        """Delete values; those that do not exist are passed over."""

    def delete(self, namespace: str, room: str, until: int) -> None:
        """Delete the record first, then the entries, values, memberships and kept events of the room.

        Again goes on, and is cheap where nothing is left. Raises Unavailable if the time (Unix ms) passes before.
        """


class Limits(Protocol):
    """How often something was done."""

    def count(self, name: str, limit: int, until: int) -> bool:
        """Count one use of a name; False if there were `limit` already. Forgotten after `until` (Unix seconds)."""


class Mailboxes(Protocol):
    """What waits for clients that poll, and the moves of an upgrade; each call changes one record at once.

    A session has one home at any time, and it changes in a single write (`move`) that succeeds only on an empty box:
    so what was put in the box comes before what is sent to the WebSocket, and nothing is in both.
    """

    def append(self, connection_id: str, frames: Sequence[str], *, only_if_polled: bool = False) -> str | None:
        """Put frames in the box; returns None, or the WebSocket that the session has moved to, and puts nothing.

        With `only_if_polled` frames are dropped where no poll waits for them. Raises Gone if the connection is gone,
        Unavailable also if the box is full.
        """

    def begin(self, connection_id: str, poll: str) -> Box | None:
        """Begin a poll; None if the connection is gone."""

    def peek(self, connection_id: str, *, consistent: bool = False) -> Box | None:
        """Look into the box; None if the connection is gone. Without consistency it is cheap, and may be of before."""

    def read(self, connection_id: str, letters: Sequence[Letter]) -> list[str]:
        """Return the frames of letters; Gone if the connection is, and they with it."""

    def end(self, connection_id: str, poll: str, letters: Sequence[Letter]) -> bool:
        """End a poll and remove what its answer carries; False, and nothing removed, if it is not the poll any more."""

    def offer(self, connection_id: str, websocket: str, at: int) -> bool:
        """Note that a WebSocket may take the session over; False if another one may, or has."""

    def withdraw(self, connection_id: str, websocket: str) -> None:
        """Take the offer to a WebSocket back, if it was to this one."""

    def lock(self, connection_id: str, websocket: str, holder: str, at: int) -> Box | None:
        """Take the right to empty the box into a WebSocket, which only one caller gets; None for the others."""

    def discard(self, connection_id: str, holder: str, letters: Sequence[Letter]) -> bool:
        """Remove the first letters, which the holder of the lock has sent, and give it back; False if it is not his."""

    def move(self, connection_id: str, websocket: str) -> Connection | None:
        """Move the session to a WebSocket if its box is empty; returns the polling connection as it was left.

        Again is the same. None if the box is not empty, or the session is gone, or has moved to another.
        """


class Wire(Protocol):
    """API Gateway's @connections."""

    def post(self, connection_id: str, frame: str) -> None:
        """Send one text frame. Raises Gone, Rejected or Unavailable; returning means accepted, not received."""

    def close(self, connection_id: str) -> None:
        """Close the connection (1000); one that is gone already is passed over."""


class Queue(Protocol):
    """A FIFO queue: what has to happen after this invocation, in order within a group."""

    def put(self, jobs: Sequence[tuple[str, str]]) -> None:
        """Append jobs, each as (group, body)."""


class Timers(Protocol):
    """What has to happen later."""

    def start(self, job: str, seconds: int) -> None:
        """Do a job in so many seconds, at most 900."""


class Agenda(Protocol):
    """What has to happen much later."""

    def add(self, job: str, when: int) -> None:
        """Note a job for a time (Unix seconds)."""

    def due(self, at: int) -> Iterable[tuple[str, str]]:
        """Yield the jobs whose time (Unix seconds) has come, oldest first, each as (id, job). The id is ASCII."""

    def remove(self, ids: Sequence[str]) -> None:
        """Strike out jobs; those that are not there are passed over."""


class Ports(NamedTuple):
    """Everything that `Server.bind` takes. `now` gives Unix milliseconds, `sleep` takes seconds.

    ``inbox`` is the queue in which a connection's frames come in their order, or the other one where they do not.
    """

    connections: Connections
    rooms: Rooms
    journals: Journals
    mailboxes: Mailboxes
    packets: Packets
    questions: Questions
    limits: Limits
    agenda: Agenda
    wire: Wire
    queue: Queue
    inbox: Queue
    timers: Timers
    now: Callable[[], int]
    sleep: Callable[[float], None]
