"""One invocation's unit of work: the records it read, the changes it makes, and its outbox.

Changes are gathered, and written when something has to see them, at the latest when the turn ends.
"""

import logging
from typing import Any

from server.exceptions import DisconnectedError, UnknownSidError
from server.outbox import Outbox
from server.ports import Ports
from server.records import Change, Connection, Member, Membership, Socket

log = logging.getLogger("fleeting.turn")


class Turn:
    """Holds what a handler reads and changes until `end`. `deadline` is in Unix milliseconds.

    With ``answers`` the caller's last frame rides a route response; with ``closing`` the caller is on its way out.
    """

    def __init__(
        self,
        ports: Ports,
        deadline: int,
        caller: Connection | None = None,
        *,
        answers: bool = True,
        closing: bool = False,
    ) -> None:
        self.ports = ports
        self.outbox = Outbox(ports, deadline)
        self.closing = closing
        self._answers = answers and not closing
        self.caller = caller
        self.route_response: str | None = None
        self._loaded: dict[str, Connection] = {}
        self._homes: dict[tuple[str, str], str] = {}  # (namespace, sid) -> connection id
        self._changes: dict[str, Change] = {}
        self._entering: list[tuple[str, list[str | None], Member]] = []
        self._leaving: list[Membership] = []
        self._left: set[Membership] = set()
        if caller:
            self._remember(caller)
            if closing:
                self.outbox.silence(caller.id)

    # ------------------------------------------------------------------ reading
    def _remember(self, connection: Connection) -> None:
        self._loaded[connection.id] = connection
        for namespace, socket in connection.sockets.items():
            self._homes[namespace, socket.sid] = connection.id

    def home(self, namespace: str, sid: str) -> Connection:
        """Return the connection of a socket; UnknownSidError if there is none."""
        connection_id = self._homes.get((namespace, sid))
        if connection_id is None:
            found = (member for member in self.members(namespace, sid) if member.sid == sid)
            connection_id = next((member.connection_id for member in found), None)
        connection = self._load(connection_id) if connection_id else None
        if connection is None or (socket := connection.sockets.get(namespace)) is None or socket.sid != sid:
            raise UnknownSidError(sid, namespace)
        return connection

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

    def _is_closing(self, connection: Connection) -> bool:
        return self.closing and connection is self.caller

    # ------------------------------------------------------------------ changing
    def _change(self, connection: Connection) -> Change:
        return self._changes.setdefault(connection.id, Change())

    def join(self, connection: Connection, namespace: str, sid: str) -> None:
        """Give the connection a socket in a namespace, which is in its own room and in the room of all."""
        connection.sockets[namespace] = Socket(sid)
        self._homes[namespace, sid] = connection.id
        self._change(connection).joined[namespace] = sid
        self._entering.append((namespace, [sid, None], Member(sid, connection.id)))

    def release(self, connection: Connection, namespace: str) -> bool:
        """Take the right to end a socket, which only one turn gets: a frame and `$disconnect` may run at once."""
        if self._is_closing(connection) or namespace in self._change(connection).joined:
            return True
        return self.ports.connections.leave(connection.id, namespace)

    def part(self, connection: Connection, namespace: str) -> None:
        """Take the connection's socket out of a namespace, once released, and out of all its rooms there."""
        sid = connection.sockets.pop(namespace).sid
        del self._homes[namespace, sid]
        rooms = {room for space, room in connection.rooms if space == namespace}
        connection.rooms -= {(namespace, room) for room in rooms}
        change = self._change(connection)
        change.entered -= {(namespace, room) for room in rooms}
        change.data.pop(namespace, None)
        self._entering = [entry for entry in self._entering if (entry[0], entry[2].sid) != (namespace, sid)]
        if change.joined.pop(namespace, None) is None:  # else nothing of it was written yet
            change.exited |= {(namespace, room) for room in rooms}
            self._leave(connection, [Membership(namespace, room, sid) for room in (sid, None, *rooms)])

    def enter(self, connection: Connection, namespace: str, room: str, info: Any) -> None:
        """Put the connection's socket into a room."""
        sid = connection.sockets[namespace].sid
        self._leaving = [each for each in self._leaving if each != Membership(namespace, room, sid)]
        self._entering.append((namespace, [room], Member(sid, connection.id, info)))
        if room != sid:
            connection.rooms.add((namespace, room))
            change = self._change(connection)
            change.entered.add((namespace, room))
            change.exited.discard((namespace, room))

    def exit(self, connection: Connection, namespace: str, room: str) -> None:
        """Take the connection's socket out of a room."""
        sid = connection.sockets[namespace].sid
        if room != sid and (namespace, room) not in connection.rooms:
            return
        self._entering = [
            entry for entry in self._entering if (entry[0], entry[1], entry[2].sid) != (namespace, [room], sid)
        ]
        self._leave(connection, [Membership(namespace, room, sid)])
        connection.rooms.discard((namespace, room))
        change = self._change(connection)
        change.entered.discard((namespace, room))
        change.exited.add((namespace, room))

    def _leave(self, connection: Connection, places: list[Membership]) -> None:
        if self._is_closing(connection):
            self._left.update(places)  # all its places are about to be freed at once
        else:
            self._leaving += places

    def save(self, connection: Connection, namespace: str, data: Any) -> None:
        """Replace the session of the connection's socket in a namespace."""
        connection.sockets[namespace].data = data
        self._change(connection).data[namespace] = data

    def keep(self, connection: Connection, pending: tuple[str, ...]) -> None:
        """Keep the frames of an event whose attachments have yet to come."""
        if pending != connection.pending:
            connection.pending = pending
            self._change(connection).pending = pending

    # ------------------------------------------------------------------ writing
    def settle(self) -> None:
        """Write what was changed so far; DisconnectedError if the caller was to enter rooms and is gone.

        The places come first and the connection after them: if it is closing, whoever closes it does not know of
        these, so they are freed here.
        """
        changes, self._changes = self._changes, {}
        entering, self._entering = self._entering, []
        leaving, self._leaving = self._leaving, []
        if leaving:
            self.ports.rooms.leave(leaving)
        for namespace, rooms, member in entering:
            self.ports.rooms.enter(namespace, rooms, member)
        gone = {connection_id for connection_id, change in changes.items() if not self._write(connection_id, change)}
        ghosts = [
            Membership(namespace, room, member.sid)
            for namespace, rooms, member in entering
            for room in rooms
            if member.connection_id in gone
        ]
        if not ghosts:
            return
        self.ports.rooms.leave(ghosts)
        if self.caller and self.caller.id in gone and not self.closing:
            self.outbox.silence(self.caller.id)
            raise DisconnectedError(f"connection {self.caller.id} closed meanwhile, or changed at the same time")

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
            caller = self.caller.id if self.caller and self._answers else None
            self.route_response = self.outbox.flush(caller)
