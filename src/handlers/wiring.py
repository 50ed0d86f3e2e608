"""Puts application, server and AWS together, once a process; and keeps exceptions inside."""

import gc
import importlib
import logging
import os
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import aws
from server import AsyncServer, Emitter, Server, debug
from server.engine import BEAT_PERIOD, Engine
from server.recovery import Recovery

log = logging.getLogger(debug.ROOT)
log.setLevel(os.environ.get("LOG_LEVEL", "INFO"))
logging.getLogger("botocore").setLevel("WARNING")  # it tells at every cold start where its credentials are from

Event = dict[str, Any]
Result = TypeVar("Result")


def load(path: str) -> Server:
    """Return the application that `path` (``module:attribute``) names; ValueError if it is none."""
    module, _, attribute = path.partition(":")
    server = getattr(importlib.import_module(module), attribute or "sio", None)
    if isinstance(server, AsyncServer):
        server = server.sync
    if not isinstance(server, Server):
        raise ValueError(f"APP={path} does not name a server.Server or AsyncServer")
    return server


def engine(*clients: Callable[[], Any]) -> Engine:
    """Return the engine of the application that the environment names (APP), bound to AWS.

    The boto3 clients that a handler uses beside the table's are made here as well: what is made at import has a whole
    processor, and the first event does not wait for it.
    """
    engine = run(load(os.environ["APP"]))
    for client in clients:
        client()
    ready()
    return engine


def bind(emitter: Emitter) -> None:
    """Bind an application, or an emitter, to AWS."""
    debug.enable(os.environ.get("DEBUG", ""))
    ports, window = aws.ports(), float(os.environ.get("RECOVERY_WINDOW") or 0)
    # A connection may be lost for as long as this before the heartbeat sees it.
    silence = _ping_interval() + _ping_timeout() + 2 * BEAT_PERIOD / 1000
    emitter.bind(ports, Recovery(ports, window, silence) if window else None)


def run(server: Server) -> Engine:
    """Bind an application to AWS; returns its engine."""
    bind(server)
    hold = float(os.environ.get("POLL_HOLD", "25"))
    return Engine(server, ping_interval=_ping_interval(), ping_timeout=_ping_timeout(), hold=hold)


def _ping_interval() -> float:
    return float(os.environ.get("PING_INTERVAL", "120"))


def _ping_timeout() -> float:
    return float(os.environ.get("PING_TIMEOUT", "60"))


def ready() -> None:
    """End the imports: from here on the collector works, and leaves alone what they loaded."""
    gc.freeze()
    gc.enable()


def deadline(context: Any) -> int:
    """Return when the invocation ends, in Unix milliseconds."""
    return aws.now() + int(context.get_remaining_time_in_millis())


def guarded(otherwise: Callable[[Event], Result]) -> Callable[[Callable[[Event, Any], Result]], Any]:
    """Let no exception out of a handler: log it with its cause, and answer with `otherwise(event)`.

    API Gateway would answer for a failed function with an error frame, which a Socket.IO client takes for a broken
    server.
    """

    def decorate(handler: Callable[[Event, Any], Result]) -> Callable[[Event, Any], Result]:
        @wraps(handler)
        def safe(event: Event, context: Any) -> Result:
            try:
                return handler(event, context)
            except Exception:
                log.exception("%s failed", handler.__module__)
                return otherwise(event)

        return safe

    return decorate
