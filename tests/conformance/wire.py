"""A client that sends what it is told and shows what comes, by long polling and by WebSocket.

It knows as little of the protocols as it can: how a session begins, what separates packets, and that a ping wants a
pong. Everything else is for the tests to say.
"""

import base64
import json
import ssl
import time
from collections.abc import Callable, Mapping, Sequence
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

NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""httpx wants one, and to make its own takes longer than most tests."""

UNKNOWN_TRANSPORT = {"code": 0, "message": "Transport unknown"}
UNKNOWN_SESSION = {"code": 1, "message": "Session ID unknown"}
BAD_METHOD = {"code": 2, "message": "Bad handshake method"}
BAD_REQUEST = {"code": 3, "message": "Bad request"}
UNSUPPORTED_VERSION = {"code": 5, "message": "Unsupported protocol version"}


@dataclass(frozen=True, slots=True)
class Server:
    """Where it is, whether it is this project's, and whether frames over WebSocket are handled in their order."""

    url: str
    ours: bool
    ordered: bool = True

    def serves_3(self) -> bool:
        """Tell whether it serves Engine.IO 3. Node's does if told to, and takes every other version for 3 then."""
        return self.ours or httpx.get(f"{self.url}{PATH}?EIO=3&transport=polling").status_code == 200

    def refuses(self, answer: httpx.Response, error: dict[str, Any]) -> None:
        """Assert that an answer is an error of the Engine.IO protocol: 400, and in Node's server this JSON."""
        assert answer.status_code == 400, answer.text
        if self.ours:
            assert answer.headers["content-type"].startswith("application/json")
            assert answer.json() == error


class Wire:
    """What one test opens, by a version of Engine.IO and as a client of some name (User-Agent; "" over WebSocket none).

    In version 3 it is a client that wants text alone (`b64`), so that both transports bring the same.
    """

    def __init__(self, server: Server, version: str = "4", agent: str = "Python", path: str = PATH) -> None:
        self.server = server
        self.path = path
        self.version = version
        self.agent = agent
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        http = httpx.Client(base_url=self.server.url, timeout=2 * PATIENCE, verify=NO_TLS)
        self._http = self._stack.enter_context(http)
        self._threads = self._stack.enter_context(ThreadPoolExecutor(4))
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def request(
        self, method: str, query: Mapping[str, str], body: str | bytes = "", headers: Mapping[str, str] | None = None
    ) -> httpx.Response:
        """Send one HTTP request."""
        content = body if isinstance(body, bytes) else body.encode()
        headers = {"User-Agent": self.agent} | dict(headers or {})
        return self._http.request(method, self.path, params=dict(query), content=content, headers=headers)

    def later(self, call: Callable[..., httpx.Response], *args: Any) -> Future[httpx.Response]:
        """Begin a request that will wait, and return once it does."""
        future = self._threads.submit(call, *args)
        wait([future], SHORT)
        return future

    def query(self, transport: str, **query: str) -> dict[str, str]:
        """Return the query of a request, with what `query` says over the usual; an empty value leaves it out."""
        usual = {"EIO": self.version, "transport": transport} | ({"b64": "1"} if self.version == "3" else {})
        return {name: value for name, value in (usual | query).items() if value}

    def polling(self, **query: str) -> "Polling":
        """Open a session by long polling."""
        answer = self.request("GET", self.query(transport="polling", **query))
        assert answer.status_code == 200, answer.text
        opening, *others = packets_of(answer.text, self.version)
        polling = Polling(self, handshake_of(opening))
        polling.heard += others
        self._stack.callback(polling.end)
        return polling

    def socket(self, **query: str) -> "Socket":
        """Open a WebSocket, with what the query says over the usual; no packet is read yet."""
        asked = urlencode(self.query(**{"transport": "websocket"} | query))
        url = f"{self.server.url.replace('http', 'ws', 1)}{self.path}?{asked}"
        agent = self.agent or None
        connection = connect(url, open_timeout=PATIENCE, close_timeout=2, proxy=None, user_agent_header=agent)
        return Socket(self, self._stack.enter_context(connection))

    def websocket(self, **query: str) -> "Socket":
        """Open a session by WebSocket."""
        socket = self.socket(**query)
        socket.handshake = handshake_of(socket.receive())
        return socket

    def upgraded(self) -> "Socket":
        """Open a session by long polling, and upgrade it."""
        return self.upgrade(self.polling())

    def upgrade(self, polling: "Polling", *, patience: float = 0) -> "Socket":
        """Take a session to a WebSocket; for `patience` seconds again, where the server has not seen one close."""
        until = time.monotonic() + patience
        while True:
            try:
                socket = self.probe(polling)
            except ConnectionClosed:
                if time.monotonic() > until:
                    raise
                time.sleep(SHORT)
            else:
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

    def __init__(self, wire: Wire) -> None:
        self.heard: list[str] = []
        self._wire = wire

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
        while len(self.heard) < count:
            assert time.monotonic() < until, f"{count} packets never came, but only {self.heard}"
            for packet in self.some():
                if packet == PING:
                    self.say(PONG)
                elif packet != NOOP:
                    self.heard.append(packet)
        heard, self.heard = self.heard[:count], self.heard[count:]
        return heard

    def join(self, namespace: str = "/") -> str:
        """Connect to a namespace; returns the socket's id in it. In version 3 it is in `/` without asking."""
        prefix = "" if namespace == "/" else namespace + ","
        if self._wire.version == "3":
            return self._join_3(prefix)
        self.say("40" + prefix)
        connected, auth = sorted(self.hear(2))
        assert connected.startswith(f'40{prefix}{{"sid":'), connected
        assert auth == f'42{prefix}["auth",{{}}]'
        sid: str = json.loads(connected[2 + len(prefix) :])["sid"]
        return sid

    def _join_3(self, prefix: str) -> str:
        if prefix:
            self.say("40" + prefix)
        connected, auth = sorted(self.hear(2))
        assert connected == f"40{prefix}"
        assert auth.startswith(f'42{prefix}["auth",')
        return f"{prefix.rstrip(',')}#{self.sid}" if prefix else self.sid

    def watch(self, namespace: str = "/") -> None:
        """Have the application tell of every socket that leaves the namespace."""
        prefix = "" if namespace == "/" else namespace + ","
        self.say(f'42{prefix}0["watch"]')
        assert self.hear(1) == [f"43{prefix}0[]"]

    def see_off(self, sid: str, namespace: str = "/") -> tuple[str, list[str]]:
        """Wait, as a watcher, until a socket has left; returns the reason, and what else came but for other leavers."""
        prefix = "42" if namespace == "/" else f"42{namespace},"
        others: list[str] = []
        while True:
            (packet,) = self.hear(1)
            if not packet.startswith(f'{prefix}["gone",'):
                others.append(packet)
            elif (event := json.loads(packet.removeprefix(prefix)))[1] == sid:
                return event[2], others


class Polling(Talk):
    """A session by long polling."""

    def __init__(self, wire: Wire, handshake: dict[str, Any]) -> None:
        super().__init__(wire)
        self.handshake = handshake

    def get(self) -> httpx.Response:
        """Ask for packets."""
        return self.request("GET")

    def get_later(self) -> Future[httpx.Response]:
        """Begin to ask for packets; returns when the server keeps the request waiting, or has answered it."""
        return self._wire.later(self.get)

    def post(self, *packets: str) -> httpx.Response:
        """Send packets in one request."""
        return self.request("POST", payload(packets, self._wire.version))

    def request(self, method: str, body: str | bytes = "", **query: str) -> httpx.Response:
        """Send a request of this session, with what the query says over the usual; an empty value leaves it out."""
        return self._wire.request(method, self._wire.query(**{"transport": "polling", "sid": self.sid} | query), body)

    def say(self, *packets: str) -> None:
        answer = self.post(*packets)
        assert answer.status_code == 200, answer.text

    def some(self) -> list[str]:
        answer = self.get()
        assert answer.status_code == 200, answer.text
        return packets_of(answer.text, self._wire.version)

    def closes(self, *, pings: bool = False) -> None:
        while (answer := self.get()).status_code == 200:
            said = packets_of(answer.text, self._wire.version)
            assert set(said) <= {CLOSE, NOOP, *[PING] * pings}, said
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

    def __init__(self, wire: Wire, connection: ClientConnection) -> None:
        super().__init__(wire)
        self._connection = connection

    @property
    def close_code(self) -> int | None:
        """The code of the close frame that has come."""
        return self._connection.close_code

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


def payload(packets: Sequence[str], version: str = "4") -> str:
    """Return packets as one body."""
    if version == "4":
        return SEPARATOR.join(packets)
    return "".join(f"{len(packet.encode('utf-16-le')) // 2}:{packet}" for packet in packets)


def packets_of(body: str, version: str = "4") -> list[str]:
    """Return the packets in a body. In version 3 each comes after its length, as JavaScript counts characters."""
    if version == "4":
        return body.split(SEPARATOR)
    packets, rest = [], body.encode("utf-16-le")
    while rest:
        digits = rest.decode("utf-16-le").partition(":")[0]
        start = 2 * len(f"{digits}:")
        end = start + 2 * int(digits)
        packets.append(rest[start:end].decode("utf-16-le"))
        rest = rest[end:]
    return packets


def handshake_of(packet: str) -> dict[str, Any]:
    """Return what an open packet says."""
    assert packet[0] == "0", packet
    handshake: dict[str, Any] = json.loads(packet[1:])
    return handshake


def base64_of(data: bytes) -> str:
    """Return a binary packet as long polling has it."""
    return "b" + base64.b64encode(data).decode()
