"""The chat over HTTP: the page, the client bundle, and the rooms API (docs/chat.md)."""

import os
from typing import Annotated, Any
from urllib.parse import urlsplit

from fastapi import FastAPI, Header, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field, StringConstraints
from starlette.exceptions import HTTPException

from chat import limits, shapes
from chat.app import rooms, sio
from chat.refusals import JOURNAL_ERRORS, Refused, refusal_of
from chat.rooms import DEFAULT_PEOPLE, DEFAULT_TTL, MAX_PEOPLE, MAX_TTL, MIN_PEOPLE, MIN_TTL, Plan
from chat.web import WEB, site
from server.http import router

# The page opens its socket at its own origin or, without a CDN before both APIs, at the WebSocket API's address.
# Pictures that people send are blobs of its own, as the QR code is.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self' ws: wss:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'; "
    "require-trusted-types-for 'script'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Opener-Policy": "same-origin",
}

STATUS = {"no_such_room": 404, "expired": 404, "not_owner": 403, "taken": 409, "too_many": 429}

app = FastAPI(title="Fleeting", docs_url=None, redoc_url=None, openapi_url=None)
app.include_router(router(sio, client=WEB / "socket.io.esm.min.js"))


def _text(pattern: str) -> Any:
    return StringConstraints(strict=True, pattern=f"^{pattern}$")


Id = Annotated[str, _text(shapes.ID.pattern)]
Digest = Annotated[str, _text(shapes.DIGEST.pattern)]


class NewRoom(BaseModel):
    """The body of POST /api/rooms; `ttl` is in seconds, `door` and `owner` are digests, `title` is sealed or ""."""

    model_config = ConfigDict(extra="forbid", strict=True)

    room: Id
    door: Digest
    owner: Digest
    title: str = Field(default="", max_length=shapes.MAX_TITLE, pattern="^[A-Za-z0-9_-]*$")
    ttl: int = Field(default=DEFAULT_TTL, ge=MIN_TTL, le=MAX_TTL)
    people: int = Field(default=DEFAULT_PEOPLE, ge=MIN_PEOPLE, le=MAX_PEOPLE)
    passphrase: bool = False
    burn_when_empty: bool = False


@app.post("/api/rooms", status_code=201)
def create_room(request: Request, new: NewRoom) -> dict[str, Any]:
    """Create a room; the same again is the same."""
    limits.count_room(sio, _environ(request))
    plan = Plan(new.door, new.owner, new.title, new.people, new.passphrase, new.burn_when_empty)
    room = rooms.create(new.room, plan, new.ttl)
    return {"room": room.id, "expires_at": room.expires_at}


@app.get("/api/rooms/{room_id}")
def show_room(room_id: str) -> dict[str, Any]:
    room = rooms.find(shapes.room_id({"room": room_id}))
    return {
        "room": room.id,
        "title": room.plan.title,
        "expires_at": room.expires_at,
        "passphrase": room.plan.passphrase,
        "locked": room.is_locked,
    }


@app.delete("/api/rooms/{room_id}", status_code=204)
def burn_room(room_id: str, authorization: Annotated[str, Header()] = "") -> None:
    """Burn a room; the owner's key is the bearer token."""
    kind, _, key = authorization.partition(" ")
    if kind.lower() != "bearer" or not key:
        raise HTTPException(401, "Send the owner's key: Authorization: Bearer <key>.")
    room = rooms.find(shapes.room_id({"room": room_id}))
    if not room.is_owner(key.strip()):
        raise Refused("not_owner", "Only the one who created the room can burn it.")
    rooms.burn(room.id)


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


app.mount("/", site())


@app.middleware("http")
async def secure(request: Request, call_next: Any) -> Response:
    response: Response = await call_next(request)
    # A file may be kept, and is asked for with its ETag, unless it has its version; what the API says is of now.
    caching = "no-cache" if "etag" in response.headers else "no-store"
    for name, value in {**HEADERS, "Cache-Control": caching}.items():
        response.headers.setdefault(name, value)
    return response


@app.exception_handler(Refused)
async def refused(_: Request, error: Refused) -> JSONResponse:
    wait = error.more.get("retry_after")
    headers = None if wait is None else {"Retry-After": str(wait)}
    return JSONResponse({"error": error.as_json()}, STATUS.get(error.code, 400), headers)


async def ended(request: Request, error: Exception) -> JSONResponse:
    return await refused(request, refusal_of(error))


for kind in JOURNAL_ERRORS:
    app.add_exception_handler(kind, ended)


@app.exception_handler(RequestValidationError)
async def invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    first = error.errors()[0]
    field = ".".join(part for part in first["loc"][1:] if isinstance(part, str)) or "body"
    return JSONResponse({"error": {"code": "bad_request", "message": f"{field}: {first['msg']}."}}, 400)


@app.exception_handler(HTTPException)
async def failed(_: Request, error: HTTPException) -> JSONResponse:
    codes = {401: "unauthorized", 404: "not_found", 405: "method_not_allowed"}
    code = codes.get(error.status_code, "http_error")
    return JSONResponse({"error": {"code": code, "message": str(error.detail)}}, error.status_code, error.headers)


def _environ(request: Request) -> dict[str, str]:
    """Return what `chat.limits` has to know of a request, as a WSGI environ has it."""
    return {
        "REMOTE_ADDR": request.client.host if request.client else "",
        "HTTP_X_FORWARDED_FOR": request.headers.get("x-forwarded-for", ""),
    }
