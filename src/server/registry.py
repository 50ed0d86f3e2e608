"""The application's event handlers, found by namespace and event."""

import inspect
from collections.abc import Callable
from typing import Any

Handler = Callable[..., Any]


class Registry:
    """Maps (namespace, event) to the handler that the application registered last."""

    def __init__(self) -> None:
        self._handlers: dict[str, dict[str, Handler]] = {}

    def add(self, namespace: str, event: str, handler: Handler) -> None:
        if not callable(handler):
            raise ValueError(f"the handler of {event!r} is not callable: {handler!r}")
        self._handlers.setdefault(namespace, {})[event] = handler

    def namespaces(self) -> set[str]:
        """Return the namespaces that have a handler."""
        return set(self._handlers)

    def find(self, namespace: str, event: str) -> Handler | None:
        return self._handlers.get(namespace, {}).get(event)


def call_with(handler: Handler, *args: Any) -> Any:
    """Call a handler with as many of the arguments as it takes.

    python-socketio's ``connect(sid, environ)`` may leave out ``auth``, and ``disconnect(sid)`` the reason.
    """
    parameters = inspect.signature(handler).parameters.values()
    if any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
        return handler(*args)
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    return handler(*args[: len(positional)])
