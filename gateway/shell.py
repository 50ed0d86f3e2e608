"""The HTTP side of the shell: FastAPI on uvicorn. Addresses, and translation to the cores; nothing is decided here."""

import asyncio
import contextlib
import functools
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol, cast

import uvicorn
from fastapi import FastAPI, Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from gateway.chaos.faults import Faults
from gateway.clock import Clock
from gateway.credentials import Credentials, access_key
from gateway.functions.invoke import InvokeApi
from gateway.http.addresses import Addresses
from gateway.http.events import HttpRequest, HttpResponse, error_response
from gateway.inspector.routes import PREFIX, Inspector
from gateway.journal import Journal
from gateway.settings import Settings
from gateway.sigv4 import SignatureRefused, Signatures
from gateway.tls import Certificate, Listener
from gateway.websocket.api import WebSocketApi
from gateway.websocket.management import Management, read, respond
from gateway.websocket.protocol import protocols


class Served(Protocol):
    """What the shell needs of the gateway."""

    settings: Settings
    clock: Clock
    journal: Journal
    credentials: Credentials
    signatures: Signatures | None
    http_apis: Addresses
    invoke_api: InvokeApi | None
    inspector: Inspector | None

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose."""

    def websocket_at(self, path: str) -> tuple[WebSocketApi, str] | None:
        """Return the API and the stage that an upgrade at `path` reaches, or None."""

    def websocket_stage(self, stage: str, connection_id: str = "") -> WebSocketApi | None:
        """Return the API that has a stage, or None; of several the one whose connection it is."""

    def refused(self, error: SignatureRefused) -> None:
        """A call of `@connections` was not signed as it should be."""


def application(gateway: Served) -> ASGIApp:
    """Return the ASGI application: `@connections`, stages that are no pages, and the HTTP API for all else."""
    management = Management(gateway)
    app = FastAPI(openapi_url=None, docs_url=None, redoc_url=None, redirect_slashes=False)

    async def invoke(request: Request) -> Response:
        caller = gateway.credentials.invocation(access_key(request.headers.get("authorization", "")))
        body = await read(request.receive, gateway.settings.payload_limit)
        name, qualifier = request.path_params["name"], request.query_params.get("Qualifier")
        assert gateway.invoke_api is not None
        response = await gateway.invoke_api.invoke(name, qualifier, request.headers, body, caller)
        return Response(response.body, response.status, dict(response.headers))

    if gateway.inspector is not None:
        # Before all else: no stage and no route of an API is in its way.
        app.mount(PREFIX, gateway.inspector)
    app.add_route("/2015-03-31/functions/{name:path}/invocations", invoke, methods=["POST"])
    app.mount("/", _Pages(gateway))

    async def front(scope: Scope, receive: Receive, send: Send) -> None:
        own = gateway.inspector is not None and scope["path"].startswith(f"{PREFIX}/")
        if own or not await management.answers(scope, receive, send):
            await app(scope, receive, send)

    return front


class _Pages:
    """What no WebSocket API answers: the HTTP API, and 426 at the address of a stage."""

    def __init__(self, gateway: Served) -> None:
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        gateway = self._gateway
        settings = gateway.settings
        path = str(scope["path"])
        request = _request(scope, b"")
        found = gateway.http_apis.find(request.header("host") or "", path)
        if _is_websocket_stage(gateway, path) and (found is None or not found.claims):
            headers = [("content-type", "application/json"), ("upgrade", "websocket"), ("connection", "upgrade")]
            response = HttpResponse(426, headers, settings.upgrade_required_body.encode())
        elif found is None:
            response = error_response(404, "Not Found")
        else:
            body = await read(receive, settings.http_body_limit)
            response = await found.api.handle(replace(request, path=found.path, body=body), found.domain)
        headers_out = [(name.encode("latin-1"), value.encode("utf-8")) for name, value in response.headers]
        await respond(send, response.status, headers_out, response.body)


def _is_websocket_stage(gateway: Served, path: str) -> bool:
    return gateway.websocket_stage(path.strip("/")) is not None and path.count("/") <= 2 and not path.startswith("//")


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
        scope["raw_path"].decode("latin-1").partition("?")[0],
    )


class Server(uvicorn.Server):
    """Uvicorn on sockets that are bound already, plain or by TLS; the process's signals are not its business."""

    def __init__(self, gateway: Served, listening: list[socket.socket], certificate: Certificate | None) -> None:
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
        self._listeners: list[Listener] = []
        self._context = None if certificate is None else functools.cache(certificate.context)
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Leave the signals to the gateway."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept connections in uvicorn's place: it would serve each of them by TLS, or none."""
        await super().startup(sockets=[])

        def serve() -> asyncio.Protocol:
            protocol = cast(Callable[..., asyncio.Protocol], self.config.http_protocol_class)
            return protocol(config=self.config, server_state=self.server_state, app_state=self.lifespan.state)

        for listening in sockets or []:
            self._listeners.append(Listener(listening, serve, self._context))
            self._listeners[-1].start(self.config.backlog)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Accept no more, and close what is open."""
        for listener in self._listeners:
            listener.stop()
        for connection in list(self.server_state.connections):
            # A function that keeps its connection does not answer the end of TLS while nothing runs in it.
            idle = isinstance(connection, HttpToolsProtocol) and (
                connection.cycle is None or connection.cycle.response_complete
            )
            if idle and connection.transport.get_extra_info("ssl_object") is not None:
                connection.transport.abort()
        await super().shutdown(sockets)

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
