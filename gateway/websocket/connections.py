"""Connections of a WebSocket API, and the management API (`@connections`) on them.

https://docs.aws.amazon.com/apigatewaymanagementapi/latest/reference/
"""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Protocol

from gateway.clock import Timer
from gateway.ids import is_connection_id
from gateway.settings import Settings
from gateway.websocket.events import Context


class ManagementError(Exception):
    """A call of `@connections` fails: `status`, the exception's name in AWS's SDKs, and the body's message if any."""

    def __init__(self, status: int, error_type: str, message: str | None = None) -> None:
        super().__init__(message or error_type)
        self.status = status
        self.error_type = error_type
        self.message = message


class Channel(Protocol):
    """The socket of a connection, as the core sees it."""

    @property
    def buffered(self) -> int:
        """Bytes that the client has not taken yet."""

    def send(self, text: bytes) -> None:
        """Send one text frame; never waits."""

    def close(self, code: int, reason: str) -> None:
        """Start the closing handshake; 1006, which no close frame may have, ends the connection without."""


@dataclass(slots=True, eq=False)
class Connection:
    """One client. `last_active` in seconds since 1970; `channel` is None until the connection exists."""

    context: Context
    host: str
    last_active: float
    channel: Channel | None = None
    opened_at: float = 0.0
    active_at: float = 0.0
    timer: Timer | None = field(default=None, repr=False)

    @property
    def id(self) -> str:
        """The connection id."""
        return self.context.connection_id


class Connections:
    """The open connections of one API, by id."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._open: dict[str, Connection] = {}

    def __len__(self) -> int:
        return len(self._open)

    def all(self) -> list[Connection]:
        """Return the open connections."""
        return list(self._open.values())

    def add(self, connection: Connection) -> None:
        """The connection exists from here on."""
        self._open[connection.id] = connection

    def remove(self, connection: Connection) -> bool:
        """The connection is closed; tells whether it was open."""
        return self._open.pop(connection.id, None) is not None

    def has(self, connection_id: str) -> bool:
        """Tell whether there is a connection."""
        return connection_id in self._open

    def find(self, stage: str, connection_id: str) -> Connection:
        """Return an open connection.

        Raises ManagementError: 400 for an id of the wrong shape, 410 before it exists and after it closed.
        """
        if not is_connection_id(connection_id):
            raise ManagementError(400, "BadRequestException", f"Invalid connectionId: {connection_id}")
        connection = self._open.get(connection_id)
        if connection is None or connection.context.stage != stage:
            raise ManagementError(410, "GoneException")
        return connection

    def check_post(self, connection: Connection, body: bytes) -> None:
        """Raise ManagementError: 413 for a message that is too long, 429 where the client does not read."""
        if len(body) > self._settings.message_limit:
            raise ManagementError(413, "PayloadTooLargeException", "Message too long")
        assert connection.channel is not None
        if connection.channel.buffered + len(body) > self._settings.send_buffer_limit:
            raise ManagementError(429, "LimitExceededException", "The client's buffer is full")


def description(connection: Connection) -> dict[str, Any]:
    """Return what GetConnection answers."""
    context = connection.context
    identity = {"sourceIp": context.source_ip}
    if context.user_agent is not None:
        identity["userAgent"] = context.user_agent
    return {
        "connectedAt": iso_time(context.connected_at / 1000),
        "identity": identity,
        "lastActiveAt": iso_time(connection.last_active),
    }


def iso_time(seconds: float) -> str:
    """Return a time as `2024-02-09T18:11:43.419Z`."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03}Z"
