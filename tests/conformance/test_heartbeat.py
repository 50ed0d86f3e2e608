"""Engine.IO 4: the server pings, and closes a session that does not answer; on both transports.

https://github.com/socketio/socket.io/blob/main/docs/engine.io-protocol/v4-current.md#heartbeat
"""

import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, wait

import pytest

from tests.conformance.wire import CLOSE, NOOP, PING, PONG, UNKNOWN_SESSION, Server, Talk, Wire

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

KINDS = ["websocket", "polling", "upgraded"]
ROUNDS = 2
SLACK = 2.5
"""Seconds that a ping may be late: the schedule of the heartbeat has a period of its own."""


def next_packet(talk: Talk) -> str:
    while True:
        for packet in talk.some():
            if packet != NOOP:
                return packet


def time_out(watcher: Talk, sids: Iterable[str]) -> None:
    """Wait until these sockets are gone for want of an answer, whoever goes as well."""
    missing = {f'42["gone","{sid}","ping timeout"]' for sid in sids}
    while missing:
        missing.discard(watcher.hear(1)[0])


def test_pings_are_answered(wire: Wire) -> None:
    """Each pingInterval a ping comes, on either transport, and who answers it stays; a ping has no data."""
    talks = [getattr(wire, kind)() for kind in KINDS]
    for talk in talks[1:]:  # who is in no namespace is pinged as well
        talk.join()

    def answers(talk: Talk) -> None:
        for _ in range(ROUNDS):
            began = time.monotonic()
            assert next_packet(talk) == PING
            assert time.monotonic() - began < talk.handshake["pingInterval"] / 1000 + SLACK
            talk.say(PONG)

    with ThreadPoolExecutor(len(talks)) as threads:
        list(threads.map(answers, talks))
    talks[0].join()
    for talk in talks:
        talk.say('42["echo","still here"]')
        assert talk.hear(1) == ['42["echoed","still here"]']


def test_who_does_not_answer_is_closed(wire: Wire) -> None:
    """Without a pong within pingTimeout the session is over, for the application, too; asking is no answer.

    Nor is not to ask at all: a client that never polls misses its ping.
    """
    watcher, silent = wire.websocket(), wire.polling()
    watcher.join()
    watcher.watch()
    talks = [getattr(wire, kind)() for kind in KINDS]
    sids = [talk.join() for talk in (silent, *talks)]
    with ThreadPoolExecutor(len(talks)) as threads:
        first = threads.map(next_packet, talks)
        time_out(watcher, sids)
        assert list(first) == [PING] * len(talks)
    assert silent.post('42["echo",1]').status_code == 400
    for talk in (silent, *talks):
        talk.closes(pings=True)


def test_a_get_that_waits_ends_with_its_session(server: Server, wire: Wire) -> None:
    """The GET that waits when a session times out gets a close packet; the session is unknown from then on."""
    polling = wire.polling()
    polling.join()
    assert next_packet(polling) == PING
    while (answer := polling.get()).text in (NOOP, PING):
        pass
    assert answer.text == CLOSE or answer.status_code == 400
    server.refuses(polling.get(), UNKNOWN_SESSION)


def test_a_client_of_version_3_pings_itself(server: Server, wire: Wire) -> None:
    """There the client asks: who does is answered and stays, and who does not is closed, on either transport."""
    if not server.serves_3():
        pytest.skip("the server does not serve Engine.IO 3")
    watcher = wire.websocket()
    watcher.join()
    watcher.watch()
    with Wire(server, "3") as old, ThreadPoolExecutor(1) as threads:
        lively, silent = old.websocket(), [old.polling(), old.websocket()]
        for talk in (lively, *silent):
            talk.join()
        gone = threads.submit(time_out, watcher, [talk.sid for talk in silent])
        while not gone.done():
            lively.say(PING)
            assert lively.hear(1) == [PONG]
            wait([gone], 0.5)
        gone.result()
        lively.say('42["echo","still here"]')
        assert lively.hear(1) == ['42["echoed","still here"]']
        silent[1].closes()
