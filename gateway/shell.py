"""The HTTP side of the shell: FastAPI on uvicorn. Addresses, and translation to the cores; nothing is decided here."""

import asyncio
import contextlib
import json
import socket
from collections.abc import Iterator
from typing import Protocol

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.types import Receive, Scope, Send

from gateway.clock import Clock
from gateway.credentials import Credentials, access_key
from gateway.http.api import HttpApi
from gateway.http.events import HttpRequest, HttpResponse, error_response
from gateway.journal import Journal, Managed
from gateway.settings import Settings
from gateway.websocket.api import WebSocketApi
from gateway.websocket.connections import ManagementError
from gateway.websocket.protocol import protocols


class Served(Protocol):
    """What the shell needs of the gateway."""

    settings: Settings
    clock: Clock
    journal: Journal
    credentials: Credentials
    http_api: HttpApi | None

    def websocket_at(self, path: str) -> tuple[WebSocketApi, str] | None:
        """Return the API and the stage that an upgrade at `path` reaches, or None."""

    def websocket_stage(self, stage: str) -> WebSocketApi | None:
        """Return the API that has a stage, or None."""


def application(gateway: Served) -> FastAPI:
    """Return the ASGI application: `@connections`, stages that are no pages, and the HTTP API for all else."""
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)

    async def connections(request: Request) -> Response:
        invocation = gateway.credentials.invocation(access_key(request.headers.get("authorization", "")))
        connection_id, body = request.path_params["connection_id"], b""
        if request.method == "POST":
            body = await _read(request.receive, gateway.settings.message_limit)
        try:
            response = _managed(gateway, request, body, invocation)
        except ManagementError as error:
            # boto3 takes the exception's name from this header alone.
            headers = {"x-amzn-ErrorType": error.error_type}
            words = json.dumps({"message": error.message}) if error.message else ""
            response = Response(words, error.status, headers, media_type="application/json")
        now, status = gateway.clock.now(), response.status_code
        gateway.journal.write(Managed(now, invocation, request.method, connection_id, status, len(body)))
        return response

    app.add_route("/{stage}/@connections/{connection_id}", connections, methods=["POST", "GET", "DELETE"])
    app.mount("/", _Pages(gateway))
    return app


def _managed(gateway: Served, request: Request, body: bytes, invocation: str) -> Response:
    """Answer a call of `@connections`. Raises ManagementError."""
    stage, connection_id = request.path_params["stage"], request.path_params["connection_id"]
    api = gateway.websocket_stage(stage)
    if api is None:
        raise ManagementError(403, "ForbiddenException", "Forbidden")
    if request.method == "POST":
        api.post(stage, connection_id, body, invocation)
        return Response(status_code=200)
    if request.method == "GET":
        return Response(json.dumps(api.get(stage, connection_id)), media_type="application/json")
    api.delete(stage, connection_id)
    return Response(status_code=204)


class _Pages:
    """What no WebSocket API answers: the HTTP API, and 426 at the address of a stage."""

    def __init__(self, gateway: Served) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        gateway = self._gateway
        settings = gateway.settings
        path = str(scope["path"])
        if gateway.websocket_stage(path.strip("/")) is not None and path.count("/") <= 2 and not path.startswith("//"):
            headers = [("content-type", "application/json"), ("upgrade", "websocket"), ("connection", "upgrade")]
            response = HttpResponse(426, headers, settings.upgrade_required_body.encode())
        elif gateway.http_api is None:
            response = error_response(404, "Not Found")
        else:
            body = await _read(receive, settings.http_body_limit)
            response = await gateway.http_api.handle(_request(scope, body))
        headers_out = [(name.encode("latin-1"), value.encode("utf-8")) for name, value in response.headers]
        if response.status not in (204, 304):
            headers_out.append((b"content-length", str(len(response.body)).encode()))
        await send({"type": "http.response.start", "status": response.status, "headers": headers_out})
        body = b"" if response.status in (204, 304) else response.body
        await send({"type": "http.response.body", "body": body})


async def _read(receive: Receive, limit: int) -> bytes:
    """Return a request's body; of one over `limit` enough to see that it is."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        part = message.get("body", b"")
        # The rest is taken and dropped, so that the client gets to read its answer.
        if size <= limit:
            parts.append(part)
        size += len(part)
        if not message.get("more_body", False):
            return b"".join(parts)


def _request(scope: Scope, body: bytes) -> HttpRequest:
    client = scope.get("client") or ("127.0.0.1", 0)
    server = scope.get("server") or ("127.0.0.1", 80)
    headers = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]]
    return HttpRequest(
        scope["method"],
        str(scope["path"]),
        scope["query_string"].decode("latin-1"),
        headers,
        body,
        str(client[0]),
        int(server[1] or 80),
        scope.get("scheme", "http"),
    )


class Server(uvicorn.Server):
    """Uvicorn on sockets that are bound already; the process's signals are not its business."""

    def __init__(self, gateway: Served, listening: list[socket.socket]) -> None:
        http, ws = protocols(gateway)
        config = uvicorn.Config(
            application(gateway),
            http=http,
            ws=ws,  # type: ignore[arg-type]
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            date_header=True,
            proxy_headers=False,
            timeout_keep_alive=75,
            timeout_graceful_shutdown=1,
        )
        super().__init__(config)
        self._listening = listening
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the gateway."""
        yield

    async def start(self) -> None:
        """Return once requests are served."""
        self._task = asyncio.create_task(self.serve(sockets=self._listening))
        while not self.started:
            if self._task.done():
                self._task.result()
                raise RuntimeError("the server ended before it began")
            await asyncio.sleep(0)

    async def stop(self) -> None:
        """Close the listening sockets and what is open."""
        self.should_exit = True
        if self._task is not None:
            with contextlib.suppress(asyncio.CancelledError):
                await self._task


def bind(host: str, port: int) -> socket.socket:
    """Return a socket bound to the address; 0 takes a free port. Raises OSError."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
    except OSError:
        listening.close()
        raise
    listening.set_inheritable(False)
    return listening
