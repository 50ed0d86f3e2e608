"""What each stock client does on the wire that others do not, replayed frame by frame: whatever it needs, it gets.

| client | its habits | held by |
|---|---|---|
| all | take the first frame for the open packet | `test_the_open_packet_comes_first` |
| all | take a frame for a packet, and attachments for the header's before them | `test_one_packet_a_frame` |
| all | read of the open packet what they need, in the type they need | `test_what_the_open_packet_says` |
| all | say CONNECT with a comma, without, or for `/` by name | `test_the_forms_of_connect` |
| JS | takes a `pid` and offsets, which nobody else may get | `test_who_is_given_an_offset` |
| JS | may leave the path's slash out | `test_a_path_without_its_slash` |
| JS | does not hear a close packet over WebSocket | `test_the_end_of_a_session_closes_its_websocket` |
| JS, Dart | with `forceBase64` send all headers first, then the attachments | `test_binary.py` |
| JS 2 | speaks Engine.IO 3 | `test_engineio3.py` |
| JS, Python, Swift | add time stamps and `b64` | `test_what_queries_say` |
| Python | takes at most 16 packets in an answer | `test_an_answer_has_at_most_16_packets` |
| Python | probes before it polls | `test_python_upgrades_at_once` |
| Python | waits a second for the answer to CONNECT | `test_connect_is_answered_within_a_second` |
| Java | breaks base64 into lines | `test_java_breaks_lines` |
| Java | upgrades between a header and its attachments | `test_java_upgrades_between_…` |
| C++ | sends CONNECT before the open packet has come | `test_c_plus_plus_does_not_wait_for_it` |
| C++ | does not come back from a close with 1000 | `test_a_close_is_1000` |
| Dart | says `transport=polling` for a WebSocket | `test_dart_says_polling_and_means_websocket` |

Java's client cannot take text frames of base64 over WebSocket, and C++'s leaves them out. API Gateway sends no others,
so binary from the server is not for these two, unless Java's polls.
"""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest

from gateway.template.reader import load
from tests.conformance.wire import CLOSE, POLLING, Server, Talk, Wire, base64_of, handshake_of
from tests.e2e.processes import ROOT

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

ONE, TWO = '{"_placeholder":true,"num":0}', '{"_placeholder":true,"num":1}'


@dataclass(frozen=True)
class Client:
    """How a client names itself, and what is in its query beside the usual; by WebSocket some say nothing of both."""

    agent: str
    polling: dict[str, str] = field(default_factory=dict)
    websocket: dict[str, str] = field(default_factory=dict)
    websocket_agent: str | None = None  # the same

    def by(self, transport: str) -> tuple[str, dict[str, str]]:
        if transport == "polling":
            return self.agent, self.polling
        return self.agent if self.websocket_agent is None else self.websocket_agent, self.websocket


BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 Safari/537.36"
STAMP = {"t": "1795468438.1813536"}
CLIENTS = {
    "js": Client("node-XMLHttpRequest", {"t": "r4ilq0vb"}, websocket_agent=""),
    "js in a browser": Client(BROWSER, {"t": "r4ilq0vb"}),
    "js 4.0": Client("node-XMLHttpRequest", {"t": "NoXQGZ2", "b64": "1"}, websocket_agent=""),
    "python": Client("python-requests/2.32.3", STAMP, STAMP, ""),
    "python asyncio": Client("Python/3.12 aiohttp/3.11.2", STAMP, STAMP),
    "java": Client("okhttp/3.12.12"),
    "c++": Client("WebSocket++/0.8.2", {}, {"t": "1795468438"}),
    "swift": Client("App/1 CFNetwork/1494.0.7 Darwin/23.4.0", {"b64": "1"}, websocket_agent=""),
    "dart": Client("Dart/3.5 (dart:io)", {}, {"transport": "polling"}),
}
KNOW_OFFSETS = ["js", "js in a browser", "js 4.0"]
KNOW_NONE = ["python", "python asyncio", "java", "c++", "dart"]
SESSIONS = [(name, kind) for name in CLIENTS for kind in ("polling", "websocket") if (name, kind) != ("c++", "polling")]


@contextmanager
def session(server: Server, name: str, kind: str) -> Iterator[Talk]:
    """A session as a client begins it."""
    agent, query = CLIENTS[name].by(kind)
    if "transport" in query and not server.ours:
        pytest.skip("Node's server closes such a WebSocket")
    with Wire(server, agent=agent) as wire:
        yield wire.polling(**query) if kind == "polling" else wire.websocket(**query)


# ---------------------------------------------------------------- the open packet
@pytest.mark.parametrize("name", CLIENTS)
def test_the_open_packet_comes_first(server: Server, name: str) -> None:
    """Anything before it breaks Python's client, and a ping before it JavaScript's. Python's waits for five seconds."""
    began = time.monotonic()
    with session(server, name, "websocket") as talk:
        assert time.monotonic() - began < 5
        assert talk.handshake["upgrades"] == []
        talk.say("40")
        assert sorted(talk.hear(2))[0].startswith('40{"sid":')


@pytest.mark.parametrize("query", [{"t": "1795468438"}, {"t": "1795468438", "token": "x"}])
def test_c_plus_plus_does_not_wait_for_it(server: Server, query: dict[str, str]) -> None:
    """C++'s client sends CONNECT as soon as the WebSocket is open; the open packet still comes before the answer.

    So it does whatever overtakes what: several at once, to find the moment.
    """
    with Wire(server, agent=CLIENTS["c++"].agent) as wire:
        sockets = [wire.socket(**query) for _ in range(5)]
        for socket in sockets:
            socket.send("40")
        for socket in sockets:
            assert handshake_of(socket.receive())["upgrades"] == []
            connected, auth = sorted(socket.hear(2))
            assert json.loads(connected[2:]).keys() == {"sid"}
            assert auth == '42["auth",{}]'
            socket.say('42["echo",1]')
            assert socket.hear(1) == ['42["echoed",1]']


@pytest.mark.parametrize("version", ["4", "3"])
@pytest.mark.parametrize("kind", ["polling", "websocket"])
def test_what_the_open_packet_says(server: Server, kind: str, version: str) -> None:
    """Integers for Dart, in milliseconds; not zero, at which Swift crashes; a sum that JavaScript can wait for (2³¹);
    `upgrades` where there are some, and else empty; a sid."""
    if version == "3" and not server.serves_3():
        pytest.skip("the server does not serve Engine.IO 3")
    with Wire(server, version) as wire:
        said = getattr(wire, kind)().handshake
    assert {name: type(value) for name, value in said.items()} == {
        "sid": str,
        "upgrades": list,
        "pingInterval": int,
        "pingTimeout": int,
        "maxPayload": int,
    }
    assert said["upgrades"] == (["websocket"] if kind == "polling" else [])
    assert said["pingInterval"] >= 1000
    assert said["pingTimeout"] >= 1000
    assert said["pingInterval"] + said["pingTimeout"] < 2**31


def test_no_parameter_goes_past_that() -> None:
    """The template takes no times of the heartbeat that a client could not."""
    parameters = load(ROOT / "template.yaml")["Parameters"]
    times = [parameters[name] for name in ("PingInterval", "PingTimeout")]
    assert min(time["MinValue"] for time in times) >= 1
    assert sum(time["MaxValue"] for time in times) * 1000 < 2**31


# ---------------------------------------------------------------- CONNECT
@pytest.mark.parametrize(("name", "kind"), SESSIONS)
def test_connect_is_answered_within_a_second(server: Server, name: str, kind: str) -> None:
    """Python's client gives up after that, and so at each reconnect."""
    with session(server, name, kind) as talk:
        began = time.monotonic()
        talk.say("40")
        assert sorted(talk.hear(2))[0].startswith("40")
        assert time.monotonic() - began < 1


@pytest.mark.parametrize("kind", ["polling", "websocket"])
@pytest.mark.parametrize(
    ("packet", "prefix", "auth"),
    [
        ("40/custom", "/custom,", {}),
        ("40/custom,", "/custom,", {}),
        ('40/custom,{"token":"x"}', "/custom,", {"token": "x"}),
        ("40/,", "", {}),
        ('40/,{"token":"x"}', "", {"token": "x"}),
    ],
)
def test_the_forms_of_connect(wire: Wire, kind: str, packet: str, prefix: str, auth: dict[str, str]) -> None:
    """Some leave the comma out where nothing follows, and some name `/`."""
    talk: Talk = getattr(wire, kind)()
    talk.say(packet)
    connected, told = sorted(talk.hear(2))
    assert connected.startswith(f'40{prefix}{{"sid":')
    assert json.loads(told.removeprefix(f"42{prefix}")) == ["auth", auth]


@pytest.mark.parametrize(("name", "kind"), [each for each in SESSIONS if each[0] != "swift"])
def test_who_is_given_an_offset(server: Server, name: str, kind: str) -> None:
    """JavaScript's client gets a `pid`, and from then on an offset behind the arguments of each event, which is how it
    comes back to its socket. Others would hand it to their handlers as an argument; they get neither.

    What Swift's gets is not said here: by WebSocket nothing tells it from JavaScript's under Node.
    """
    if not server.ours:
        pytest.skip("Node gives it to all, if told to")
    with session(server, name, kind) as talk:
        talk.say("40")
        connected, auth = sorted(talk.hear(2))
        talk.say('42["echo",1]')
        (echoed,) = talk.hear(1)
    if name in KNOW_OFFSETS:
        assert json.loads(connected[2:]).keys() == {"sid", "pid"}
        for packet, count in ((auth, 2), (echoed, 2)):
            *event, offset = json.loads(packet[2:])
            assert len(event) == count
            assert isinstance(offset, str)
    else:
        assert name in KNOW_NONE
        assert json.loads(connected[2:]).keys() == {"sid"}
        assert [auth, echoed] == ['42["auth",{}]', '42["echoed",1]']


# ---------------------------------------------------------------- requests
@pytest.mark.parametrize(("name", "kind"), SESSIONS)
def test_what_queries_say(server: Server, name: str, kind: str) -> None:
    """`t`, `b64` and the rest change nothing: binary comes as base64 text, and events as they were sent."""
    with session(server, name, kind) as talk:
        talk.say("40")
        talk.hear(2)
        talk.say('42["bytes_of",1,2]')
        header, *attachments = talk.hear(4)
        assert header.startswith('453-["bytes",{"first":')
        assert attachments == [base64_of(b"\1\2"), "b", base64_of(b"\2\1")]


def test_a_path_without_its_slash(server: Server) -> None:
    """JavaScript's client leaves the slash at the end out if told to (`addTrailingSlash`), C++'s if its URI does."""
    if not server.ours:
        pytest.skip("Node's server has to be told, too")
    with Wire(server, path="/socket.io") as wire:
        assert wire.request("OPTIONS", POLLING).status_code == 204
        for talk in (wire.polling(), wire.websocket(), wire.upgraded()):
            talk.join()


@pytest.mark.parametrize("packet", ["4abc", CLOSE])
def test_the_end_of_a_session_closes_its_websocket(server: Server, wire: Wire, packet: str) -> None:
    """JavaScript's client does not hear a close packet by WebSocket: the connection itself is closed."""
    if packet == CLOSE and not server.ours:
        pytest.skip("Node's server does not hear one either")
    socket = wire.websocket()
    socket.join()
    socket.say(packet)
    socket.closes()


def test_a_close_is_1000(server: Server, wire: Wire) -> None:
    """API Gateway closes a connection with 1000 whenever a function asks for it (DELETE @connections), whatever for.

    C++'s client takes that for the end and does not come back by itself; no other client minds. Nothing here can choose
    another code, so a WebSocket is closed only where there is no going on: its client broke the protocol, has not
    answered its ping, takes no frames, or its record is lost. What API Gateway ends by itself, after 2 hours or 10 idle
    minutes, is 1001, and everybody comes back.
    """
    if not server.ours:
        pytest.skip("what API Gateway does")
    socket = wire.websocket()
    socket.join()
    socket.say('43["no number"')
    socket.closes()
    assert socket.close_code == 1000


# ---------------------------------------------------------------- long polling and the upgrade
def test_an_answer_has_at_most_16_packets(server: Server) -> None:
    """Python's client refuses more, and drops the connection; so much in one go is nothing unusual."""
    if not server.ours:
        pytest.skip("Node's server has no such limit")
    with session(server, "python", "polling") as polling:
        polling.join()
        for start in range(0, 60, 20):
            polling.say(*[f'42["echo",{n}]' for n in range(start, start + 20)])
        heard: list[str] = []
        while len(heard) < 60:
            packets = polling.some()
            assert len(packets) <= 16
            heard += packets
        assert heard == [f'42["echoed",{n}]' for n in range(60)]


def test_attachments_are_packets_there(server: Server) -> None:
    """They count as well: two events of eleven packets each come in two answers."""
    if not server.ours:
        pytest.skip("Node's server has no such limit")
    with session(server, "python", "polling") as polling:
        polling.join()
        places = ",".join(ONE.replace("0", str(n)) for n in range(10))
        attachments = [base64_of(bytes([n])) for n in range(10)]
        polling.say(*[f'4510-["echo",{places}]', *attachments] * 4)
        heard: list[str] = []
        while len(heard) < 44:
            packets = polling.some()
            assert len(packets) <= 16
            heard += packets
        assert heard == [f'4510-["echoed",{places}]', *attachments] * 4


def test_python_upgrades_at_once(server: Server) -> None:
    """Python's client opens its WebSocket right after the handshake: no poll comes, and CONNECT is on the WebSocket."""
    agent, query = CLIENTS["python"].by("websocket")
    with Wire(server, agent=CLIENTS["python"].agent) as wire:
        for _ in range(3):
            polling = wire.polling(**STAMP)
            wire.agent = agent
            socket = wire.socket(sid=polling.sid, **query)
            socket.send("2probe")
            assert socket.receive() == "3probe", "and nothing before it"
            socket.say("5", "40")
            assert sorted(socket.hear(2))[0].startswith('40{"sid":')


def test_dart_says_polling_and_means_websocket(server: Server, wire: Wire) -> None:
    """Dart's client opens its WebSocket with `transport=polling`, unless told otherwise: what counts is the request."""
    if not server.ours:
        pytest.skip("Node's server closes such a WebSocket")
    wire.agent = CLIENTS["dart"].agent
    socket = wire.websocket(transport="polling")
    assert socket.handshake["upgrades"] == []
    socket.join()
    polling = wire.polling()
    polling.join()
    upgrading = wire.socket(sid=polling.sid, transport="polling")
    upgrading.say("2probe")
    assert upgrading.hear(1) == ["3probe"]
    upgrading.say("5", '42["echo",1]')
    assert upgrading.hear(1) == ['42["echoed",1]']


# ---------------------------------------------------------------- binary
def lines(code: str) -> str:
    """Return base64 as Java's client breaks it."""
    return "\n".join(code[start : start + 76] for start in range(0, len(code), 76)) + "\n"


@pytest.mark.parametrize("size", [1, 57, 58, 1000])
def test_java_breaks_lines(wire: Wire, size: int) -> None:
    """Java's client breaks its base64 into lines of 76, on long polling, and ends the last one, too."""
    wire.agent = CLIENTS["java"].agent
    polling = wire.polling()
    polling.join()
    code = base64_of(bytes(n % 256 for n in range(size)))
    polling.say(f'451-["echo",{ONE}]', lines(code))
    assert polling.hear(2) == [f'451-["echoed",{ONE}]', code]


def test_java_upgrades_between_a_header_and_its_attachments(server: Server, wire: Wire) -> None:
    """The header goes by POST, and what follows it by WebSocket: what is incomplete is the session's."""
    if not server.ordered:
        pytest.skip("needs frames in their order; see test_binary.py")
    wire.agent = CLIENTS["java"].agent
    polling = wire.polling()
    polling.join()
    polling.say(f'452-1["ask",{ONE},{TWO}]')
    socket = wire.upgrade(polling)
    socket.say(lines(base64_of(bytes(100))), base64_of(b"two"), '422["ask","next"]')
    assert socket.hear(4) == [f"462-1[{ONE},{TWO}]", base64_of(bytes(100)), base64_of(b"two"), '432["next"]']


def test_one_packet_a_frame(wire: Wire) -> None:
    """However much is said at once, each packet has its frame, and attachments are right behind their header."""
    polling, socket = wire.polling(), wire.websocket()
    polling.join()
    to = socket.join()
    polling.say(*[part for n in range(10) for part in (f'452-["tell","{to}",{n},{ONE},{TWO}]', f"b{n}000", f"b{n}AAA")])
    for n in range(10):
        header, *attachments = [socket.receive() for _ in range(3)]
        assert header == f'452-["told",{n},{ONE},{TWO}]'
        assert attachments == [f"b{n}000", f"b{n}AAA"]
