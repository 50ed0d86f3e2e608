"""Engine.IO's routes for any FastAPI application, beside its own: ``app.include_router(router(sio))``.

Only what serves HTTP imports this: FastAPI is most of a cold start.
"""

import os
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import APIRouter, Depends, Request, Response
from fastapi.responses import FileResponse, JSONResponse, PlainTextResponse

from server.async_server import AsyncServer
from server.debug import scope
from server.polling import MAX_PAYLOAD, EngineError, Polling
from server.ports import PortError
from server.server import Server

log = scope("engine:polling")

WITHOUT_LAMBDA = 29_000
"""Milliseconds that a request may take where no Lambda context tells."""


def router(
    sio: Server | AsyncServer, path: str = "/socket.io/", origins: str | None = None, client: Path | None = None
) -> APIRouter:
    """Return a router that serves long polling for `sio`.

    ``origins`` are those of other sites whose pages may connect: a list with commas, ``*`` for all, nothing for none;
    without it the environment decides (ALLOWED_ORIGINS). ``client`` is a file of the JavaScript client, to be served
    below the path, as every Socket.IO server does.
    """
    server = sio.sync if isinstance(sio, AsyncServer) else sio
    polling = Polling(server)
    allowed = {
        origin.strip() for origin in (os.environ.get("ALLOWED_ORIGINS", "") if origins is None else origins).split(",")
    } - {""}
    routes = APIRouter()

    methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]  # Engine.IO has its own answer for each

    @routes.api_route(path, methods=methods)
    # A client may leave the slash out. FastAPI would redirect it to the HTTP API's own address, past a CDN.
    @routes.api_route(path.rstrip("/") or path, methods=methods, include_in_schema=False)
    def serve(request: Request, body: Annotated[bytes, Depends(_body)]) -> Response:
        headers = _cors(request, allowed) | {"Cache-Control": "no-store"}
        query = dict(request.query_params)
        try:
            text = polling.answer(request.method, query, body, _environ(request), _deadline(request, server))
        except EngineError as error:
            return JSONResponse({"code": error.code, "message": error.message}, error.status, headers)
        except PortError:
            log.exception("a request could not be served")
            return JSONResponse({"message": "Service Unavailable"}, 503, headers)
        kind = "text/html" if request.method == "POST" else "text/plain; charset=UTF-8"
        return PlainTextResponse(text, headers=headers, media_type=kind)

    @routes.options(path)
    @routes.options(path.rstrip("/") or path, include_in_schema=False)
    def preflight(request: Request) -> Response:
        headers = _cors(request, allowed)
        if headers:
            headers |= {"Access-Control-Allow-Methods": "GET,POST", "Access-Control-Max-Age": "86400"}
            if asked := request.headers.get("access-control-request-headers"):
                headers["Access-Control-Allow-Headers"] = asked
        return Response(status_code=204, headers=headers)

    if client is not None:

        @routes.get(path + client.name)
        def bundle() -> FileResponse:
            return FileResponse(client, headers={"Cache-Control": "public, max-age=3600"})

    return routes


async def _body(request: Request) -> bytes:
    """Read no more than enough to see that it is too much."""
    parts: list[bytes] = []
    size = 0
    async for part in request.stream():
        parts.append(part)
        size += len(part)
        if size > MAX_PAYLOAD:
            break
    return b"".join(parts)


def _cors(request: Request, allowed: set[str]) -> dict[str, str]:
    origin = request.headers.get("origin")
    if origin is None or not ({origin, "*"} & allowed):
        return {}
    return {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true", "Vary": "Origin"}


def _deadline(request: Request, sio: Server) -> int:
    context: Any = request.scope.get("aws.context")  # Mangum's
    left = context.get_remaining_time_in_millis() if context else WITHOUT_LAMBDA
    return sio.ports.now() + int(left)


def _environ(request: Request) -> dict[str, Any]:
    """Return the WSGI environ that a ``connect`` handler gets; see PEP 3333."""
    environ = {
        "REQUEST_METHOD": request.method,
        "PATH_INFO": request.url.path,
        "QUERY_STRING": request.url.query,
        "REMOTE_ADDR": request.client.host if request.client else "",
        "SERVER_NAME": urlsplit(str(request.base_url)).hostname or "",
        "wsgi.url_scheme": request.url.scheme,
    }
    for name, value in request.headers.items():
        if not name.startswith("x-amzn-"):
            environ["HTTP_" + name.upper().replace("-", "_")] = value
    return environ
