"""Socket.IO packets to the application's handlers, and what the protocol answers for them."""

import logging
import secrets
from typing import Any

from protocol import engineio, socketio
from protocol.errors import ProtocolError
from protocol.socketio import Packet, PacketType, Pending
from server.exceptions import ConnectionRefusedError, DisconnectedError
from server.reasons import CLIENT_DISCONNECT
from server.records import Connection
from server.server import Server
from server.turn import Turn

log = logging.getLogger("fleeting.dispatcher")

MAX_PENDING = 100_000
"""Bytes of an event that waits for attachments: they are in the connection's record, and each of its writes pays."""


class Assembly:
    """Puts events and their attachments together; what is incomplete is carried over as `frames`."""

    def __init__(self, frames: tuple[str, ...]) -> None:
        self._waiting: Pending | None = None
        for frame in frames:
            self.feed(engineio.decode_packet(frame).data)

    def feed(self, data: str | bytes) -> Packet | None:
        """Take the data of a message; returns the packet that it completes. Raises ProtocolError."""
        if isinstance(data, bytes):
            if self._waiting is None:
                raise ProtocolError("an attachment came without its event")
            result = self._waiting.attach(data)
        elif self._waiting is not None:
            raise ProtocolError("a packet came where an attachment was due")
        else:
            result = socketio.decode_header(data)
        self._waiting = result if isinstance(result, Pending) else None
        return None if isinstance(result, Pending) else result

    @property
    def frames(self) -> tuple[str, ...]:
        """What waits for attachments, as Engine.IO frames."""
        if self._waiting is None:
            return ()
        parts: list[str | bytes] = [self._waiting.header, *self._waiting.attachments]
        frames = tuple(engineio.encode_packet(engineio.Packet(engineio.PacketType.MESSAGE, part)) for part in parts)
        if sum(len(frame.encode()) for frame in frames) > MAX_PENDING:
            raise ProtocolError(f"an event of more than {MAX_PENDING} bytes came in several requests")
        return frames


class Dispatcher:
    """Handles packets on behalf of a server."""

    def __init__(self, server: Server) -> None:
        self._server = server

    def dispatch(self, turn: Turn, connection: Connection, packet: Packet) -> None:
        """Handle one packet of a connection; no exception of the application comes out, but a ProtocolError may."""
        if packet.type is PacketType.CONNECT:
            self._connect(turn, connection, packet.namespace, packet.data)
        elif not connection.sockets:
            raise ProtocolError(f"{packet.type.name} came, and the client is in no namespace")
        elif packet.namespace not in connection.sockets:
            log.info("%s is not in namespace %.80r: %s dropped", connection.id, packet.namespace, packet.type.name)
        elif packet.type is PacketType.EVENT:
            self._event(turn, connection, packet)
        elif packet.type is PacketType.DISCONNECT:
            self._server.leave(turn, connection, packet.namespace, CLIENT_DISCONNECT)
        else:
            log.info("%s sent %s, for which nothing waits", connection.id, packet.type.name)

    def _connect(self, turn: Turn, connection: Connection, namespace: str, auth: Any) -> None:
        server = self._server
        if not server.serves(namespace):
            error = {"message": "Invalid namespace"}
            server.reply(turn, connection, PacketType.CONNECT_ERROR, namespace, error)
            return
        if socket := connection.sockets.get(namespace):
            server.reply(turn, connection, PacketType.CONNECT, namespace, {"sid": socket.sid})
            return
        sid = secrets.token_urlsafe(15)
        turn.join(connection, namespace, sid)
        if server.always_connect:
            server.reply(turn, connection, PacketType.CONNECT, namespace, {"sid": sid})
        refusal = self._refusal(namespace, sid, connection.environ, auth)
        if refusal is None:
            if not server.always_connect:
                server.reply(turn, connection, PacketType.CONNECT, namespace, {"sid": sid})
            return
        if namespace in connection.sockets and turn.release(connection, namespace):
            turn.part(connection, namespace)
        if server.always_connect:
            server.reply(turn, connection, PacketType.DISCONNECT, namespace)
        else:
            server.reply(turn, connection, PacketType.CONNECT_ERROR, namespace, refusal)

    def _refusal(self, namespace: str, sid: str, environ: dict[str, Any], auth: Any) -> dict[str, Any] | None:
        """Ask the application; returns what CONNECT_ERROR says, or None where the client is welcome."""
        refused = ConnectionRefusedError()
        try:
            _, answer = self._server.trigger("connect", namespace, sid, environ, auth)
        except ConnectionRefusedError as error:
            refused = error
        except DisconnectedError as error:
            log.info("the connect handler of %s ends early: %s", namespace, error)
        except Exception:
            log.exception("the connect handler of %s failed", namespace)
        else:
            if answer is not False:
                return None
        return refused.error_args

    def _event(self, turn: Turn, connection: Connection, packet: socketio.Packet) -> None:
        name, *args = packet.data
        sid = connection.sockets[packet.namespace].sid
        try:
            handled, answer = self._server.trigger(name, packet.namespace, sid, *args)
            if handled and packet.id is not None:
                values = [] if answer is None else list(answer) if isinstance(answer, tuple) else [answer]
                self._server.reply(turn, connection, PacketType.ACK, packet.namespace, values, packet.id)
        except DisconnectedError as error:
            log.info("the handler of %r in %s ends early: %s", name, packet.namespace, error)
        except Exception:
            # As in python-socketio, the client gets no acknowledgement.
            log.exception("the handler of %r in %s failed", name, packet.namespace)
