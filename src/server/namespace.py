"""Class-based namespaces, as python-socketio has them: a method ``on_add`` handles the event ``add``."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from server.registry import Space

if TYPE_CHECKING:
    from server.async_server import AsyncServer
    from server.server import Server

# What has a `namespace` in the server's API, and is offered here without it.
_WITH_NAMESPACE = frozenset(
    {
        "call",
        "close_room",
        "disconnect",
        "disconnect_sockets",
        "emit",
        "enter_room",
        "fetch_sockets",
        "get_environ",
        "get_session",
        "journal",
        "leave_room",
        "members",
        "publish",
        "recovered",
        "rooms",
        "save_session",
        "send",
        "session",
        "sockets_join",
        "sockets_leave",
        "transport",
    }
)


class Namespace:
    """Base of an application's namespace classes; ``sio.register_namespace(Board("/board"))``.

    The server's methods are here as well (`emit`, `enter_room`, `session` …), with this namespace as their default.
    """

    def __init__(self, namespace: Space | None = None) -> None:
        self.namespace: Space = namespace or "/"
        self.server: Server | AsyncServer | None = None

    def handler_of(self, event: str) -> Callable[..., Any] | None:
        """Return the method for an event, None if there is none."""
        handler: Callable[..., Any] | None = getattr(self, f"on_{event}", None)
        return handler

    def __getattr__(self, name: str) -> Any:
        if name not in _WITH_NAMESPACE:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if self.server is None:
            raise RuntimeError(f"register_namespace() must come before {name}()")
        method = getattr(self.server, name)
        # One that stands for many has no namespace of its own: its handlers are told which it is.
        return partial(method, namespace=self.namespace) if isinstance(self.namespace, str) else method
