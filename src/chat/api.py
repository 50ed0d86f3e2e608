"""The chat over HTTP: the page, the client bundle, and the rooms API."""

import os
import time
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from chat.app import rooms, sio
from chat.rooms import DEFAULT_TTL, MAX_TITLE, MAX_TTL, MIN_TTL, Refused
from server.http import router

WEB = Path(__file__).parent.parent / "web"

# The page opens its socket at its own origin or, without a CDN before both APIs, at the WebSocket API's address.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' ws: wss:; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}

STATUS = {"no_such_room": 404, "expired": 404, "not_owner": 403}

app = FastAPI(title="Fleeting", docs_url=None, redoc_url=None, openapi_url=None)
app.include_router(router(sio, client=WEB / "socket.io.esm.min.js"))


class NewRoom(BaseModel):
    """The body of POST /api/rooms; `ttl` is in seconds."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field(default="", max_length=MAX_TITLE)
    ttl: int = Field(default=DEFAULT_TTL, ge=MIN_TTL, le=MAX_TTL, strict=True)


@app.post("/api/rooms", status_code=201)
def create_room(request: Request, new: NewRoom | None = None) -> dict[str, Any]:
    """Create a room; the owner's key is shown this once."""
    new = new or NewRoom()
    room, owner_key = rooms.create(new.title.strip(), new.ttl, int(time.time()))
    origin = os.environ.get("PUBLIC_URL") or str(request.base_url).rstrip("/")
    return {"room": room.id, "url": f"{origin}/r/{room.id}", "expires_at": room.expires_at, "owner_key": owner_key}


@app.get("/api/rooms/{room_id}")
def show_room(room_id: str) -> dict[str, Any]:
    room = rooms.find(room_id)
    return {"room": room.id, "title": room.title, "expires_at": room.expires_at}


@app.delete("/api/rooms/{room_id}", status_code=204)
def burn_room(room_id: str, authorization: Annotated[str, Header()] = "") -> None:
    """Burn a room; the owner's key is the bearer token."""
    kind, _, owner_key = authorization.partition(" ")
    if kind.lower() != "bearer" or not owner_key:
        raise HTTPException(401, "Send the owner's key: Authorization: Bearer <owner_key>.")
    rooms.burn(room_id, owner_key.strip())


@app.get("/config.json")
def config() -> dict[str, Any]:
    """Tell the page where its socket is; an empty url means its own origin, which has long polling in any case."""
    address = os.environ.get("WEBSOCKET_URL", "")
    if os.environ.get("PUBLIC_URL") or not address:
        return {"socket": {"url": "", "path": "/socket.io/"}}
    parts = urlsplit(address)
    # The API takes no path beyond its stage; the clients' trailing slash is fine.
    return {
        "socket": {
            "url": f"{parts.scheme}://{parts.netloc}",
            "path": f"{parts.path}/",
            "transports": ["websocket"],
            "fallback": {"url": "", "path": "/socket.io/", "transports": ["polling"]},
        }
    }


@app.get("/")
@app.get("/r/{room_id}")
def page() -> FileResponse:
    return FileResponse(WEB / "index.html", headers={"Cache-Control": "no-cache"})


app.mount("/web", StaticFiles(directory=WEB))


@app.middleware("http")
async def secure(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    for name, value in HEADERS.items():
        response.headers.setdefault(name, value)
    return response


@app.exception_handler(Refused)
async def refused(_: Request, error: Refused) -> JSONResponse:
    return JSONResponse({"error": error.as_json()}, STATUS.get(error.code, 400))


@app.exception_handler(RequestValidationError)
async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"][1:]) or "body"
    return JSONResponse({"error": {"code": "bad_request", "message": f"{field}: {first['msg']}."}}, 400)


@app.exception_handler(HTTPException)
async def failed(_: Request, error: HTTPException) -> JSONResponse:
    codes = {401: "unauthorized", 404: "not_found", 405: "method_not_allowed"}
    code = codes.get(error.status_code, "http_error")
    return JSONResponse({"error": {"code": code, "message": str(error.detail)}}, error.status_code, error.headers)
