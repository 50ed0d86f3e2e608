"""What the server raises, under python-socketio's names (``socketio.exceptions``)."""

from typing import Any


class SocketIOError(Exception):
    """Base of everything in this module."""


class ConnectionRefusedError(SocketIOError):
    """Raised by a ``connect`` handler to refuse a client.

    The first argument becomes the error's message, what follows becomes its data: the client's
    ``connect_error`` gets ``{"message": …, "data": …}``.
    """

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        message = str(args[0]) if args else "Connection rejected by server"
        self.error_args: dict[str, Any] = {"message": message}
        if len(args) > 1:
            self.error_args["data"] = args[1] if len(args) == 2 else list(args[1:])


class EventRefusedError(SocketIOError):
    """Raised by a middleware to refuse an event: its handler is not called.

    Who asked for an acknowledgement gets ``{"error": {"message": …, "data": …}}``.
    """

    def __init__(self, message: str = "Event rejected by server", data: Any = None) -> None:
        super().__init__(message)
        self.error_args: dict[str, Any] = {"message": message} | ({} if data is None else {"data": data})


class TimeoutError(SocketIOError):
    """A client did not answer a `call` in time."""


class CallError(SocketIOError):
    """A `call` whose answer could never come."""


class TooManyAskedError(SocketIOError, ValueError):
    """An emit with a callback reaches more sockets than can be asked at once."""


class DisconnectedError(SocketIOError):
    """The client whose event is being handled has gone meanwhile; raised by calls that concern its rooms.

    `is_reported` tells that whoever ended its connection knew of what was changed here, and tells the application.
    """

    def __init__(self, message: str, *, is_reported: bool = False) -> None:
        super().__init__(message)
        self.is_reported = is_reported


class UnknownSidError(SocketIOError, ValueError, KeyError):
    """No connected socket has this id in this namespace."""

    def __str__(self) -> str:
        sid, namespace = self.args
        return f"no socket {sid!r} is connected to namespace {namespace!r}"


class PacketTooLargeError(SocketIOError, ValueError):
    """A packet is larger than API Gateway sends in one message."""


class JournalMissingError(SocketIOError):
    """The room has no journal: it was never created, or it was deleted."""


class JournalExpiredError(SocketIOError):
    """The room's journal is past its time."""


class EntryMissingError(SocketIOError):
    """The journal has no entry under this key, or there is no journal."""


class ServerlessError(SocketIOError, RuntimeError):
    """What was asked for cannot be had without a process that stays."""


class NotBoundError(SocketIOError, RuntimeError):
    """The server was used before ``bind`` gave it its ports."""
