"""The management API's calls over HTTP: `POST`, `GET` and `DELETE` of `/{stage}/@connections/{id}`.

An ASGI application without a framework: functions post each message of a broadcast by a call of its own, so what stands
before the core here is most of what a broadcast costs.
"""

import json
import re
from collections.abc import Iterable
from typing import Protocol

from starlette.types import Receive, Scope, Send

from gateway.chaos.faults import Faults
from gateway.clock import Clock
from gateway.credentials import Credentials, access_key
from gateway.journal import Journal, Managed
from gateway.settings import Settings
from gateway.sigv4 import SignatureRefused, Signatures, SignedRequest
from gateway.websocket.api import WebSocketApi
from gateway.websocket.connections import ManagementError

_PATH = re.compile(r"(?:/_apis/[^/]+)?/(?P<stage>[^/]+)/@connections/(?P<id>[^/]+)")
_METHODS = ("POST", "GET", "DELETE")
_JSON = (b"content-type", b"application/json")


class Manager(Protocol):
    """What the calls need of the gateway."""

    settings: Settings
    clock: Clock
    journal: Journal
    credentials: Credentials
    signatures: Signatures | None

    @property
    def faults(self) -> Faults:
        """What goes wrong on purpose."""

    def websocket_stage(self, stage: str, connection_id: str = "") -> WebSocketApi | None:
        """Return the API that has a stage, or None; of several the one whose connection it is."""

    def refused(self, error: SignatureRefused) -> None:
        """A call of `@connections` was not signed as it should be."""


class Management:
    """Answers the calls of `@connections` of one gateway."""

    def __init__(self, gateway: Manager) -> None:
        self._gateway = gateway

    async def answers(self, scope: Scope, receive: Receive, send: Send) -> bool:
        """Answer the request if it is such a call; tells whether it was."""
        found = _PATH.fullmatch(scope["path"]) if scope["method"] in _METHODS else None
        if found is None:
            return False
        gateway, method, connection_id = self._gateway, scope["method"], found["id"]
        request = SignedRequest(
            method,
            scope["raw_path"].decode("latin-1").partition("?")[0],
            scope["query_string"].decode("latin-1"),
            [(name.decode("latin-1"), value.decode("latin-1")) for name, value in scope["headers"]],
            await read(receive, gateway.settings.message_limit) if method == "POST" else b"",
        )
        invocation = gateway.credentials.invocation(access_key(request.header("authorization")))
        headers: list[tuple[bytes, bytes]] = []
        try:
            async with gateway.faults.call(method, connection_id):
                status, body = self._managed(request, found["stage"], connection_id, invocation)
            if body:
                headers = [_JSON]
        except ManagementError as error:
            # boto3 takes the exception's name from this header alone.
            headers = [(b"x-amzn-errortype", error.error_type.encode()), _JSON]
            status, body = error.status, json.dumps({"message": error.message}).encode() if error.message else b""
        size = len(request.body)
        gateway.journal.write(Managed(gateway.clock.now(), invocation, method, connection_id, status, size))
        await respond(send, status, headers, body)
        return True

    def _managed(self, request: SignedRequest, stage: str, connection_id: str, invocation: str) -> tuple[int, bytes]:
        """Return a call's status and body. Raises ManagementError."""
        self._check_signature(request)
        api = self._gateway.websocket_stage(stage, connection_id)
        if api is None:
            raise ManagementError(403, "ForbiddenException", "Forbidden")
        if request.method == "POST":
            api.post(stage, connection_id, request.body, invocation)
            return 200, b""
        if request.method == "GET":
            return 200, json.dumps(api.get(stage, connection_id)).encode()
        api.delete(stage, connection_id)
        return 204, b""

    def _check_signature(self, request: SignedRequest) -> None:
        """Raise ManagementError where somebody has to sign, and has not."""
        gateway = self._gateway
        # Of a body that is too long the end was not kept: there is nothing to check, and nobody gets it.
        if gateway.signatures is None or len(request.body) > gateway.settings.message_limit:
            return
        try:
            gateway.signatures.check(request)
        except SignatureRefused as error:
            gateway.refused(error)
            raise ManagementError(403, error.error_type, error.message) from None


async def read(receive: Receive, limit: int) -> bytes:
    """Return a request's body; of one over `limit` enough to see that it is."""
    message = await receive()
    parts: list[bytes] = [message.get("body", b"")]
    size = len(parts[0])
    while message.get("more_body", False):
        message = await receive()
        # The rest is taken and dropped, so that the client gets to read its answer.
        if size <= limit:
            parts.append(message.get("body", b""))
        size += len(message.get("body", b""))
    return b"".join(parts)


async def respond(send: Send, status: int, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> None:
    """Answer a request. A status that has no body goes without one, and without its length."""
    if status in (204, 304):
        await send({"type": "http.response.start", "status": status, "headers": list(headers)})
        await send({"type": "http.response.body", "body": b""})
        return
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})
