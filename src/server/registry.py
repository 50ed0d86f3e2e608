"""The application's event handlers: functions, classes, and those that catch all."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

Handler = Callable[..., Any]

RESERVED_EVENTS = frozenset({"connect", "disconnect"})
"""What the server itself triggers; a handler of all events does not get these."""

ANY = "*"


class NamespaceHandler(Protocol):
    """What `server.Namespace` is to the registry."""

    namespace: str

    def handler_of(self, event: str) -> Handler | None: ...


class Registry:
    """Finds the handler of an event, by python-socketio's rules.

    The event's own comes before that of all events (``*``, which is told the event), the namespace's own before that of
    all namespaces (``*``, which is told the namespace), and functions come before classes.
    """

    def __init__(self) -> None:
        self._functions: dict[str, dict[str, Handler]] = {}
        self._classes: dict[str, NamespaceHandler] = {}

    def add(self, namespace: str, event: str, handler: Handler) -> None:
        if not callable(handler):
            raise ValueError(f"the handler of {event!r} is not callable: {handler!r}")
        self._functions.setdefault(namespace, {})[event] = handler

    def add_class(self, handler: NamespaceHandler) -> None:
        self._classes[handler.namespace] = handler

    def serves(self, namespace: str) -> bool:
        """Tell whether anything is registered for a namespace."""
        known = self._functions.keys() | self._classes.keys()
        return namespace in known or ANY in known

    def find(self, namespace: str, event: str) -> Handler | None:
        """Return the handler, to be called with the socket id and the event's arguments."""
        for where, told in ((namespace, ()), (ANY, (namespace,))):
            handlers = self._functions.get(where, {})
            if event in handlers:
                return partial(handlers[event], *told)
            if ANY in handlers and event not in RESERVED_EVENTS:
                return partial(handlers[ANY], event, *told)
        for where, told in ((namespace, ()), (ANY, (namespace,))):
            if where in self._classes:
                handler = self._classes[where].handler_of(event)
                return handler and partial(handler, *told)
        return None


def call(handler: Handler, *args: Any, may_drop: bool = False) -> Any:
    """Call a handler, to its end if it is a coroutine function.

    With `may_drop` it gets only as many arguments as it takes: python-socketio's ``connect(sid, environ)`` may leave
    out ``auth``, and ``disconnect(sid)`` the reason.
    """
    if may_drop:
        parameters = inspect.signature(handler).parameters.values()
        if not any(parameter.kind is parameter.VAR_POSITIONAL for parameter in parameters):
            taken = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
            args = args[: len(taken)]
    result = handler(*args)
    if inspect.iscoroutine(result):
        import asyncio  # most applications do without, and a cold start is shorter for it

        return asyncio.run(result)
    return result
