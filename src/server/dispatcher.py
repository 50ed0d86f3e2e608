"""Socket.IO packets to the application's handlers, and what the protocol answers for them."""

import json
import secrets
from typing import Any

from protocol.errors import ProtocolError
from protocol.socketio import Packet, PacketType, split_query
from server.debug import scope
from server.emitter import MAX_ROOM
from server.exceptions import ConnectionRefusedError, DisconnectedError, EventRefusedError
from server.ports import PortError, Unavailable
from server.reasons import CLIENT_DISCONNECT, TRANSPORT_CLOSE, TRANSPORT_ERROR
from server.records import Connection, Dialect, Socket
from server.reunion import Reunion
from server.server import Server
from server.turn import Turn

log = scope("socket.io:client")


MOST_NAMESPACES = 100
"""Namespaces that one connection may be in; patterns and functions may fit any number."""


class Dispatcher:
    """Handles packets on behalf of a server."""

    def __init__(self, server: Server, reunion: Reunion) -> None:
        self._server = server
        self._reunion = reunion

    def dispatch(self, turn: Turn, connection: Connection, packet: Packet, frame: int = 0) -> None:
        """Handle one packet of a connection, `frame` being its number in the queue.

        No exception of the application comes out, but a ProtocolError may; and Unavailable where the handler of a
        frame of the queue met a service that refused for now: it comes again, perhaps at a better time.
        """
        log.debug(
            "%s %s in %s, id %s: %.500r", connection.id, packet.type.name, packet.namespace, packet.id, packet.data
        )
        if packet.type is PacketType.CONNECT:
            self.connect(turn, connection, packet.namespace, packet.data)
        elif not connection.sockets and not (connection.joined and packet.type is PacketType.DISCONNECT):
            # Where it was, both sides may say goodbye at once.
            raise ProtocolError(f"{packet.type.name} came, and the client is in no namespace")
        elif packet.namespace not in connection.sockets:
            log.info("%s is not in namespace %.80r: %s dropped", connection.id, packet.namespace, packet.type.name)
        elif packet.type is PacketType.EVENT:
            self._event(turn, connection, packet, frame)
        elif packet.type is PacketType.DISCONNECT:
            self._server.leave(turn, connection, packet.namespace, CLIENT_DISCONNECT)
        elif packet.type is PacketType.ACK and packet.id is not None:
            sid = connection.sockets[packet.namespace].sid
            self._server.acks.answered(packet.id, packet.namespace, sid, packet.data, frame)
        else:
            log.info("%s sent %s, for which nothing waits", connection.id, packet.type.name)

    def refuse(self, turn: Turn, connection: Connection, namespace: str, message: str) -> None:
        """Tell a client why it loses its socket, in the only packet that the protocol has for it."""
        self._server.reply(turn, connection, PacketType.CONNECT_ERROR, namespace, {"message": message})
        if namespace in connection.sockets:
            self._server.leave(turn, connection, namespace, CLIENT_DISCONNECT)

    # ------------------------------------------------------------------ CONNECT
    def connect(self, turn: Turn, connection: Connection, namespace: str, auth: Any) -> None:
        """Let a client into a namespace, unless the application refuses."""
        server = self._server
        if connection.dialect is Dialect.EIO3:
            namespace, query = split_query(namespace)
            auth = auth or query or None
        is_one_too_many = namespace not in connection.sockets and len(connection.sockets) >= MOST_NAMESPACES
        if is_one_too_many or len(json.dumps(namespace)) > MAX_ROOM or not server.serves(namespace):
            error = {"message": "Invalid namespace"}
            server.reply(turn, connection, PacketType.CONNECT_ERROR, namespace, error)
            return
        socket = connection.sockets.get(namespace)
        if socket and turn.is_leaving(connection, namespace):
            self._server.leave(turn, connection, namespace, TRANSPORT_ERROR)
            socket = None
        if socket and not turn.again:
            self._welcome(turn, connection, namespace, socket)
            return
        if isinstance(auth, dict) and "pid" in auth and server.recovery and connection.dialect is Dialect.OFFSETS:
            pid, offset = auth["pid"], auth.get("offset")
            auth = {name: value for name, value in auth.items() if name not in ("pid", "offset")} or None
            if socket and socket.pid == pid:
                self._reunion.resume_again(turn, connection, namespace, auth)
                return
            if not socket and self._reunion.resume(turn, connection, namespace, pid, offset, auth):
                return
        if socket:  # as with events: should the function die, all of it is done again
            turn.enter_again(connection, namespace)
        else:
            socket = self._new_socket(connection, namespace)
            turn.join(connection, namespace, socket)
        if server.always_connect:
            self._welcome(turn, connection, namespace, socket)
        refusal = self._refusal(namespace, socket.sid, connection.environ, auth)
        if refusal is None:
            if not server.always_connect and namespace in connection.sockets:  # which the handler may have ended
                self._welcome(turn, connection, namespace, socket)
            self._confirm(turn, connection, namespace, socket)
            return
        if namespace in connection.sockets and turn.release(connection, namespace):
            turn.part(connection, namespace)
        self._turn_away(turn, connection, namespace, refusal)

    def _turn_away(self, turn: Turn, connection: Connection, namespace: str, refusal: dict[str, Any]) -> None:
        """Tell a client that the application has refused it."""
        if self._server.always_connect:
            self._server.reply(turn, connection, PacketType.DISCONNECT, namespace)
            return
        answer: Any = refusal
        if connection.dialect is Dialect.EIO3:
            # As Node's server does for Socket.IO 2: the data alone, or the message.
            said = refusal.get("data", refusal["message"])
            answer = said if isinstance(said, dict) else str(said)
        self._server.reply(turn, connection, PacketType.CONNECT_ERROR, namespace, answer)

    def _confirm(self, turn: Turn, connection: Connection, namespace: str, socket: Socket) -> None:
        """Write what the connect handler did; the application hears of it if nothing comes of that."""
        try:
            turn.settle()
        except DisconnectedError as error:
            if connection.sockets.get(namespace) is socket:
                if not error.is_reported:
                    self._server.tell_gone(namespace, socket.sid, TRANSPORT_CLOSE)
                del connection.sockets[namespace]
        except PortError:
            if connection.sockets.get(namespace) is socket:
                self._server.leave(turn, connection, namespace, TRANSPORT_ERROR)
            raise

    def _new_socket(self, connection: Connection, namespace: str) -> Socket:
        if connection.dialect is Dialect.EIO3:  # whose client makes the id itself, of these
            sid = connection.session if namespace == "/" else f"{namespace}#{connection.session}"
            return Socket(sid, at=self._server.ports.now())
        sid, recovery = secrets.token_urlsafe(15), self._server.recovery
        pid = recovery.pid(sid) if recovery and connection.dialect is Dialect.OFFSETS else ""
        return Socket(sid, pid=pid, at=self._server.ports.now())

    def _welcome(self, turn: Turn, connection: Connection, namespace: str, socket: Socket) -> None:
        data: dict[str, str] | None = {"sid": socket.sid} | ({"pid": socket.pid} if socket.pid else {})
        if connection.dialect is Dialect.EIO3:
            data = None
        self._server.reply(turn, connection, PacketType.CONNECT, namespace, data)

    def _refusal(self, namespace: str, sid: str, environ: dict[str, Any], auth: Any) -> dict[str, Any] | None:
        """Ask the application; returns what CONNECT_ERROR says, or None where the client is welcome."""
        refused = ConnectionRefusedError()
        try:
            if self._server.pass_connection(namespace, sid, environ, auth):
                _, answer = self._server.trigger("connect", namespace, sid, environ, auth)
                if answer is not False:
                    return None
        except ConnectionRefusedError as error:
            refused = error
        except DisconnectedError as error:
            log.info("the connect handler of %s ends early: %s", namespace, error)
        except Exception:
            log.exception("the connect handler of %s failed", namespace)
        return refused.error_args

    # ------------------------------------------------------------------ EVENT
    def _event(self, turn: Turn, connection: Connection, packet: Packet, frame: int) -> None:
        name, *args = packet.data
        sid = connection.sockets[packet.namespace].sid
        values: list[Any] | None = None
        turn.holds = bool(frame)  # should this function die, the frame comes again, and so does the handler
        try:
            self._server.pass_event(packet.namespace, sid, name, args)
            handled, answer = self._server.trigger(name, packet.namespace, sid, *args)
            if handled:
                values = [] if answer is None else list(answer) if isinstance(answer, tuple) else [answer]
        except EventRefusedError as error:
            values = [{"error": error.error_args}]
        except DisconnectedError as error:
            log.info("the handler of %r in %s ends early: %s", name, packet.namespace, error)
        except Exception as error:
            if frame and isinstance(error, Unavailable):
                raise
            # As in python-socketio, the client gets no acknowledgement.
            log.exception("the handler of %r in %s failed", name, packet.namespace)
        finally:
            turn.holds = False
        if values is None or packet.id is None:
            return
        try:
            self._server.reply(turn, connection, PacketType.ACK, packet.namespace, values, packet.id)
        except DisconnectedError as error:
            log.info("%r of %s is not acknowledged: %s", name, packet.namespace, error)
        except (TypeError, ValueError):
            log.exception("what the handler of %r in %s returned cannot be sent", name, packet.namespace)
