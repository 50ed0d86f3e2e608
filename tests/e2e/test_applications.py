"""Applications that run unchanged on python-socketio's server and on ours, with the same transcript."""

import sys
import threading
from collections.abc import Callable
from functools import cache, partial, partialmethod
from typing import Any

import pytest
import socketio
from socketio.packet import DISCONNECT, Packet
from websocket import WebSocket

from tests.e2e.processes import Gateway, Process, free_port, in_order, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

APPLICATIONS = "tests/e2e/applications"

Script = Callable[[str, str], list[Any]]
"""What clients do at an address, by a transport where that matters; returns what they saw."""


@pytest.fixture(autouse=True)
def hang_up_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The client's WebSocket would wait three seconds for the answer to its close frame, which werkzeug never gives."""
    monkeypatch.setattr(WebSocket, "close", partialmethod(WebSocket.close, timeout=0.05))


class Actor:
    """A client that hears every event, and whose transcript names no ids; what is of other namespaces says so.

    `answers` has what it answers to an event: a value, or a function of the arguments.
    """

    def __init__(
        self, url: str, namespace: str = "/", auth: Any = None, *others: str, transport: str = "websocket"
    ) -> None:
        self.namespace = namespace
        self.heard: list[list[Any]] = []
        self.answers: dict[str, Any] = {}
        self.client = socketio.Client(reconnection=False)
        self._end = in_order(self.client)
        for name in (namespace, *others):
            prefix = "" if name == namespace else f"{name} "
            self.client.on("*", partial(self._hear, prefix), namespace=name)
            self.client.on("disconnect", partial(self._hear, prefix, "disconnect"), namespace=name)
        self.client.connect(
            f"{url}?token=t",
            {"X-Basket": "apples"},
            auth=auth,
            transports=[transport],
            namespaces=[namespace, *others],
            wait_timeout=60,
        )

    def _hear(self, prefix: str, event: str, *args: Any) -> Any:
        self.heard.append([prefix + event, *args])
        answer = self.answers.get(event)
        return answer(*args) if callable(answer) else answer

    @property
    def sid(self) -> str:
        sid: str = self.client.get_sid(self.namespace)
        return sid

    def ask(self, event: str, *args: Any, namespace: str | None = None) -> Any:
        data = args[0] if len(args) == 1 else args or None
        return self.client.call(event, data, namespace=namespace or self.namespace, timeout=20)

    def tell(self, event: str, *args: Any) -> None:
        self.client.emit(event, args[0] if len(args) == 1 else args or None, namespace=self.namespace)

    def hears(self, count: int) -> list[list[Any]]:
        """Wait for that many events, and return what came."""
        until(lambda: len(self.heard) >= count, f"{count} events, but only {self.heard}")
        heard, self.heard = self.heard, []
        return heard

    def leave(self) -> None:
        """Say goodbye to the namespace."""
        self.client._send_packet(Packet(DISCONNECT, namespace=self.namespace))

    def close(self) -> None:
        self.client.disconnect()
        self._end()

    def cut(self) -> None:
        """Hang up without a word."""
        self.client.eio.ws.close()
        self.client.wait()
        self._end()


def refused(url: str, namespace: str = "/", auth: Any = None) -> Any:
    """Return what a client that is refused is told."""
    client = socketio.Client(reconnection=False)
    told: list[Any] = []
    client.on("connect_error", told.append, namespace=namespace)
    with pytest.raises(socketio.exceptions.ConnectionError):
        client.connect(url, transports=["websocket"], namespaces=[namespace], auth=auth, wait_timeout=20)
    client.disconnect()
    return told


def lobby(url: str, transport: str) -> list[Any]:
    seen: list[Any] = [refused(url), refused(url, auth={"name": "nobody"})]
    ann = Actor(url, auth={"name": "Ann"})
    seen.append(ann.hears(1))
    bob = Actor(url, auth={"name": "Bob"})
    seen += [bob.hears(1), ann.hears(1)]
    seen += [ann.ask("say", "one"), ann.ask("say", "two"), bob.ask("say", "three")]
    seen += [ann.hears(3), bob.hears(3)]
    seen += [bob.ask("nothing"), bob.ask("several", 1, "two", [3]), bob.ask("several", None, {}, "x")]
    seen += [bob.ask("move", "attic"), ann.hears(1), bob.hears(1)]
    seen += [bob.ask("say", "from the attic"), ann.hears(1)]
    ann.tell("fail")
    seen.append(ann.hears(1))
    seen += [bob.ask("all of them", {"n": [1, {"a": None}]}), ann.hears(2), bob.hears(2)]
    bob.tell("shut", "attic")
    seen += [bob.hears(1), bob.ask("nothing")]
    bob.tell("kick", "out")
    seen += [bob.hears(2), ann.hears(1)]
    cleo = Actor(url, auth={"name": "Cleo"})
    seen += [cleo.hears(1), ann.hears(1)]
    cleo.leave()
    seen.append(ann.hears(1))
    cleo.close()
    dan = Actor(url, auth={"name": "Dan"})
    seen += [dan.hears(1), ann.hears(1)]
    dan.cut()
    seen += [ann.hears(1), ann.ask("say", "alone"), ann.hears(1)]
    ann.close()
    return seen


def board(url: str, transport: str) -> list[Any]:
    root, one, two = Actor(url), Actor(url, "/board"), Actor(url, "/board")
    silent = Actor(url, "/silent")
    seen: list[Any] = [one.hears(1), two.hears(1)]
    seen += [root.ask("whoami"), one.ask("whoami")]
    seen += [one.ask("draw", {"x": 1}, [2, 3]), two.hears(1)]
    seen += [one.ask("picture", "cat"), one.hears(1), two.hears(1)]
    values: list[Any] = [0, -1.5, "", "text\n\u2028", [[], [{}]], {"k": {"k": None}}, False]
    for value in values:
        seen.append(two.ask("types", value))
    one.close()
    seen += [two.hears(1), list(root.heard), list(silent.heard)]
    for client in (root, two, silent):
        client.close()
    return seen + stall(url)


def stall(url: str) -> list[Any]:
    root = Actor(url)
    seen: list[Any] = [refused(url, "/stall", {"name": "Thief"})]
    ann, bob = Actor(url, "/stall", None, "/board"), Actor(url, "/stall", {"name": "Bob"}, "/")
    seen += [ann.hears(1), ann.ask("rooms"), ann.ask("whoami", namespace="/board"), bob.ask("whoami", namespace="/")]
    seen += [ann.ask("offer", "figs", "dates"), ann.hears(1), bob.hears(1)]
    seen += [ann.ask("offer"), ann.hears(1), bob.hears(1), bob.ask("offer", {"n": [None]}), ann.hears(1), bob.hears(1)]
    seen += [bob.ask("picture"), ann.hears(1), bob.hears(1)]
    bob.answers["haggle"] = lambda price: (price - 1, [price])
    seen += [ann.ask("haggle", bob.sid, 10), bob.hears(1)]
    ann.tell("shut")
    seen += [in_any_order(ann.hears(2)), in_any_order(bob.hears(2)), root.hears(1)]
    seen += [bob.ask("rooms"), ann.ask("draw", 1, namespace="/board"), bob.ask("whoami", namespace="/")]
    bob.leave()
    seen += [root.hears(1), ann.ask("whoami", namespace="/board")]
    bob.close()
    for client in (root, ann):
        client.close()
    return seen


def market(url: str, transport: str) -> list[Any]:
    actor = partial(Actor, url, transport=transport)
    seen: list[Any] = []

    def raw(data: bytes) -> bytes | str:
        """This client sends binary frames by WebSocket, which API Gateway does not take."""
        return data if transport == "polling" else data.hex()

    ann = actor("/", {"name": "Ann", "rooms": ["square", "north"]}, "/any/where")
    bob = actor("/", {"name": "Bob", "rooms": ["square", "south"]})
    cleo = actor("/", {"name": "Cleo", "rooms": ["square"]})
    seen += [ann.hears(1), ann.ask("headers"), ann.ask("rooms"), cleo.ask("rooms")]

    values: list[Any] = [None, "yes", (), ("yes", 2), [1, 2], ("text", None, {"n": [1.5, {}]}, [], raw(b"\0\xff"))]
    values += [raw(b"\1\2"), {"deep": [raw(b"\3"), [raw(b"")]]}]
    for value in values:
        ann.answers["question"] = value
        ann.tell("ask", {"question": raw(b"\4")})
        seen.append(ann.hears(2))
    bob.answers["question"], cleo.answers["question"] = "of Bob", raw(b"of Cleo")
    ann.tell("ask_all", "square", 1, raw(b"two"))
    seen += [in_any_order(ann.hears(3)), bob.hears(2), cleo.hears(2)]
    bob.answers["message"] = ("hm", 1)
    ann.tell("send_one", bob.sid, "psst")
    seen += [ann.hears(1), bob.hears(2), cleo.hears(1)]

    for value in values:
        bob.answers["question"] = value
        seen += [ann.ask("relay", bob.sid, "what", raw(b"\5")), bob.hears(1)]
    bob.answers["question"] = lambda *args: args[::-1]
    seen += [ann.ask("relay", bob.sid, 1, 2), cleo.ask("relay", bob.sid, "one"), bob.hears(2)]
    over = threading.Event()
    bob.answers["silence"] = lambda _: over.wait(20)
    seen.append(ann.ask("relay_in_vain", bob.sid))
    over.set()
    seen += [bob.hears(1), bob.ask("echo")]

    for rooms, others in ((["north", "south"], []), ("square", [ann.sid, bob.sid]), (["square", "north"], ann.sid)):
        seen.append(ann.ask("cry", rooms, others, "fish!"))
    seen += [ann.hears(1), bob.hears(2), cleo.hears(2)]
    seen += [bob.ask("walk", "south", "north"), ann.hears(1), bob.hears(1)]
    seen += [cleo.ask("close", "north"), ann.hears(1), bob.hears(1), ann.ask("rooms"), bob.ask("rooms")]

    seen += [ann.ask("unheard of", 1, [raw(b"\6")]), ann.ask("unheard of")]
    dora = actor("/any/where", None, "/else/where")
    seen += [in_any_order(dora.hears(2)), dora.ask("here", 1, [raw(b"\7")]), ann.hears(1)]
    seen += [dora.ask("here", namespace="/else/where"), dora.ask("here"), ann.hears(1)]
    seen.append(refused(url, "/locked/door"))
    for client in (dora, bob):
        client.leave()
        seen.append(ann.hears(1))
        client.close()
    seen += [cleo.hears(1), list(cleo.heard)]
    for client in (ann, cleo):
        client.close()
    return seen


def in_any_order(events: list[list[Any]]) -> list[str]:
    """What several invocations send at once."""
    return sorted(map(repr, events))


@cache
def on_python_socketio(script: Script, transport: str) -> list[Any]:
    port = free_port()
    with Process([sys.executable, "-m", "tests.e2e.reference", application(script), str(port)]) as reference:
        reference.wait_for(lambda line: line.startswith("Ready:"))
        return script(f"http://127.0.0.1:{port}", transport)


def application(script: Script) -> str:
    return f"{APPLICATIONS}/{script.__name__}.py:sio"


@pytest.mark.parametrize(
    ("script", "ingest", "transport"),
    [
        (lobby, "ordered", "websocket"),
        pytest.param(lobby, "direct", "websocket", marks=pytest.mark.slow),
        (board, "ordered", "websocket"),
        pytest.param(board, "direct", "websocket", marks=pytest.mark.slow),
        (market, "ordered", "websocket"),
        pytest.param(market, "direct", "websocket", marks=pytest.mark.slow),
        pytest.param(market, "direct", "polling", marks=pytest.mark.slow),
    ],
)
def test_the_transcript_is_the_same(script: Script, ingest: str, transport: str) -> None:
    expected = on_python_socketio(script, transport)
    with Gateway("--app", application(script), "RecoveryWindow=0", f"Ingest={ingest}") as gateway:
        assert script(gateway.url, transport) == expected
    assert len(expected) > 15
