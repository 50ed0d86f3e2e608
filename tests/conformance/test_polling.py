"""Engine.IO 4: long polling. GET takes what the server has to say, POST brings what the client has.

https://github.com/socketio/socket.io/blob/main/docs/engine.io-protocol/v4-current.md#http-long-polling
"""

import json
import time

import pytest

from tests.conformance.wire import CLOSE, NOOP, SEPARATOR, UNKNOWN_SESSION, Server, Wire, base64_of
from tests.e2e.processes import Gateway

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

PLACEHOLDER = '{"_placeholder":true,"num":0}'


def test_a_post_is_answered_ok(wire: Wire) -> None:
    """What a POST brings is taken once it is answered 200 "ok"; the answer to it comes by GET."""
    polling = wire.polling()
    answer = polling.post("40")
    assert (answer.status_code, answer.text) == (200, "ok")
    assert sorted(polling.hear(2))[0].startswith('40{"sid":')


def test_several_packets_in_a_post(wire: Wire) -> None:
    """Packets of one request are separated by U+001E, and handled in their order."""
    polling = wire.polling()
    polling.join()
    polling.say(*[f'42["echo",{n}]' for n in range(20)])
    assert polling.hear(20) == [f'42["echoed",{n}]' for n in range(20)]


def test_posts_follow_each_other(wire: Wire) -> None:
    """What a later request brings is handled later."""
    polling = wire.polling()
    polling.join()
    for n in range(5):
        polling.say(f'42["echo",{n}]', f'42{n}["ask",{n}]')
    expected = [packet for n in range(5) for packet in (f'42["echoed",{n}]', f"43{n}[{n}]")]
    assert polling.hear(10) == expected


def test_what_waits_comes_in_one_answer(wire: Wire) -> None:
    """Packets for a client that is not asking wait, and come in their order, several in one answer."""
    polling = wire.polling()
    polling.join()
    polling.say('42["echo",1]', '42["echo",2]', '42["echo",3]')
    assert polling.get().text.split(SEPARATOR) == ['42["echoed",1]', '42["echoed",2]', '42["echoed",3]']


def test_what_was_taken_does_not_come_again(wire: Wire) -> None:
    """Each packet comes once."""
    polling = wire.polling()
    polling.join()
    for n in range(3):
        polling.say(f'42["echo",{n}]')
        assert polling.hear(1) == [f'42["echoed",{n}]']
    waiting = polling.get_later()
    assert not waiting.done()
    polling.say('42["echo","last"]')
    assert waiting.result().text == '42["echoed","last"]'


def test_more_than_an_answer_holds(server: Server, wire: Wire) -> None:
    """However much waits, all of it comes in its order. An answer of ours has at most 16 packets: Python's client
    refuses more."""
    polling = wire.polling()
    polling.join()
    polling.say(*[f'42["echo",{n}]' for n in range(50)])
    heard: list[str] = []
    while len(heard) < 50:
        packets = polling.some()
        assert len(packets) <= 16 or not server.ours
        heard += [packet for packet in packets if packet[0] == "4"]
    assert heard == [f'42["echoed",{n}]' for n in range(50)]


def test_a_get_waits_for_something_to_say(wire: Wire) -> None:
    """A GET for which there is nothing is kept, and answered as soon as somebody else has something to say."""
    polling, other = wire.polling(), wire.websocket()
    to = polling.join()
    other.join()
    waiting = polling.get_later()
    assert not waiting.done()
    other.say(f'42["tell","{to}","hello"]')
    answer = waiting.result()
    assert (answer.status_code, answer.text) == (200, '42["told","hello"]')


def test_a_post_while_a_get_waits(wire: Wire) -> None:
    """A client may send while it asks."""
    polling = wire.polling()
    polling.join()
    waiting = polling.get_later()
    assert not waiting.done()
    polling.say('421["ask","now"]')
    assert waiting.result().text == '431["now"]'


def test_text_comes_as_it_was_sent(wire: Wire) -> None:
    """Payloads are UTF-8, and the separator inside of a text is escaped by its JSON."""
    polling = wire.polling()
    polling.join()
    text = 'é \u2028 € 😀 \x1e \\ " \x00 ü'
    polling.say(f'42["echo",{json.dumps(text)}]')
    assert json.loads(polling.hear(1)[0][2:]) == ["echoed", text]
    polling.say(f'42["echo",{json.dumps(text, ensure_ascii=False)}]')
    assert json.loads(polling.hear(1)[0][2:]) == ["echoed", text]


def test_binary_is_base64(wire: Wire) -> None:
    """A binary packet is "b" and base64, both ways; one may be empty."""
    polling = wire.polling()
    polling.join()
    for data in (b"\x01\x02\x03\x04", bytes(range(256)), b"\x00", b""):
        polling.say(f'451-["echo",{PLACEHOLDER}]', base64_of(data))
        assert polling.hear(2) == [f'451-["echoed",{PLACEHOLDER}]', base64_of(data)]


def test_base64_in_lines(wire: Wire) -> None:
    """Java's client breaks its base64 into lines."""
    polling = wire.polling()
    polling.join()
    data = bytes(range(200))
    code = base64_of(data)
    polling.say(f'451-["echo",{PLACEHOLDER}]', "\n".join(code[start : start + 76] for start in range(0, len(code), 76)))
    assert polling.hear(2) == [f'451-["echoed",{PLACEHOLDER}]', code]


def test_a_large_packet(wire: Wire) -> None:
    """A packet is whole however large it is. API Gateway's most is 128 KB, which a room's other members have to get."""
    polling = wire.polling()
    polling.join()
    text = "0123456789" * 12_500
    polling.say(*[f'42["echo",{n},"{text}"]' for n in range(5)])
    assert polling.hear(5) == [f'42["echoed",{n},"{text}"]' for n in range(5)]


def test_a_body_of_the_greatest_size(wire: Wire) -> None:
    """A request may have as many bytes as the handshake's maxPayload."""
    polling = wire.polling()
    polling.join()
    head, tail = '420["size","', '"]'
    length = polling.handshake["maxPayload"] - len(head) - len(tail)
    polling.say(head + "x" * length + tail)
    assert polling.hear(1) == [f"430[{length}]"]


@pytest.mark.parametrize("letter", ["x", "é"])
def test_a_body_that_is_too_large(server: Server, wire: Wire, letter: str) -> None:
    """A request with more bytes (not characters) than maxPayload is answered 413."""
    polling = wire.polling()
    polling.join()
    count = polling.handshake["maxPayload"] // len(letter.encode())
    answer = polling.post(f'42["size","{letter * count}"]')
    assert answer.status_code == 413


@pytest.mark.parametrize("body", ["abc", "", "9", "-1", "2", '42["echo",1]\x1eabc', '42["echo",1]\x1e', "\x1e"])
def test_a_broken_payload_closes_the_session(wire: Wire, body: str) -> None:
    """What is no packet, or not one that a client sends, is answered 400, and the session is closed."""
    polling = wire.polling()
    polling.break_off(body)
    polling.closes()


def test_broken_base64_closes_the_session(server: Server, wire: Wire) -> None:
    """Base64 with a foreign character is no packet. Node drops the character instead."""
    if not server.ours:
        pytest.skip("a rule of ours")
    polling = wire.polling()
    polling.join()
    polling.break_off(f'451-["echo",{PLACEHOLDER}]', "bAQ*D")
    polling.closes()


def test_text_that_is_not_utf8(server: Server, wire: Wire) -> None:
    """Bytes that are no UTF-8 are no payload. Node puts U+FFFD in their place."""
    if not server.ours:
        pytest.skip("a rule of ours")
    polling = wire.polling()
    polling.join()
    answer = polling.request("POST", b'42["echo","\xff"]')
    assert answer.status_code == 400
    polling.closes()


def test_two_gets_at_once_close_the_session(server: Server, wire: Wire) -> None:
    """A client has one GET under way. A second one is answered 400 and closes the session; the first gets a close
    packet."""
    polling = wire.polling()
    polling.join()
    first = polling.get_later()
    assert not first.done()
    second = polling.get()
    assert second.status_code == 400
    assert (first.result().status_code, first.result().text) == (200, CLOSE)
    server.refuses(polling.get(), UNKNOWN_SESSION)


def test_a_client_closes_its_session(server: Server, wire: Wire) -> None:
    """A close packet is answered "ok", the GET that waits gets a noop, and the session is unknown from then on."""
    polling = wire.polling()
    polling.join()
    waiting = polling.get_later()
    assert not waiting.done()
    polling.say(CLOSE)
    assert (waiting.result().status_code, waiting.result().text) == (200, NOOP)
    server.refuses(polling.get(), UNKNOWN_SESSION)
    server.refuses(polling.post('42["echo",1]'), UNKNOWN_SESSION)
    wire.refused(sid=polling.sid)


def test_others_learn_of_a_closed_session(server: Server, wire: Wire) -> None:
    """A close packet ends the session for the application at once, after what came before it in the request. Node's
    server forgets that."""
    watcher, polling = wire.websocket(), wire.polling()
    to, sid = watcher.join(), polling.join()
    watcher.watch()
    polling.say(f'42["tell","{to}","bye"]', CLOSE)
    _, before = watcher.see_off(sid)
    if server.ours:
        assert before == ['42["told","bye"]']


@pytest.mark.slow
def test_a_get_does_not_outlast_the_api() -> None:
    """API Gateway's HTTP API gives up after 30 s, so a GET with nothing to say is answered before with a noop.

    With the heartbeat's default of 120 s there is nothing else to say for that long.
    """
    with Gateway("--app", "tests/conformance/application.py:sio") as gateway, Wire(Server(gateway.url, True)) as wire:
        polling = wire.polling()
        polling.join()
        began = time.monotonic()
        answer = polling.get()
        assert (answer.status_code, answer.text) == (200, NOOP)
        assert time.monotonic() - began < 30
        polling.say('42["echo",1]')
        assert polling.hear(1) == ['42["echoed",1]']
