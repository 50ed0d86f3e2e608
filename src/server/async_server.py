"""python-socketio's ``AsyncServer``: the same server for handlers that are coroutines.

An invocation does one thing at a time, so nothing is gained by waiting for several; it is there for applications that
were written so. Each handler runs in an event loop of its own.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any

from server.namespace import Namespace
from server.server import Server

COROUTINES = (
    "allow",
    "at",
    "call",
    "close_room",
    "disconnect",
    "disconnect_sockets",
    "emit",
    "enter_room",
    "fetch_sockets",
    "get_session",
    "leave_room",
    "members",
    "publish",
    "save_session",
    "send",
    "sleep",
    "sockets_join",
    "sockets_leave",
)
"""The methods of `Server` that are to be awaited here."""


class AsyncNamespace(Namespace):
    """Base of class-based namespaces of an `AsyncServer`; what sends is to be awaited here as well."""


class AsyncSessionContext:
    """What ``async with sio.session(sid) as session`` runs on."""

    def __init__(self, server: Server, sid: str, namespace: str | None) -> None:
        self._context = server.session(sid, namespace)

    async def __aenter__(self) -> dict[str, Any]:
        return self._context.__enter__()

    async def __aexit__(self, *error: Any) -> None:
        self._context.__exit__(*error)


class AsyncServer:
    """A `Server` whose methods are coroutines where python-socketio's are; `sync` is that server."""

    def __init__(self, **options: Any) -> None:
        self.sync = Server(**options)

    def register_namespace(self, namespace: AsyncNamespace) -> None:
        """Register a class-based namespace."""
        self.sync.register_namespace(namespace)
        namespace.server = self

    def session(self, sid: str, namespace: str | None = None) -> AsyncSessionContext:
        """Return a context manager: ``async with sio.session(sid) as session:`` saves what was changed."""
        return AsyncSessionContext(self.sync, sid, namespace)

    def __getattr__(self, name: str) -> Any:
        method = getattr(self.sync, name)
        return _awaitable(method) if name in COROUTINES else method


def _awaitable(method: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(method)
    async def call(*args: Any, **kwargs: Any) -> Any:
        return method(*args, **kwargs)

    return call
