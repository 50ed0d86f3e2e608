"""The values that the server keeps between two invocations, and hands to its ports.

Times are Unix milliseconds unless a name says otherwise.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

_POLLING = "~"  # no id of API Gateway's begins so: they are base64url


def polling_id(session: str) -> str:
    """Return the connection id of a session that polls: it has no WebSocket to be named after."""
    return _POLLING + session


def is_session(text: str) -> bool:
    """Tell whether a text from outside has the shape of a session id."""
    return 0 < len(text) <= 64 and text.isascii() and text.replace("-", "").replace("_", "").isalnum()


def is_polling(connection_id: str) -> bool:
    """Tell whether a connection is one that polls."""
    return connection_id.startswith(_POLLING)


class Dialect(StrEnum):
    """How a client wants its packets; a place in a room says it too, so that an emit need not ask."""

    PLAIN = ""
    OFFSETS = "o"  # takes the last argument of an event for its offset, and shows it when it comes back
    EIO3 = "3"  # Engine.IO 3, Socket.IO 2


@dataclass(slots=True)
class Socket:
    """A connection's presence in one namespace: its socket id, and its session (any JSON value).

    ``pid`` is the secret by which its client gets it back after a reconnect ("" where it cannot), ``at`` when it
    joined. Of one whose client got it back, ``box`` is the connection in which it waited until then, and ``returned``
    tells that the application had heard that it was gone.
    """

    sid: str
    data: Any = None
    pid: str = ""
    at: int = 0
    returned: bool = False
    box: str = ""


class Ending(NamedTuple):
    """A socket whose end has begun: when, and by what work (see `server.turn.Turn`)."""

    socket: Socket
    at: int
    by: str


END_LAPSE = 60_000
"""Milliseconds after which whoever began to end a socket, or a connection, counts as dead."""


Stays = tuple[tuple[int, int, Any], ...]
"""When a socket entered a room, when it left, and its ``info`` there, oldest first; 0 while it has not left.

Those that ended are kept for as long as a packet of then might be missed by a client that comes back.
"""


@dataclass(slots=True)
class Connection:
    """A client's connection: everything that one of its frames needs, in one read.

    ``environ`` is what the ``connect`` handler gets, ``sockets`` maps a namespace to its socket, and ``stays`` has the
    (namespace, room) pairs entered beside the two that every socket is in. ``pending`` are the frames of an event whose
    attachments have not all come, and of what came after it. ``handled`` is the queue's number of the last frame that
    was handled to its end. ``probes`` is the polling connection that this WebSocket may take over; once it has, that is
    ``origin``. ``offered`` is the WebSocket that probes for a polling one. ``letters`` are the keys of those that wait
    outside of the record. ``holds`` is the socket that a client is about to get back: what is sent to it waits here.
    ``leaving`` are the sockets, by namespace, that somebody is ending, who may have died over it. ``joined`` tells that
    there has been a socket, ever.
    """

    id: str
    session: str
    born: int
    environ: dict[str, Any] = field(default_factory=dict)
    sockets: dict[str, Socket] = field(default_factory=dict)
    stays: dict[tuple[str, str], Stays] = field(default_factory=dict)
    pending: tuple[str, ...] = ()
    handled: int = 0
    dialect: Dialect = Dialect.PLAIN
    probes: str | None = None
    origin: str | None = None
    offered: str | None = None
    letters: tuple[str, ...] = ()
    holds: "Parked | None" = None
    leaving: dict[str, Ending] = field(default_factory=dict)
    joined: bool = False

    @property
    def rooms(self) -> set[tuple[str, str]]:
        """The (namespace, room) pairs that its sockets are in."""
        return {room for room, stays in self.stays.items() if stays and not stays[-1][1]}

    def places(self) -> list["Membership"]:
        """Return every place that the connection's sockets hold."""
        sockets = {name: ending.socket for name, ending in self.leaving.items()} | self.sockets
        own = [Membership(name, room, socket.sid) for name, socket in sockets.items() for room in (socket.sid, None)]
        entered = [Membership(name, room, sockets[name].sid) for name, room in self.rooms if name in sockets]
        return own + entered + (self.holds.places() if self.holds else [])

    def take_back(self, work: str, at: int) -> list[str]:
        """Count the sockets as there that this work began to end, or somebody who has died since; `at` is now.

        Returns their namespaces.
        """
        found = [name for name, end in self.leaving.items() if end.by == work or end.at < at - END_LAPSE]
        self.sockets |= {namespace: self.leaving.pop(namespace).socket for namespace in found}
        return found


@dataclass(slots=True)
class Change:
    """What a handler changed of a connection; written at once, in a single call."""

    joined: dict[str, Socket] = field(default_factory=dict)  # by namespace
    data: dict[str, Any] = field(default_factory=dict)  # namespace -> session
    stays: dict[tuple[str, str], Stays] = field(default_factory=dict)  # () to forget them
    pending: tuple[str, ...] | None = None  # None: as it was

    def __bool__(self) -> bool:
        return bool(self.joined or self.data or self.stays or self.pending is not None)


class Beat(NamedTuple):
    """What the heartbeat must know of a connection.

    With a ``pid`` it is none, but a socket without one, whose client may come back until ``born``.
    """

    connection_id: str
    born: int
    seen: int  # the last pong
    joined: bool  # to any namespace, ever
    dialect: Dialect = Dialect.PLAIN
    pid: str = ""


class Member(NamedTuple):
    """A socket in a room. ``info`` is what ``enter_room(info=…)`` was given: any JSON value."""

    sid: str
    connection_id: str
    info: Any = None
    dialect: Dialect = Dialect.PLAIN
    after: str = ""  # it has every packet up to this offset, or is about to get it


class Membership(NamedTuple):
    """The place of a socket in a room; room ``None`` is the namespace's room of all."""

    namespace: str
    room: str | None
    sid: str


class Letter(NamedTuple):
    """Packets that wait for a polling client, at most `MAX_LETTER`: in `payload`, or by `key` where they are kept."""

    packets: int
    size: int  # characters
    payload: str = ""
    key: str = ""


MAX_LETTER = 16
"""Packets of one letter, and of one answer to a poll: python-engineio's client takes no more."""


OFFER_LAPSE = 10_000
"""Milliseconds after which a probe that went no further is forgotten, as in Node's server (upgradeTimeout)."""


class Box(NamedTuple):
    """What a poll finds: the letters in order, whose poll it is, and where the session is about to go, or went."""

    letters: tuple[Letter, ...] = ()
    poll: str | None = None
    interrupted: bool = False  # the poll before this one never ended
    offered: str | None = None  # the WebSocket that was answered "3probe" …
    offered_at: int = 0  # … and when
    moved: str | None = None


class Question(NamedTuple):
    """What an emit with a callback asks for: the acknowledgements, within `timeout` seconds.

    ``callback`` names a function, which gets ``args`` first. With ``collects`` it is called once, with all answers.
    """

    callback: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    timeout: float
    collects: bool = False


class Asked(NamedTuple):
    """An emit that asks for acknowledgements: whose are awaited, what came (frames by socket id), until when."""

    namespace: str
    waiting: frozenset[str]
    answers: dict[str, list[str]]
    question: Question
    until: int


class Parked(NamedTuple):
    """The socket of a client that may come back by its `pid` until then. ``silent``: the application knows nothing."""

    pid: str
    namespace: str
    socket: Socket
    stays: dict[str, Stays]  # by room
    environ: dict[str, Any]
    until: int
    silent: bool = False

    def places(self) -> list[Membership]:
        """Return every place that the socket has when its client is there."""
        rooms = [room for room, stays in self.stays.items() if stays and not stays[-1][1]]
        return [Membership(self.namespace, room, self.socket.sid) for room in (self.socket.sid, None, *rooms)]


class JournalRecord(NamedTuple):
    """A journal's head: the application's data, Unix seconds of its end, the number of its last entry."""

    data: Any
    expires_at: int
    last: int


class Entry(NamedTuple):
    """One entry of a journal. ``seq`` counts 1, 2, 3 …; ``at`` is when it was appended."""

    key: str
    seq: int
    at: int
    body: Any

    def as_json(self) -> dict[str, Any]:
        """Return the entry as `Emitter.publish` sends it; its body is an object."""
        return {"seq": self.seq, "id": self.key, **self.body, "at": self.at}


class Packet(NamedTuple):
    """An event as it was sent to a room, for those who come back: its frames, and who did not get it.

    What was published has the journal's ``entry`` and the ``event``'s name instead of frames. ``late`` milliseconds
    after its offset's time it was with everybody who was there.
    """

    offset: str
    frames: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    apart: tuple[str, ...] = ()
    late: int = 0
    event: str = ""
    entry: Entry | None = None
