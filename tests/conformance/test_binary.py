"""Binary from clients over WebSocket, as text frames: an event is a header and attachments, each in a frame of its own.

JavaScript's client sends it so with `forceBase64`, and Dart's. API Gateway takes no binary frames.
"""

import pytest

from tests.conformance.wire import Server, Socket, Wire, base64_of

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

ONE, TWO = '{"_placeholder":true,"num":0}', '{"_placeholder":true,"num":1}'


@pytest.fixture(params=["websocket", "upgraded"])
def socket(request: pytest.FixtureRequest, wire: Wire) -> Socket:
    """A session on a WebSocket, from the beginning or by an upgrade; it is in `/`."""
    socket: Socket = getattr(wire, request.param)()
    socket.join()
    return socket


class TestInOrder:
    """Where frames are handled in the order in which they came."""

    @pytest.fixture(autouse=True)
    def _ordered(self, server: Server) -> None:
        if not server.ordered:
            pytest.skip("frames have no order here")

    def test_an_event(self, socket: Socket) -> None:
        """The header, then its attachments: one event."""
        data = f'{{"a":[{ONE},1],"b":{{"c":{TWO}}}}}'
        socket.say(f'452-["echo",{data}]', base64_of(b"\1\2\3"), base64_of(b""))
        assert socket.hear(3) == [f'452-["echoed",{data}]', base64_of(b"\1\2\3"), base64_of(b"")]

    def test_an_acknowledgement(self, socket: Socket) -> None:
        """It is acknowledged as any other."""
        socket.say(f'451-789["ask",{ONE}]', base64_of(bytes(range(256))))
        assert socket.hear(2) == [f"461-789[{ONE}]", base64_of(bytes(range(256)))]

    def test_events_one_after_another(self, socket: Socket) -> None:
        """Each takes the attachments behind it, and plain events between them stay where they are."""
        for n in range(10):
            socket.say(f'451-{n}["ask",{ONE}]', base64_of(bytes([n])), f'421{n}["ask",{n}]')
        expected = [packet for n in range(10) for packet in (f"461-{n}[{ONE}]", base64_of(bytes([n])), f"431{n}[{n}]")]
        assert socket.hear(30) == expected

    def test_headers_first(self, server: Server, socket: Socket) -> None:
        """A browser that emits several in one go sends all headers, and what has no bytes, before the attachments."""
        if not server.ours:
            pytest.skip("Node's server closes the session")
        socket.say(*[f'452-{n}["ask",{ONE},{TWO}]' for n in range(3)], '429["ask","last"]')
        socket.say(*[base64_of(bytes([n, m])) for n in range(3) for m in range(2)])
        expected = [
            packet
            for n in range(3)
            for packet in (f"462-{n}[{ONE},{TWO}]", base64_of(bytes([n, 0])), base64_of(bytes([n, 1])))
        ]
        assert socket.hear(10) == [*expected, '439["last"]']

    def test_an_attachment_without_its_event(self, socket: Socket) -> None:
        """It closes the session."""
        socket.say(base64_of(b"lost"))
        socket.closes()

    def test_more_than_can_wait(self, server: Server, socket: Socket) -> None:
        """What waits for attachments has a limit; a client that goes past it is closed."""
        if not server.ours:
            pytest.skip("a rule of ours: what waits is in the connection's record")
        places = ",".join(ONE.replace("0", str(n)) for n in range(10))
        socket.say(f'4510-["echo",{places}]', *[base64_of(bytes(23_000))] * 9)
        socket.closes()


class TestInAnyOrder:
    """Where frames may overtake each other nobody knows whose an attachment is, and the client is told so."""

    @pytest.fixture(autouse=True)
    def _unordered(self, server: Server) -> None:
        if server.ordered:
            pytest.skip("frames have their order here")

    def test_an_event(self, wire: Wire) -> None:
        """It is not delivered: the client gets CONNECT_ERROR and loses its socket, as the application is told."""
        socket, watcher = wire.websocket(), wire.polling()
        sid = socket.join()
        watcher.join()
        watcher.watch()
        socket.say('421["ask","before"]')
        assert socket.hear(1) == ['431["before"]']
        socket.say(f'451-2["ask",{ONE}]')
        (refusal,) = socket.hear(1)
        assert refusal.startswith('44{"message":"Binary events over WebSocket need ')
        assert watcher.see_off(sid) == ("client disconnect", [])
        socket.say(base64_of(b"\1\2\3"))
        assert len(socket.join()) >= 20, "the session goes on, and may join again"
        socket.say('423["ask","after"]')
        assert socket.hear(1) == ['433["after"]']

    def test_one_that_began_by_long_polling(self, wire: Wire) -> None:
        """So it is with attachments that were to follow a header to the WebSocket."""
        polling = wire.polling()
        polling.join()
        polling.say(f'451-["echo",{ONE}]')
        socket = wire.upgrade(polling)
        socket.say(base64_of(b"\1\2\3"))
        (refusal,) = socket.hear(1)
        assert refusal.startswith('44{"message":"Binary events over WebSocket need ')

    def test_another_namespace(self, socket: Socket) -> None:
        """Only the socket of that namespace is lost."""
        socket.join("/custom")
        socket.say(f'451-/custom,["echo",{ONE}]')
        assert socket.hear(1)[0].startswith('44/custom,{"message":"Binary events')
        socket.say('421["ask","on"]')
        assert socket.hear(1) == ['431["on"]']
