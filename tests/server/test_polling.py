"""Long polling, request by request."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from protocol.engineio import SEPARATOR
from server.polling import MAX_PAYLOAD, OVERLAP, EngineError, Polling
from server.ports import Unavailable
from server.records import MAX_LETTER, Box
from tests.server.rig import HANDSHAKE, Poller, Rig


@pytest.fixture
def rig() -> Rig:
    return Rig(namespaces=["/"])


def refusal(call: Callable[[], Any]) -> tuple[int, int]:
    with pytest.raises(EngineError) as error:
        call()
    return error.value.status, error.value.code


def emit_while_it_waits(rig: Rig) -> None:
    """Emit an event once the next poll has looked in vain, and sleeps."""

    def soon() -> None:
        rig.world.on_sleep = None
        rig.sio.emit("late", 1)

    rig.world.on_sleep = soon


class TestHandshake:
    def test_the_open_packet(self, rig: Rig) -> None:
        client = Poller(rig)
        assert json.loads(client.opened[1:]) == {
            "sid": client.session,
            "upgrades": ["websocket"],
            "pingInterval": 120_000,
            "pingTimeout": 60_000,
            "maxPayload": MAX_PAYLOAD,
        }
        assert not rig.world.queue.jobs

    @pytest.mark.parametrize(
        ("method", "query", "code"),
        [
            ("GET", {"EIO": "4"}, 0),
            ("GET", {"EIO": "4", "transport": "abc"}, 0),
            ("GET", {**HANDSHAKE, "sid": "unknown"}, 1),
            ("POST", {**HANDSHAKE, "sid": "unknown"}, 1),
            ("POST", HANDSHAKE, 2),
            ("PUT", HANDSHAKE, 2),
            ("GET", {"EIO": "4", "transport": "websocket"}, 3),
            ("GET", {"EIO": "4", "transport": "websocket", "sid": "unknown"}, 3),
            ("GET", {"EIO": "2", "transport": "polling"}, 5),
            ("GET", {"transport": "polling"}, 5),
        ],
    )
    def test_refusals(self, rig: Rig, method: str, query: dict[str, str], code: int) -> None:
        client = Polling(rig.sio)
        assert refusal(lambda: client.answer(method, query, b"", {}, rig.world.deadline)) == (400, code)
        assert not rig.world.connections.records


class TestPoll:
    def test_waits_until_there_is_something_to_say(self, rig: Rig) -> None:
        client = Poller(rig, "/")
        started = rig.world.clock

        def soon() -> None:
            if rig.world.clock - started > 7_000:
                rig.world.on_sleep = None
                rig.sio.emit("late", 1)

        rig.world.on_sleep = soon
        assert client.poll() == ['42["late",1]']
        assert rig.world.clock - started < 9_100

    def test_a_noop_when_there_is_nothing_for_too_long(self, rig: Rig) -> None:
        client = Poller(rig, "/")
        started = rig.world.clock
        assert client.poll() == ["6"]
        assert 25_000 <= rig.world.clock - started <= 26_100

    def test_the_invocations_time_counts(self, rig: Rig) -> None:
        client = Poller(rig, "/")
        started = rig.world.clock
        assert client.polling.poll(client.session, started + 6_000) == ["6"]
        assert rig.world.clock - started <= 5_100

    def test_how_many_looks_a_silent_poll_takes(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        client = Poller(rig, "/")
        looks: list[str] = []
        peek = rig.world.mailboxes.peek

        def counted(connection_id: str, *, consistent: bool = False) -> Box | None:
            looks.append(connection_id)
            return peek(connection_id)

        monkeypatch.setattr(rig.world.mailboxes, "peek", counted)
        client.poll()
        assert len(looks) <= 33

    def test_looks_that_fail_do_not_end_the_session(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        client = Poller(rig, "/")
        peek, failures = rig.world.mailboxes.peek, iter([True, False, True, True])

        def failing(connection_id: str, *, consistent: bool = False) -> Box | None:
            if next(failures, False):
                raise Unavailable("throttled")
            return peek(connection_id, consistent=consistent)

        monkeypatch.setattr(rig.world.mailboxes, "peek", failing)
        emit_while_it_waits(rig)
        assert client.poll() == ['42["late",1]']
        assert client.poll() == ["6"]

    def test_a_poll_that_can_look_no_more_ends_in_time(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        client = Poller(rig, "/")

        def failing(*_: Any, **__: Any) -> Any:
            raise Unavailable("throttled")

        with monkeypatch.context() as patch:
            patch.setattr(rig.world.mailboxes, "peek", failing)
            emit_while_it_waits(rig)
            assert client.poll() == ["6"]
        assert client.poll() == ['42["late",1]']

    def test_an_answer_has_at_most_sixteen_packets(self, rig: Rig) -> None:
        client = Poller(rig, "/")
        for n in range(40):
            rig.sio.emit("n", n)
        answers = [client.poll() for _ in range(3)]
        assert [len(answer) for answer in answers] == [MAX_LETTER, MAX_LETTER, 8]
        assert [json.loads(frame[2:])[1] for answer in answers for frame in answer] == list(range(40))

    def test_binary(self, rig: Rig) -> None:
        client = Poller(rig, "/")
        rig.sio.emit("b", (b"\x00", {"x": b"\xff\xfe"}))
        header = '452-["b",{"_placeholder":true,"num":0},{"x":{"_placeholder":true,"num":1}}]'
        assert client.poll() == [header, "bAA==", "b//4="]

    def test_a_poll_that_died_lost_nothing(self, rig: Rig) -> None:
        client = Poller(rig, "/")
        rig.sio.emit("e", 1)
        rig.world.mailboxes.begin(f"~{client.session}", "died half way")
        started = rig.world.clock
        assert client.poll() == ['42["e",1]']
        assert OVERLAP <= rig.world.clock - started < OVERLAP + 500

    def test_two_at_once_end_the_session(self, rig: Rig) -> None:
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        client = Poller(rig, "/")
        nested: list[tuple[int, int]] = []

        def another() -> None:
            # The second poll begins while the first one sleeps; its own sleeps let the first one look.
            rig.world.on_sleep = None
            rig.world.mailboxes.begin(f"~{client.session}", "second")

        rig.world.on_sleep = another
        assert client.poll() == ["1"]
        assert heard == ["transport error"]
        nested.append(refusal(client.poll))
        assert nested == [(400, 1)]

    def test_the_second_of_two_is_refused(self, rig: Rig) -> None:
        client = Poller(rig, "/")
        rig.world.mailboxes.begin(f"~{client.session}", "first")

        def first_notices() -> None:
            rig.world.on_sleep = None
            rig.engine.closed(f"~{client.session}", "transport error", rig.world.deadline)

        rig.world.on_sleep = first_notices
        assert refusal(client.poll) == (400, 3)

    @pytest.mark.parametrize("stale", [None, Box(poll="the one before")], ids=["none yet", "the poll before"])
    def test_a_stale_copy_ends_nothing(self, rig: Rig, stale: Box | None, monkeypatch: pytest.MonkeyPatch) -> None:
        """A cheap look may be of before; moto is never late, DynamoDB is."""
        client = Poller(rig, "/")
        peek = rig.world.mailboxes.peek

        def late(connection_id: str, *, consistent: bool = False) -> Box | None:
            return peek(connection_id) if consistent else stale

        monkeypatch.setattr(rig.world.mailboxes, "peek", late)
        assert client.poll() == ["6"]
        assert rig.world.connections.load(f"~{client.session}")

    def test_the_end_of_a_session_answers_its_poll(self, rig: Rig) -> None:
        client = Poller(rig, "/")

        def close() -> None:
            rig.world.on_sleep = None
            rig.engine.closed(f"~{client.session}", "ping timeout", rig.world.deadline)

        rig.world.on_sleep = close
        assert client.poll() == ["6"]
        assert refusal(client.poll) == (400, 1)


class TestPost:
    def test_packets_are_handled_in_order(self, rig: Rig) -> None:
        seen: list[int] = []

        @rig.sio.event
        def n(sid: str, n: int) -> int:
            seen.append(n)
            return n

        client = Poller(rig, "/")
        client.post(*(f'42{n}["n",{n}]' for n in range(10)))
        assert seen == list(range(10))
        assert client.poll() == [f"43{n}[{n}]" for n in range(10)]

    def test_the_connect_handler_gets_the_handshakes_environ(self, rig: Rig) -> None:
        seen: list[Any] = []
        rig.sio.on("connect", lambda sid, environ, auth: seen.append((environ, auth)))
        client = Poller(rig)
        client.post('40{"token":"t"}')
        assert seen == [({"HTTP_X": "y"}, {"token": "t"})]

    @pytest.mark.parametrize("split", [False, True], ids=["one request", "several requests"])
    def test_binary(self, rig: Rig, split: bool) -> None:
        seen: list[Any] = []

        @rig.sio.event
        def b(sid: str, *args: Any) -> Any:
            seen.append(args)
            return args

        client = Poller(rig, "/")
        frames = ['452-1["b",{"_placeholder":true,"num":0},[{"_placeholder":true,"num":1}]]', "bAAE=", "b//4\n="]
        if split:
            for frame in frames:
                client.post(frame)
        else:
            client.post(*frames)
        assert seen == [(b"\x00\x01", [b"\xff\xfe"])]
        answer = client.poll()
        assert answer[0].startswith('462-1[{"_placeholder":true,"num":0}')
        assert answer[1:] == ["bAAE=", "b//4="]

    @pytest.mark.parametrize(
        ("body", "answer"),
        [(body, 400) for body in (b"", b"abc", b"\xff\xfe", b"3\x1e", b"0{}", b"2", b"9", b"b#")]
        + [(body, 200) for body in (b"4", b"42{}", b"bAAA=", b'451-["b",{}]', b"48")],
    )
    def test_a_broken_payload_ends_the_session(self, rig: Rig, body: bytes, answer: int) -> None:
        """What is not of Engine.IO is a bad request; what is not of Socket.IO was delivered well, and ends it too."""
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        client = Poller(rig, "/")
        if answer == 400:
            assert refusal(lambda: client.ask("POST", client.query, body)) == (400, 3)
        else:
            assert client.ask("POST", client.query, body) == "ok"
        assert heard == ["transport error"]
        assert refusal(client.poll) == (400, 1)
        assert not rig.world.rooms.items

    def test_what_came_before_the_broken_packet_was_handled(self, rig: Rig) -> None:
        seen: list[int] = []
        rig.sio.on("n", lambda sid, n: seen.append(n))
        client = Poller(rig, "/")
        assert refusal(lambda: client.ask("POST", client.query, b'42["n",1]\x1e2')) == (400, 3)
        assert seen == [1]

    def test_too_large(self, rig: Rig) -> None:
        client = Poller(rig, "/")
        assert refusal(lambda: client.ask("POST", client.query, b"4" * (MAX_PAYLOAD + 1)))[0] == 413
        client.post("3")

    def test_more_packets_than_there_is_time_for(self, rig: Rig) -> None:
        """What was handled is answered; the session ends, so that the client knows of the rest."""
        seen: list[int] = []

        @rig.sio.event
        def slow(sid: str, n: int) -> None:
            seen.append(n)
            rig.world.clock += 5_000

        client = Poller(rig, "/")
        frames = SEPARATOR.join(f'42["slow",{n}]' for n in range(20)).encode()
        assert refusal(lambda: client.ask("POST", client.query, frames)) == (400, 3)
        assert seen == list(range(len(seen)))
        assert 4 <= len(seen) <= 6
        assert refusal(client.poll) == (400, 1)

    def test_a_close_packet(self, rig: Rig) -> None:
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        client = Poller(rig, "/")
        client.post("1")
        assert heard == ["client disconnect"]
        assert refusal(lambda: client.post("3")) == (400, 1)

    def test_both_sides_say_goodbye_at_once(self, rig: Rig) -> None:
        """The client then closes the session, and finds it there."""
        client = Poller(rig, "/")
        rig.sio.disconnect(client.sids["/"])
        client.post("41")
        client.post("1")
        assert not rig.world.connections.records

    def test_a_disconnect_packet_leaves_the_session_open(self, rig: Rig) -> None:
        client = Poller(rig, "/")
        client.post("41")
        client.post("40")
        assert client.poll()[0].startswith('40{"sid":')


class TestBesideWebSockets:
    def test_one_emit_for_both(self, rig: Rig) -> None:
        polls, talks = Poller(rig, "/"), rig.client("/")
        for sid in (polls.sids["/"], talks.sid):
            rig.sio.enter_room(sid, "room")
        for n in range(5):
            rig.sio.emit("n", n, room="room")
        expected = [f'42["n",{n}]' for n in range(5)]
        assert polls.poll() == expected
        assert talks.take() == expected

    def test_the_heartbeat(self, rig: Rig) -> None:
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        client = Poller(rig, "/")
        for _ in range(2):
            rig.world.clock += 60_000
            rig.engine.beat(rig.world.deadline)
        assert client.poll() == ["2"]
        client.post("3")
        for _ in range(3):
            assert not heard
            rig.world.clock += 60_000
            rig.engine.beat(rig.world.deadline)
        assert heard == ["ping timeout"], "polls alone are no answer to a ping"
        assert refusal(client.poll) == (400, 1)
        assert not rig.world.wire.closed

    def test_a_server_side_disconnect(self, rig: Rig) -> None:
        client = Poller(rig, "/")
        rig.sio.emit("bye", to=client.sids["/"])
        rig.sio.disconnect(client.sids["/"])
        assert client.poll() == ['42["bye"]', "41"]
