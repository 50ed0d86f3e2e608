"""The upgrade of a session from long polling to a WebSocket, by the rules of Engine.IO.

A second connection is opened for the session and probed (``2probe``, ``3probe``) while polls go on; with ``5`` the
client moves over. What waits in the box is sent first; the move itself is one write that succeeds only on an empty
box. So whatever is emitted meanwhile is either in the box before the move or sent to the WebSocket after it.
"""

import logging
from collections.abc import Callable
from dataclasses import replace

from server.outbox import MARGIN, post
from server.ports import Gone, PortError, Ports
from server.records import Connection, Letter, polling_id
from server.server import Server

log = logging.getLogger("fleeting.upgrade")

TRANSPORT_CLOSE = "transport close"

PAUSE = 0.02
"""Seconds between two looks at an upgrade that another invocation is completing."""

PATIENCE = 5_000
"""Milliseconds for which that may take."""


class Upgrade:
    """Moves sessions; `closed` ends a connection with a reason, by a deadline."""

    def __init__(self, server: Server, closed: Callable[[str, str, int], None]) -> None:
        self._server = server
        self._closed = closed

    @property
    def _ports(self) -> Ports:
        return self._server.ports

    def begin(self, websocket: str, session: str) -> bool:
        """Store a WebSocket that may take a polling session over; False if there is no such session to take."""
        connection = self._ports.connections.load(polling_id(session))
        if connection is None or connection.id != polling_id(session):
            log.info("refused: no session %.40r polls", session)
            return False
        probing = Connection(websocket, session, self._ports.now(), probes=connection.id)
        self._ports.connections.open(probing)
        return True

    def offer(self, websocket: Connection) -> bool:
        """Let the waiting poll go, since the client's probe got through; False if another WebSocket was faster."""
        assert websocket.probes
        return self._ports.mailboxes.offer(websocket.probes, websocket.id, self._ports.now())

    def complete(self, websocket: Connection, deadline: int) -> Connection | None:
        """Move the session to the WebSocket, or wait until another invocation has; None if it cannot be had."""
        polling = websocket.probes
        assert polling
        until = min(self._ports.now() + PATIENCE, deadline - MARGIN)
        while self._ports.now() < until:
            if left := self._ports.mailboxes.move(polling, websocket.id):
                return self._adopt(websocket, left, deadline)
            if not self._empty(polling, websocket.id, deadline):
                current = self._ports.connections.load(websocket.id)
                if current is None or current.probes is None:
                    return current
                self._ports.sleep(PAUSE)
        log.warning("the upgrade of %s did not come to an end", polling)
        return None

    def _adopt(self, websocket: Connection, left: Connection, deadline: int) -> Connection | None:
        if not self._ports.connections.adopt(websocket.id, left):
            self._closed(left.id, TRANSPORT_CLOSE, deadline)  # the WebSocket closed at this very moment
            return None
        self._ports.rooms.rehome(left.places(), websocket.id)
        return replace(left, id=websocket.id, born=websocket.born, origin=left.id, letters=())

    def _empty(self, polling: str, websocket: str, deadline: int) -> bool:
        """Send what waits in the box, if nobody else does; False if somebody does."""
        box = self._ports.mailboxes.lock(polling, websocket, self._ports.now())
        if box is None:
            return False
        sent: list[Letter] = []
        try:
            for letter in box.letters:
                for frame in self._ports.mailboxes.read(polling, [letter]):
                    post(self._ports, websocket, frame, deadline=deadline - MARGIN)
                sent.append(letter)
        except Gone:
            self._closed(polling, TRANSPORT_CLOSE, deadline)  # the client has left both
        except PortError:
            log.exception("the box of %s could not be emptied", polling)
        self._ports.mailboxes.discard(polling, sent)
        return bool(sent)
