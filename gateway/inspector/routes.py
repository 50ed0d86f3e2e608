"""The inspector's addresses, all below `/_gateway/`: its page, a stream of what is new, details, and actions.

They are for this machine alone, and for no other site's page: a request has to come from here, name a host that is
here, and, unless it only asks for the page, come from the page itself. See `_stranger`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.clock import Clock
from gateway.functions.failures import FunctionFailed
from gateway.functions.runtime_api import Submit
from gateway.inspector.data import Data
from gateway.inspector.recorder import Recorder
from gateway.json_lines import value_of
from gateway.meter.bill import Bill
from gateway.settings import Settings
from gateway.websocket.api import WebSocketApi
from gateway.websocket.connections import Connection, ManagementError
from gateway.websocket.protocol import ClientConnection

PREFIX = "/_gateway"
# The rows of one update, and of the first one. What is more, nobody could read.
_ROWS = 1000
_QUIET = 15.0
_BODY_LIMIT = 7 * 1024 * 1024
_STATIC = Path(__file__).with_name("static")
_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """What the inspector needs of a gateway. `functions` are logical ids; `bill` is None where nothing is metered."""

    template: str
    apis: list[WebSocketApi]
    functions: list[str]
    submit: Submit
    data: Data
    clock: Clock
    turn: Callable[[float], Awaitable[None]]
    recorder: Recorder
    settings: Settings
    bill: Callable[[], Bill] | None = None


class Inspector:
    """The inspector as an ASGI application for what is below its prefix."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._closing = asyncio.Event()
        routes = [
            Route("/events", self._events),
            Route("/stack", self._stack),
            Route("/traces/{number:int}", self._trace),
            Route("/tables/{name}", self._table),
            Route("/queues", self._queues),
            Route("/queues/{name}", self._messages),
            Route("/bill", self._bill),
            Route("/connections/{id}/{action}", self._connection, methods=["POST"]),
            Route("/functions/{name}", self._function, methods=["POST"]),
            Route("/clock", self._turn, methods=["POST"]),
            Mount("/", StaticFiles(directory=_STATIC, html=True)),
        ]
        self._app = Starlette(routes=routes, exception_handlers={ManagementError: _refused})

    def close(self) -> None:
        """End the streams, so that the server can stop."""
        self._closing.set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        reason = _stranger(scope)
        app: ASGIApp = self._app if not reason else JSONResponse({"message": reason}, 403)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(_HEADERS)
            await send(message)

        await app(scope, receive, guarded)

    # ---- what is to be seen

    async def _events(self, request: Request) -> Response:
        return StreamingResponse(self._updates(), media_type="text/event-stream")

    async def _updates(self) -> AsyncIterator[str]:
        """Yield what is new, at most so often; whoever reads slowly gets fewer and larger ones."""
        recorder, settings, clock = self._parts.recorder, self._parts.settings, self._parts.clock
        version, told = 0, 0.0
        first = True
        while not self._closing.is_set():
            if recorder.version != version or first or clock.monotonic() - told > _QUIET:
                rows, clients = recorder.rows(version, _ROWS), recorder.clients(version)
                version, told = recorder.version, clock.monotonic()
                update = {
                    "first": first,
                    "now": clock.now(),
                    "rows": rows,
                    "clients": clients,
                    "oldest": recorder.oldest,
                    "open": recorder.open,
                    "totals": recorder.totals,
                }
                first = False
                yield f"data: {json.dumps(update, separators=(',', ':'))}\n\n"
            try:
                # The machine's own time: the clock of the gateway may be turned by hours.
                await asyncio.wait_for(self._closing.wait(), settings.inspector_pause)
            except TimeoutError:
                continue

    async def _stack(self, request: Request) -> Response:
        parts = self._parts
        return JSONResponse(
            {
                "template": parts.template,
                "functions": parts.functions,
                "apis": [{"name": api.spec.logical_id, "stages": list(api.spec.stages)} for api in parts.apis],
                "tables": parts.data.tables(),
                "queues": parts.data.queue_names(),
                "bill": parts.bill is not None,
                "entries": parts.settings.inspector_entries,
            }
        )

    async def _trace(self, request: Request) -> Response:
        trace = self._parts.recorder.trace(request.path_params["number"])
        if trace is None:
            raise HTTPException(404, "It is no longer kept")
        return JSONResponse(trace)

    async def _table(self, request: Request) -> Response:
        query = request.query_params
        start = json.loads(query["start"]) if "start" in query else None
        found = await self._read(self._parts.data.items, request.path_params["name"], query.get("key"), start)
        return JSONResponse(found)

    async def _queues(self, request: Request) -> Response:
        return JSONResponse(await self._read(self._parts.data.queues))

    async def _messages(self, request: Request) -> Response:
        return JSONResponse(await self._read(self._parts.data.messages, request.path_params["name"]))

    async def _read(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """Return what a call in a thread does. Raises HTTPException."""
        try:
            return await run_in_threadpool(call, *arguments)
        except KeyError as error:
            raise HTTPException(404, f"The stack has no {error.args[0]}") from None
        except Exception as error:
            # boto3's own words, whatever it is: the AWS may be another process's.
            raise HTTPException(502, str(error)) from None

    async def _bill(self, request: Request) -> Response:
        if self._parts.bill is None:
            raise HTTPException(404, "Nothing is metered")
        bill = self._parts.bill()
        return JSONResponse(bill.as_json() | {"text": bill.text()})

    # ---- actions

    async def _connection(self, request: Request) -> Response:
        """Send a text to a client, close its connection, or cut it off."""
        values = await _body(request)
        api, connection = self._find(request.path_params["id"])
        action = request.path_params["action"]
        if action == "send":
            text = values.get("text")
            if not isinstance(text, str):
                raise HTTPException(400, "It takes {text}")
            api.post(connection.context.stage, connection.id, text.encode("utf-8", "replace"))
        elif action == "close":
            api.delete(connection.context.stage, connection.id)
        elif action == "break" and isinstance(connection.channel, ClientConnection):
            connection.channel.cut()
        else:
            raise HTTPException(404, f"No action {action}")
        return JSONResponse({})

    def _find(self, connection_id: str) -> tuple[WebSocketApi, Connection]:
        for api in self._parts.apis:
            for connection in api.connections.all():
                if connection.id == connection_id:
                    return api, connection
        raise HTTPException(410, "It is closed")

    async def _function(self, request: Request) -> Response:
        """Invoke a function with an event."""
        values = await _body(request)
        name = request.path_params["name"]
        if name not in self._parts.functions:
            raise HTTPException(404, f"The stack has no function {name}")
        payload = json.dumps(values.get("event"), ensure_ascii=False).encode("utf-8", "replace")
        try:
            answer = await self._parts.submit(name, payload, "inspector")
        except FunctionFailed as failure:
            return JSONResponse({"error": failure.error_type, "message": failure.message, "trace": failure.trace})
        return JSONResponse({"answer": value_of(answer)})

    async def _turn(self, request: Request) -> Response:
        """Let time pass at once."""
        seconds = (await _body(request)).get("seconds")
        if not isinstance(seconds, int | float) or isinstance(seconds, bool) or not 0 < seconds <= 366 * 86400:
            raise HTTPException(400, "It takes {seconds}, over 0 and at most a year")
        await self._parts.turn(float(seconds))
        return JSONResponse({"now": self._parts.clock.now()})


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, ManagementError)
    return JSONResponse({"message": f"{error.error_type}: {error.message}" if error.message else error.error_type}, 409)


async def _body(request: Request) -> dict[str, Any]:
    """Return a request's JSON object. Raises HTTPException."""
    # A page of another site can send a form, but not this, without asking first.
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "It takes application/json")
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > _BODY_LIMIT:
            raise HTTPException(413, "It is too long")
        parts.append(part)
    try:
        values = json.loads(b"".join(parts))
    except ValueError:
        raise HTTPException(400, "It is no JSON") from None
    if not isinstance(values, dict):
        raise HTTPException(400, "It takes a JSON object")
    return values


def _stranger(scope: Mapping[str, Any]) -> str:
    """Return why a request is not let in, empty where it is.

    - It comes from this machine, not from others that can reach the gateway.
    - Its Host is this machine too: a name of another site, which leads here, makes that site's page no page of ours.
    - Unless it just asks for the page, it comes from a page of this very origin, or from no browser at all.
    """
    headers = Headers(raw=scope["headers"])
    client, server = (scope.get("client") or ("", 0))[0], (scope.get("server") or ("", 0))[0]
    if not _loopback(client) and client != server:
        return "The inspector is for this machine only"
    host = headers.get("host", "")
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    name = name.strip("[]").lower()
    if not (_loopback(name) or name == "localhost" or name == server):
        return f"{name} is not this machine"
    origin = headers.get("origin")
    if origin is not None and origin != f"{scope['scheme']}://{host}":
        return f"{origin} is another site"
    page = scope["method"] in ("GET", "HEAD") and headers.get("sec-fetch-dest") in ("document", None)
    if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not page:
        return "Another site asks"
    return ""


def _loopback(name: str) -> bool:
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        return False
    # So a socket for both versions of IP names an address of the fourth.
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
