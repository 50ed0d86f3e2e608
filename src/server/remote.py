"""A socket as others see it, wherever it is connected: Socket.IO's RemoteSocket."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server.emitter import Emitter


@dataclass(frozen=True, slots=True)
class RemoteSocket:
    """One of `Emitter.fetch_sockets`: its id, its rooms, and a copy of its session, as they were then."""

    _emitter: "Emitter"
    sid: str
    namespace: str
    rooms: tuple[str, ...]
    data: Any

    def emit(self, event: str, data: Any = None, **options: Any) -> None:
        """Send it an event; see `Emitter.emit`."""
        self._emitter.emit(event, data, to=self.sid, namespace=self.namespace, **options)

    def join(self, room: str) -> None:
        """Put it into a room."""
        self._emitter.enter_room(self.sid, room, self.namespace)

    def leave(self, room: str) -> None:
        """Take it out of a room."""
        self._emitter.leave_room(self.sid, room, self.namespace)

    def disconnect(self) -> None:
        """Disconnect it from its namespace."""
        self._emitter.disconnect(self.sid, self.namespace)
