"""The Socket.IO server's public API: python-socketio's ``Server``, for a process that lives one invocation at a time.

What is the same as there has the same name and meaning. What is more, because nothing can be kept in memory:
``enter_room(info=…)`` and ``members``, and the journal that a room may have (``server.journal``).
"""

import contextlib
import copy
import json
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar, overload

from protocol import socketio
from protocol.socketio import PacketType
from server.exceptions import NotBoundError, PacketTooLargeError, UnknownSidError
from server.journal import Journal
from server.namespace import Namespace
from server.outbox import MARGIN, as_frames
from server.ports import Ports
from server.reasons import SERVER_DISCONNECT
from server.records import Connection, Member
from server.registry import ANY, RESERVED_EVENTS, Handler, Registry, call
from server.turn import Turn

log = logging.getLogger("fleeting.server")

H = TypeVar("H", bound=Handler)

MAX_FRAME = 131_072
"""Bytes that @connections takes in one message (API Gateway quotas)."""

MAX_ROOM = 512
"""Bytes of a room's name as JSON; it is part of a key (DynamoDB: 2,048 bytes)."""

_SERVERLESS_OPTIONS = frozenset(
    {
        "async_handlers",
        "async_mode",
        "cookie",
        "cors_allowed_origins",
        "cors_credentials",
        "engineio_logger",
        "http_compression",
        "compression_threshold",
        "logger",
        "monitor_clients",
        "ping_interval",
        "ping_timeout",
    }
)
"""Options of python-socketio's server that are accepted and do nothing: what they set is the stack's here.

The heartbeat, for one, is a parameter of the template.
"""

_turn: ContextVar[Turn | None] = ContextVar("turn", default=None)


class SessionContext:
    """What ``with sio.session(sid) as session`` runs on: saves the session when the block ends well."""

    def __init__(self, server: "Server", sid: str, namespace: str) -> None:
        self._server, self._sid, self._namespace = server, sid, namespace

    def __enter__(self) -> dict[str, Any]:
        self._session = self._server.get_session(self._sid, self._namespace)
        return self._session

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            self._server.save_session(self._sid, self._session, self._namespace)


class Server:
    """A Socket.IO server on API Gateway, Lambda and DynamoDB, with python-socketio's API.

    An application makes one at module level and registers its handlers; the Lambda handlers bind it to AWS. Sending,
    rooms and sessions work inside an event handler, where everything is sent when the handler is done, and outside of
    any, where each call does its work at once (several calls share their work inside ``with sio.batch():``).
    """

    def __init__(self, *, namespaces: Sequence[str] = ("/",), always_connect: bool = False, **options: Any) -> None:
        # `namespaces` are those that clients may join though they have no handler; "*" is any.
        if unknown := options.keys() - _SERVERLESS_OPTIONS:
            raise TypeError(f"Server() has no option {', '.join(sorted(unknown))}")
        self.always_connect = always_connect
        self._namespaces = frozenset([namespaces] if isinstance(namespaces, str) else namespaces)
        self._registry = Registry()
        self._ports: Ports | None = None
        self.engine: Any = None  # the server.engine.Engine that runs it

    def bind(self, ports: Ports) -> None:
        """Give the server what it stands on; the Lambda handlers do this once a process."""
        self._ports = ports

    @property
    def ports(self) -> Ports:
        """What `bind` gave; NotBoundError before."""
        if self._ports is None:
            raise NotBoundError("bind(ports) must come first: an application is run by the Lambda handlers (APP=…)")
        return self._ports

    # ------------------------------------------------------------------ handlers
    @overload
    def on(self, event: str, handler: None = None, namespace: str | None = None) -> Callable[[H], H]: ...

    @overload
    def on(self, event: str, handler: H, namespace: str | None = None) -> H: ...

    def on(self, event: str, handler: Any = None, namespace: str | None = None) -> Any:
        """Register a handler: ``@sio.on("name", namespace=…)``, or ``sio.on("name", function)``."""

        def register(function: H) -> H:
            self._registry.add(namespace or "/", event, function)
            return function

        return register if handler is None else register(handler)

    @overload
    def event(self, handler: H, /) -> H: ...

    @overload
    def event(self, /, *, namespace: str | None = None) -> Callable[[H], H]: ...

    def event(self, handler: Any = None, /, *, namespace: str | None = None) -> Any:
        """Register a function under its own name: ``@sio.event`` or ``@sio.event(namespace=…)``."""

        def register(function: H) -> H:
            return self.on(function.__name__, function, namespace)

        return register if handler is None else register(handler)

    def register_namespace(self, namespace: Namespace) -> None:
        """Register a class-based namespace."""
        namespace.server = self
        self._registry.add_class(namespace)

    def serves(self, namespace: str) -> bool:
        """Tell whether clients may connect to a namespace."""
        return not self._namespaces.isdisjoint({namespace, ANY}) or self._registry.serves(namespace)

    def trigger(self, event: str, namespace: str, *args: Any) -> tuple[bool, Any]:
        """Call the handler of an event; returns whether there is one, and what it returned."""
        handler = self._registry.find(namespace, event)
        if handler is None:
            return False, None
        return True, call(handler, *args, may_drop=event in RESERVED_EVENTS)

    # ------------------------------------------------------------------ sending
    def emit(
        self,
        event: str,
        data: Any = None,
        to: str | Sequence[str] | None = None,
        room: str | Sequence[str] | None = None,
        skip_sid: str | Sequence[str] | None = None,
        namespace: str | None = None,
    ) -> None:
        """Send an event to a socket, a room, several rooms (their union), or everybody in the namespace.

        ``data`` is one argument, a tuple is several, None is none; bytes may stand anywhere in it. ``to`` and ``room``
        are the same. Raises PacketTooLargeError, and TypeError for what JSON cannot carry.
        """
        args = () if data is None else data if isinstance(data, tuple) else (data,)
        space = namespace or "/"
        frames = self._frames(PacketType.EVENT, space, [event, *args])
        with self.batch() as turn:
            for target, members in self._recipients(turn, space, to or room, skip_sid):
                turn.outbox.broadcast(space, target, members, frames)

    def send(
        self,
        data: Any,
        to: str | Sequence[str] | None = None,
        room: str | Sequence[str] | None = None,
        skip_sid: str | Sequence[str] | None = None,
        namespace: str | None = None,
    ) -> None:
        """Send an event named ``message``; see `emit`."""
        self.emit("message", data, to=to, room=room, skip_sid=skip_sid, namespace=namespace)

    def _recipients(
        self, turn: Turn, namespace: str, rooms: str | Sequence[str] | None, skip: str | Sequence[str] | None
    ) -> Iterator[tuple[str | None, list[Member]]]:
        reached = {skip} if isinstance(skip, str) else set(skip or ())
        for room in [rooms] if isinstance(rooms, str) or rooms is None else rooms:
            members = [member for member in turn.members(namespace, room) if member.sid not in reached]
            reached |= {member.sid for member in members}
            yield room, members

    def _frames(self, kind: PacketType, namespace: str, data: Any = None, id: int | None = None) -> list[str]:
        frames = as_frames(socketio.encode(socketio.Packet(kind, namespace, data, id)))
        if (size := max(len(frame.encode()) for frame in frames)) > MAX_FRAME:
            raise PacketTooLargeError(f"{size} bytes; API Gateway sends at most {MAX_FRAME} in one message")
        return frames

    def reply(
        self,
        turn: Turn,
        connection: Connection,
        kind: PacketType,
        namespace: str,
        data: Any = None,
        id: int | None = None,
    ) -> None:
        """Append one packet for one connection."""
        turn.outbox.send(connection.id, self._frames(kind, namespace, data, id))

    # ------------------------------------------------------------------ rooms
    def enter_room(self, sid: str, room: str, namespace: str | None = None, *, info: Any = None) -> None:
        """Put a socket into a room. ``info`` (any JSON value) is what `members` tells of it there."""
        self._check_room(room)
        with self.batch() as turn:
            turn.enter(turn.home(namespace or "/", sid), namespace or "/", room, info)

    def leave_room(self, sid: str, room: str, namespace: str | None = None) -> None:
        """Take a socket out of a room; nothing happens if it is not there."""
        with self.batch() as turn, contextlib.suppress(UnknownSidError):
            turn.exit(turn.home(namespace or "/", sid), namespace or "/", room)

    def close_room(self, room: str, namespace: str | None = None) -> None:
        """Take everybody out of a room."""
        with self.batch() as turn:
            for member in turn.members(namespace or "/", room):
                self.leave_room(member.sid, room, namespace)

    def rooms(self, sid: str, namespace: str | None = None) -> list[str]:
        """Return the rooms that a socket is in, the one of its own id included."""
        space = namespace or "/"
        with self.batch() as turn:
            connection = turn.home(space, sid)
            return [sid, *sorted(room for where, room in connection.rooms if where == space)]

    def members(self, room: str | None, namespace: str | None = None) -> list[Member]:
        """Return who is in a room (None: in the namespace), each with the ``info`` that `enter_room` was given."""
        with self.batch() as turn:
            return turn.members(namespace or "/", room)

    def journal(self, room: str, namespace: str | None = None) -> Journal:
        """Return the journal of a room: a record of the application's, and a numbered log."""
        self._check_room(room)
        return Journal(self.ports, namespace or "/", room)

    @staticmethod
    def _check_room(room: str) -> None:
        if not isinstance(room, str) or not room or len(json.dumps(room)) > MAX_ROOM:
            raise ValueError(f"a room's name is a text of 1 to {MAX_ROOM} bytes as JSON, not {room!r:.80}")

    # ------------------------------------------------------------------ sessions
    def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """Return a copy of a socket's session, empty if nothing was saved."""
        with self.batch() as turn:
            socket = turn.home(namespace or "/", sid).sockets[namespace or "/"]
            return copy.deepcopy(socket.data) if socket.data is not None else {}

    def save_session(self, sid: str, session: Any, namespace: str | None = None) -> None:
        """Replace a socket's session; any JSON value."""
        with self.batch() as turn:
            turn.save(turn.home(namespace or "/", sid), namespace or "/", copy.deepcopy(session))

    def session(self, sid: str, namespace: str | None = None) -> SessionContext:
        """Return a context manager: ``with sio.session(sid) as session:`` saves what was changed."""
        return SessionContext(self, sid, namespace or "/")

    def get_environ(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """Return what the ``connect`` handler got as its environ."""
        with self.batch() as turn:
            return turn.home(namespace or "/", sid).environ

    # ------------------------------------------------------------------ connections
    def disconnect(self, sid: str, namespace: str | None = None) -> None:
        """Disconnect a socket from its namespace; its ``disconnect`` handler gets ``"server disconnect"``."""
        space = namespace or "/"
        with self.batch() as turn:
            try:
                connection = turn.home(space, sid)
            except UnknownSidError:
                return
            self.reply(turn, connection, PacketType.DISCONNECT, space)
            self.leave(turn, connection, space, SERVER_DISCONNECT)

    def leave(self, turn: Turn, connection: Connection, namespace: str, reason: str) -> None:
        """Tell the application that a socket is gone, then free its places; once, however many turns say so."""
        if not turn.release(connection, namespace):
            return
        sid = connection.sockets[namespace].sid
        try:
            self.trigger("disconnect", namespace, sid, reason)
        except Exception:
            log.exception("the disconnect handler of %s failed", namespace)
        if namespace in connection.sockets:
            turn.part(connection, namespace)

    # ------------------------------------------------------------------ turns
    @contextmanager
    def batch(self) -> Iterator[Turn]:
        """Share one unit of work among several calls made outside of any event handler.

        Inside a handler there is one already. What was emitted is sent when the block ends, also when it raises.
        """
        if (turn := _turn.get()) is not None:
            yield turn
            return
        with self.run(Turn(self.ports, self.ports.now() + 20_000 + MARGIN)) as turn:
            yield turn

    @contextmanager
    def run(self, turn: Turn) -> Iterator[Turn]:
        """Make a turn the current one; it ends with the block."""
        token = _turn.set(turn)
        try:
            yield turn
        finally:
            _turn.reset(token)
            turn.end()
