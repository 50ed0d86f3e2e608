"""The upgrade of a session from long polling to a WebSocket, by the rules of Engine.IO.

A second connection is opened for the session and probed (``2probe``, ``3probe``) while polls go on; with ``5`` the
client moves over. What waits in the box is sent first; the move itself is one write that succeeds only on an empty
box. So whatever is emitted meanwhile is either in the box before the move or sent to the WebSocket after it.
"""

import secrets
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Protocol

from server.debug import scope
from server.outbox import MARGIN, post
from server.ports import PortError, Ports
from server.reasons import TRANSPORT_CLOSE, TRANSPORT_ERROR
from server.records import Connection, Dialect, Letter, is_session, polling_id
from server.server import Server

log = scope("engine:upgrade")

PAUSE = 0.02
"""Seconds between two looks at an upgrade that another invocation is completing."""

PATIENCE = 5_000
"""Milliseconds for which that may take."""

MOST_FRAMES = 100
"""Frames that are sent under one lock."""


class Closed(Protocol):
    """Ends a connection; see `Engine.closed`."""

    def __call__(self, connection_id: str, reason: str, deadline: int, *, moved: bool = False) -> None: ...


class Upgrade:
    """Moves sessions."""

    def __init__(self, server: Server, closed: Closed) -> None:
        self._server = server
        self._closed = closed

    @property
    def _ports(self) -> Ports:
        return self._server.ports

    def begin(self, websocket: str, session: str, dialect: Dialect) -> bool:
        """Store a WebSocket that may take a polling session over; False if there is no such session to take."""
        connection = self._ports.connections.load(polling_id(session)) if is_session(session) else None
        is_old = dialect is Dialect.EIO3
        if connection is None or connection.id != polling_id(session) or (connection.dialect is Dialect.EIO3) != is_old:
            log.info("refused: no session %.40r polls", session)
            return False
        probing = Connection(websocket, session, self._ports.now(), dialect=dialect, probes=connection.id)
        self._ports.connections.open(probing)
        return True

    def offer(self, websocket: Connection) -> bool:
        """Let the waiting poll go, since the client's probe got through; False if another WebSocket was faster."""
        assert websocket.probes
        return self._ports.mailboxes.offer(websocket.probes, websocket.id, self._ports.now())

    def complete(self, websocket: Connection, deadline: int) -> Connection | None:
        """Move the session to the WebSocket, or wait until another invocation has; None if it cannot be had.

        May be called again by whoever comes next, if an invocation died half way: each step is the same twice.
        """
        polling = websocket.probes
        assert polling
        until = min(self._ports.now() + PATIENCE, deadline - MARGIN)
        while self._ports.now() < until:
            if left := self._ports.mailboxes.move(polling, websocket.id):
                return self._adopt(websocket, left, deadline)
            box = self._ports.mailboxes.peek(polling, consistent=True)
            if box is None or box.offered != websocket.id:
                break  # the session ended, or this WebSocket never probed
            if not self._empty(polling, websocket.id, deadline):
                self._ports.sleep(PAUSE)
        log.warning("the upgrade of %s did not come to an end", polling)
        return None

    def _adopt(self, websocket: Connection, left: Connection, deadline: int) -> Connection | None:
        adopted = self._ports.connections.adopt(websocket.id, left)
        current = None if adopted else self._ports.connections.load(websocket.id)
        if not adopted and current is None:
            # The WebSocket closed at this very moment.
            self._closed(left.id, TRANSPORT_CLOSE, deadline, moved=True)
            return None
        self._ports.rooms.rehome(left.places(), left.id, websocket.id)
        return current or replace(left, id=websocket.id, born=websocket.born, origin=left.id, letters=())

    def _empty(self, polling: str, websocket: str, deadline: int) -> bool:
        """Send what waits in the box, if nobody else does; False if somebody does, or it cannot be sent."""
        holder = secrets.token_hex(6)
        box = self._ports.mailboxes.lock(polling, websocket, holder, self._ports.now())
        if box is None:
            return False
        letters = _some(box.letters)
        try:
            for frame in self._ports.mailboxes.read(polling, letters):
                post(self._ports, websocket, frame, deadline=deadline - MARGIN)
        except PortError as error:
            # What was sent cannot be told from what was not, so nothing may be sent again: the client comes back.
            log.warning("the box of %s could not be emptied, which ends the session: %s", polling, error)
            self._closed(polling, TRANSPORT_ERROR, deadline)
            self._ports.wire.close(websocket)
            return False
        return self._ports.mailboxes.discard(polling, holder, letters)


def _some(letters: Sequence[Letter]) -> list[Letter]:
    """Return the first letters, no more than are sent well before the lock lapses."""
    frames = list(accumulate(letter.packets for letter in letters))
    return [letter for letter, sent in zip(letters, frames, strict=True) if sent <= MOST_FRAMES] or list(letters[:1])
