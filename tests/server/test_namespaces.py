"""Namespaces: those that are matched rather than named, and several over one connection."""

import re
from typing import Any

import pytest

from server import Namespace, Server
from server.exceptions import UnknownSidError
from tests.server.rig import Rig


def told(rig: Rig, namespace: str, event: str = "who") -> str | None:
    """Return what a client that joins a namespace is answered there."""
    client = rig.client(namespace)
    client.emit(event, id=1, namespace=namespace)
    prefix = "43" if namespace == "/" else f"43{namespace},"
    answers = [frame.removeprefix(f"{prefix}1") for frame in client.take()]
    return answers[0] if answers else None


def refused(rig: Rig, namespace: str) -> bool:
    client = rig.client()
    client.send(f"40{namespace},")
    return client.take() == [f'44{namespace},{{"message":"Invalid namespace"}}']


class TestDynamic:
    def test_a_pattern(self) -> None:
        rig = Rig()
        rig.sio.on("who", lambda namespace, sid: namespace, re.compile(r"^/room-\d+$"))
        assert told(rig, "/room-7") == '["/room-7"]'
        assert told(rig, "/room-42") == '["/room-42"]'
        assert all(refused(rig, name) for name in ("/room-x", "/room-7/x", "/x/room-7", "/room", "/Room-7"))

    def test_a_pattern_is_searched(self) -> None:
        rig = Rig()
        rig.sio.on("who", lambda namespace, sid: 1, re.compile("admin"))
        assert told(rig, "/my-admin-room") == "[1]"

    def test_a_function(self) -> None:
        rig = Rig()
        rig.sio.on("who", lambda namespace, sid: namespace, lambda name: name in ("/a", "/b"))
        assert told(rig, "/b") == '["/b"]'
        assert refused(rig, "/c")

    def test_a_function_that_fails_serves_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        """The name is the client's: whatever it makes of it, only that client is told."""
        rig = Rig()
        rig.sio.on("who", lambda namespace, sid: namespace, lambda name: int(name[1:]) > 5)
        assert told(rig, "/7") == '["/7"]'
        assert refused(rig, "/x")
        assert "ValueError" in caplog.text
        assert told(rig, "/") is None

    def test_all(self) -> None:
        rig = Rig(namespaces=[])
        rig.sio.on("who", lambda namespace, sid: namespace, "*")
        assert told(rig, "/any thing?") == '["/any thing?"]'
        assert told(rig, "/") == '["/"]'

    def test_open_ones_are_matched_too(self) -> None:
        rig = Rig(namespaces=["/", re.compile("^/open-"), lambda name: name.startswith("/also")])
        assert rig.client("/open-1").sids
        assert rig.client("/also-1").sids
        assert refused(rig, "/closed")

    def test_who_comes_first(self) -> None:
        """Its own handlers, then those that fit it as they came, then those of all; of each, the event's own first."""
        rig = Rig()
        on = rig.sio.on
        on("*", lambda event, namespace, sid: "any event anywhere", "*")
        on("who", lambda namespace, sid: "anywhere", "*")
        on("who", lambda namespace, sid: "first pattern", re.compile("^/a"))
        on("who", lambda namespace, sid: "second pattern", re.compile("^/ab"))
        on("*", lambda event, namespace, sid: f"any {event} of the second", re.compile("^/ab"))
        on("who", lambda sid: "own", "/abc")
        on("*", lambda event, sid: f"any {event} of its own", "/abc")
        assert told(rig, "/abc") == '["own"]'
        assert told(rig, "/abc", "what") == '["any what of its own"]'
        assert told(rig, "/abd") == '["first pattern"]'
        assert told(rig, "/abd", "what") == '["any what of the second"]'
        assert told(rig, "/ax", "what") == '["any event anywhere"]'
        assert told(rig, "/x") == '["anywhere"]'

    def test_connect_and_disconnect(self) -> None:
        heard: list[Any] = []
        rig = Rig()
        space = re.compile("^/room-")
        rig.sio.on("connect", lambda namespace, sid, environ: heard.append(("connect", namespace)), space)
        rig.sio.on("disconnect", lambda namespace, sid, reason: heard.append((reason, namespace)), space)
        rig.sio.on("*", lambda event, namespace, sid: heard.append(event), space)
        client = rig.client("/room-1", "/room-2")
        client.send("41/room-1,")
        rig.sio.disconnect(client.sids["/room-2"], "/room-2")
        assert heard == [
            ("connect", "/room-1"),
            ("connect", "/room-2"),
            ("client disconnect", "/room-1"),
            ("server disconnect", "/room-2"),
        ]

    def test_they_are_apart(self) -> None:
        """One handler for many namespaces, and nothing of one is in another."""
        rig = Rig()

        @rig.sio.on("join", namespace=re.compile("^/room-"))
        def join(namespace: str, sid: str) -> None:
            rig.sio.enter_room(sid, "room", namespace=namespace)
            rig.sio.emit("joined", namespace, room="room", namespace=namespace)

        one, two = rig.client("/room-1"), rig.client("/room-2")
        one.emit("join", namespace="/room-1")
        two.emit("join", namespace="/room-2")
        assert one.take() == ['42/room-1,["joined","/room-1"]']
        assert two.take() == ['42/room-2,["joined","/room-2"]']


class TestClasses:
    def test_one_for_a_pattern(self) -> None:
        heard: list[Any] = []

        class Rooms(Namespace):
            def on_connect(self, namespace: str, sid: str, environ: dict[str, Any]) -> None:
                self.enter_room(sid, "room", namespace=namespace)

            def on_say(self, namespace: str, sid: str, text: str) -> str:
                self.emit("said", text, room="room", namespace=namespace)
                return namespace

            def on_disconnect(self, namespace: str, sid: str, reason: str) -> None:
                heard.append((namespace, reason))

        rig = Rig()
        rig.sio.register_namespace(Rooms(re.compile("^/room-")))
        one, two, other = rig.client("/room-1"), rig.client("/room-1"), rig.client("/room-2")
        one.emit("say", "hi", id=3, namespace="/room-1")
        assert one.take() == ['42/room-1,["said","hi"]', '43/room-1,3["/room-1"]']
        assert two.take() == ['42/room-1,["said","hi"]']
        assert other.take() == []
        one.send("41/room-1,")
        assert heard == [("/room-1", "client disconnect")]
        assert refused(rig, "/hall")

    def test_functions_come_first(self) -> None:
        class Rooms(Namespace):
            def on_who(self, *args: Any) -> str:
                return f"class of {self.namespace}"

        rig = Rig()
        rig.sio.register_namespace(Rooms("/room"))
        assert told(rig, "/room") == '["class of /room"]'
        rig.sio.on("who", lambda namespace, sid: "function of all", "*")
        assert told(rig, "/room") == '["function of all"]'

    @pytest.mark.parametrize("name", ["emit", "call", "rooms", "fetch_sockets", "publish", "sockets_join", "recovered"])
    def test_the_servers_methods_are_here_with_its_namespace(self, name: str) -> None:
        sio, board = Server(), Namespace("/board")
        sio.register_namespace(board)
        method = getattr(board, name)
        assert method.keywords == {"namespace": "/board"}
        assert method.func == getattr(sio, name)

    def test_all_sockets_of_its_namespace(self) -> None:
        class Board(Namespace):
            def on_gather(self, sid: str) -> list[str]:
                self.sockets_join("all")
                self.emit("gathered", room="all")
                return sorted(each.sid for each in self.fetch_sockets("all"))

            def on_end(self, sid: str) -> None:
                self.disconnect_sockets("all")

        rig = Rig(namespaces=["/"])
        rig.sio.register_namespace(Board("/board"))
        root, *clients = rig.client("/"), rig.client("/board"), rig.client("/board")
        sids = sorted(client.sids["/board"] for client in clients)
        clients[0].emit("gather", id=1, namespace="/board")
        assert clients[0].take() == ['42/board,["gathered"]', f'43/board,1[["{sids[0]}","{sids[1]}"]]']
        clients[0].emit("end", namespace="/board")
        assert [client.take() for client in clients] == [["41/board,"], ['42/board,["gathered"]', "41/board,"]]
        assert root.take() == []


class TestSeveral:
    @pytest.fixture
    def rig(self) -> Rig:
        return Rig(namespaces=["/", "/a", "/b"])

    def test_each_has_its_socket_rooms_and_session(self, rig: Rig) -> None:
        client = rig.client("/", "/a", "/b")
        assert len(set(client.sids.values())) == 3
        for namespace, sid in client.sids.items():
            rig.sio.enter_room(sid, f"room of {namespace}", namespace=namespace)
            rig.sio.save_session(sid, {"in": namespace}, namespace=namespace)
        for namespace, sid in client.sids.items():
            assert rig.sio.rooms(sid, namespace=namespace) == [sid, f"room of {namespace}"]
            assert rig.sio.get_session(sid, namespace=namespace) == {"in": namespace}
            assert rig.sio.get_environ(sid, namespace=namespace) == {"HTTP_X": client.id}
        with pytest.raises(UnknownSidError, match="namespace '/b'"):
            rig.sio.rooms(client.sids["/a"], namespace="/b")

    def test_leaving_one_and_coming_back_to_it(self, rig: Rig) -> None:
        heard: list[Any] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append((sid, reason)), "/a")
        client = rig.client("/", "/a")
        first = client.sids["/a"]
        rig.sio.enter_room(first, "room", namespace="/a")
        rig.sio.save_session(first, {"n": 1}, namespace="/a")
        rig.sio.save_session(client.sid, {"n": 2})
        client.send("41/a,")
        assert heard == [(first, "client disconnect")]
        assert rig.sio.get_session(client.sid) == {"n": 2}
        rig.sio.emit("e", namespace="/a")
        rig.sio.emit("e")
        assert client.take() == ['42["e"]']
        second = client.join("/a")
        assert second != first
        assert rig.sio.rooms(second, namespace="/a") == [second]
        assert rig.sio.get_session(second, namespace="/a") == {}
        rig.sio.emit("e", namespace="/a")
        rig.sio.emit("old", to=first, namespace="/a")
        assert client.take() == ['42/a,["e"]']

    def test_the_root_is_like_the_others(self, rig: Rig) -> None:
        """A client need not be in it, may leave it, and its other sockets live on."""
        client = rig.client("/a")
        assert client.sids.keys() == {"/a"}
        client.join("/")
        client.send("41")
        rig.sio.emit("e", namespace="/a")
        assert client.take() == ['42/a,["e"]']
        assert not rig.world.wire.closed

    def test_one_that_is_refused_leaves_the_others_alone(self, rig: Rig) -> None:
        rig.sio.on("connect", lambda sid, environ: False, "/a")
        client = rig.client("/", "/b")
        client.send("40/a,")
        assert client.take() == ['44/a,{"message":"Connection rejected by server"}']
        for namespace in ("/", "/a", "/b"):
            rig.sio.emit("e", namespace=namespace)
        assert client.take() == ['42["e"]', '42/b,["e"]']

    def test_the_server_disconnects_one(self, rig: Rig) -> None:
        client = rig.client("/", "/a")
        rig.sio.disconnect(client.sids["/a"], namespace="/a")
        rig.sio.disconnect(client.sids["/a"])  # of another namespace: nobody
        assert client.take() == ["41/a,"]
        rig.sio.emit("e")
        assert client.take() == ['42["e"]']

    def test_the_end_of_the_connection_is_the_end_of_all(self, rig: Rig) -> None:
        heard: list[Any] = []
        for namespace in ("/", "/a", "/b"):
            rig.sio.on("disconnect", lambda sid, reason: heard.append((sid, reason)), namespace)
        client = rig.client("/b", "/", "/a")
        for namespace, sid in client.sids.items():
            rig.sio.enter_room(sid, "room", namespace=namespace)
        rig.engine.closed(client.id, "transport close", rig.world.deadline)
        assert sorted(heard) == sorted((sid, "transport close") for sid in client.sids.values())
        assert not rig.world.rooms.items
        assert not rig.world.connections.records

    def test_the_last_socket_may_leave_and_another_come(self, rig: Rig) -> None:
        client = rig.client("/a")
        client.send("41/a,")
        assert client.join("/b")
        rig.sio.emit("e", namespace="/b")
        assert client.take() == ['42/b,["e"]']

    def test_one_namespace_to_another(self, rig: Rig) -> None:
        """A handler reaches whom it wants, each packet with its namespace and in its order."""
        client = rig.client("/", "/a")

        @rig.sio.event
        def relay(sid: str) -> str:
            rig.sio.emit("one", to=client.sids["/a"], namespace="/a")
            rig.sio.emit("two", to=sid)
            rig.sio.emit("three", namespace="/a")
            return "four"

        client.emit("relay", id=1)
        assert client.take() == ['42/a,["one"]', '42["two"]', '42/a,["three"]', '431["four"]']
