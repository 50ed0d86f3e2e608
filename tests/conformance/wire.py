"""A client that sends what it is told and shows what comes, by long polling and by WebSocket.

It knows as little of the protocols as it can: how a session begins, what separates packets, and that a ping wants a
pong. Everything else is for the tests to say.
"""

import base64
import json
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlencode

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect

PATH = "/socket.io/"
SEPARATOR = "\x1e"
PATIENCE = 20
"""Seconds within which whatever has to come comes."""

SHORT = 0.3
"""Seconds after which a request that has no answer is taken for one that waits."""

POLLING = {"EIO": "4", "transport": "polling"}
CLOSE, PING, PONG, NOOP = "1", "2", "3", "6"

UNKNOWN_TRANSPORT = {"code": 0, "message": "Transport unknown"}
UNKNOWN_SESSION = {"code": 1, "message": "Session ID unknown"}
BAD_METHOD = {"code": 2, "message": "Bad handshake method"}
BAD_REQUEST = {"code": 3, "message": "Bad request"}
UNSUPPORTED_VERSION = {"code": 5, "message": "Unsupported protocol version"}


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is, and whether it is this project's."""

    url: str
    ours: bool

    def refuses(self, answer: httpx.Response, error: dict[str, Any]) -> None:
        """Assert that an answer is an error of the Engine.IO protocol: 400, and in Node's server this JSON."""
        assert answer.status_code == 400, answer.text
        if self.ours:
            assert answer.headers["content-type"].startswith("application/json")
            assert answer.json() == error


class Wire:
    """What one test opens."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        self._http = self._stack.enter_context(httpx.Client(base_url=self.server.url, timeout=2 * PATIENCE))
        self._threads = self._stack.enter_context(ThreadPoolExecutor(4))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def request(
        self, method: str, query: Mapping[str, str], body: str | bytes = "", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send one HTTP request."""
        content = body if isinstance(body, bytes) else body.encode()
        return self._http.request(method, PATH, params=dict(query), content=content, headers=headers)

    def later(self, call: Callable[..., httpx.Response], *args: Any) -> Future[httpx.Response]:
        """Begin a request that will wait, and return once it does."""
        future = self._threads.submit(call, *args)
        wait([future], SHORT)
        return future

    def polling(self) -> "Polling":
        """Open a session by long polling."""
        answer = self.request("GET", POLLING)
        assert answer.status_code == 200, answer.text
        polling = Polling(self, handshake_of(answer.text))
        self._stack.callback(polling.end)
        return polling

    def socket(self, **query: str) -> "Socket":
        """Open a WebSocket, with what the query says over EIO=4 and transport=websocket; no packet is read yet."""
        full = {"EIO": "4", "transport": "websocket"} | query
        url = f"{self.server.url.replace('http', 'ws', 1)}{PATH}?{urlencode({k: v for k, v in full.items() if v})}"
        return Socket(self._stack.enter_context(connect(url, open_timeout=PATIENCE, close_timeout=2, proxy=None)))

    def websocket(self) -> "Socket":
        """Open a session by WebSocket."""
        socket = self.socket()
        socket.handshake = handshake_of(socket.receive())
        return socket

    def upgraded(self) -> "Socket":
        """Open a session by long polling, and upgrade it."""
        return self.upgrade(self.polling())

    def upgrade(self, polling: "Polling") -> "Socket":
        """Take a session to a WebSocket."""
        socket = self.probe(polling)
        socket.send("5")
        return socket

    def probe(self, polling: "Polling") -> "Socket":
        """Open the WebSocket of an upgrade, and probe it."""
        socket = self.socket(sid=polling.sid)
        socket.handshake = polling.handshake
        socket.send("2probe")
        assert socket.receive() == "3probe"
        return socket

    def refused(self, **query: str) -> None:
        """Assert that a WebSocket with this query is refused: 400 at the upgrade."""
        with pytest.raises((InvalidStatus, ConnectionClosed)) as refused:
            self.socket(**query).receive()
        if isinstance(refused.value, InvalidStatus):
            assert refused.value.response.status_code == 400
        else:
            assert not self.server.ours, "it was upgraded, and then closed"


class Talk:
    """A session, whatever its transport."""

    handshake: dict[str, Any]

    def __init__(self) -> None:
        self._heard: list[str] = []

    @property
    def sid(self) -> str:
        sid: str = self.handshake["sid"]
        return sid

    def say(self, *packets: str) -> None:
        """Send packets, in order."""
        raise NotImplementedError

    def some(self) -> list[str]:
        """Return at least one packet; binary ones as base64 text."""
        raise NotImplementedError

    def closes(self, *, pings: bool = False) -> None:
        """Assert that the server closes the session, with nothing more to say, and not for want of a pong."""
        raise NotImplementedError

    def hear(self, count: int = 1) -> list[str]:
        """Return that many packets, the heartbeat left out: a ping is answered, a noop says nothing."""
        until = time.monotonic() + PATIENCE
        while len(self._heard) < count:
            assert time.monotonic() < until, f"{count} packets never came, but only {self._heard}"
            for packet in self.some():
                if packet == PING:
                    self.say(PONG)
                elif packet != NOOP:
                    self._heard.append(packet)
        heard, self._heard = self._heard[:count], self._heard[count:]
        return heard

    def join(self, namespace: str = "/") -> str:
        """Connect to a namespace; returns the socket's id in it."""
        prefix = "" if namespace == "/" else namespace + ","
        self.say("40" + prefix)
        connected, auth = sorted(self.hear(2))
        assert connected.startswith(f'40{prefix}{{"sid":'), connected
        assert auth == f'42{prefix}["auth",{{}}]'
        sid: str = json.loads(connected[2 + len(prefix) :])["sid"]
        return sid

    def watch(self, namespace: str = "/") -> None:
        """Have the application tell of every socket that leaves the namespace."""
        prefix = "" if namespace == "/" else namespace + ","
        self.say(f'42{prefix}0["watch"]')
        assert self.hear(1) == [f"43{prefix}0[]"]


class Polling(Talk):
    """A session by long polling."""

    def __init__(self, wire: Wire, handshake: dict[str, Any]) -> None:
        super().__init__()
        self._wire = wire
        self.handshake = handshake

    def get(self) -> httpx.Response:
        """Ask for packets."""
        return self.request("GET")

    def get_later(self) -> Future[httpx.Response]:
        """Begin to ask for packets; returns when the server keeps the request waiting, or has answered it."""
        return self._wire.later(self.get)

    def post(self, *packets: str) -> httpx.Response:
        """Send packets in one request."""
        return self.request("POST", SEPARATOR.join(packets))

    def request(self, method: str, body: str | bytes = "", **query: str) -> httpx.Response:
        """Send a request of this session, with what the query says over the usual; an empty value leaves it out."""
        full = {**POLLING, "sid": self.sid, **query}
        return self._wire.request(method, {name: value for name, value in full.items() if value}, body)

    def say(self, *packets: str) -> None:
        answer = self.post(*packets)
        assert answer.status_code == 200, answer.text

    def some(self) -> list[str]:
        answer = self.get()
        assert answer.status_code == 200, answer.text
        return answer.text.split(SEPARATOR)

    def closes(self, *, pings: bool = False) -> None:
        while (answer := self.get()).status_code == 200:
            assert set(answer.text.split(SEPARATOR)) <= {CLOSE, NOOP, *[PING] * pings}, answer.text
        self._wire.server.refuses(answer, UNKNOWN_SESSION)

    def break_off(self, *packets: str) -> None:
        """Send what is no payload: 400. Node's server is of two minds, and says "ok" or drops the request."""
        try:
            answer = self.post(*packets)
        except httpx.TransportError:
            assert not self._wire.server.ours, "no answer"
        else:
            assert answer.status_code == 400 or not self._wire.server.ours, answer.text

    def end(self) -> None:
        """Say goodbye, if there is still somebody."""
        self.post(CLOSE)


class Socket(Talk):
    """A WebSocket, and the session on it."""

    def __init__(self, connection: ClientConnection) -> None:
        super().__init__()
        self._connection = connection

    def send(self, packet: str) -> None:
        self._connection.send(packet)

    def receive(self) -> str:
        """Return the next frame; a binary one as base64 text, which the protocol takes for the same."""
        frame = self._connection.recv(PATIENCE)
        return frame if isinstance(frame, str) else base64_of(frame)

    def say(self, *packets: str) -> None:
        for packet in packets:
            self.send(packet)

    def some(self) -> list[str]:
        return [self.receive()]

    def closes(self, *, pings: bool = False) -> None:
        with suppress(ConnectionClosed):
            while True:
                assert self.receive() in {CLOSE, NOOP, *[PING] * pings}

    def close(self) -> None:
        self._connection.close()


def handshake_of(packet: str) -> dict[str, Any]:
    """Return what an open packet says."""
    assert packet[0] == "0", packet
    handshake: dict[str, Any] = json.loads(packet[1:])
    return handshake


def base64_of(data: bytes) -> str:
    """Return a binary packet as long polling has it."""
    return "b" + base64.b64encode(data).decode()
