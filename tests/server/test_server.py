"""The public API, as an application and its clients see it."""

from typing import Any

import pytest

from server import Server
from server.exceptions import ConnectionRefusedError, NotBoundError, PacketTooLargeError, UnknownSidError
from tests.server.rig import Rig


@pytest.fixture
def rig() -> Rig:
    return Rig(namespaces=["/"])


class TestConnecting:
    def test_the_connect_handler_gets_sid_environ_and_auth(self, rig: Rig) -> None:
        calls: list[Any] = []

        @rig.sio.event
        def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
            calls.append((sid, environ, auth))

        client = rig.client("/", auth={"token": "t"})
        assert calls == [(client.sid, {"HTTP_X": client.id}, {"token": "t"})]

    def test_auth_may_be_left_out(self, rig: Rig) -> None:
        calls: list[str] = []

        @rig.sio.event
        def connect(sid: str, environ: dict[str, Any]) -> None:
            calls.append(sid)

        client = rig.client("/", auth={"token": "t"})
        assert calls == [client.sid]

    @pytest.mark.parametrize(
        ("error", "expected"),
        [
            (ConnectionRefusedError(), '44{"message":"Connection rejected by server"}'),
            (ConnectionRefusedError("no"), '44{"message":"no"}'),
            (ConnectionRefusedError("no", {"why": 1}), '44{"message":"no","data":{"why":1}}'),
            (ConnectionRefusedError("no", 1, 2), '44{"message":"no","data":[1,2]}'),
        ],
    )
    def test_a_refusal_is_a_connect_error(self, rig: Rig, error: Exception, expected: str) -> None:
        @rig.sio.event
        def connect(sid: str, environ: dict[str, Any]) -> None:
            raise error

        client = rig.client()
        client.send("40")
        assert client.take() == [expected]
        assert not rig.world.rooms.items, "nothing of a refused socket stays"

    def test_false_refuses_too(self, rig: Rig) -> None:
        rig.sio.on("connect", lambda sid, environ: False)
        client = rig.client()
        client.send("40")
        assert client.take() == ['44{"message":"Connection rejected by server"}']

    def test_a_handler_that_fails_refuses(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        @rig.sio.event
        def connect(sid: str, environ: dict[str, Any]) -> None:
            raise KeyError("bug")

        client = rig.client()
        client.send("40")
        assert client.take() == ['44{"message":"Connection rejected by server"}']
        assert "KeyError: 'bug'" in caplog.text

    def test_what_a_refused_socket_had_entered_is_undone(self, rig: Rig) -> None:
        @rig.sio.event
        def connect(sid: str, environ: dict[str, Any]) -> bool:
            rig.sio.enter_room(sid, "room")
            rig.sio.save_session(sid, {"a": 1})
            rig.sio.emit("hello", room="room")  # makes the server write what it has
            return False

        client = rig.client()
        client.send("40")
        assert client.take() == ['42["hello"]', '44{"message":"Connection rejected by server"}']
        assert not rig.world.rooms.items
        assert not rig.world.connections.records[client.id].connection.rooms

    def test_unknown_namespace(self, rig: Rig) -> None:
        client = rig.client()
        client.send("40/nowhere,")
        assert client.take() == ['44/nowhere,{"message":"Invalid namespace"}']

    def test_connecting_twice_is_the_same_socket(self, rig: Rig) -> None:
        client = rig.client("/")
        assert client.join("/") == client.sid

    def test_always_connect_answers_first(self) -> None:
        rig = Rig(always_connect=True)

        @rig.sio.event
        def connect(sid: str, environ: dict[str, Any]) -> bool:
            rig.sio.emit("early", to=sid)
            return False

        client = rig.client()
        client.send("40")
        connected, early, disconnected = client.take()
        assert connected.startswith('40{"sid":')
        assert (early, disconnected) == ('42["early"]', "41")

    def test_emits_of_the_connect_handler_come_before_the_answer(self, rig: Rig) -> None:
        """As in python-socketio; the clients hold them back until they are connected."""

        @rig.sio.event
        def connect(sid: str, environ: dict[str, Any]) -> None:
            rig.sio.emit("one", to=sid)
            rig.sio.emit("two", to=sid)

        client = rig.client()
        client.send("40")
        one, two, connected = client.take()
        assert (one, two) == ('42["one"]', '42["two"]')
        assert connected.startswith('40{"sid":')


class TestEvents:
    @pytest.mark.parametrize(
        ("answer", "ack"),
        [(None, "437[]"), (1, "437[1]"), ((1, "b"), '437[1,"b"]'), ([1], "437[[1]]"), ({"a": None}, '437[{"a":null}]')],
    )
    def test_what_a_handler_returns_is_the_acknowledgement(self, rig: Rig, answer: Any, ack: str) -> None:
        rig.sio.on("ask", lambda sid: answer)
        client = rig.client("/")
        client.emit("ask", id=7)
        assert client.take() == [ack]
        client.emit("ask")
        assert client.take() == [], "nobody asked"

    def test_arguments(self, rig: Rig) -> None:
        calls: list[Any] = []

        @rig.sio.on("add")
        def add(sid: str, *args: Any) -> None:
            calls.append(args)

        client = rig.client("/")
        client.emit("add", 1, {"two": [3.5]}, None)
        assert calls == [(1, {"two": [3.5]}, None)]

    def test_a_handler_that_fails_gives_no_acknowledgement_but_what_it_emitted(
        self, rig: Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        @rig.sio.event
        def work(sid: str) -> None:
            rig.sio.emit("begun", to=sid)
            raise RuntimeError("bug")

        client = rig.client("/")
        client.emit("work", id=1)
        assert client.take() == ['42["begun"]']
        assert "RuntimeError: bug" in caplog.text

    def test_unhandled_events_are_not_acknowledged(self, rig: Rig) -> None:
        client = rig.client("/")
        client.emit("nobody", id=1)
        assert client.take() == []

    def test_events_before_connect_end_the_connection(self, rig: Rig) -> None:
        """As in Node's server."""
        rig.sio.on("ask", lambda sid: 1)
        client = rig.client()
        client.emit("ask", id=1)
        assert client.take() == []
        assert rig.world.wire.closed == [client.id]

    def test_events_for_another_namespace_are_dropped(self, rig: Rig) -> None:
        """Over this gateway a frame may overtake the DISCONNECT before it, so that is no reason to end the others."""
        client = rig.client("/")
        client.emit("ask", id=1, namespace="/left")
        assert client.take() == []
        assert not rig.world.wire.closed

    def test_namespaces_are_apart(self, rig: Rig) -> None:
        rig.sio.on("who", lambda sid: "root")
        rig.sio.on("who", lambda sid: "chat", namespace="/chat")
        client = rig.client("/", "/chat")
        client.emit("who", id=1)
        client.emit("who", id=1, namespace="/chat")
        assert client.take() == ['431["root"]', '43/chat,1["chat"]']
        assert client.sids["/"] != client.sids["/chat"]


class TestEmit:
    @pytest.mark.parametrize(
        ("data", "frame"),
        [
            (None, '42["e"]'),
            ("x", '42["e","x"]'),
            ((1, 2), '42["e",1,2]'),
            ([1, 2], '42["e",[1,2]]'),
            ((), '42["e"]'),
        ],
    )
    def test_data(self, rig: Rig, data: Any, frame: str) -> None:
        client = rig.client("/")
        rig.sio.emit("e", data)
        assert client.take() == [frame]

    def test_binary_goes_out_as_text(self, rig: Rig) -> None:
        client = rig.client("/")
        rig.sio.emit("file", {"name": "n", "data": b"\x00\xff"})
        assert client.take() == ['451-["file",{"name":"n","data":{"_placeholder":true,"num":0}}]', "bAP8="]

    def test_who_gets_it(self, rig: Rig) -> None:
        a, b, c = rig.client("/"), rig.client("/"), rig.client("/")
        rig.sio.enter_room(a.sid, "x")
        rig.sio.enter_room(b.sid, "x")
        rig.sio.enter_room(b.sid, "y")
        rig.sio.enter_room(c.sid, "y")

        def got() -> str:
            return "".join(str(len(client.take())) for client in (a, b, c))

        rig.sio.emit("e")
        assert got() == "111"
        rig.sio.emit("e", to=a.sid)
        assert got() == "100"
        rig.sio.emit("e", room="x")
        assert got() == "110"
        rig.sio.emit("e", room=["x", "y"])
        assert got() == "111", "the union: nobody gets it twice"
        rig.sio.emit("e", room="x", skip_sid=a.sid)
        assert got() == "010"
        rig.sio.emit("e", skip_sid=[a.sid, c.sid])
        assert got() == "010"
        rig.sio.emit("e", room="nobody")
        assert got() == "000"
        rig.sio.emit("e", namespace="/other")
        assert got() == "000"
        rig.sio.leave_room(a.sid, "x")
        rig.sio.send("hi", room="x")
        assert got() == "010"
        rig.sio.close_room("y")
        rig.sio.emit("e", room="y")
        assert got() == "000"

    def test_too_large(self, rig: Rig) -> None:
        client = rig.client("/")
        with pytest.raises(PacketTooLargeError, match="131072"):
            rig.sio.emit("e", "x" * 131_072)
        rig.sio.emit("e", "x" * 131_000)
        assert len(client.take()) == 1

    def test_what_json_cannot_carry(self, rig: Rig) -> None:
        with pytest.raises(TypeError):
            rig.sio.emit("e", object())


class TestRoomsAndSessions:
    def test_rooms(self, rig: Rig) -> None:
        rig.sio.on("e", lambda sid: None, namespace="/x")
        client = rig.client("/", "/x")
        rig.sio.enter_room(client.sid, "b")
        rig.sio.enter_room(client.sid, "a")
        rig.sio.enter_room(client.sids["/x"], "c", namespace="/x")
        assert rig.sio.rooms(client.sid) == [client.sid, "a", "b"]
        assert rig.sio.rooms(client.sids["/x"], namespace="/x") == [client.sids["/x"], "c"]

    def test_entered_and_left_in_one_handler(self, rig: Rig) -> None:
        @rig.sio.event
        def move(sid: str) -> Any:
            rig.sio.enter_room(sid, "a")
            rig.sio.enter_room(sid, "b")
            rig.sio.leave_room(sid, "a")
            rig.sio.emit("in a", room="a")
            rig.sio.emit("in b", room="b")
            return rig.sio.rooms(sid)

        client = rig.client("/")
        client.emit("move", id=1)
        assert client.take() == ['42["in b"]', f'431[["{client.sid}","b"]]']
        assert set(rig.world.rooms.items) == {("/", "b"), ("/", None), ("/", client.sid)}

    def test_members_know_what_was_said_of_them(self, rig: Rig) -> None:
        client = rig.client("/")
        rig.sio.enter_room(client.sid, "room", info={"name": "Ann"})
        assert [(member.sid, member.info) for member in rig.sio.members("room")] == [(client.sid, {"name": "Ann"})]

    @pytest.mark.parametrize("room", ["", "x" * 511, "😀" * 50, None, 7])
    def test_a_bad_name(self, rig: Rig, room: Any) -> None:
        client = rig.client("/")
        with pytest.raises(ValueError, match="1 to 512 bytes"):
            rig.sio.enter_room(client.sid, room)

    def test_sessions_live_on(self, rig: Rig) -> None:
        @rig.sio.event
        def connect(sid: str, environ: dict[str, Any]) -> None:
            rig.sio.save_session(sid, {"n": 0})

        @rig.sio.event
        def count(sid: str) -> Any:
            with rig.sio.session(sid) as session:
                session["n"] += 1
            return rig.sio.get_session(sid)["n"]

        client = rig.client("/")
        for n in (1, 2, 3):
            client.emit("count", id=0)
            assert client.take() == [f"430[{n}]"]

    def test_a_session_is_a_copy(self, rig: Rig) -> None:
        client = rig.client("/")
        rig.sio.save_session(client.sid, {"list": []})
        rig.sio.get_session(client.sid)["list"].append(1)
        assert rig.sio.get_session(client.sid) == {"list": []}

    def test_nothing_is_saved_of_a_block_that_raised(self, rig: Rig) -> None:
        client = rig.client("/")

        def change_and_fail() -> None:
            with rig.sio.session(client.sid) as session:
                session["a"] = 1
                raise RuntimeError

        with pytest.raises(RuntimeError):
            change_and_fail()
        assert rig.sio.get_session(client.sid) == {}

    def test_unknown_sid(self, rig: Rig) -> None:
        for call in (rig.sio.get_session, rig.sio.rooms, rig.sio.get_environ):
            with pytest.raises(UnknownSidError, match="no socket 'nobody' is connected to namespace '/'"):
                call("nobody")

    def test_a_room_with_somebody_elses_sid_as_its_name(self, rig: Rig) -> None:
        a, b = rig.client("/"), rig.client("/")
        rig.sio.enter_room(b.sid, a.sid)
        rig.sio.save_session(a.sid, {"who": "a"})
        assert rig.sio.get_session(a.sid) == {"who": "a"}
        rig.sio.emit("both", to=a.sid)
        assert (len(a.take()), len(b.take())) == (1, 1)


class TestDisconnecting:
    def heard(self, rig: Rig) -> list[tuple[str, str]]:
        heard: list[tuple[str, str]] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append((sid, reason)))
        return heard

    def test_by_the_client(self, rig: Rig) -> None:
        heard = self.heard(rig)
        client = rig.client("/")
        rig.sio.enter_room(client.sid, "room")
        client.send("41")
        assert heard == [(client.sid, "client disconnect")]
        assert not rig.world.rooms.items
        assert rig.world.wire.closed == [], "the transport may serve other namespaces"

    def test_by_the_server(self, rig: Rig) -> None:
        heard = self.heard(rig)
        client = rig.client("/")
        rig.sio.disconnect(client.sid)
        assert client.take() == ["41"]
        assert heard == [(client.sid, "server disconnect")]
        rig.sio.disconnect(client.sid)
        assert len(heard) == 1

    def test_inside_its_own_event(self, rig: Rig) -> None:
        heard = self.heard(rig)

        @rig.sio.event
        def kick_me(sid: str) -> str:
            rig.sio.disconnect(sid)
            return "done"

        client = rig.client("/")
        client.emit("kick_me", id=3)
        assert client.take() == ["41", '433["done"]']
        assert len(heard) == 1
        assert not rig.world.rooms.items

    def test_the_reason_may_be_left_out(self, rig: Rig) -> None:
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid: heard.append(sid))
        client = rig.client("/")
        client.send("41")
        assert heard == [client.sid]

    def test_a_handler_that_fails_frees_the_places_all_the_same(
        self, rig: Rig, caplog: pytest.LogCaptureFixture
    ) -> None:
        @rig.sio.event
        def disconnect(sid: str, reason: str) -> None:
            raise RuntimeError("bug")

        client = rig.client("/")
        client.send("41")
        assert "RuntimeError: bug" in caplog.text
        assert not rig.world.rooms.items


class TestRegistering:
    def test_forms(self) -> None:
        sio = Server()
        seen: list[str] = []

        @sio.event
        def plain(sid: str) -> None:
            seen.append("plain")

        @sio.event(namespace="/x")
        def named(sid: str) -> None:
            seen.append("named")

        @sio.on("with space")
        def other(sid: str) -> None:
            seen.append("other")

        sio.on("direct", other)
        for event, namespace in (("plain", "/"), ("named", "/x"), ("with space", "/"), ("direct", "/")):
            assert sio.trigger(event, namespace, "sid")[0]
        assert seen == ["plain", "named", "other", "other"]

    def test_options_of_python_socketio(self) -> None:
        Server(async_mode="threading", cors_allowed_origins="*", logger=True)
        with pytest.raises(TypeError, match="no option nonsense"):
            Server(nonsense=1)

    def test_not_bound(self) -> None:
        with pytest.raises(NotBoundError, match="bind"):
            Server().emit("e")

    def test_not_callable(self) -> None:
        with pytest.raises(ValueError, match="not callable"):
            Server().on("e", 7)  # type: ignore[call-overload]
