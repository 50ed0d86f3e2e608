"""The application's event handlers: functions, classes, those that catch all, and middlewares."""

import inspect
import re
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, Protocol

from server.debug import scope

log = scope("socket.io:server")

Handler = Callable[..., Any]

Space = str | re.Pattern[str] | Callable[[str], Any]
"""A namespace: its name, a pattern that is searched in names, or a function that tells whether it is one."""

RESERVED_EVENTS = frozenset({"connect", "disconnect"})
"""What the server itself triggers; a handler of all events does not get these."""

ANY = "*"


class NamespaceHandler(Protocol):
    """What `server.Namespace` is to the registry."""

    namespace: Space

    def handler_of(self, event: str) -> Handler | None: ...


class Registry:
    """Finds the handler of an event, by python-socketio's rules.

    The event's own comes before that of all events (``*``, which is told the event), the namespace's own before those
    that fit it, in the order in which they came, and before that of all namespaces (``*``; these are told the
    namespace), and functions come before classes.
    """

    def __init__(self, open_to: Sequence[Space] = ()) -> None:
        self._open_to = tuple(open_to)
        self._functions: dict[Space, dict[str, Handler]] = {}
        self._classes: dict[Space, NamespaceHandler] = {}
        self._middlewares: list[tuple[Space, Handler, bool]] = []

    def add(self, namespace: Space, event: str, handler: Handler) -> None:
        if not callable(handler):
            raise ValueError(f"the handler of {event!r} is not callable: {handler!r}")
        self._functions.setdefault(namespace, {})[event] = handler

    def add_class(self, handler: NamespaceHandler) -> None:
        self._classes[handler.namespace] = handler

    def add_middleware(self, namespace: Space, handler: Handler, *, events: bool) -> None:
        if not callable(handler):
            raise ValueError(f"a middleware is not callable: {handler!r}")
        self._middlewares.append((namespace, handler, events))

    def serves(self, namespace: str) -> bool:
        """Tell whether clients may connect to a namespace: it is open to them, or something is registered for it."""
        return any(_fits(space, namespace) for space in (*self._open_to, *self._functions, *self._classes))

    def middlewares(self, namespace: str, *, events: bool) -> Iterator[Handler]:
        """Yield the middlewares of a namespace, those for events or those for connections."""
        for space, handler, for_events in self._middlewares:
            if for_events is events and _fits(space, namespace):
                yield handler

    def find(self, namespace: str, event: str) -> Handler | None:
        """Return the handler, to be called with the socket id and the event's arguments."""
        for where, told in _places(self._functions, namespace):
            handlers = self._functions[where]
            if event in handlers and event != ANY:  # an event of a client's may be called so
                return partial(handlers[event], *told)
            if ANY in handlers and event not in RESERVED_EVENTS:
                return partial(handlers[ANY], event, *told)
        for where, told in _places(self._classes, namespace):
            handler = self._classes[where].handler_of(event)
            return handler and partial(handler, *told)
        return None


def _places(known: dict[Space, Any], namespace: str) -> Iterator[tuple[Space, tuple[str, ...]]]:
    """Yield where a namespace's handlers may be, and what they are told first."""
    if namespace in known:
        yield namespace, ()
    for space in known:
        if not isinstance(space, str) and _fits(space, namespace):
            yield space, (namespace,)
    if ANY in known and namespace != ANY:
        yield ANY, (namespace,)


def _fits(space: Space, namespace: str) -> bool:
    if isinstance(space, str):
        return space in (namespace, ANY)
    if isinstance(space, re.Pattern):
        return space.search(namespace) is not None
    try:
        return bool(space(namespace))
    except Exception:  # the name is a client's, who alone is to learn that nothing serves it
        log.exception("whether %r serves namespace %.80r cannot be told", space, namespace)
        return False


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
