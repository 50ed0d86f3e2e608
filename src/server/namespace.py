"""Class-based namespaces, as python-socketio has them: a method ``on_add`` handles the event ``add``."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from server.server import Server

# What has a `namespace` in the server's API, and is offered here without it.
_WITH_NAMESPACE = frozenset(
    {
        "close_room",
        "disconnect",
        "emit",
        "enter_room",
        "get_session",
        "journal",
        "leave_room",
        "members",
        "rooms",
        "save_session",
        "send",
        "session",
    }
)


class Namespace:
    """Base of an application's namespace classes; ``sio.register_namespace(Board("/board"))``.

    The server's methods are here as well (`emit`, `enter_room`, `session` …), with this namespace as their default.
    """

    def __init__(self, namespace: str | None = None) -> None:
        self.namespace = namespace or "/"
        self.server: Server | None = None

    def handler_of(self, event: str) -> Callable[..., Any] | None:
        """Return the method for an event, None if there is none."""
        handler: Callable[..., Any] | None = getattr(self, f"on_{event}", None)
        return handler

    def __getattr__(self, name: str) -> Any:
        if name not in _WITH_NAMESPACE:
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")
        if self.server is None:
            raise RuntimeError(f"register_namespace() must come before {name}()")
        return partial(getattr(self.server, name), namespace=self.namespace)
