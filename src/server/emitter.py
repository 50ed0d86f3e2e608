"""What an application does to its clients: emit, rooms, sessions, all sockets of a room. Needs no connection.

`Server` is an emitter that has handlers as well. An emitter alone serves other functions, and scripts.
"""

import contextlib
import copy
import json
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from protocol.socketio import PacketType
from server import jobs
from server.acks import Acks, Callbacks, as_json
from server.debug import scope
from server.emission import Emission, packet_frames
from server.exceptions import CallError, NotBoundError, TimeoutError, UnknownSidError
from server.journal import Journal
from server.outbox import MARGIN, group_of_connection
from server.ports import Ports
from server.records import Connection, Entry, Member, Question, is_polling
from server.recovery import Recovery
from server.remote import RemoteSocket
from server.turn import Turn

log = scope("socket.io:server")

MAX_ROOM = 512
"""Bytes of a room's name as JSON; it is part of a key (DynamoDB: 2,048 bytes)."""

ACK_TIMEOUT = 60
"""Seconds for which an answer is waited for, unless an emit says otherwise."""

MAX_LIMITED = 1_024
"""Bytes of what `Emitter.allow` counts, as JSON; it is part of a key as well."""

MAX_CALL = 65_536
"""Bytes of a call that `Emitter.at` notes, as JSON: a message of the queue holds 256 KB."""

LATEST = 10**11
"""Unix seconds; later times have more digits."""

PATIENCE = 24 * 3600
"""Seconds for which a function of `Emitter.at` that fails is called again."""

UNSURE = 60_000
"""Milliseconds for which what was published is sent again if it comes again."""

OUTSIDE = 20_000
"""Milliseconds that work outside of any invocation may take."""

Callback = Callable[..., Any]
Names = str | Sequence[str] | None


class SessionContext:
    """What ``with sio.session(sid) as session`` runs on: saves the session when the block ends well."""

    def __init__(self, emitter: "Emitter", sid: str, namespace: str) -> None:
        self._emitter, self._sid, self._namespace = emitter, sid, namespace

    def __enter__(self) -> dict[str, Any]:
        self._session = self._emitter.get_session(self._sid, self._namespace)
        return self._session

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if kind is None:
            self._emitter.save_session(self._sid, self._session, self._namespace)


class Emitter:
    """Emits to the clients of a server, and sees to their rooms, from wherever there are ports (`aws.emitter`).

    Inside an event handler everything is sent when the handler is done; elsewhere each call does its work at once, and
    several share theirs inside ``with sio.batch():``.
    """

    def __init__(self) -> None:
        self._turn: ContextVar[Turn | None] = ContextVar("turn", default=None)
        self._ports: Ports | None = None
        self._acks: Acks | None = None
        self.callbacks = Callbacks()
        self.recovery: Recovery | None = None

    def bind(self, ports: Ports, recovery: Recovery | None = None) -> None:
        """Give the emitter what it stands on, once a process; `recovery` if clients may come back to their sockets."""
        self._ports = ports
        self._acks = Acks(ports, self.callbacks)
        self.recovery = recovery

    @property
    def ports(self) -> Ports:
        """What `bind` gave; NotBoundError before."""
        if self._ports is None:
            raise NotBoundError("bind(ports) must come first: an application is run by the Lambda handlers (APP=…)")
        return self._ports

    @property
    def acks(self) -> Acks:
        """The acknowledgements of clients; NotBoundError before `bind`."""
        assert self.ports
        assert self._acks
        return self._acks

    # ------------------------------------------------------------------ sending
    def emit(
        self,
        event: str,
        data: Any = None,
        to: Names = None,
        room: Names = None,
        skip_sid: Names = None,
        namespace: str | None = None,
        callback: Callback | str | None = None,
        ignore_queue: bool = False,
        *,
        except_room: Names = None,
        volatile: bool = False,
        timeout: float | None = None,
    ) -> None:
        """Send an event to a socket, a room, several rooms (their union), or everybody in the namespace.

        ``data`` is one argument, a tuple is several, None is none; bytes may stand anywhere in it. ``to`` and ``room``
        are the same. Not to the sockets in ``skip_sid``, nor to those in ``except_room``. What is ``volatile`` is
        dropped for whom it cannot be sent to at once, and is not kept for those who come back.

        ``callback`` is called with what a client acknowledges, once for each client, within 60 seconds or `timeout`:
        ``callback(*values)``. It may run in another process, so it is a function at the top of a module, or one that
        `Server.callback` registered, or its name; ``functools.partial`` gives it arguments, which are kept as JSON.
        With ``timeout`` (seconds) it is called once, when everybody has answered or the time is up:
        ``callback(answers, missing)``, a list of values by socket id, and the ids of those who did not answer.

        Raises PacketTooLargeError, TypeError for what JSON cannot carry, ValueError for a callback that could not be
        found again, TooManyAskedError. `ignore_queue` is python-socketio's, and means nothing here.
        """
        log.debug("emit %r to %s of %s", event, "all" if (to or room) is None else to or room, namespace or "/")
        question = None
        if callback is not None:
            name, args, kwargs = self.callbacks.describe(callback)
            as_json(args, kwargs)
            question = Question(name, args, kwargs, timeout or ACK_TIMEOUT, timeout is not None)
        elif timeout is not None:
            raise ValueError("a timeout is for the answers that a callback gets")
        with self.batch() as turn:
            turn.emit(self._emission(event, data, to or room, skip_sid, namespace, except_room, volatile, question))

    def _emission(
        self,
        event: str,
        data: Any,
        rooms: Names,
        skip_sid: Names = None,
        namespace: str | None = None,
        except_room: Names = None,
        volatile: bool = False,
        question: Question | None = None,
    ) -> Emission:
        args = () if data is None else data if isinstance(data, tuple) else (data,)
        frames = packet_frames(PacketType.EVENT, namespace or "/", [event, *args])
        to = (None,) if rooms is None else _names(rooms)
        return Emission(namespace or "/", to, tuple(frames), _names(except_room), _names(skip_sid), volatile, question)

    def send(
        self,
        data: Any,
        to: Names = None,
        room: Names = None,
        skip_sid: Names = None,
        namespace: str | None = None,
        callback: Callback | str | None = None,
        ignore_queue: bool = False,
        **options: Any,
    ) -> None:
        """Send an event named ``message``; see `emit`."""
        self.emit("message", data, to, room, skip_sid, namespace, callback, ignore_queue, **options)

    def call(
        self,
        event: str,
        data: Any = None,
        to: str | None = None,
        sid: str | None = None,
        namespace: str | None = None,
        timeout: float = 60,
        ignore_queue: bool = False,
    ) -> Any:
        """Send an event to one socket and wait for its answer: None, a value, or a tuple of several.

        Waits no longer than this invocation lasts: where 29 seconds are too short, use `emit` with a callback. Raises
        TimeoutError, UnknownSidError, and CallError for the client whose event is being handled: what it sends waits
        until this handler is done, its answer as well.
        """
        target, space = to or sid, namespace or "/"
        if target is None:
            raise ValueError("call() asks one socket: say which (to=)")
        with self.batch() as turn:
            connection = turn.home(space, target)
            if turn.caller is not None and connection.id == turn.caller.id:
                raise CallError(
                    "call() cannot ask the client whose event is being handled: its answer would wait for this handler "
                    "to end; use emit(callback=)"
                )
            turn.resolve()
            until = min(self.ports.now() + int(timeout * 1000), turn.deadline - MARGIN)
            emission = self._emission(event, data, target, None, space, question=Question("", (), {}, timeout))
            number = self.acks.ask(emission, [target])
            turn.ask(connection, emission, number)
            values = self.acks.wait(number, until)
        if values is None:
            raise TimeoutError(f"{target} did not answer {event!r} in time")
        return None if not values else values[0] if len(values) == 1 else tuple(values)

    def publish(
        self, event: str, key: str, body: dict[str, Any], room: str, namespace: str | None = None
    ) -> tuple[Entry, bool]:
        """Append to a room's journal, and send what was appended to the room: ``{seq, id, at, **body}``.

        The entry is also what those get who come back. The same key again changes nothing; with the same body it is
        sent again within a minute: whoever repeats it may have had no answer because the first time came to nobody.
        Clients know it by its number. Returns and raises as `Journal.append`.
        """
        journal = self.journal(room, namespace)
        with self.batch() as turn:
            offset = turn.next_offset()
            entry, is_new = journal.append(key, body, published=(offset, event) if offset else None)
            if is_new:
                emission = self._emission(event, entry.as_json(), room, namespace=namespace)
                turn.emit(emission._replace(published=(offset, key)) if offset else emission)
                turn.send_out()  # whoever comes back finds it in the journal from now on
            elif turn.again or (entry.body == body and self.ports.now() - entry.at < UNSURE):
                # The invocation before this one may not have come to it.
                emission = self._emission(event, entry.as_json(), room, namespace=namespace)
                turn.emit(emission._replace(kept=True))
        return entry, is_new

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
        turn.send(connection, packet_frames(kind, namespace, data, id))

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
        self.sockets_leave(room, room=room, namespace=namespace)

    def rooms(self, sid: str, namespace: str | None = None) -> list[str]:
        """Return the rooms that a socket is in, the one of its own id included."""
        space = namespace or "/"
        with self.batch() as turn:
            return [sid, *_rooms_of(turn.home(space, sid), space)]

    def members(self, room: str | None, namespace: str | None = None) -> list[Member]:
        """Return who is in a room (None: in the namespace), each with the ``info`` that `enter_room` was given."""
        with self.batch() as turn:
            return turn.members(namespace or "/", room)

    def journal(self, room: str, namespace: str | None = None) -> Journal:
        """Return the journal of a room: a record of the application's, and a numbered log."""
        self._check_room(room)
        return Journal(self.ports, namespace or "/", room, self._until)

    def _until(self) -> int:
        """Return when (Unix ms) work that takes long has to stop, so that the rest can be done."""
        turn = self._turn.get()
        return self.ports.now() + OUTSIDE if turn is None else turn.deadline - MARGIN

    @staticmethod
    def _check_room(room: str) -> None:
        if not isinstance(room, str) or not room or len(json.dumps(room)) > MAX_ROOM:
            raise ValueError(f"a room's name is a text of 1 to {MAX_ROOM} bytes as JSON, not {room!r:.80}")

    # ------------------------------------------------------------------ all sockets of a room
    def fetch_sockets(self, room: Names = None, namespace: str | None = None) -> list[RemoteSocket]:
        """Return the sockets in a room, or several, or the namespace, wherever they are connected."""
        space = namespace or "/"
        with self.batch() as turn:
            return [
                RemoteSocket(self, sid, space, (sid, *_rooms_of(home, space)), copy.deepcopy(home.sockets[space].data))
                for sid, home in self._homes(turn, space, room)
            ]

    def sockets_join(self, rooms: Names, room: Names = None, namespace: str | None = None) -> None:
        """Put all sockets of a room (or several, or the namespace) into other rooms."""
        space = namespace or "/"
        for name in _names(rooms):
            self._check_room(name)
        with self.batch() as turn:
            for _, home in self._homes(turn, space, room):
                for name in _names(rooms):
                    turn.enter(home, space, name, None)

    def sockets_leave(self, rooms: Names, room: Names = None, namespace: str | None = None) -> None:
        """Take all sockets of a room (or several, or the namespace) out of rooms."""
        space = namespace or "/"
        with self.batch() as turn:
            for _, home in self._homes(turn, space, room):
                for name in _names(rooms):
                    turn.exit(home, space, name)

    def disconnect_sockets(self, room: Names = None, namespace: str | None = None) -> None:
        """Disconnect all sockets of a room, or several, or the namespace."""
        with self.batch() as turn:
            for sid, _ in self._homes(turn, namespace or "/", room):
                self.disconnect(sid, namespace)

    def _homes(self, turn: Turn, namespace: str, room: Names) -> list[tuple[str, Connection]]:
        """Return the sockets of rooms with their connections, in a read of each room and one for 100 connections."""
        rooms = (None,) if room is None else _names(room)
        found = {member.sid: member for each in rooms for member in turn.members(namespace, each)}
        turn.preload(list(found.values()))
        homes: list[tuple[str, Connection]] = []
        for sid in found:
            with contextlib.suppress(UnknownSidError):
                homes.append((sid, turn.home(namespace, sid)))
        return homes

    # ------------------------------------------------------------------ sessions
    def get_session(self, sid: str, namespace: str | None = None) -> dict[str, Any]:
        """Return a copy of a socket's session, empty if nothing was saved."""
        with self.batch() as turn:
            socket = turn.home(namespace or "/", sid).sockets[namespace or "/"]
            return copy.deepcopy(socket.data) if socket.data is not None else {}

    def save_session(self, sid: str, session: Any, namespace: str | None = None) -> None:
        """Replace a socket's session; any JSON value.

        Where frames come through a queue (Ingest=ordered), what an event's handler saves of its own client is written
        when its frame is done, with the note that it is: both or neither. Others see it then.
        """
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
    def transport(self, sid: str, namespace: str | None = None) -> str:
        """Return how a socket is connected: ``polling`` or ``websocket``."""
        with self.batch() as turn:
            return "polling" if is_polling(turn.home(namespace or "/", sid).id) else "websocket"

    def sleep(self, seconds: float) -> None:
        """Wait, within this invocation, which is paid for meanwhile; it lasts 29 seconds at most."""
        self.ports.sleep(seconds)

    def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Disconnect a socket from its namespace; its ``disconnect`` handler gets ``"server disconnect"``.

        The handler is the application's, so from outside of it this is done a moment later, by its own function.
        """
        with self.batch() as turn:
            connection_id = next(
                (each.connection_id for each in turn.members(namespace or "/", sid) if each.sid == sid), None
            )
            if connection_id is not None:
                job = jobs.Disconnect(connection_id, namespace or "/", sid)
                self.ports.queue.put([(group_of_connection(connection_id), jobs.to_json(job))])

    # ------------------------------------------------------------------ limits and time
    def allow(self, key: str, limit: int, seconds: int) -> int:
        """Count one use of a key; returns 0 if it is allowed, else after how many seconds it will be.

        Allowed are so many in each window of so many seconds, all windows beginning at multiples of them: at its border
        twice as many may come at once. A limit of 0 or less is none, and costs no call. A key is a text of up to 1,024
        bytes as JSON; ValueError for another.
        """
        if limit <= 0:
            return 0
        if not key or len(json.dumps(key)) > MAX_LIMITED:
            raise ValueError(f"a key is a text of 1 to {MAX_LIMITED} bytes as JSON, not {key!r:.80}")
        if seconds < 1:
            raise ValueError(f"a window has at least a second, not {seconds!r}")
        now = self.ports.now()
        end = (now // 1000 // seconds + 1) * seconds
        # The same key may have windows of several lengths, which end together at times.
        return 0 if self.ports.limits.count(f"{seconds} {key}", limit, end) else -((now - end * 1000) // 1000)

    def at(self, when: float, function: Callback | str, *args: Any, **kwargs: Any) -> None:
        """Call ``function(*args, **kwargs)`` at a time (Unix seconds), up to a minute later; in any process.

        So it is a function at the top of a module, or one that `Server.callback` registered, or its name, and its
        arguments are JSON, 64 KB at most: ValueError otherwise. It is called at least once, as if from the queue. If it
        raises, that is logged, and it is called again after a minute, for a day.
        """
        name, first, named = self.callbacks.describe(function)
        args, kwargs = (*first, *args), {**named, **kwargs}
        as_json(args, kwargs)
        if not 0 <= when < LATEST:
            raise ValueError(f"a time is in Unix seconds, not {when!r}")
        call = jobs.Call(name, args, kwargs, int(max(when, self.ports.now() // 1000)) + PATIENCE)
        job = jobs.to_json(call)
        if len(job) > MAX_CALL:
            raise ValueError(f"a call has {MAX_CALL} bytes as JSON at most, not {len(job)}")
        self.ports.agenda.add(job, math.ceil(when))

    # ------------------------------------------------------------------ turns
    @contextmanager
    def batch(self) -> Iterator[Turn]:
        """Share one unit of work among several calls made outside of any event handler.

        Inside a handler there is one already. What was emitted is sent when the block ends, also when it raises.
        """
        if (turn := self._turn.get()) is not None:
            yield turn
            return
        with self.run(self.turn(self.ports.now() + OUTSIDE + MARGIN)) as turn:
            yield turn

    def turn(self, deadline: int, caller: Connection | None = None, **options: Any) -> Turn:
        """Return a new unit of work, for `run`; see `Turn`."""
        keeper = self.recovery.log() if self.recovery else None
        return Turn(self.ports, deadline, caller, keeper=keeper, asking=self.acks.ask, **options)

    @contextmanager
    def run(self, turn: Turn) -> Iterator[Turn]:
        """Make a turn the current one; it ends with the block."""
        token = self._turn.set(turn)
        try:
            yield turn
        finally:
            self._turn.reset(token)
            turn.end()


def _names(names: Names) -> tuple[str, ...]:
    return () if names is None else (names,) if isinstance(names, str) else tuple(names)


def _rooms_of(connection: Connection, namespace: str) -> list[str]:
    return sorted(room for where, room in connection.rooms if where == namespace)
