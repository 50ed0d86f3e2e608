"""Engine.IO 4: the server pings, and closes a session that does not answer; on both transports.

https://github.com/socketio/socket.io/blob/main/docs/engine.io-protocol/v4-current.md#heartbeat
"""

import time

import pytest

from tests.conformance.wire import CLOSE, NOOP, PING, PONG, UNKNOWN_SESSION, Server, Talk, Wire

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

ROUNDS = 2
SLACK = 2.5
"""Seconds that a ping may be late: the schedule of the heartbeat has a period of its own."""


def next_packet(talk: Talk) -> str:
    while True:
        for packet in talk.some():
            if packet != NOOP:
                return packet


@pytest.mark.parametrize("kind", ["polling", "websocket", "upgraded"])
def test_pings_are_answered(wire: Wire, kind: str) -> None:
    """Each pingInterval a ping comes, and who answers it stays; a ping has no data."""
    talk: Talk = getattr(wire, kind)()
    if kind != "websocket":
        talk.join()
    for _ in range(ROUNDS):
        began = time.monotonic()
        assert next_packet(talk) == PING
        assert time.monotonic() - began < talk.handshake["pingInterval"] / 1000 + SLACK
        talk.say(PONG)
    if kind == "websocket":
        talk.join()
    talk.say('42["echo","still here"]')
    assert talk.hear(1) == ['42["echoed","still here"]']


@pytest.mark.parametrize("kind", ["polling", "websocket", "upgraded"])
def test_who_does_not_answer_is_closed(wire: Wire, kind: str) -> None:
    """Without a pong within pingTimeout the session is over, for the application, too; asking is no answer."""
    watcher, talk = wire.websocket(), getattr(wire, kind)()
    watcher.join()
    watcher.watch()
    sid = talk.join()
    assert next_packet(talk) == PING
    assert watcher.hear(1) == [f'42["gone","{sid}","ping timeout"]']
    talk.closes(pings=True)


def test_who_does_not_ask_is_closed(wire: Wire) -> None:
    """A client that never polls misses its ping, and its session is over."""
    watcher, polling = wire.websocket(), wire.polling()
    watcher.join()
    watcher.watch()
    sid = polling.join()
    assert watcher.hear(1) == [f'42["gone","{sid}","ping timeout"]']
    assert polling.post('42["echo",1]').status_code == 400
    polling.closes(pings=True)


def test_a_get_that_waits_ends_with_its_session(server: Server, wire: Wire) -> None:
    """The GET that waits when a session times out gets a close packet; the session is unknown from then on."""
    polling = wire.polling()
    polling.join()
    assert next_packet(polling) == PING
    while (answer := polling.get()).text in (NOOP, PING):
        pass
    assert answer.text == CLOSE or answer.status_code == 400
    server.refuses(polling.get(), UNKNOWN_SESSION)
