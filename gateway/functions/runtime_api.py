"""The Lambda Runtime API for one worker: HTTP/1.1, kept alive, on a loopback port or on a socket that it was given.

https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, cast

import httptools

Submit = Callable[[str, bytes, str], asyncio.Future[bytes]]
"""Invokes a function: `submit(logical_id, event, cause)`. Causes: see `gateway.journal`; results: see `Pool.submit`."""

_PREFIX = "/2018-06-01/runtime/"
_ACCEPTED = (
    b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n" + b'{"status":"OK"}\n'
)


@dataclass(slots=True)
class Invocation:
    """One call of a function: `payload` is the event's JSON; `result` gets the answer's JSON or a FunctionFailed.

    `cause` says what it is for; see `gateway.journal`.
    """

    request_id: str
    payload: bytes
    trace_id: str
    cause: str
    result: asyncio.Future[bytes] = field(repr=False)


class Runtime(Protocol):
    """What the API tells its worker."""

    def on_next(self, give: Callable[[Invocation, str, int], None]) -> None:
        """The function waits for an invocation: `give(invocation, function_arn, deadline_ms)` hands it one."""

    def on_response(self, request_id: str, body: bytes) -> None:
        """The function returned."""

    def on_error(self, request_id: str, error_type: str, body: bytes) -> None:
        """The function raised."""

    def on_init_error(self, error_type: str, body: bytes) -> None:
        """The function's module could not be loaded."""


class RuntimeConnection(asyncio.Protocol):
    """A connection of a runtime client."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._unsent: list[bytes] = []
        self._receiving = False
        self._waits = False
        self._reset()

    def close(self) -> None:
        """Cut the connection: its process has gone."""
        if self._transport is not None:
            self._transport.abort()

    def _reset(self) -> None:
        self._url = b""
        self._error_type = ""
        self._body: list[bytes] = []

    # ---- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass.
        self._transport = cast(asyncio.Transport, transport)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None

    def data_received(self, data: bytes) -> None:
        self._receiving = True
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            self._flush()
            if self._transport is not None:
                self._transport.close()
        finally:
            self._receiving = False
        # Who has asked for the next event already does not wait for a receipt: it goes with the event.
        if not self._waits:
            self._flush()

    # ---- httptools

    def on_url(self, url: bytes) -> None:
        """Collect the request's target."""
        self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """Collect the headers that matter."""
        lower = name.lower()
        if lower == b"lambda-runtime-function-error-type":
            self._error_type = value.decode("latin-1")
        elif lower == b"expect":
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """Collect the body."""
        self._body.append(body)

    def on_message_complete(self) -> None:
        """Answer the request."""
        path = self._url.decode("latin-1").removeprefix(_PREFIX)
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        error_type = self._error_type
        self._reset()
        kind, _, rest = path.partition("/")
        request_id, _, outcome = rest.partition("/")
        if path == "invocation/next":
            self._waits = True
            self._runtime.on_next(self._give)
        elif kind == "invocation" and outcome == "response":
            self._write(_ACCEPTED)
            self._runtime.on_response(request_id, body)
        elif kind == "invocation" and outcome == "error":
            self._write(_ACCEPTED)
            self._runtime.on_error(request_id, error_type, body)
        elif path == "init/error":
            self._write(_ACCEPTED)
            self._runtime.on_init_error(error_type, body)
        else:
            self._write(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

    def _give(self, invocation: Invocation, function_arn: str, deadline_ms: int) -> None:
        head = (
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(invocation.payload)}\r\n"
            f"Lambda-Runtime-Aws-Request-Id: {invocation.request_id}\r\n"
            f"Lambda-Runtime-Deadline-Ms: {deadline_ms}\r\n"
            f"Lambda-Runtime-Invoked-Function-Arn: {function_arn}\r\n"
            f"Lambda-Runtime-Trace-Id: {invocation.trace_id}\r\n\r\n"
        )
        self._waits = False
        self._write(head.encode("latin-1") + invocation.payload)

    def _write(self, data: bytes) -> None:
        self._unsent.append(data)
        if not self._receiving:
            self._flush()

    def _flush(self) -> None:
        data, self._unsent = b"".join(self._unsent), []
        # A worker that died has closed its connection; its exit is what fails the invocation.
        if data and self._transport is not None:
            self._transport.write(data)
