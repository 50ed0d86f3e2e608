"""The WebSocket side of the shell: asyncio protocols under uvicorn, which speak to the core without ASGI between.

ASGI would lower-case the headers, hide close codes and frame sizes, and put a queue and a task before each message.
"""

import asyncio
import urllib.parse
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol, cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from websockets.datastructures import Headers
from websockets.exceptions import PayloadTooBig
from websockets.frames import Frame, Opcode
from websockets.http11 import Request, Response
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from gateway.settings import Settings
from gateway.websocket.api import Accepted, Refused, WebSocketApi, refusal
from gateway.websocket.connections import Connection
from gateway.websocket.events import Upgrade


class Switchboard(Protocol):
    """What the protocols need of the gateway."""

    settings: Settings

    def websocket_at(self, path: str) -> tuple[WebSocketApi, str] | None:
        """Return the API and the stage that an upgrade at `path` reaches, or None."""


class ClientConnection(asyncio.Protocol):
    """One client's TCP connection from the upgrade on; it is the core's Channel."""

    switchboard: Switchboard

    def __init__(self, config: Any, server_state: Any, app_state: Any, _loop: Any = None) -> None:
        settings = self.switchboard.settings
        self._settings = settings
        self._server_state = server_state
        self._loop = asyncio.get_running_loop()
        self._protocol = ServerProtocol(max_size=(settings.message_limit, settings.frame_limit))
        self._transport: asyncio.Transport = None  # type: ignore[assignment]
        self._api: WebSocketApi | None = None
        self._connection: Connection | None = None
        self._upgrading: asyncio.Task[None] | None = None
        self._parts: list[bytes] = []
        self._binary = False
        self._lost = False
        self._timer: asyncio.TimerHandle | None = None

    # ---- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are no subclass.
        self._transport = cast(asyncio.Transport, transport)
        self._server_state.connections.add(self)

    def data_received(self, data: bytes) -> None:
        self._protocol.receive_data(data)
        self._handle_events()

    def eof_received(self) -> None:
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._lost = True
        self._server_state.connections.discard(self)
        if self._timer is not None:
            self._timer.cancel()
        self._tell_closed(1006, "")

    def shutdown(self) -> None:
        """Uvicorn stops; the core has sent its close frames."""
        if self._upgrading is not None:
            self._upgrading.cancel()
        self._transport.close()

    # ---- the core's Channel

    @property
    def buffered(self) -> int:
        """Bytes that the client has not taken yet."""
        return self._transport.get_write_buffer_size()

    def send(self, text: bytes) -> None:
        """Send one text frame."""
        if self._protocol.state is OPEN and not self._lost:
            self._protocol.send_text(text)
            self._flush()

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and cut the connection where the client does not answer in time; at once for 1006."""
        self._connection = None
        if code == 1006:
            self._transport.abort()
            return
        if self._protocol.state is OPEN and not self._lost:
            self._protocol.send_close(code, reason)
            self._flush()
        self._cut_later()

    def cut(self) -> None:
        """End the connection as a network that fails does: no close frame, no word."""
        self._transport.abort()

    # ---- the upgrade

    def _upgrade(self, request: Request) -> None:
        path, _, query = request.path.partition("?")
        found = self.switchboard.websocket_at(urllib.parse.unquote(path))
        response = self._protocol.accept(request)
        if response.status_code != 101:
            self._respond(response)
        elif len(request.path) > self._settings.url_limit:
            self._refuse(refusal(self._settings.long_url_status, HTTPStatus(self._settings.long_url_status).phrase))
        elif found is None:
            self._refuse(refusal(403, "Forbidden"))
        else:
            self._api, stage = found
            peer = self._transport.get_extra_info("peername") or ("127.0.0.1", 0)
            port = (self._transport.get_extra_info("sockname") or ("", 0))[1]
            scheme = "https" if self._transport.get_extra_info("sslcontext") else "http"
            headers = list(request.headers.raw_items())
            upgrade = Upgrade(stage, headers, query, str(peer[0]), int(port), scheme, path)
            # Nothing may be read before the connection exists. A client that leaves meanwhile is noticed then.
            self._transport.pause_reading()
            self._upgrading = self._loop.create_task(self._connect(upgrade, response))

    async def _connect(self, upgrade: Upgrade, response: Response) -> None:
        assert self._api is not None
        result = await self._api.connect(upgrade)
        if isinstance(result, Refused):
            if not self._lost:
                self._refuse(result)
                self._resume()
            return
        self._open(result, response)

    def _open(self, accepted: Accepted, response: Response) -> None:
        assert self._api is not None
        self._connection = accepted.connection
        if not self._lost:
            if accepted.subprotocol is not None:
                response.headers["Sec-WebSocket-Protocol"] = accepted.subprotocol
            self._respond(response)
        self._api.opened(accepted, self)
        if self._lost:
            self._tell_closed(1006, "")
        else:
            self._resume()
            self._handle_events()

    def _resume(self) -> None:
        if not self._transport.is_closing():
            self._transport.resume_reading()

    def _refuse(self, refused: Refused) -> None:
        try:
            phrase = HTTPStatus(refused.status).phrase
        except ValueError:
            phrase = "Unknown"
        body = refused.body.encode()
        headers = Headers({"Content-Length": str(len(body)), "Connection": "close"})
        if body:
            headers["Content-Type"] = "application/json"
        if refused.error_type:
            headers["x-amzn-ErrorType"] = refused.error_type
        self._respond(Response(refused.status, phrase, headers, body))

    def _respond(self, response: Response) -> None:
        self._protocol.send_response(response)
        self._flush()

    # ---- frames

    def _handle_events(self) -> None:
        if self._upgrading is not None and not self._upgrading.done() and self._connection is None:
            return
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._upgrade(event)
            elif isinstance(event, Frame):
                self._frame(event)
        self._flush()
        error = self._protocol.parser_exc
        if error is not None and self._connection is not None:
            if isinstance(error, PayloadTooBig):
                self._tell_closed(1009, "")
            elif self._protocol.close_sent is not None:
                self._tell_closed(self._protocol.close_sent.code, self._protocol.close_sent.reason)
            self._cut_later()

    def _frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            received = self._protocol.close_rcvd
            if received is not None:
                self._tell_closed(received.code, received.reason)
            self._cut_later()
            return
        if frame.opcode is Opcode.PING and self._settings.ping_is_activity and self._connection is not None:
            assert self._api is not None
            self._api.touch(self._connection)
        if self._connection is None or frame.opcode not in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            return
        if frame.opcode is not Opcode.CONT:
            self._binary = frame.opcode is Opcode.BINARY
            self._parts = []
        if self._binary:
            assert self._api is not None
            self._api.end(self._connection, 1003)
            return
        self._parts.append(bytes(frame.data))
        if frame.fin:
            data, self._parts = b"".join(self._parts), []
            self._text(self._connection, data)

    def _text(self, connection: Connection, data: bytes) -> None:
        assert self._api is not None
        try:
            text = data.decode()
        except UnicodeDecodeError:
            self._api.end(connection, 1007)
        else:
            self._api.receive(connection, text)

    # ---- ends

    def _tell_closed(self, code: int, reason: str) -> None:
        connection, self._connection = self._connection, None
        if connection is not None and self._api is not None:
            self._api.closed(connection, code, reason)

    def _flush(self) -> None:
        """Write what the protocol has; an empty string in it asks for the end of our direction.

        Only ours: closing with data of the client still unread would reset the connection, and the close frame that
        tells it why could be lost. The client closes, or the timer does.
        """
        for data in self._protocol.data_to_send():
            if self._transport.is_closing():
                return
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()
                self._cut_later()
            else:
                # TLS knows no half of a connection, and says itself that there is no more.
                self._transport.close()

    def _cut_later(self) -> None:
        if self._timer is None and not self._lost:
            self._timer = self._loop.call_later(self._settings.close_wait, self._transport.abort)


class ServerConnection(HttpToolsProtocol):
    """Uvicorn's HTTP protocol, which keeps the names of an upgrade's headers as the client wrote them.

    [R] `$connect` events have the client's casing, and clients differ in it; uvicorn lower-cases what it passes on.
    """

    def on_message_begin(self) -> None:
        """A request begins."""
        self._written: list[bytes] = []
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep the header's name as written."""
        self._written.append(name)
        super().on_header(name, value)

    def handle_websocket_upgrade(self) -> None:
        """Pass the request on with its own names."""
        self.scope["headers"] = [
            (name, value) for name, (_, value) in zip(self._written, self.scope["headers"], strict=True)
        ]
        super().handle_websocket_upgrade()


def protocols(switchboard: Switchboard) -> tuple[type[asyncio.Protocol], Callable[..., asyncio.Protocol]]:
    """Return uvicorn's `http` and `ws` protocols for one gateway."""
    return ServerConnection, type("BoundClientConnection", (ClientConnection,), {"switchboard": switchboard})
