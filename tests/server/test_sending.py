"""Whom an emit reaches and whom it does not; what is volatile; emits from outside of the application."""

from typing import Any

import pytest

from server import Server
from server.emitter import Emitter
from server.engine import Engine
from server.exceptions import JournalMissingError, NotBoundError, UnknownSidError
from server.jobs import Disconnect, Post
from server.outbox import INLINE_LIMIT, PAUSES
from server.ports import Unavailable
from server.recovery import Recovery
from server.remote import RemoteSocket
from tests.server.rig import Client, Poller, Rig


@pytest.fixture
def rig() -> Rig:
    return Rig(namespaces=["/", "/other"])


class Crowd:
    """Clients named by letters, each in the rooms that its name's owner says."""

    def __init__(self, rig: Rig, rooms: dict[str, str]) -> None:
        self.clients = {name: rig.client("/") for name in rooms}
        for name, own in rooms.items():
            for room in own.split():
                rig.sio.enter_room(self[name], room)

    def __getitem__(self, name: str) -> str:
        return self.clients[name].sid

    def heard(self) -> str:
        """Return the names of those who got something, each as often as it did."""
        return "".join(name * len(client.take()) for name, client in self.clients.items())


class TestWhom:
    @pytest.fixture
    def crowd(self, rig: Rig) -> Crowd:
        return Crowd(rig, {"a": "x", "b": "x y", "c": "y", "d": "", "e": "x y z"})

    @pytest.mark.parametrize(
        ("options", "heard"),
        [
            ({}, "abcde"),
            ({"to": "x"}, "abe"),
            ({"room": "x"}, "abe"),
            ({"to": ["x"]}, "abe"),
            ({"to": ("x", "y")}, "abce"),
            ({"to": ["x", "y", "x"]}, "abce"),
            ({"to": ["x", "nobody"]}, "abe"),
            ({"room": []}, ""),
            ({"except_room": "x"}, "cd"),
            ({"except_room": ["x", "y"]}, "d"),
            ({"except_room": []}, "abcde"),
            ({"except_room": "nobody"}, "abcde"),
            ({"to": "x", "except_room": "y"}, "a"),
            ({"to": "x", "except_room": "x"}, ""),
            ({"to": ["x", "y"], "except_room": ["z"]}, "abc"),
        ],
    )
    def test_rooms(self, rig: Rig, crowd: Crowd, options: dict[str, Any], heard: str) -> None:
        rig.sio.emit("e", **options)
        assert crowd.heard() == heard

    @pytest.mark.parametrize(
        ("to", "skip", "apart", "heard"),
        [
            (None, "a", None, "bcde"),
            (None, "abc", None, "de"),
            (["x", "y"], "be", None, "ac"),
            (None, "a", "y", "d"),
            (["x", "a", "d"], "a", "z", "bd"),
        ],
    )
    def test_sockets_to_leave_out(
        self, rig: Rig, crowd: Crowd, to: Any, skip: str, apart: str | None, heard: str
    ) -> None:
        if isinstance(to, list):
            to = [crowd[name] if name in "ad" else name for name in to]
        rig.sio.emit("e", to=to, skip_sid=[crowd[name] for name in skip], except_room=apart)
        assert crowd.heard() == heard

    def test_a_socket_is_a_room(self, rig: Rig, crowd: Crowd) -> None:
        rig.sio.emit("e", to=[crowd["a"], crowd["d"], "z"])
        assert crowd.heard() == "ade"
        rig.sio.emit("e", to="y", except_room=crowd["c"])
        assert crowd.heard() == "be"

    def test_another_namespaces_rooms_are_others(self, rig: Rig) -> None:
        client = rig.client("/", "/other")
        rig.sio.enter_room(client.sids["/"], "x")
        rig.sio.emit("e", namespace="/other", except_room="x")
        assert client.take() == ['42/other,["e"]']
        rig.sio.emit("e", to="x", namespace="/other")
        assert client.take() == []

    def test_a_handlers_own_changes_count(self, rig: Rig) -> None:
        crowd = Crowd(rig, {"a": "", "b": "x"})

        @rig.sio.event
        def move(sid: str) -> None:
            rig.sio.emit("one", to="x")
            rig.sio.enter_room(sid, "x")
            rig.sio.emit("two", to="x")
            rig.sio.leave_room(crowd["b"], "x")
            rig.sio.emit("three", except_room="x")

        crowd.clients["a"].emit("move")
        assert crowd.clients["a"].take() == ['42["two"]']
        assert crowd.clients["b"].take() == ['42["one"]', '42["two"]', '42["three"]']

    def test_send(self, rig: Rig, crowd: Crowd) -> None:
        rig.sio.send({"a": 1}, to=["x", "y"], skip_sid=[crowd["b"]], except_room="z")
        assert crowd.clients["a"].take() == ['42["message",{"a":1}]']
        assert crowd.heard() == "c"


class TestVolatile:
    def busy(self, rig: Rig, client: Client, times: int = len(PAUSES) + 1) -> None:
        rig.world.wire.faults[client.id] = [Unavailable("429")] * times

    def test_who_can_be_reached_gets_it(self, rig: Rig) -> None:
        client, busy = rig.client("/"), rig.client("/")
        self.busy(rig, busy, 1)
        began = rig.world.clock
        rig.sio.emit("e", volatile=True)
        assert client.take() == ['42["e"]']
        assert busy.take() == []
        assert not rig.world.queue.jobs
        assert rig.world.clock == began, "one try"

    def test_the_others_keep_their_order(self, rig: Rig) -> None:
        client = rig.client("/")
        self.busy(rig, client, 1)
        with rig.sio.batch():
            rig.sio.emit("fades", volatile=True)
            rig.sio.emit("one")
            rig.sio.emit("arrives", volatile=True)
            rig.sio.emit("two")
        assert client.take() == ['42["one"]', '42["arrives"]', '42["two"]']

    def test_what_waits_for_the_queue_waits_without_it(self, rig: Rig) -> None:
        client = rig.client("/")
        self.busy(rig, client)
        with rig.sio.batch():
            rig.sio.emit("one")
            rig.sio.emit("fades", volatile=True)
            rig.sio.emit("two")
        assert rig.world.queue.parsed() == [Post((client.id,), ('42["one"]', '42["two"]'))]
        rig.run_queue()
        assert client.take() == ['42["one"]', '42["two"]']

    @pytest.mark.parametrize("failing", [0, 1, 2])
    def test_binary_is_dropped_as_a_whole(self, rig: Rig, failing: int) -> None:
        """Its header without its attachments, or these without it, would be an error to the client."""
        client = rig.client("/")
        posts = rig.world.wire.post
        tries = iter(range(100))

        def post(connection_id: str, frame: str) -> None:
            if next(tries) == failing:
                raise Unavailable("429")
            posts(connection_id, frame)

        rig.world.wire.post = post  # type: ignore[method-assign]
        with rig.sio.batch():
            rig.sio.emit("file", (b"\0", b"\1"), volatile=True)
            rig.sio.emit("after")
        binary = [
            '452-["file",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]',
            "bAA==",
            "bAQ==",
        ]
        assert client.take() == [*(binary if failing else []), '42["after"]']

    def test_a_handlers_answer_is_not(self, rig: Rig) -> None:
        @rig.sio.event
        def ask(sid: str) -> str:
            rig.sio.emit("fades", to=sid, volatile=True)
            return "answer"

        client = rig.client("/")
        self.busy(rig, client, 1)
        client.emit("ask", id=1)
        assert client.take() == ['431["answer"]']

    def test_binary_for_the_caller_is_not_torn_apart(self, rig: Rig) -> None:
        """Its last frame rides the route response, but not without those before it."""
        rig.sio.on("fetch", lambda sid: rig.sio.emit("file", b"\0", to=sid, volatile=True))
        client = rig.client("/")
        self.busy(rig, client, 1)
        client.emit("fetch")
        assert client.take() == []
        client.emit("fetch")
        assert client.take() == ['451-["file",{"_placeholder":true,"num":0}]', "bAA=="]

    def test_who_does_not_poll_at_the_moment(self, rig: Rig) -> None:
        client = Poller(rig, "/")
        rig.sio.emit("fades", volatile=True)
        with rig.sio.batch():
            rig.sio.emit("fades", 1, volatile=True)
            rig.sio.emit("fades", 2, volatile=True)
        rig.sio.emit("stays")
        assert client.poll() == ['42["stays"]']

    def test_who_polls_gets_it(self, rig: Rig) -> None:
        client = Poller(rig, "/")

        def meanwhile() -> None:
            rig.world.on_sleep = None
            rig.sio.emit("now", volatile=True)

        rig.world.on_sleep = meanwhile
        assert client.poll() == ['42["now"]']

    def test_it_is_not_kept_for_those_who_come_back(self, rig: Rig) -> None:
        rig.sio.bind(rig.world.ports, Recovery(rig.world.ports, 60, 300))
        rig.sio.emit("fades", volatile=True)
        assert not rig.world.packets.items


class TestFromOutside:
    """An emitter that has no handlers, in another function or a script."""

    @pytest.fixture
    def emitter(self, rig: Rig) -> Emitter:
        emitter = Emitter()
        emitter.bind(rig.world.ports)
        return emitter

    def test_emits(self, rig: Rig, emitter: Emitter) -> None:
        crowd = Crowd(rig, {"a": "x", "b": "x", "c": ""})
        emitter.emit("e", {"n": 1}, to="x", skip_sid=crowd["b"])
        assert crowd.clients["a"].take() == ['42["e",{"n":1}]']
        emitter.send(b"\0", except_room="x")
        assert crowd.clients["c"].take() == ['451-["message",{"_placeholder":true,"num":0}]', "bAA=="]
        assert crowd.heard() == ""

    def test_rooms_and_sessions(self, rig: Rig, emitter: Emitter) -> None:
        client = rig.client("/", "/other")
        emitter.enter_room(client.sid, "x", info=7)
        emitter.enter_room(client.sids["/other"], "y", namespace="/other")
        assert rig.sio.rooms(client.sid) == emitter.rooms(client.sid) == [client.sid, "x"]
        assert [(each.sid, each.info) for each in emitter.members("x")] == [(client.sid, 7)]
        with emitter.session(client.sid) as session:
            session["n"] = 1
        assert rig.sio.get_session(client.sid) == {"n": 1}
        assert emitter.get_environ(client.sid) == {"HTTP_X": client.id}
        emitter.leave_room(client.sid, "x")
        emitter.close_room("y", namespace="/other")
        assert rig.sio.rooms(client.sid) == [client.sid]
        assert rig.sio.rooms(client.sids["/other"], namespace="/other") == [client.sids["/other"]]

    def test_many_as_one(self, rig: Rig, emitter: Emitter) -> None:
        client = rig.client("/")
        with emitter.batch():
            for n in range(3):
                emitter.emit("n", n, to=client.sid)
            emitter.enter_room(client.sid, "x")
            emitter.emit("room", to="x")
        assert client.take() == [*(f'42["n",{n}]' for n in range(3)), '42["room"]']

    def test_a_disconnect_is_the_applications_to_make(self, rig: Rig, emitter: Emitter) -> None:
        """Its handlers are to hear of it, and they are not here."""
        heard: list[Any] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append((sid, reason)))
        client = rig.client("/")
        emitter.emit("bye", to=client.sid)
        emitter.disconnect(client.sid)
        assert not heard
        ((group, _),) = rig.world.queue.jobs
        assert group == client.id, "behind what waits for the connection"
        assert rig.world.queue.parsed() == [Disconnect(client.id, "/", client.sid)]
        rig.run_queue()
        assert heard == [(client.sid, "server disconnect")]
        assert client.take() == ['42["bye"]', "41"]
        emitter.disconnect(client.sid)
        emitter.disconnect("nobody", namespace="/other")
        assert not rig.world.queue.jobs
        assert len(heard) == 1

    def test_a_disconnect_of_who_has_gone_meanwhile(self, rig: Rig, emitter: Emitter) -> None:
        client = rig.client("/")
        emitter.disconnect(client.sid)
        client.send("41")
        rig.run_queue()
        assert client.take() == []

    def test_all_sockets_of_a_room(self, rig: Rig, emitter: Emitter) -> None:
        crowd = Crowd(rig, {"a": "x", "b": "x", "c": ""})
        emitter.disconnect_sockets("x")
        rig.run_queue()
        assert crowd.clients["a"].take() == crowd.clients["b"].take() == ["41"]
        assert [member.sid for member in rig.sio.members(None)] == [crowd["c"]]

    def test_who_is_not_there(self, emitter: Emitter) -> None:
        for call in (emitter.rooms, emitter.get_session, emitter.get_environ):
            with pytest.raises(UnknownSidError):
                call("nobody")

    def test_not_bound(self) -> None:
        with pytest.raises(NotBoundError):
            Emitter().emit("e")


class TestAllSocketsOfARoom:
    @pytest.fixture
    def crowd(self, rig: Rig) -> Crowd:
        crowd = Crowd(rig, {"a": "x", "b": "x y", "c": "y", "d": ""})
        rig.sio.save_session(crowd["b"], {"name": "B"})
        return crowd

    @pytest.mark.parametrize(("room", "names"), [(None, "abcd"), ("x", "ab"), (["x", "y"], "abc"), ("nobody", "")])
    def test_fetch(self, rig: Rig, crowd: Crowd, room: Any, names: str) -> None:
        sockets = rig.sio.fetch_sockets(room)
        assert sorted(each.sid for each in sockets) == sorted(crowd[name] for name in names)

    def test_one_of_them(self, rig: Rig, crowd: Crowd) -> None:
        (socket,) = rig.sio.fetch_sockets(crowd["b"])
        assert isinstance(socket, RemoteSocket)
        assert (socket.sid, socket.namespace, socket.rooms) == (crowd["b"], "/", (crowd["b"], "x", "y"))
        assert socket.data == {"name": "B"}
        socket.data["name"] = "changed"
        assert rig.sio.get_session(crowd["b"]) == {"name": "B"}, "it is a copy"

    def test_what_it_can_do(self, rig: Rig, crowd: Crowd) -> None:
        client = crowd.clients["b"]
        (socket,) = rig.sio.fetch_sockets(client.sid)
        socket.emit("e", (1, b"\0"), volatile=True)
        assert client.take() == ['451-["e",1,{"_placeholder":true,"num":0}]', "bAA=="]
        socket.join("z")
        socket.leave("x")
        assert rig.sio.rooms(client.sid) == [client.sid, "y", "z"]
        socket.disconnect()
        assert client.take() == ["41"]
        socket.disconnect()
        assert client.take() == []
        assert crowd.heard() == ""

    def test_they_need_not_be_here(self, rig: Rig, crowd: Crowd) -> None:
        """Another process, and one of the sockets polls."""
        poller = Poller(rig, "/")
        rig.sio.enter_room(poller.sids["/"], "x")
        sio = Server()
        sio.bind(rig.world.ports)
        Engine(sio, ping_interval=120, ping_timeout=60)
        for socket in sio.fetch_sockets("x"):
            socket.emit("e", socket.sid)
        assert poller.poll() == [f'42["e","{poller.sids["/"]}"]']
        assert crowd.clients["a"].take() == [f'42["e","{crowd["a"]}"]']
        assert crowd.heard() == "b"

    def test_what_is_left_of_one_that_is_gone(self, rig: Rig, crowd: Crowd) -> None:
        """Its places are there for a moment longer than its connection."""
        del rig.world.connections.records[crowd.clients["a"].id]
        assert [each.sid for each in rig.sio.fetch_sockets("x")] == [crowd["b"]]
        rig.sio.sockets_join("z", room="x")
        assert [each.sid for each in rig.sio.members("z")] == [crowd["b"]]

    def test_join_and_leave(self, rig: Rig, crowd: Crowd) -> None:
        rig.sio.sockets_join(["one", "two"], room=["x", "y"])
        rig.sio.emit("e", to="one", except_room="nobody")
        assert crowd.heard() == "abc"
        rig.sio.sockets_leave("one", room="x")
        rig.sio.emit("e", to="one")
        assert crowd.heard() == "c"
        rig.sio.sockets_leave(["one", "two", "x", "y"])
        rig.sio.emit("e", to=["one", "two", "x", "y"])
        assert crowd.heard() == ""
        rig.sio.sockets_join("all")
        rig.sio.emit("e", to="all")
        assert crowd.heard() == "abcd"
        with pytest.raises(ValueError, match="a room's name"):
            rig.sio.sockets_join(["fine", ""])
        assert not rig.sio.members("fine")

    def test_disconnect(self, rig: Rig, crowd: Crowd) -> None:
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        rig.sio.disconnect_sockets(["x", "y"])
        assert heard == ["server disconnect"] * 3
        assert {name: client.take() for name, client in crowd.clients.items()} == {
            "a": ["41"],
            "b": ["41"],
            "c": ["41"],
            "d": [],
        }
        assert set(rig.world.rooms.items) == {("/", None), ("/", crowd["d"])}

    def test_in_a_handler_with_the_caller_among_them(self, rig: Rig, crowd: Crowd) -> None:
        @rig.sio.event
        def shut(sid: str) -> list[str]:
            rig.sio.sockets_join("end", room="x")
            rig.sio.emit("shut", to="end")
            rig.sio.disconnect_sockets("end")
            return [each.sid for each in rig.sio.fetch_sockets("end")]

        crowd.clients["a"].emit("shut", id=1)
        assert crowd.clients["b"].take() == ['42["shut"]', "41"]
        assert crowd.clients["a"].take() == ['42["shut"]', "41", "431[[]]"]

    def test_a_large_room(self, rig: Rig) -> None:
        """One that the queue serves: what is sent to its members afterwards waits there as well."""
        crowd = Crowd(rig, {f"{n}": "x" for n in range(INLINE_LIMIT + 1)})
        with rig.sio.batch():
            rig.sio.emit("bye", to="x")
            rig.sio.disconnect_sockets("x")
        rig.run_queue()
        assert all(client.take() == ['42["bye"]', "41"] for client in crowd.clients.values())
        assert not rig.world.rooms.items


class TestPublish:
    def test_once_under_its_number(self, rig: Rig) -> None:
        crowd = Crowd(rig, {"a": "x", "b": ""})
        rig.sio.journal("x").create({}, rig.world.clock // 1000 + 600)
        at = rig.world.clock
        for key, text, is_new in [
            ("k1", "once", True),
            ("k1", "once", False),  # the first time may have come to nobody
            ("k1", "other", False),
            ("k1", "once", False),  # too late
            ("k2", "next", True),
        ]:
            entry, appended = rig.sio.publish("said", key, {"text": text}, room="x")
            assert (entry.key, appended) == (key, is_new)
            rig.world.clock += 25_000
        first = f'42["said",{{"seq":1,"id":"k1","text":"once","at":{at}}}]'
        second = f'42["said",{{"seq":2,"id":"k2","text":"next","at":{at + 100_000}}}]'
        assert crowd.clients["a"].take() == [first, first, second]
        assert crowd.heard() == ""

    def test_nothing_is_sent_of_what_is_not_written(self, rig: Rig) -> None:
        crowd = Crowd(rig, {"a": "x"})
        with pytest.raises(JournalMissingError):
            rig.sio.publish("said", "k", {}, room="x")
        assert crowd.heard() == ""

    def test_in_a_namespace(self, rig: Rig) -> None:
        client = rig.client("/other")
        rig.sio.enter_room(client.sids["/other"], "x", namespace="/other")
        rig.sio.journal("x", namespace="/other").create({}, rig.world.clock // 1000 + 60)
        emitter = Emitter()
        emitter.bind(rig.world.ports)
        emitter.publish("said", "k", {}, room="x", namespace="/other")
        assert client.take() == [f'42/other,["said",{{"seq":1,"id":"k","at":{rig.world.clock}}}]']
