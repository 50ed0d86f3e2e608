"""The Socket.IO server's public API: python-socketio's ``Server``, for a process that lives one invocation at a time.

What is the same as there has the same name and meaning. What is more, because nothing can be kept in memory:
``enter_room(info=…)`` and ``members``, the journal that a room may have (``server.journal``), what is limited
(``allow``), and functions that are called later (``at``).
"""

import contextlib
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, overload

from protocol.socketio import PacketType
from server.debug import scope
from server.emitter import Emitter
from server.exceptions import ServerlessError, UnknownSidError
from server.namespace import Namespace
from server.reasons import SERVER_DISCONNECT
from server.records import Connection
from server.registry import RESERVED_EVENTS, Handler, Registry, Space, call
from server.turn import Turn

log = scope("socket.io:server")

H = TypeVar("H", bound=Handler)

RECOVERED = "socketio.recovered"
"""Key in the environ of a ``connect`` handler: True where the client has come back to the socket that it had."""

_SERVERLESS_OPTIONS = frozenset(
    {
        "allow_upgrades",
        "async_handlers",
        "async_mode",
        "client_manager",
        "cookie",
        "cors_allowed_origins",
        "cors_credentials",
        "engineio_logger",
        "http_compression",
        "compression_threshold",
        "logger",
        "max_http_buffer_size",
        "monitor_clients",
        "ping_interval",
        "ping_timeout",
        "transports",
    }
)
"""Options of python-socketio's server that are accepted and do nothing: what they set is the stack's here.

The heartbeat, for one, is a parameter of the template.
"""


class Server(Emitter):
    """A Socket.IO server on API Gateway, Lambda and DynamoDB, with python-socketio's API.

    An application makes one at module level and registers its handlers; the Lambda handlers bind it to AWS.
    """

    def __init__(
        self, *, namespaces: Space | Sequence[Space] = ("/",), always_connect: bool = False, **options: Any
    ) -> None:
        # `namespaces` are those that clients may join though they have no handler; "*" is any.
        super().__init__()
        if unknown := options.keys() - _SERVERLESS_OPTIONS:
            raise TypeError(f"Server() has no option {', '.join(sorted(unknown))}")
        self.always_connect = always_connect
        self._registry = Registry(
            namespaces if isinstance(namespaces, Sequence) and not isinstance(namespaces, str) else [namespaces]
        )
        self.engine: Any = None  # the server.engine.Engine that runs it

    # ------------------------------------------------------------------ handlers
    @overload
    def on(self, event: str, handler: None = None, namespace: Space | None = None) -> Callable[[H], H]: ...

    @overload
    def on(self, event: str, handler: H, namespace: Space | None = None) -> H: ...

    def on(self, event: str, handler: Any = None, namespace: Space | None = None) -> Any:
        """Register a handler: ``@sio.on("name", namespace=…)``, or ``sio.on("name", function)``.

        ``*`` is every event (the handler is told which), or every namespace (told which). A namespace may also be a
        compiled pattern that is searched in the name, or a function of the name: such a handler is told as well.
        """

        def register(function: H) -> H:
            self._registry.add(namespace or "/", event, function)
            return function

        return register if handler is None else register(handler)

    @overload
    def event(self, handler: H, /) -> H: ...

    @overload
    def event(self, /, *, namespace: Space | None = None) -> Callable[[H], H]: ...

    def event(self, handler: Any = None, /, *, namespace: Space | None = None) -> Any:
        """Register a function under its own name: ``@sio.event`` or ``@sio.event(namespace=…)``."""

        def register(function: H) -> H:
            return self.on(function.__name__, function, namespace)

        return register if handler is None else register(handler)

    @overload
    def use(self, handler: H, /) -> H: ...

    @overload
    def use(self, /, *, namespace: Space | None = None, events: bool = False) -> Callable[[H], H]: ...

    def use(self, handler: Any = None, /, *, namespace: Space | None = None, events: bool = False) -> Any:
        """Register a middleware: ``@sio.use``, or ``@sio.use(namespace="/admin", events=True)``.

        One for connections is called before the ``connect`` handler, as that is: ``(sid, environ, auth)``. It refuses
        by ConnectionRefusedError or by returning False. One for events is called before the handler of every event:
        ``(sid, event, *args)``. It refuses by EventRefusedError, whose message and data are the acknowledgement.
        Those of a namespace are called in the order in which they were registered; the first that refuses is the last.
        With a namespace of ``*``, a pattern or a function they are for all that it fits. A client that comes back to
        its socket passes none.
        """

        def register(function: H) -> H:
            self._registry.add_middleware(namespace or "/", function, events=events)
            return function

        return register if handler is None else register(handler)

    def register_namespace(self, namespace: Namespace) -> None:
        """Register a class-based namespace."""
        if hasattr(namespace, "trigger_event"):
            raise ServerlessError('trigger_event() is not called here: register a handler of all events (on_* or "*")')
        namespace.server = self
        self._registry.add_class(namespace)

    def callback(self, function: H) -> H:
        """Register a function as a callback of emits, under its own name; for one that is not at a module's top."""
        self.callbacks.add(function.__name__, function)
        return function

    def serves(self, namespace: str) -> bool:
        """Tell whether clients may connect to a namespace."""
        return self._registry.serves(namespace)

    def trigger(self, event: str, namespace: str, *args: Any) -> tuple[bool, Any]:
        """Call the handler of an event; returns whether there is one, and what it returned."""
        handler = self._registry.find(namespace, event)
        if handler is None:
            return False, None
        return True, call(handler, *args, may_drop=event in RESERVED_EVENTS)

    def pass_connection(self, namespace: str, sid: str, environ: dict[str, Any], auth: Any) -> bool:
        """Ask the middlewares of a namespace whether a client may connect; what they raise comes out."""
        middlewares = self._registry.middlewares(namespace, events=False)
        return all(call(each, sid, environ, auth, may_drop=True) is not False for each in middlewares)

    def pass_event(self, namespace: str, sid: str, event: str, args: Sequence[Any]) -> None:
        """Let the middlewares of a namespace see an event; what they raise comes out."""
        for middleware in self._registry.middlewares(namespace, events=True):
            call(middleware, sid, event, *args)

    def start_background_task(self, target: Handler, *args: Any, **kwargs: Any) -> None:
        """Raise ServerlessError: nothing goes on once an invocation has ended."""
        raise ServerlessError(
            "there is no process in which a background task could run: an invocation ends with its handler. at() has "
            "a function called later, a schedule of the template can emit as the application does (handlers.emitter), "
            "and so can what the task would wait for"
        )

    # ------------------------------------------------------------------ connections
    def recovered(self, sid: str, namespace: str | None = None) -> bool:
        """Tell a ``connect`` handler whether its client has come back to the socket that it had.

        Then its id, its rooms and its session are what they were, and it gets what it has missed.
        """
        with self.batch() as turn:
            return turn.is_recovered(namespace or "/", sid)

    def disconnect(self, sid: str, namespace: str | None = None, ignore_queue: bool = False) -> None:
        """Disconnect a socket from its namespace; its ``disconnect`` handler gets ``"server disconnect"``."""
        space = namespace or "/"
        with self.batch() as turn, contextlib.suppress(UnknownSidError):
            self.send_away(turn, turn.home(space, sid), space)

    def send_away(self, turn: Turn, connection: Connection, namespace: str) -> None:
        """Disconnect a connection's socket from its namespace."""
        self.reply(turn, connection, PacketType.DISCONNECT, namespace)
        self.leave(turn, connection, namespace, SERVER_DISCONNECT)

    def tell_gone(self, namespace: str, sid: str, reason: str) -> None:
        """Call the ``disconnect`` handler."""
        try:
            self.trigger("disconnect", namespace, sid, reason)
        except Exception:
            log.exception("the disconnect handler of %s failed", namespace)

    def leave(self, turn: Turn, connection: Connection, namespace: str, reason: str) -> None:
        """Tell the application that a socket is gone, then free its places; once, however many turns say so."""
        if not turn.release(connection, namespace):
            return
        self.tell_gone(namespace, connection.sockets[namespace].sid, reason)
        if namespace in connection.sockets:
            turn.part(connection, namespace)
