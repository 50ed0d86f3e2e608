"""The application that the conformance tests talk to, on this server and on python-socketio's.

A server of another make (CONFORMANCE_URL) has to do the same: see the docstring of conftest.py.
"""
# mypy: disable-error-code=untyped-decorator

from typing import Any

try:
    import server as socketio  # on Lambda
except ImportError:
    import socketio  # type: ignore[no-redef] # in a process of its own

sio: Any = socketio.Server(async_handlers=False, ping_interval=2, ping_timeout=2)


def register(namespace: str) -> None:
    """The same handlers in each namespace."""

    @sio.event(namespace=namespace)
    def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        sio.emit("auth", auth or {}, to=sid, namespace=namespace)

    @sio.event(namespace=namespace)
    def echo(sid: str, *args: Any) -> None:
        sio.emit("echoed", args, to=sid, namespace=namespace)

    @sio.event(namespace=namespace)
    def ask(sid: str, *args: Any) -> Any:
        return args

    @sio.event(namespace=namespace)
    def size(sid: str, text: str) -> int:
        return len(text)

    @sio.event(namespace=namespace)
    def tell(sid: str, to: str, *args: Any) -> None:
        sio.emit("told", args, to=to, namespace=namespace)

    @sio.event(namespace=namespace)
    def bytes_of(sid: str, *numbers: int) -> None:
        sio.emit("bytes", {"first": bytes(numbers), "rest": [b"", bytes(reversed(numbers))]}, to=sid)

    @sio.event(namespace=namespace)
    def leave(sid: str) -> None:
        sio.disconnect(sid, namespace=namespace)

    @sio.event(namespace=namespace)
    def watch(sid: str) -> None:
        sio.enter_room(sid, "watchers", namespace=namespace)

    @sio.event(namespace=namespace)
    def disconnect(sid: str, reason: str) -> None:
        sio.emit("gone", (sid, reason), room="watchers", skip_sid=sid, namespace=namespace)


register("/")
register("/custom")


@sio.on("connect", namespace="/private")
def connect_privately(sid: str, environ: dict[str, Any], auth: Any) -> None:
    raise socketio.exceptions.ConnectionRefusedError("not you", {"hint": "nobody"})
