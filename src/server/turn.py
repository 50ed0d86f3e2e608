"""One invocation's unit of work: the records it read, the changes it makes, and its outbox.

Changes are gathered, and written when something has to see them, at the latest when the turn ends.
"""

import secrets
from collections.abc import Sequence
from typing import Any, Protocol

from server.debug import scope
from server.emission import Emission, spoken, with_id
from server.exceptions import DisconnectedError, TooManyAskedError, UnknownSidError
from server.outbox import Outbox
from server.ports import Ports
from server.records import Change, Connection, Dialect, Member, Membership, Socket, Stays

log = scope("socket.io:room")


MOST_STAYS = 20
"""Ended stays in one room that are kept; a client that comes and goes must not fill its connection's record."""


class Log(Protocol):
    """Where emits are written down before they are sent; see `server.recovery.Log`."""

    retention: int

    @property
    def written(self) -> str: ...

    def write(self, emissions: Sequence[Emission]) -> list[str]: ...

    def next_offset(self) -> str: ...

    def delay(self) -> None: ...

    def settled(self) -> None: ...


class Asking(Protocol):
    """Notes who is to answer an emit; see `server.acks`. Returns the packet's id."""

    def __call__(self, emission: Emission, sids: Sequence[str]) -> int: ...


class Turn:
    """Holds what a handler reads and changes until `end`. `deadline` is in Unix milliseconds.

    What is sent waits as well, until the end or until a socket enters or leaves a room: then emits are written down,
    whom they reach is looked up, and the outbox has them. With ``answers`` the caller's last frame rides a route
    response; with ``closing`` the caller is on its way out; ``again`` tells that another invocation began this, and may
    have come to any point. ``work`` is the name of what is done here: the same when it is done again.

    While it `holds`, what is saved of the caller's sessions is not written here: `held` has it by namespace, to be
    written with the note that all of this is done.
    """

    def __init__(
        self,
        ports: Ports,
        deadline: int,
        caller: Connection | None = None,
        *,
        answers: bool = True,
        closing: bool = False,
        again: bool = False,
        work: str = "",
        keeper: Log | None = None,
        asking: Asking | None = None,
    ) -> None:
        self.ports = ports
        self.again = again
        self._work = work or secrets.token_hex(6)
        self.deadline = deadline
        self.outbox = Outbox(ports, deadline)
        self.closing = closing
        self._answers = answers and not closing
        self.holds = False
        self.held: dict[str, Any] = {}
        self.caller = caller
        self.route_response: str | None = None
        self._log = keeper
        if keeper:
            self.outbox.on_delay = keeper.delay
        self._asking = asking
        self._taken_back: set[tuple[str, str]] = set()  # (connection id, namespace)
        self._recovered: set[tuple[str, str]] = set()  # (namespace, sid)
        self._pending: list[Emission | tuple[Connection, Sequence[str]]] = []
        self._loaded: dict[str, Connection] = {}
        self._homes: dict[tuple[str, str], str] = {}  # (namespace, sid) -> connection id
        self._changes: dict[str, Change] = {}
        self._entering: list[tuple[str, list[str | None], Member]] = []
        self._leaving: list[Membership] = []
        self._parting: list[tuple[Connection, str, list[str], list[Membership]]] = []
        self._left: set[Membership] = set()
        if caller:
            self._remember(caller)
            if closing:
                self.outbox.silence(caller.id)

    # ------------------------------------------------------------------ reading
    def _remember(self, connection: Connection) -> None:
        self._loaded[connection.id] = connection
        self._taken_back |= {
            (connection.id, namespace) for namespace in connection.take_back(self._work, self.ports.now())
        }
        for namespace, socket in connection.sockets.items():
            self._homes[namespace, socket.sid] = connection.id
            if self._is_callers(connection) and namespace in self.held:
                socket.data = self.held[namespace]

    def home(self, namespace: str, sid: str) -> Connection:
        """Return the connection of a socket; UnknownSidError if there is none."""
        connection_id = self._homes.get((namespace, sid))
        if connection_id is None:
            found = (member for member in self.members(namespace, sid) if member.sid == sid)
            connection_id = next((member.connection_id for member in found), None)
        connection = self.find(namespace, sid, connection_id) if connection_id else None
        if connection is None:
            raise UnknownSidError(sid, namespace)
        return connection

    def find(self, namespace: str, sid: str, connection_id: str) -> Connection | None:
        """Return that connection if it has the socket."""
        connection = self._load(connection_id)
        socket = connection.sockets.get(namespace) if connection else None
        return connection if socket and socket.sid == sid else None

    def _load(self, connection_id: str) -> Connection | None:
        if connection_id not in self._loaded:
            connection = self.ports.connections.load(connection_id)
            if connection is None:
                return None
            self._remember(connection)
            self._loaded[connection_id] = connection  # the session may have moved to another
        return self._loaded[connection_id]

    def members(self, namespace: str, room: str | None) -> list[Member]:
        """Return who is in a room, this turn's own changes included."""
        self.settle()
        found = self.ports.rooms.members(namespace, room)
        for member in found:
            self._homes[namespace, member.sid] = member.connection_id
        return [member for member in found if Membership(namespace, room, member.sid) not in self._left]

    def preload(self, members: Sequence[Member]) -> None:
        """Read the connections of members, those that are not known yet, in as few calls as there can be."""
        wanted = {member.connection_id for member in members} - self._loaded.keys()
        for connection in self.ports.connections.load_all(sorted(wanted)):
            self._remember(connection)

    def _is_closing(self, connection: Connection) -> bool:
        return self.closing and connection is self.caller

    def _is_callers(self, connection: Connection) -> bool:
        return self.caller is not None and connection.id == self.caller.id

    # ------------------------------------------------------------------ sending
    def emit(self, emission: Emission) -> None:
        """Append an emit."""
        self._pending.append(emission)

    def next_offset(self) -> str:
        """Return an offset for an event that is about to be written down, and sent; "" where none are kept."""
        return self._log.next_offset() if self._log else ""

    def send(self, connection: Connection, frames: Sequence[str]) -> None:
        """Append a packet that is no event, for one connection."""
        self._pending.append((connection, frames))

    def ask(self, connection: Connection, emission: Emission, number: int) -> None:
        """Send an event that asks for an answer now, and everything before it."""
        self.outbox.send(connection.id, spoken(with_id(emission.frames, number), connection.dialect))
        self._flush()

    def recover(self, namespace: str, sid: str) -> None:
        """Remember that a socket's client has come back to it."""
        self._recovered.add((namespace, sid))

    def is_recovered(self, namespace: str, sid: str) -> bool:
        """Tell whether a socket's client has come back to it in this turn."""
        return (namespace, sid) in self._recovered

    def resolve(self) -> None:
        """Put what waits into the outbox: whom an emit reaches is decided now.

        It is written down before it is looked up who is there: whoever comes back meanwhile is found in the room, or
        finds the packet.
        """
        if not self._pending:
            return
        self.settle()
        pending, self._pending = self._pending, []
        emissions = [each for each in pending if isinstance(each, Emission)]
        offsets = iter(self._log.write(emissions) if self._log and emissions else [""] * len(emissions))
        written = self._log.written if self._log else ""
        found: dict[tuple[str, str | None], list[Member]] = {}
        for each in pending:
            if isinstance(each, Emission):
                offset = next(offsets)
                self._broadcast(each, offset, max(offset, written), found)
            else:
                connection, frames = each
                self.outbox.send(connection.id, spoken(frames, connection.dialect))

    def send_out(self) -> None:
        """Send what waits, since who is in a room is about to change while the handler goes on."""
        if self._pending:
            self.resolve()
            self._flush()

    def _flush(self, *, rides: bool = False) -> str | None:
        last = self.outbox.flush(self.caller.id if self.caller else None, rides=rides)
        if self._log:
            self._log.settled()
        return last

    def _broadcast(
        self, emission: Emission, offset: str, known: str, found: dict[tuple[str, str | None], list[Member]]
    ) -> None:
        def members_of(room: str | None) -> list[Member]:
            where = (emission.namespace, room)
            if where not in found:
                found[where] = self.members(*where)
            return found[where]

        reached = {*emission.skip, *(member.sid for room in emission.apart for member in members_of(room))}
        groups: list[tuple[str | None, list[Member]]] = []
        for room in emission.rooms:
            # Whoever came back has from the log what was known by then.
            members = [each for each in members_of(room) if each.sid not in reached and each.after <= known]
            reached |= {member.sid for member in members}
            groups.append((room, members))
        frames: Sequence[str] = emission.frames
        if emission.question and self._asking:
            try:
                number = self._asking(emission, [member.sid for _, members in groups for member in members])
            except TooManyAskedError:
                if self.caller is None:
                    raise
                log.exception("an event is not sent")  # the handler is done, and would be called again
                return
            frames, offset = with_id(frames, number), ""
        for room, members in groups:
            self.outbox.broadcast(emission.namespace, room, members, frames, offset, volatile=emission.volatile)

    # ------------------------------------------------------------------ changing
    def _change(self, connection: Connection) -> Change:
        return self._changes.setdefault(connection.id, Change())

    def join(
        self, connection: Connection, namespace: str, socket: Socket, stays: dict[str, Stays] | None = None
    ) -> None:
        """Give the connection a socket in a namespace, which is in its own room and in the room of all.

        One that comes back has its session and its rooms; the caller sees to its places.
        """
        self.resolve()
        connection.sockets[namespace], connection.joined = socket, True
        self._homes[namespace, socket.sid] = connection.id
        change = self._change(connection)
        change.joined[namespace] = socket
        # Of the one before it, whoever was ending it may have died.
        rooms = [room for space, room in connection.rooms if space == namespace]
        change.stays |= dict.fromkeys(self._forget_rooms(connection, namespace), ())
        if ending := connection.leaving.pop(namespace, None):
            old = ending.socket.sid
            self._leaving += [Membership(namespace, room, old) for room in (old, None, *rooms)]
        if stays is None:
            self._enter_own(connection, namespace, socket)
        for room, stay in (stays or {}).items():
            connection.stays[namespace, room] = change.stays[namespace, room] = stay

    def is_leaving(self, connection: Connection, namespace: str) -> bool:
        """Tell whether a socket is there only to be ended once more."""
        return (connection.id, namespace) in self._taken_back

    def enter_again(self, connection: Connection, namespace: str) -> None:
        """Take a socket's own places once more: whoever gave it to the connection may have died before."""
        self._enter_own(connection, namespace, connection.sockets[namespace])

    def _enter_own(self, connection: Connection, namespace: str, socket: Socket) -> None:
        member = Member(socket.sid, connection.id, dialect=dialect_of(connection, socket))
        self._entering.append((namespace, [socket.sid, None], member))

    def release(self, connection: Connection, namespace: str) -> bool:
        """Take the right to end a socket, which only one turn gets: a frame and `$disconnect` may run at once."""
        self.resolve()
        if self._is_closing(connection) or namespace in self._change(connection).joined:
            return True
        left = self.ports.connections.leave(connection.id, namespace, self.ports.now(), self._work)
        if left is None:
            return False
        # Another function may have had it enter rooms since it was read.
        connection.stays |= {where: stays for where, stays in left.stays.items() if where[0] == namespace}
        return True

    def part(self, connection: Connection, namespace: str) -> None:
        """Take the connection's socket out of a namespace, once released, and out of all its rooms there.

        In the table that is done when the turn ends, behind all that it sends: who does this again finds it until then.
        """
        sid = connection.sockets[namespace].sid
        was_written = self._change(connection).joined.pop(namespace, None) is None
        self._entering = [entry for entry in self._entering if (entry[0], entry[2].sid) != (namespace, sid)]
        self.resolve()
        del connection.sockets[namespace], self._homes[namespace, sid]
        rooms = {room for space, room in connection.rooms if space == namespace}
        past = [room for _, room in self._forget_rooms(connection, namespace)]
        self._change(connection).data.pop(namespace, None)
        if self._is_callers(connection):
            self.held.pop(namespace, None)
        if was_written:
            places = [Membership(namespace, room, sid) for room in (sid, None, *rooms)]
            self._left.update(places)
            if not self._is_closing(connection):  # all its places are about to be freed at once
                self._parting.append((connection, namespace, past, places))

    def _forget_rooms(self, connection: Connection, namespace: str) -> list[tuple[str, str]]:
        """Forget where the socket in a namespace is and was, and return it."""
        past = [where for where in connection.stays if where[0] == namespace]
        for where in past:
            del connection.stays[where]
            self._change(connection).stays.pop(where, None)
        return past

    def enter(self, connection: Connection, namespace: str, room: str, info: Any) -> None:
        """Put the connection's socket into a room."""
        self.send_out()
        socket = connection.sockets[namespace]
        self._leaving = [each for each in self._leaving if each != Membership(namespace, room, socket.sid)]
        member = Member(socket.sid, connection.id, info, dialect_of(connection, socket))
        self._entering.append((namespace, [room], member))
        log.debug("%s enters %r of %s", socket.sid, room, namespace)
        if room != socket.sid:
            self._stay(connection, namespace, room, info, leaves=False)

    def exit(self, connection: Connection, namespace: str, room: str) -> None:
        """Take the connection's socket out of a room."""
        self.send_out()
        sid = connection.sockets[namespace].sid
        if room != sid and (namespace, room) not in connection.rooms:
            return
        self._entering = [
            entry for entry in self._entering if (entry[0], entry[1], entry[2].sid) != (namespace, [room], sid)
        ]
        log.debug("%s leaves %r of %s", sid, room, namespace)
        if self._is_closing(connection):
            self._left.add(Membership(namespace, room, sid))
        else:
            self._leaving.append(Membership(namespace, room, sid))
        if room != sid:
            self._stay(connection, namespace, room, None, leaves=True)

    def _stay(self, connection: Connection, namespace: str, room: str, info: Any, *, leaves: bool) -> None:
        """Note that a socket enters a room, or leaves it."""
        now, where = self.ports.now(), (namespace, room)
        stays = connection.stays.get(where, ())
        begun = stays[-1][0] if stays and not stays[-1][1] else now
        if self._log is None or not connection.sockets[namespace].pid:
            stays = () if leaves else ((begun, 0, None),)
        else:
            past = tuple(stay for stay in stays if stay[1] > now - self._log.retention)
            stays = (*past[-MOST_STAYS:], (begun, now, None) if leaves else (begun, 0, info))
        if stays != connection.stays.get(where, ()):
            connection.stays[where] = self._change(connection).stays[where] = stays

    def save(self, connection: Connection, namespace: str, data: Any) -> None:
        """Replace the session of the connection's socket in a namespace."""
        connection.sockets[namespace].data = data
        if self._is_callers(connection) and (self.holds or namespace in self.held):
            self.held[namespace] = data
        else:
            self._change(connection).data[namespace] = data

    def keep(self, connection: Connection, pending: tuple[str, ...]) -> None:
        """Keep the frames of an event whose attachments have yet to come."""
        if pending != connection.pending:
            connection.pending = pending
            self._change(connection).pending = pending

    # ------------------------------------------------------------------ writing
    def settle(self) -> None:
        """Write what was changed so far; DisconnectedError if the caller was to enter rooms and is gone.

        The connection comes first and the places after it, so that whoever ends it knows of them, should this function
        die between the two. If the socket was ended between the two, they are freed here.
        """
        changes, self._changes = self._changes, {}
        entering, self._entering = self._entering, []
        leaving, self._leaving = self._leaving, []
        if leaving:
            self.ports.rooms.leave(leaving)
        gone = {connection_id for connection_id, change in changes.items() if not self._write(connection_id, change)}
        closed = self._take_places([each for each in entering if each[2].connection_id not in gone])
        is_caller_gone = self.caller is not None and self.caller.id in gone | closed and not self.closing
        homes = {member.connection_id for _, _, member in entering}
        if self.caller and is_caller_gone and (self.caller.id in homes or changes[self.caller.id].joined):
            self.outbox.silence(self.caller.id)
            # What they say of the caller is not true; what is in a journal is so.
            self._pending = [each for each in self._pending if isinstance(each, Emission) and each.published]
            raise DisconnectedError(
                f"connection {self.caller.id} closed meanwhile, or changed at the same time",
                is_reported=self.caller.id in closed,
            )

    def _take_places(self, entering: Sequence[tuple[str, list[str | None], Member]]) -> set[str]:
        """Write places; returns the connections that were closed meanwhile. Those of sockets that ended are freed."""
        if not entering:
            return set()
        for namespace, rooms, member in entering:
            self.ports.rooms.enter(namespace, rooms, member)
        homes = {member.connection_id for _, _, member in entering}
        found = self.ports.connections.load_all(sorted(homes))
        there = {(namespace, socket.sid) for each in found for namespace, socket in each.sockets.items()}
        for namespace, rooms, member in entering:
            if (namespace, member.sid) not in there:
                ghosts = [Membership(namespace, room, member.sid) for room in rooms]
                self.ports.rooms.evict(ghosts, member.connection_id)
        return homes - {name for each in found for name in (each.id, each.origin)}

    def _write(self, connection_id: str, change: Change) -> bool:
        if not change:
            return True
        if self._is_closing(self._loaded[connection_id]):
            return False  # the record is about to be removed
        return self.ports.connections.change(connection_id, change)

    def end(self) -> None:
        """Write the changes and send the outbox; the caller's last frame is left as `route_response`."""
        try:
            self.settle()
        except DisconnectedError as error:
            log.info("%s: its changes are dropped", error)
        finally:
            try:
                self.resolve()
            finally:
                self.route_response = self._flush(rides=self._answers)
        parting, self._parting = self._parting, []
        if parting:
            self.ports.rooms.leave([place for *_, places in parting for place in places])
        for connection, namespace, rooms, _ in parting:
            self.ports.connections.left(connection.id, namespace, rooms)


def dialect_of(connection: Connection, socket: Socket) -> Dialect:
    """Return how a connection's packets in a namespace are to be written."""
    offsets = connection.dialect is Dialect.OFFSETS
    return Dialect.PLAIN if offsets and not socket.pid else connection.dialect
