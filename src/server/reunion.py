"""Gives a client that comes back its socket, with the application's knowledge or without."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from protocol.socketio import PacketType
from server.debug import scope
from server.emission import packet_frames
from server.exceptions import ConnectionRefusedError
from server.ports import PortError
from server.reasons import SERVER_DISCONNECT, TRANSPORT_CLOSE, TRANSPORT_ERROR
from server.records import Connection, Parked, Socket
from server.recovery import Recovery, frames_of
from server.server import RECOVERED, Server
from server.turn import Turn

log = scope("socket.io:recovery")

PAUSES = (0.05, 0.1, 0.2, 0.3)
"""Seconds between looks for a socket whose old connection is just being closed by another invocation."""

Close = Callable[[str, str, int], None]


class Reunion:
    """Brings sockets and their clients together again; `close` ends a connection (`Engine.close`)."""

    def __init__(self, server: Server, close: Close) -> None:
        self._server = server
        self._close = close

    def resume(self, turn: Turn, connection: Connection, namespace: str, pid: Any, offset: Any, auth: Any) -> bool:
        """Give the client its socket and all that it has missed; False if it needs a new one."""
        recovery = self._server.recovery
        assert recovery
        parked = self._find(recovery, namespace, pid, turn)
        if parked is None:
            log.info("%s shows a pid that is unknown, or too old", connection.id)
            return False
        box, is_kept = recovery.box(connection, parked), False
        try:
            self._server.ports.connections.open(box)
            is_kept = True
            if parked.silent:
                self._server.ports.connections.forget(pid)
            missed = recovery.missed(box, offset)
            if missed is not None:
                turn.send_out()  # what came before, for a client that polls
                socket = replace(parked.socket, returned=not parked.silent, box=box.id)
                turn.join(connection, namespace, socket, parked.stays)
                turn.settle()
                data = {"sid": parked.socket.sid, "pid": pid}
                frames = [frame for packet in missed for frame in frames_of(namespace, packet)]
                recovery.send(connection.id, [*packet_frames(PacketType.CONNECT, namespace, data), *frames])
                recovery.hand_over(box, connection)
        except Exception as error:
            # Half a recovery is none: the client comes back once more, and finds its socket as it was.
            log.warning("%s did not get its socket back, and is closed: %s", connection.id, error)
            connection.sockets.pop(namespace, None)
            turn.outbox.silence(connection.id)
            try:
                self._close(box.id, TRANSPORT_ERROR, turn.deadline)
                if not is_kept:
                    self._server.ports.connections.park(parked)
            finally:
                self._close(connection.id, TRANSPORT_ERROR, turn.deadline)
            return True
        if missed is None:
            log.info("%s does not get its socket back: too much was sent as its connection broke", connection.id)
            self._give_up(box, turn.deadline)
            return False
        log.debug("%s is %s again: %d missed", connection.id, parked.socket.sid, len(missed))
        if not parked.silent:
            self._tell(turn, connection, namespace, auth)
        return True

    def is_half_done(self, socket: Socket) -> bool:
        """Tell whether a socket still waits in its box; whoever was to hand it over has died."""
        box = self._server.ports.connections.load(socket.box) if socket.box else None
        return box is not None and box.holds is not None

    def resume_again(self, turn: Turn, connection: Connection, namespace: str, auth: Any) -> None:
        """Go on where a function died that gave a client its socket: tell the application, if it was to.

        If the socket still waits in its box, the connection ends: its client comes back once more.
        """
        socket = connection.sockets[namespace]
        if self.is_half_done(socket):
            self._close(socket.box, TRANSPORT_ERROR, turn.deadline)
        elif socket.returned:
            self._tell(turn, connection, namespace, auth)

    def _give_up(self, box: Connection, deadline: int) -> None:
        """Free the places of a socket that nobody comes back to; if that fails now, the heartbeat does it."""
        assert box.holds
        try:
            self._close(box.id, TRANSPORT_CLOSE, deadline)
            if box.holds.silent and (parked := self._unpark(box.holds.pid)):
                self.bury(parked, deadline)
        except PortError:
            log.warning("the places of %s are freed by the heartbeat", box.holds.socket.sid, exc_info=True)

    def _find(self, recovery: Recovery, namespace: str, pid: Any, turn: Turn) -> Parked | None:
        """Take a socket, from its old connection if that is not known to be dead."""
        ports, place = self._server.ports, recovery.find(namespace, pid)
        if place is None:
            return None
        parked = self._unpark(pid)
        if parked is None:
            homes = [each.connection_id for each in ports.rooms.members(namespace, place.sid) if each.sid == place.sid]
            for home in homes:
                parked = self._take_from(home, namespace, pid, turn.deadline)
        if parked is None:
            return None
        if parked.namespace != namespace:
            ports.connections.park(parked)  # it is not for this one to take
            return None
        if parked.until < ports.now():
            self.bury(parked, turn.deadline)
            return None
        return parked

    def _unpark(self, pid: str) -> Parked | None:
        return self._server.ports.connections.unpark(pid, self._server.ports.now())

    def _take_from(self, home: str, namespace: str, pid: str, deadline: int) -> Parked | None:
        ports = self._server.ports
        old = ports.connections.load(home)
        if old is not None and (namespace not in old.sockets or old.sockets[namespace].pid != pid):
            return None
        if old is not None:
            self._close(old.id, TRANSPORT_CLOSE, deadline)
        for pause in PAUSES:
            if parked := self._unpark(pid):
                return parked
            ports.sleep(pause)
        return None

    def _tell(self, turn: Turn, connection: Connection, namespace: str, auth: Any) -> None:
        """Call the connect handler for a client that it heard to have left."""
        server, sid = self._server, connection.sockets[namespace].sid
        turn.recover(namespace, sid)
        try:
            _, answer = server.trigger("connect", namespace, sid, connection.environ | {RECOVERED: True}, auth)
            is_refused = answer is False
        except ConnectionRefusedError:
            is_refused = True
        except Exception:
            log.exception("the connect handler of %s failed", namespace)
            is_refused = True
        if is_refused and namespace in connection.sockets:
            server.reply(turn, connection, PacketType.DISCONNECT, namespace)
            server.leave(turn, connection, namespace, SERVER_DISCONNECT)

    def bury(self, parked: Parked, deadline: int) -> None:
        """Tell the application of a socket that is gone for good, if it has not heard of it."""
        if not parked.silent:
            return
        gone = Connection(f"parked {parked.pid}", "", 0, parked.environ, {parked.namespace: replace(parked.socket)})
        gone.stays = {(parked.namespace, room): stays for room, stays in parked.stays.items()}
        turn = self._server.turn(deadline, gone, closing=True)
        with self._server.run(turn):
            self._server.leave(turn, gone, parked.namespace, TRANSPORT_CLOSE)
        self._server.ports.connections.forget(parked.pid)
