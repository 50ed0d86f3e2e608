"""Engine.IO over HTTP long polling: the handshake, the poll that waits, and the requests that bring packets.

A session that polls has its own connection record; what is emitted to it waits in the record's box. Each poll takes
its answer out of the box with its last write, so one that dies half way has taken nothing.
"""

import secrets
from collections.abc import Mapping
from itertools import chain, repeat
from typing import Any

from protocol import engineio, engineio3
from protocol.engineio import SEPARATOR, Packet, PacketType
from protocol.errors import ProtocolError
from server.assembly import Assembly
from server.debug import scope
from server.dialects import VERSIONS, answer_to, dialect_of
from server.engine import Engine
from server.outbox import MARGIN
from server.ports import Gone, Ports, Unavailable
from server.reasons import CLIENT_DISCONNECT, TRANSPORT_ERROR
from server.records import MAX_LETTER, OFFER_LAPSE, Box, Connection, Dialect, Letter, is_session, polling_id
from server.server import Server

log = scope("engine:polling")
traffic = scope("engine")

MAX_PAYLOAD = 1_000_000
"""Bytes of a request's body, as in Node's server (maxHttpBufferSize)."""

MAX_ANSWER = 1_000_000
"""Characters of an answer, unless its first letter is larger."""

PAUSES = (0.05, 0.05, 0.1, 0.1, 0.2, 0.2, 0.3, 0.5, 0.5)
"""Seconds between a poll's first looks into the box; each look is a read."""

LONGEST_PAUSE = 1.0

OVERLAP = 2_500
"""Milliseconds in which a poll that lives would notice another one, a look at a stale copy included."""


class EngineError(Exception):
    """A request that Engine.IO refuses, with its code (https://socket.io/docs/v4/server-api/#enginehandshakeerrors)."""

    def __init__(self, code: int, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


UNKNOWN_TRANSPORT = (0, "Transport unknown")
UNKNOWN_SESSION = (1, "Session ID unknown")
BAD_HANDSHAKE_METHOD = (2, "Bad handshake method")
BAD_REQUEST = (3, "Bad request")
UNSUPPORTED_PROTOCOL = (5, "Unsupported protocol version")


class Polling:
    """The requests of clients that poll; deadlines are in Unix milliseconds."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def _ports(self) -> Ports:
        return self._server.ports

    @property
    def _engine(self) -> Engine:
        engine: Engine = self._server.engine
        return engine

    def answer(self, method: str, query: Mapping[str, str], body: bytes, environ: dict[str, Any], deadline: int) -> str:
        """Handle one request to Engine.IO's path; returns the body of the answer, a text. Raises EngineError."""
        log.debug("%s %s, %d bytes", method, query.get("sid", "(new)"), len(body))
        if query.get("transport") not in ("polling", "websocket"):
            raise EngineError(*UNKNOWN_TRANSPORT)
        session = query.get("sid")
        if session is None:
            return self._handshake(method, query, environ, deadline)
        if query["transport"] != "polling" or query.get("EIO") not in VERSIONS:
            raise EngineError(*BAD_REQUEST)
        if not is_session(session):
            raise EngineError(*UNKNOWN_SESSION)
        match method:
            case "GET":
                frames = self.poll(session, deadline)
                is_old = query["EIO"] == str(engineio3.PROTOCOL)
                return engineio3.payload(frames) if is_old else SEPARATOR.join(frames)
            case "POST":
                return self.take(session, body, deadline, query["EIO"])
        raise EngineError(*BAD_REQUEST)

    def _handshake(self, method: str, query: Mapping[str, str], environ: dict[str, Any], deadline: int) -> str:
        if method != "GET":
            raise EngineError(*BAD_HANDSHAKE_METHOD)
        if query["transport"] != "polling":
            raise EngineError(*BAD_REQUEST)
        if query.get("EIO") not in VERSIONS:
            raise EngineError(*UNSUPPORTED_PROTOCOL)
        session, dialect = secrets.token_urlsafe(15), dialect_of(query, environ, websocket=False)
        connection = Connection(polling_id(session), session, self._ports.now(), environ, dialect=dialect)
        self._ports.connections.open(connection)
        opening = self._engine.open_packet(session, ("websocket",), MAX_PAYLOAD)
        if dialect is not Dialect.EIO3:
            return opening
        self._engine.join_first(connection.id, deadline)
        return engineio3.payload([opening])

    # ------------------------------------------------------------------ GET
    def poll(self, session: str, deadline: int) -> list[str]:
        """Wait until there is something to say; returns packets, a noop when there is nothing for too long."""
        connection_id, poll = polling_id(session), secrets.token_hex(6)
        box = self._ports.mailboxes.begin(connection_id, poll)
        if box is None:
            raise EngineError(*UNKNOWN_SESSION)
        if box.moved:
            raise EngineError(*BAD_REQUEST)
        if box.interrupted:
            box = self._await_overlap(connection_id)
        until = min(self._ports.now() + self._engine.hold, deadline - MARGIN)
        pauses = chain(PAUSES, repeat(LONGEST_PAUSE))
        while True:
            answer = self._look(connection_id, poll, box, is_last=self._ports.now() >= until, deadline=deadline)
            if answer is not None:
                return answer
            self._ports.sleep(next(pauses))
            box = self._peek(connection_id, poll, box)

    def _peek(self, connection_id: str, poll: str, known: Box | None) -> Box | None:
        """Look into the box, and again with consistency where a stale copy would tell of an end.

        Where nothing is to be seen for now, it is as it was `known`: no answer is given that the box does not confirm,
        and a session is not to end because one of many looks failed.
        """
        try:
            box = self._ports.mailboxes.peek(connection_id)
            if box is None or box.poll != poll:
                box = self._ports.mailboxes.peek(connection_id, consistent=True)
        except Unavailable as error:
            log.warning("%s: a look into its box failed: %s", connection_id, error)
            return known
        return box

    def _await_overlap(self, connection_id: str) -> Box | None:
        """The poll before this one did not end: it lives, and will close the session, or its function died."""
        until = self._ports.now() + OVERLAP
        while self._ports.now() < until:
            self._ports.sleep(0.1)
            box = self._ports.mailboxes.peek(connection_id, consistent=True)
            if box is None:
                raise EngineError(*BAD_REQUEST)
        return box

    def _look(
        self, connection_id: str, poll: str, box: Box | None, *, is_last: bool, deadline: int
    ) -> list[str] | None:
        """Return the answer to a poll, None if it goes on waiting."""
        close, noop = [_packet(PacketType.CLOSE)], [_packet(PacketType.NOOP)]
        if box is None or box.poll is None:
            return noop  # the session has ended, or an upgrade has begun to empty the box: the next request tells
        if box.poll != poll:
            log.warning("%s: two polls at once, which ends the session", connection_id)
            self._engine.closed(connection_id, TRANSPORT_ERROR, deadline)
            return close
        letters = _fitting(box.letters)
        is_let_go = box.moved or self._ports.now() < box.offered_at + OFFER_LAPSE
        if not (letters or is_let_go or is_last):
            return None
        try:
            frames = self._ports.mailboxes.read(connection_id, letters)
        except Gone:
            return noop
        if not self._ports.mailboxes.end(connection_id, poll, letters):
            # Another poll, an upgrade or the end came in between; the next look tells which.
            return noop if box.moved or is_last else None
        return frames or noop

    # ------------------------------------------------------------------ POST
    def take(self, session: str, body: bytes, deadline: int, version: str = str(engineio.PROTOCOL)) -> str:
        """Handle the packets of one request in order; returns ``ok``."""
        if len(body) > MAX_PAYLOAD:
            raise EngineError(*BAD_REQUEST, status=413)
        connection_id = polling_id(session)
        connection = self._ports.connections.load(connection_id)
        if connection is None:
            raise EngineError(*UNKNOWN_SESSION)
        is_version = (connection.dialect is Dialect.EIO3) == (version == str(engineio3.PROTOCOL))
        if connection.id != connection_id or not is_version:
            raise EngineError(*BAD_REQUEST)
        try:
            packets = decode_payload(body, connection.dialect)
            end = self._handle(connection, packets, deadline)
        except (ProtocolError, UnicodeDecodeError) as error:
            log.warning("%s broke the protocol: %s", connection_id, error)
            self._engine.closed(connection_id, TRANSPORT_ERROR, deadline)
            raise EngineError(*BAD_REQUEST) from error
        if end:
            self._engine.closed(connection_id, end, deadline)
        return "ok"

    def _handle(self, connection: Connection, packets: list[Packet], deadline: int) -> str | None:
        """Handle packets; returns the reason if one of them ends the session.

        Raises ProtocolError for what is not of Engine.IO; what is not of Socket.IO was well delivered all the same.
        """
        assembly = Assembly(connection.pending)
        turn = self._server.turn(deadline, connection, answers=False)
        with self._server.run(turn):
            for packet in packets:
                if self._ports.now() > deadline - 2 * MARGIN:
                    raise ProtocolError("more packets in one request than there is time for")
                traffic.debug("%s <- %s %.500r", connection.id, packet.type.name, packet.data)
                match packet.type:
                    case PacketType.MESSAGE:
                        try:
                            for whole in assembly.feed(packet.data):
                                self._engine.dispatcher.dispatch(turn, connection, whole)
                        except ProtocolError as error:
                            log.warning("%s broke the protocol: %s", connection.id, error)
                            return TRANSPORT_ERROR
                    case PacketType.PING | PacketType.PONG:
                        answer = answer_to(packet, connection.dialect)
                        self._ports.connections.touch(connection.id, self._ports.now())
                        if answer is not None:
                            turn.send(connection, [answer])
                    case PacketType.CLOSE:
                        return CLIENT_DISCONNECT
                    case PacketType.NOOP | PacketType.UPGRADE:
                        log.debug("%s: %s means nothing here", connection.id, packet.type.name)
                    case _:
                        raise ProtocolError(f"a client does not send {packet.type.name}")
            turn.keep(connection, assembly.frames)
        return None


def decode_payload(body: bytes, dialect: Dialect) -> list[Packet]:
    """Return the packets of a request. Raises ProtocolError or UnicodeDecodeError."""
    return engineio3.decode_payload(body) if dialect is Dialect.EIO3 else engineio.decode_payload(body.decode())


def _packet(kind: PacketType) -> str:
    return engineio.encode_packet(Packet(kind))


def _fitting(letters: tuple[Letter, ...]) -> list[Letter]:
    """Return the first letters that go into one answer."""
    count = size = 0
    fitting: list[Letter] = []
    for letter in letters:
        count, size = count + letter.packets, size + letter.size
        if fitting and (count > MAX_LETTER or size > MAX_ANSWER):
            break
        fitting.append(letter)
    return fitting
