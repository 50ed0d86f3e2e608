"""Engine.IO 3 and Socket.IO 2's protocol, which Socket.IO's clients 2 speak: where it differs from what came after it.

https://github.com/socketio/engine.io-protocol/tree/v3 and https://github.com/socketio/socket.io-protocol/tree/v4
"""

from collections.abc import Iterator

import pytest

from tests.conformance.wire import (
    BAD_REQUEST,
    NOOP,
    PING,
    PONG,
    Server,
    Talk,
    Wire,
    base64_of,
    handshake_of,
    packets_of,
    payload,
)

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

KINDS = ["polling", "websocket", "upgraded"]
ONE, TWO = '{"_placeholder":true,"num":0}', '{"_placeholder":true,"num":1}'


def binary(data: bytes) -> str:
    """Return a binary message: the letter, its type, and base64."""
    return f"b4{base64_of(data)[1:]}"


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    """Requests of version 3; what a test opens is closed at its end."""
    if not server.serves_3():
        pytest.skip("the server does not serve Engine.IO 3")
    with Wire(server, "3") as wire:
        yield wire


@pytest.fixture(params=KINDS)
def talk(request: pytest.FixtureRequest, wire: Wire) -> Talk:
    """A session on each transport."""
    talk: Talk = getattr(wire, request.param)()
    return talk


# ---------------------------------------------------------------- the handshake
def test_polling_opens_a_session(wire: Wire) -> None:
    """Each packet of a payload comes after its length and a colon; the first one is the open packet."""
    answer = wire.request("GET", wire.query(transport="polling"))
    length, _, rest = answer.text.partition(":")
    handshake = handshake_of(rest[: int(length)])
    assert handshake.keys() >= {"sid", "upgrades", "pingInterval", "pingTimeout"}
    assert handshake["upgrades"] == ["websocket"]


def test_websocket_opens_a_session(wire: Wire) -> None:
    """The first frame is the open packet; frames have no lengths."""
    assert wire.websocket().handshake["upgrades"] == []


def test_who_connects_is_in_the_first_namespace(talk: Talk) -> None:
    """CONNECT for `/` comes unasked, with no data, and nothing of the application comes before the open packet."""
    assert sorted(talk.hear(2))[0] == "40"


def test_the_version_stays(server: Server, wire: Wire) -> None:
    """A session of version 3 takes no requests and no WebSocket of version 4; it stays as it is."""
    polling = wire.polling()
    polling.join()
    server.refuses(polling.request("POST", '42["echo",1]', EIO="4"), BAD_REQUEST)
    wire.refused(sid=polling.sid, EIO="4")
    polling.say('42["echo",1]')
    assert polling.hear(1) == ['42["echoed",1]']


def test_the_id_of_a_socket(wire: Wire) -> None:
    """No CONNECT tells it: the client takes the session's, behind the name of a namespace other than `/`."""
    talker, listener = wire.websocket(), wire.polling()
    talker.join()
    talker.join("/custom")
    for prefix, namespace in (("", "/"), ("/custom,", "/custom")):
        to = listener.join(namespace)
        talker.say(f'42{prefix}["tell","{to}","hello"]')
        assert listener.hear(1) == [f'42{prefix}["told","hello"]']


# ---------------------------------------------------------------- payloads
def test_a_post_of_several_packets(wire: Wire) -> None:
    """Packets follow each other without a separator, and are handled in their order."""
    polling = wire.polling()
    polling.join()
    polling.say(*[f'42["echo",{n}]' for n in range(20)])
    assert polling.hear(20) == [f'42["echoed",{n}]' for n in range(20)]


def test_lengths_count_as_javascript_does(wire: Wire) -> None:
    """A length is that of a string in JavaScript: a character outside of the first plane counts twice."""
    polling = wire.polling()
    polling.join()
    packets = ['42["echo","é"]', '42["echo","😀"]', '42["echo","\u2028€"]']
    assert payload(packets, "3").startswith('14:42["echo","é"]15:42["echo","😀"]15:')
    polling.say(*packets)
    assert polling.hear(3) == [packet.replace("echo", "echoed") for packet in packets]


@pytest.mark.parametrize("body", ["", "abc", '42["echo",1]', '99:42["echo",1]', '3:42["echo",1]', "0:"])
def test_a_broken_payload_closes_the_session(server: Server, wire: Wire, body: str) -> None:
    """A body that has no lengths, or wrong ones, is answered 400, and the session is closed."""
    if not server.ours:
        pytest.skip("a rule of ours; Node's server drops what it cannot read, or closes the session without a word")
    polling = wire.polling()
    polling.join()
    assert polling.request("POST", body).status_code == 400
    polling.closes()


# ---------------------------------------------------------------- the heartbeat
def test_the_client_pings(talk: Talk) -> None:
    """The client asks and the server answers, with the same data."""
    talk.join()
    talk.say(PING)
    assert talk.hear(1) == [PONG]
    talk.say(PING + "any")
    assert talk.hear(1)[0].startswith(PONG)


def test_a_probe_is_a_ping(wire: Wire) -> None:
    """What a WebSocket's probe asks, a session that polls may ask as well."""
    polling = wire.polling()
    polling.join()
    polling.say("2probe")
    assert polling.hear(1)[0].startswith(PONG)


# ---------------------------------------------------------------- namespaces
@pytest.mark.parametrize(
    ("packet", "auth"),
    [
        ("40/custom", "{}"),
        ("40/custom,", "{}"),
        ("40/custom?token=x,", '{"token":"x"}'),
        ("40/custom?token=x&more=%C3%A9%20y", '{"token":"x","more":"é y"}'),
    ],
)
def test_connecting(talk: Talk, packet: str, auth: str) -> None:
    """CONNECT to a namespace may have a query, which is its auth; the answer has neither query nor data."""
    talk.join()
    talk.say(packet)
    assert sorted(talk.hear(2)) == ["40/custom,", f'42/custom,["auth",{auth}]']
    talk.say('42/custom,7["ask",1]')
    assert talk.hear(1) == ["43/custom,7[1]"]


def test_the_auth_of_the_first_namespace(server: Server, wire: Wire) -> None:
    """For `/` there is no CONNECT, and its auth is the query with which the session began. Node has none for it."""
    if not server.ours:
        pytest.skip("a rule of ours")
    for talk in (wire.polling(token="x"), wire.websocket(token="x")):
        _, auth = sorted(talk.hear(2))
        assert '"token":"x"' in auth


def test_an_unknown_namespace(talk: Talk) -> None:
    """It is answered with an ERROR, as in version 4; the session goes on."""
    talk.join()
    talk.say("40/random,")
    assert talk.hear(1) == ['44/random,{"message":"Invalid namespace"}']
    talk.say('42["echo",1]')
    assert talk.hear(1) == ['42["echoed",1]']


def test_a_refusal(talk: Talk) -> None:
    """ERROR of a refusal is its data, without the message."""
    talk.join()
    talk.say("40/private,")
    assert talk.hear(1) == ['44/private,{"hint":"nobody"}']
    talk.join("/custom")


def test_disconnecting(wire: Wire, talk: Talk) -> None:
    """DISCONNECT ends one namespace; the application is told."""
    watcher = wire.polling()
    watcher.join()
    watcher.join("/custom")
    watcher.watch("/custom")
    talk.join()
    sid = talk.join("/custom")
    talk.say("41/custom,")
    watcher.see_off(sid, "/custom")
    talk.say('42["echo","on"]')
    assert talk.hear(1) == ['42["echoed","on"]']


# ---------------------------------------------------------------- binary
def test_binary_from_the_server(talk: Talk) -> None:
    """A binary message says its type behind the letter, on either transport."""
    talk.join()
    talk.say('42["bytes_of",1,2,3]')
    header, *attachments = talk.hear(4)
    three = '{"_placeholder":true,"num":2}'
    assert header == f'453-["bytes",{{"first":{ONE},"rest":[{TWO},{three}]}}]'
    assert attachments == [binary(b"\1\2\3"), binary(b""), binary(b"\3\2\1")]


def test_binary_from_the_client(wire: Wire) -> None:
    """So does one from the client, in a payload of text …"""
    polling = wire.polling()
    polling.join()
    polling.say(f'452-1["ask",{ONE},{TWO}]', binary(b"\1\2\3"), binary(b""))
    assert polling.hear(3) == [f"462-1[{ONE},{TWO}]", binary(b"\1\2\3"), binary(b"")]


def test_binary_in_a_binary_payload(wire: Wire) -> None:
    """… and in one of bytes, as browsers post it: 0 or 1, the length's digits, 255, then text, or a type and bytes."""
    polling = wire.polling()
    polling.join()
    header = f'451-1["ask",{ONE}]'.encode()
    body = bytes([0, *map(int, str(len(header))), 255]) + header + bytes([1, 4, 255, 4]) + b"\1\2\3"
    query = wire.query(transport="polling", sid=polling.sid)
    answer = wire.request("POST", query, body, {"Content-Type": "application/octet-stream"})
    assert (answer.status_code, answer.text) == (200, "ok")
    assert polling.hear(2) == [f"461-1[{ONE}]", binary(b"\1\2\3")]


def test_binary_over_websocket(server: Server, wire: Wire) -> None:
    """Over WebSocket it is a text frame of its own after its header."""
    if not server.ordered:
        pytest.skip("needs frames in their order; see test_binary.py")
    socket = wire.websocket()
    socket.join()
    socket.say(f'452-1["ask",{ONE},{TWO}]', binary(b"\1\2\3"), binary(b"\4"))
    assert socket.hear(3) == [f"462-1[{ONE},{TWO}]", binary(b"\1\2\3"), binary(b"\4")]


# ---------------------------------------------------------------- the upgrade
def test_the_upgrade(wire: Wire) -> None:
    """`2probe` and `3probe`; the GET that waits is answered with a noop; `5`, and the session is on the WebSocket."""
    polling = wire.polling()
    polling.join()
    waiting = polling.get_later()
    assert not waiting.done()
    socket = wire.probe(polling)
    assert packets_of(waiting.result().text, "3") == [NOOP]
    socket.say("5", '42["echo","hello"]')
    assert socket.hear(1) == ['42["echoed","hello"]']
    assert polling.get().status_code == 400


def test_an_upgrade_before_anything_was_heard(wire: Wire) -> None:
    """What waits for a client that upgrades at once comes by WebSocket, the unasked CONNECT included."""
    polling = wire.polling()
    socket = wire.upgrade(polling)
    heard = polling.heard + socket.hear(2 - len(polling.heard))
    assert sorted(heard)[0] == "40"
