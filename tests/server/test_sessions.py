"""Sessions that are saved while a frame of the queue is handled: written with the note that it was, or not at all."""

import sys
from dataclasses import replace
from itertools import count
from typing import Any

import pytest

from server.ports import Unavailable
from server.records import Change, Connection, Member
from tests.server.rig import Client, Rig


class Queued:
    """A client whose frames come through the queue, and what is written of its connection."""

    def __init__(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rig = rig
        self.client: Client = rig.client("/")
        self.numbers = count(1)
        self.writes: list[str] = []
        self.riding: list[Any] = []  # the sessions in each note that a frame was handled
        connections = rig.world.connections
        change, handled, leave = connections.change, connections.handled, connections.leave

        def changing(connection_id: str, what: Change) -> bool:
            self.writes.append("change")
            return change(connection_id, what)

        def handling(connection_id: str, number: int, pending: Any, data: Any) -> None:
            self.writes.append("handled")
            self.riding.append(dict(data))
            handled(connection_id, number, pending, data)

        def leaving(*args: Any) -> Connection | None:
            self.writes.append("leave")
            return leave(*args)

        monkeypatch.setattr(connections, "change", changing)
        monkeypatch.setattr(connections, "handled", handling)
        monkeypatch.setattr(connections, "leave", leaving)

    def send(self, frame: str, number: int = 0, *, again: bool = False) -> None:
        number = number or next(self.numbers)
        self.rig.engine.receive(self.client.id, frame, self.rig.world.deadline, number, again=again)

    def session(self, namespace: str = "/") -> Any:
        """Return the session as it is stored."""
        return self.rig.world.connections.records[self.client.id].connection.sockets[namespace].data


@pytest.fixture
def rig() -> Rig:
    return Rig(namespaces=["/", "/other"])


@pytest.fixture
def queued(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> Queued:
    return Queued(rig, monkeypatch)


def test_it_costs_no_write_of_its_own(rig: Rig, queued: Queued) -> None:
    @rig.sio.event
    def add(sid: str, n: int) -> int:
        with rig.sio.session(sid) as session:
            session["n"] = session.get("n", 0) + n
        rig.sio.emit("added", n)
        return int(session["n"])

    for _ in range(3):
        queued.send('420["add",2]')
    assert queued.writes == ["handled"] * 3
    assert queued.session() == {"n": 6}
    assert [frame for frame in queued.client.take() if frame.startswith("43")] == ["430[2]", "430[4]", "430[6]"]


def test_without_a_number_it_is_written_as_ever(rig: Rig, queued: Queued) -> None:
    rig.sio.on("save", lambda sid: rig.sio.save_session(sid, 1))
    queued.client.emit("save")
    assert queued.writes == ["change"]
    assert queued.session() == 1


@pytest.mark.parametrize("way", ["dies", "raises"])
def test_a_function_that_dies_leaves_the_session_as_it_was(
    rig: Rig, queued: Queued, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The frame comes again, and counts once, though what was emitted went out."""
    rig.sio.journal("room").create({}, 4_000_000_000)
    fails: list[str] = []

    @rig.sio.event
    def say(sid: str) -> None:
        with rig.sio.session(sid) as session:
            session["n"] = session.get("n", 0) + 1
        rig.sio.publish("said", "key", {}, "room")
        if "raises" in fails:
            raise Unavailable("throttled")

    queued.send('42["say"]')
    fails.append(way)
    handled = rig.world.connections.handled

    def dying(*args: Any) -> None:
        if "dies" in fails:
            sys.exit()
        handled(*args)

    monkeypatch.setattr(rig.world.connections, "handled", dying)
    with pytest.raises((Unavailable, SystemExit)):
        queued.send('42["say"]', 2)
    assert queued.session() == {"n": 1}
    fails.clear()
    for _ in range(2):  # the second time it is known to have been handled
        queued.send('42["say"]', 2, again=True)
    assert queued.session() == {"n": 2}


def test_what_is_read_later_in_the_turn_is_new(rig: Rig, queued: Queued) -> None:
    read: list[Any] = []

    @rig.sio.event
    def save(sid: str) -> None:
        rig.sio.save_session(sid, {"n": 1})
        rig.sio.emit("noise")
        rig.sio.enter_room(sid, "room")  # writes what was changed so far
        read.append(rig.sio.get_session(sid))
        read.extend(socket.data for socket in rig.sio.fetch_sockets())
        read.extend(socket.data for socket in rig.sio.fetch_sockets("room"))

    queued.send('42["save"]')
    assert read == [{"n": 1}] * 3
    assert queued.session() == {"n": 1}


def test_it_is_new_also_where_a_place_names_the_connection_of_before_an_upgrade(rig: Rig, queued: Queued) -> None:
    """Whose record says where the session went: so it is read anew."""
    record = rig.world.connections.records[queued.client.id]
    rig.world.connections.records["~old"] = replace(record, moved=queued.client.id)
    read: list[Any] = []

    @rig.sio.event
    def save(sid: str) -> None:
        rig.sio.save_session(sid, {"n": 1})
        rig.world.rooms.enter("/", [None], Member(sid, "~old"))
        read.extend(socket.data for socket in rig.sio.fetch_sockets())
        read.append(rig.sio.get_session(sid))
        rig.sio.save_session(sid, {"n": 2})

    queued.send('42["save"]')
    assert read == [{"n": 1}] * 2
    assert queued.session() == {"n": 2}
    assert queued.writes == ["handled"]


def test_only_sessions_wait(rig: Rig, queued: Queued) -> None:
    other = rig.client("/")

    @rig.sio.event
    def save(sid: str) -> None:
        rig.sio.save_session(sid, "mine")
        rig.sio.save_session(other.sid, "theirs")
        rig.sio.enter_room(sid, "room")

    queued.writes.clear()
    queued.send('42["save"]')
    assert queued.writes == ["change", "change", "handled"], "the other's, and the room"
    connection = rig.world.connections.load(queued.client.id)
    assert connection
    assert connection.rooms == {("/", "room")}
    assert queued.session() == "mine"
    assert rig.world.connections.records[other.id].connection.sockets["/"].data == "theirs"


@pytest.mark.parametrize("settles", [True, False])
@pytest.mark.parametrize("frame", ['42["go"]', "41"])
def test_one_that_leaves_takes_its_session_along(rig: Rig, queued: Queued, frame: str, settles: bool) -> None:
    def save(sid: str, *_: Any) -> None:
        rig.sio.save_session(sid, {"n": 1})
        if settles:
            rig.sio.members("room")

    @rig.sio.event
    def go(sid: str) -> None:
        save(sid)
        rig.sio.disconnect(sid)

    rig.sio.on("disconnect", save)
    queued.send(frame)
    record = rig.world.connections.records[queued.client.id]
    assert not record.connection.sockets
    assert queued.riding == [{}]
    queued.send("40")
    assert queued.session() is None


@pytest.mark.parametrize("settles", [True, False])
def test_what_a_connect_handler_saves_does_not_wait(rig: Rig, queued: Queued, settles: bool) -> None:
    """It is not called again when its frame comes again, for then the socket is there."""

    @rig.sio.event(namespace="/other")
    def connect(sid: str, environ: dict[str, Any]) -> None:
        if settles:
            rig.sio.members("room")
        rig.sio.save_session(sid, {"n": 1}, "/other")
        rig.sio.save_session(queued.client.sid, {"n": 2})

    queued.send("40/other,")
    assert set(queued.writes) == {"change"}
    assert queued.session("/other") == {"n": 1}
    assert queued.session() == {"n": 2}


def test_nor_what_a_disconnect_handler_saves(rig: Rig, queued: Queued) -> None:
    queued.client.join("/other")
    rig.sio.on("disconnect", lambda sid, reason: rig.sio.save_session(queued.client.sid, reason), namespace="/other")
    queued.send("41/other,")
    assert queued.session() == "client disconnect"
    assert queued.riding == [{}]


def test_a_connection_that_is_gone_meanwhile(rig: Rig, queued: Queued) -> None:
    heard: list[str] = []

    @rig.sio.event
    def save(sid: str) -> None:
        rig.sio.save_session(sid, {"n": 1})
        rig.engine.closed(queued.client.id, "transport close", rig.world.deadline)

    rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
    queued.send('42["save"]')
    assert heard == ["transport close"]
    assert not rig.world.connections.records
    assert not rig.world.rooms.items


def test_a_socket_that_another_function_ends_meanwhile(rig: Rig, queued: Queued) -> None:
    @rig.sio.event
    def save(sid: str) -> None:
        rig.sio.save_session(sid, {"n": 1})
        assert rig.world.connections.leave(queued.client.id, "/", rig.world.clock, "another")
        rig.world.connections.left(queued.client.id, "/", [])

    queued.send('42["save"]')
    assert not rig.world.connections.records[queued.client.id].connection.sockets
