"""Engine.IO 4: the upgrade of a session from long polling to WebSocket, and what becomes of its packets.

https://github.com/socketio/socket.io/blob/main/docs/engine.io-protocol/v4-current.md#upgrade
"""

import pytest

from tests.conformance.wire import BAD_REQUEST, NOOP, PATIENCE, Server, Wire

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]


def test_the_upgrade(wire: Wire) -> None:
    """A WebSocket with the session's id is probed (`2probe`, `3probe`); `5` makes it the session's transport.

    No open packet comes on it.
    """
    polling = wire.polling()
    polling.join()
    socket = wire.socket(sid=polling.sid)
    socket.send("2probe")
    assert socket.receive() == "3probe"
    socket.send("5")
    socket.send('42["echo","hello"]')
    assert socket.hear(1) == ['42["echoed","hello"]']


def test_the_probe_releases_the_get_that_waits(wire: Wire) -> None:
    """A GET that is under way is answered with a noop, so that the client can pause before it sends `5`."""
    polling = wire.polling()
    polling.join()
    waiting = polling.get_later()
    assert not waiting.done()
    wire.probe(polling)
    assert (waiting.result().status_code, waiting.result().text) == (200, NOOP)


def test_a_get_during_the_probe_is_released(wire: Wire) -> None:
    """So is one that comes between the probe and `5`."""
    polling = wire.polling()
    polling.join()
    wire.probe(polling)
    answer = polling.get()
    assert (answer.status_code, answer.text) == (200, NOOP)


def test_a_get_during_the_probe_may_bring_packets(wire: Wire) -> None:
    """Until `5` the session is on long polling: what waits may be taken by GET, and then does not come again."""
    polling = wire.polling()
    polling.join()
    polling.say('42["echo",1]')
    socket = wire.probe(polling)
    first = polling.get().text
    assert first in ('42["echoed",1]', NOOP)
    socket.send("5")
    expected = [] if first != NOOP else ['42["echoed",1]']
    socket.send('42["echo",2]')
    assert socket.hear(len(expected) + 1) == [*expected, '42["echoed",2]']


def test_what_waited_comes_by_websocket(wire: Wire) -> None:
    """What was not taken by GET comes on the WebSocket, in its order, before anything later."""
    polling = wire.polling()
    polling.join()
    polling.say(*[f'42["echo",{n}]' for n in range(40)])
    socket = wire.upgrade(polling)
    assert socket.hear(40) == [f'42["echoed",{n}]' for n in range(40)]
    socket.send('42["echo","later"]')
    assert socket.hear(1) == ['42["echoed","later"]']


def test_a_post_during_the_probe(wire: Wire) -> None:
    """Until `5` the client may send by POST; what answers it comes by either transport, and is not lost."""
    polling = wire.polling()
    polling.join()
    socket = wire.probe(polling)
    polling.say('421["ask","between"]')
    socket.send("5")
    assert socket.hear(1) == ['431["between"]']


def test_what_others_say_during_the_probe(wire: Wire) -> None:
    """What somebody else says while the client pauses comes on the WebSocket, in its order."""
    polling, other = wire.polling(), wire.polling()
    to = polling.join()
    other.join()
    waiting = polling.get_later()
    assert not waiting.done()
    socket = wire.probe(polling)
    assert waiting.result().text == NOOP
    other.say(*[f'42["tell","{to}",{n}]' for n in range(5)])
    socket.send("5")
    other.say(*[f'42["tell","{to}",{n}]' for n in range(5, 10)])
    assert socket.hear(10) == [f'42["told",{n}]' for n in range(10)]


def test_a_client_talks_right_after_it_upgraded(wire: Wire) -> None:
    """Clients send `5` and what they have held back in one go; the answers come by WebSocket."""
    for n in range(5):
        polling = wire.polling()
        polling.join()
        socket = wire.probe(polling)
        socket.say("5", f'42{n}["ask",{n}]')
        assert socket.hear(1) == [f"43{n}[{n}]"]


def test_the_namespace_may_be_joined_by_either(wire: Wire) -> None:
    """A client that upgrades before it has connected to a namespace does so on the WebSocket, and the other way."""
    wire.upgraded().join()
    polling = wire.polling()
    polling.say("40")
    socket = wire.upgrade(polling)
    assert sorted(socket.hear(2))[0].startswith('40{"sid":')


def test_the_upgraded_session_is_not_polled(server: Server, wire: Wire) -> None:
    """After `5` long polling is refused, and the session goes on by WebSocket."""
    polling = wire.polling()
    polling.join()
    socket = wire.upgrade(polling)
    socket.send('42["echo",0]')
    assert socket.hear(1) == ['42["echoed",0]']
    server.refuses(polling.get(), BAD_REQUEST)
    server.refuses(polling.post('42["echo",1]'), BAD_REQUEST)
    socket.send('42["echo",2]')
    assert socket.hear(1) == ['42["echoed",2]']


def test_a_second_websocket_is_refused(wire: Wire) -> None:
    """A session has one WebSocket; it goes on with the first."""
    polling = wire.polling()
    polling.join()
    socket = wire.upgrade(polling)
    socket.send('42["echo",1]')
    assert socket.hear(1) == ['42["echoed",1]']
    wire.refused(sid=polling.sid)
    socket.send('42["echo",2]')
    assert socket.hear(1) == ['42["echoed",2]']


def test_a_websocket_session_is_not_upgraded(server: Server, wire: Wire) -> None:
    """Nor is a session that began by WebSocket given another one. Node's server tries."""
    if not server.ours:
        pytest.skip("the specification's rule; Node's server does not keep it")
    socket = wire.websocket()
    socket.join()
    wire.refused(sid=socket.sid)
    socket.send('42["echo",1]')
    assert socket.hear(1) == ['42["echoed",1]']


def test_a_probe_that_is_dropped(wire: Wire) -> None:
    """A WebSocket that closes before `5` leaves the session on long polling, and it may try again.

    The server may be told late that it closed; until then the session has its WebSocket.
    """
    polling = wire.polling()
    polling.join()
    wire.probe(polling).close()
    polling.say('42["echo",1]')
    assert polling.hear(1) == ['42["echoed",1]']
    wire.socket(sid=polling.sid).close()
    polling.say('42["echo",2]')
    assert polling.hear(1) == ['42["echoed",2]']
    socket = wire.upgrade(polling, patience=PATIENCE)
    socket.send('42["echo",3]')
    assert socket.hear(1) == ['42["echoed",3]']


@pytest.mark.parametrize("frame", ['42["echo","too soon"]', "2", "3probe", "6"])
def test_a_websocket_that_does_not_probe(wire: Wire, frame: str) -> None:
    """What comes first on an upgrade's WebSocket is the probe; else it is closed, and the session stays as it is."""
    polling = wire.polling()
    polling.join()
    socket = wire.socket(sid=polling.sid)
    socket.send(frame)
    socket.closes()
    polling.say('42["echo",1]')
    assert polling.hear(1) == ['42["echoed",1]']


def test_the_upgraded_session_ends_with_its_websocket(server: Server, wire: Wire) -> None:
    """When the WebSocket closes, the session is over; long polling does not take it up again."""
    watcher, polling = wire.polling(), wire.polling()
    watcher.join()
    watcher.watch()
    sid = polling.join()
    socket = wire.upgrade(polling)
    socket.send('42["echo",1]')
    assert socket.hear(1) == ['42["echoed",1]']
    socket.close()
    watcher.see_off(sid)
    assert polling.get().status_code == 400


def test_a_session_that_is_closed_while_it_upgrades(wire: Wire) -> None:
    """A close packet by POST ends the session, and the WebSocket that probes with it."""
    polling = wire.polling()
    polling.join()
    socket = wire.probe(polling)
    polling.say("1")
    socket.closes()
    polling.closes()
