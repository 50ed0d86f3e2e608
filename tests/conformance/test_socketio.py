"""Socket.IO 5 over long polling, over WebSocket, and over a WebSocket that was long polling.

https://github.com/socketio/socket.io/blob/main/docs/socket.io-protocol/v5-current.md
"""

import json

import pytest

from tests.conformance.wire import Polling, Server, Talk, Wire, base64_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

KINDS = ["polling", "websocket", "upgraded"]
ONE, TWO = '{"_placeholder":true,"num":0}', '{"_placeholder":true,"num":1}'


@pytest.fixture(params=KINDS)
def talk(request: pytest.FixtureRequest, wire: Wire) -> Talk:
    """A session on each transport."""
    talk: Talk = getattr(wire, request.param)()
    return talk


# ---------------------------------------------------------------- CONNECT
@pytest.mark.parametrize(
    ("packet", "prefix", "auth"),
    [
        ("40", "", {}),
        ("40{}", "", {}),
        ('40{"token":"123"}', "", {"token": "123"}),
        ("40/custom,", "/custom,", {}),
        ("40/custom", "/custom,", {}),
        ('40/custom,{"token":"abc"}', "/custom,", {"token": "abc"}),
    ],
)
def test_connecting(wire: Wire, talk: Talk, packet: str, prefix: str, auth: dict[str, str]) -> None:
    """CONNECT is answered with CONNECT and the socket's id, which is not the session's; its payload is the
    application's."""
    talk.say(packet)
    # What the connect handler emits comes first in python-socketio, and after it in Node.
    connected, told = sorted(talk.hear(2))
    assert connected.startswith("40" + prefix + "{")
    answer = json.loads(connected.removeprefix("40" + prefix))
    assert answer.keys() == {"sid"}
    assert answer["sid"] != talk.sid
    assert told.startswith(f'42{prefix}["auth"')
    assert json.loads(told.removeprefix("42" + prefix)) == ["auth", auth]


def test_an_unknown_namespace(talk: Talk) -> None:
    """CONNECT to a namespace that the server does not have is answered with CONNECT_ERROR; the session goes on."""
    talk.say("40/random")
    assert talk.hear(1) == ['44/random,{"message":"Invalid namespace"}']
    talk.join()


def test_a_refusal(talk: Talk) -> None:
    """The application's refusal is a CONNECT_ERROR with its message and data; other namespaces are not touched."""
    talk.join()
    talk.say("40/private,")
    (refusal,) = talk.hear(1)
    assert refusal.startswith("44/private,")
    assert json.loads(refusal.removeprefix("44/private,")) == {"message": "not you", "data": {"hint": "nobody"}}
    talk.say('42["echo",1]')
    assert talk.hear(1) == ['42["echoed",1]']


def test_several_namespaces(talk: Talk) -> None:
    """A session may be in several namespaces, with a socket of its own in each."""
    assert talk.join() != talk.join("/custom")
    talk.say('42["echo",1]')
    assert talk.hear(1) == ['42["echoed",1]']
    talk.say('42/custom,["echo",2]')
    assert talk.hear(1) == ['42/custom,["echoed",2]']


@pytest.mark.parametrize("packet", ['42["echo",1]', "41", '431["x"]'])
def test_connect_comes_first(talk: Talk, packet: str) -> None:
    """A session that says anything before its CONNECT is closed."""
    talk.say(packet)
    talk.closes()


# ---------------------------------------------------------------- EVENT and ACK
@pytest.mark.parametrize("prefix", ["", "/custom,"])
def test_an_event(talk: Talk, prefix: str) -> None:
    """An event is its name and arguments as JSON; other namespaces than / are named."""
    talk.join(prefix.rstrip(",") or "/")
    talk.say(f'42{prefix}["echo",1,"2",{{"3":[true,null]}}]')
    assert talk.hear(1) == [f'42{prefix}["echoed",1,"2",{{"3":[true,null]}}]']


@pytest.mark.parametrize("number", [0, 1, 456, 123456789012])
def test_an_acknowledgement(talk: Talk, number: int) -> None:
    """An event with a number, which may be 0, is answered by an ACK with the same number."""
    talk.join()
    talk.say(f'42{number}["ask",1,"2",{{"3":[false]}}]')
    assert talk.hear(1) == [f'43{number}[1,"2",{{"3":[false]}}]']


def test_an_acknowledgement_in_a_namespace(talk: Talk) -> None:
    """The number follows the namespace; an answer of nothing is an empty array."""
    talk.join("/custom")
    talk.say('42/custom,13["ask","foo"]')
    assert talk.hear(1) == ['43/custom,13["foo"]']
    talk.say('42/custom,14["ask"]')
    assert talk.hear(1) == ["43/custom,14[]"]


def test_an_event_nobody_handles(talk: Talk) -> None:
    """An event without a handler is no error."""
    talk.join()
    talk.say('42["nobody handles this",1]')
    talk.say('421["ask","next"]')
    assert talk.hear(1) == ['431["next"]']


@pytest.mark.parametrize("packet", ["4abc", "42{}", "42[]", '42abc["echo",1]', "42", "48", '43["no number"'])
def test_broken_packets(server: Server, talk: Talk, packet: str) -> None:
    """An unknown type, no payload or one that is no array or empty, a broken number: the session is closed."""
    if packet == "42" and not server.ours:
        pytest.skip("the specification's rule; Node's server takes it for an event without a name")
    talk.join()
    if isinstance(talk, Polling):
        assert talk.post(packet).status_code in (200, 400)
    else:
        talk.say(packet)
    talk.closes()


# ---------------------------------------------------------------- binary
def test_binary_from_the_server(talk: Talk) -> None:
    """Attachments follow their event in the order of their numbers; one may be empty."""
    talk.join()
    talk.say('42["bytes_of",1,2,3]')
    header, *attachments = talk.hear(4)
    three = '{"_placeholder":true,"num":2}'
    assert header == f'453-["bytes",{{"first":{ONE},"rest":[{TWO},{three}]}}]'
    assert attachments == [base64_of(b"\1\2\3"), base64_of(b""), base64_of(b"\3\2\1")]


def test_binary_from_the_client(wire: Wire) -> None:
    """BINARY_EVENT: placeholders stand for what follows; they may be nested."""
    polling = wire.polling()
    polling.join()
    data = f'{{"a":[{ONE},1],"b":{{"c":{TWO}}}}}'
    polling.say(f'452-["echo",{data}]', base64_of(b"\1\2\3"), base64_of(b"\4\5\6"))
    assert polling.hear(3) == [f'452-["echoed",{data}]', base64_of(b"\1\2\3"), base64_of(b"\4\5\6")]


def test_binary_in_several_requests(wire: Wire) -> None:
    """The attachments of an event may come in later requests; the event is complete with the last."""
    polling = wire.polling()
    polling.join()
    polling.say(f'452-["echo",{ONE},{TWO}]')
    polling.say(base64_of(b"one"))
    polling.say(base64_of(b"two"), '42["echo","next"]')
    expected = [f'452-["echoed",{ONE},{TWO}]', base64_of(b"one"), base64_of(b"two"), '42["echoed","next"]']
    assert polling.hear(4) == expected


def test_several_binary_events_in_a_request(wire: Wire) -> None:
    """Each event takes the attachments that follow it."""
    polling = wire.polling()
    polling.join("/custom")
    packets = [packet for n in range(5) for packet in (f'451-/custom,["echo",{ONE}]', base64_of(bytes([n])))]
    polling.say(*packets)
    assert polling.hear(10) == [packet.replace("echo", "echoed") for packet in packets]


def test_binary_acknowledgement(wire: Wire) -> None:
    """BINARY_ACK: the number follows the count of attachments."""
    polling = wire.polling()
    polling.join()
    polling.say(f'452-789["ask",{ONE},{TWO}]', base64_of(b"\1\2\3"), base64_of(b"\4\5\6"))
    assert polling.hear(3) == [f"462-789[{ONE},{TWO}]", base64_of(b"\1\2\3"), base64_of(b"\4\5\6")]


def test_binary_that_is_no_event(wire: Wire) -> None:
    """An attachment without its event closes the session."""
    polling = wire.polling()
    polling.join()
    polling.post(base64_of(b"lost"))
    polling.closes()


def test_a_packet_in_an_attachments_place(wire: Wire) -> None:
    """Node's server closes the session. Here it waits its turn: browsers send so what they have to encode."""
    polling = wire.polling()
    polling.join()
    polling.post(f'452-["echo",{ONE},{TWO}]', base64_of(b"one"), '42["echo",1]')
    if not wire.server.ours:
        return polling.closes()
    polling.post(base64_of(b"two"))
    echoed = [f'452-["echoed",{ONE},{TWO}]', base64_of(b"one"), base64_of(b"two"), '42["echoed",1]']
    assert polling.hear(4) == echoed


# ---------------------------------------------------------------- DISCONNECT
@pytest.mark.parametrize("packet", ["41/custom,", "41/custom"])
def test_disconnecting(wire: Wire, talk: Talk, packet: str) -> None:
    """DISCONNECT ends the connection to its namespace alone; nothing answers it, and the application is told."""
    watcher = wire.polling()
    watcher.join("/custom")
    watcher.watch("/custom")
    talk.join()
    sid = talk.join("/custom")
    talk.say(packet)
    watcher.see_off(sid, "/custom")
    talk.say('42["echo","on"]')
    assert talk.hear(1) == ['42["echoed","on"]']
    assert talk.join("/custom") != sid


def test_being_disconnected(talk: Talk) -> None:
    """The server's DISCONNECT ends one namespace, too."""
    talk.join()
    talk.join("/custom")
    talk.say('42/custom,["leave"]')
    assert talk.hear(1) == ["41/custom,"]
    talk.say('42["echo","on"]')
    assert talk.hear(1) == ['42["echoed","on"]']


# ---------------------------------------------------------------- several at once
def test_a_room_of_all_kinds(wire: Wire) -> None:
    """What goes to a room reaches its members on either transport."""
    talks = [getattr(wire, kind)() for kind in KINDS]
    for talk in talks:
        talk.join()
        talk.watch()
    leaver = wire.polling()
    gone = leaver.join()
    leaver.say("1")
    for talk in talks:
        talk.see_off(gone)
