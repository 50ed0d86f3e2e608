"""Clients that come back: their socket, their rooms, their session, and what they missed; or a new socket."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from server.emitter import Emitter
from server.engine import LONGEST
from server.exceptions import ConnectionRefusedError
from server.polling import Polling
from server.ports import Unavailable
from server.recovery import LATE, SETTLED, SKEW, Recovery
from tests.server.rig import Client, Rig

WINDOW = 120


@pytest.fixture
def rig() -> Rig:
    return Rig(recovery=WINDOW, namespaces=["/", "/other"])


class Person:
    """A client that knows offsets, as socket.io-client 4.6 and later: it takes the last text of an event for one."""

    def __init__(self, rig: Rig, namespace: str = "/") -> None:
        self.rig, self.namespace = rig, namespace
        self.prefix = "" if namespace == "/" else f"{namespace},"
        self.events: list[list[Any]] = []
        self.sid = self.pid = ""
        self.offset: str | None = None
        self.recovered = False
        self.client = self._connect({})

    def _connect(self, auth: dict[str, Any]) -> Client:
        self.client = self.rig.client()
        self.client.send(f"40{self.prefix}{json.dumps(auth) if auth else ''}")
        self.hear()
        return self.client

    def hear(self, *, loses: int = 0) -> list[list[Any]]:
        """Take the frames that came, all but the last ones, which are lost; returns the events."""
        frames = self.client.take()
        events = []
        for frame in frames[: len(frames) - loses]:
            if frame.startswith(f"40{self.prefix}{{"):
                answer = json.loads(frame.removeprefix(f"40{self.prefix}"))
                self.recovered = answer["pid"] == self.pid
                self.sid, self.pid = answer["sid"], answer["pid"]
            elif frame.startswith(f"42{self.prefix}["):
                *event, self.offset = json.loads(frame.removeprefix(f"42{self.prefix}"))
                events.append(event)
        self.events += events
        return events

    def drop(self, reason: str = "transport close") -> None:
        self.rig.engine.closed(self.client.id, reason, self.rig.world.deadline)

    def come_back(self) -> list[list[Any]]:
        """Connect anew; returns the events that came with it."""
        self.rig.world.clock += 1_000
        before = len(self.events)
        auth = {"pid": self.pid} | ({"offset": self.offset} if self.offset else {})
        self._connect(auth)
        return self.events[before:]


def later(rig: Rig, seconds: float = 5) -> None:
    rig.world.clock += int(seconds * 1000)


def another(rig: Rig) -> Emitter:
    """Return another process."""
    emitter = Emitter()
    emitter.bind(rig.world.ports, Recovery(rig.world.ports, WINDOW, 300))
    return emitter


class TestComingBack:
    def test_everything_is_as_it_was(self, rig: Rig) -> None:
        person = Person(rig)
        rig.sio.enter_room(person.sid, "room", info={"name": "Ann"})
        rig.sio.save_session(person.sid, {"n": 1})
        sid = person.sid
        rig.sio.emit("a", 1)
        later(rig)
        assert person.hear() == [["a", 1]]
        person.drop()
        assert not rig.sio.members("room")
        for n in range(3):
            rig.sio.emit("missed", (n, {"deep": [None]}), room=["room", sid][n % 2 : n % 2 + 1])
            later(rig)
        assert person.come_back() == [["missed", n, {"deep": [None]}] for n in range(3)]
        assert (person.recovered, person.sid) == (True, sid)
        assert rig.sio.rooms(sid) == [sid, "room"]
        assert rig.sio.get_session(sid) == {"n": 1}
        assert [member.info for member in rig.sio.members("room")] == [{"name": "Ann"}]
        rig.sio.emit("live", room="room")
        assert person.hear() == [["live"]]

    def test_the_handlers_hear_it(self, rig: Rig) -> None:
        heard: list[Any] = []
        rig.sio.on("connect", lambda sid, environ, auth: heard.append((rig.sio.recovered(sid), auth)))
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        rig.sio.use(lambda sid, environ: heard.append("middleware"))
        person = Person(rig)
        person.drop()
        person.come_back()
        assert heard == ["middleware", (False, None), "transport close", (True, None)]

    def test_a_handler_may_refuse_it(self, rig: Rig) -> None:
        person = Person(rig)

        @rig.sio.event
        def connect(sid: str, environ: dict[str, Any]) -> None:
            assert environ["socketio.recovered"]
            raise ConnectionRefusedError("banned")

        person.drop()
        person.client = rig.client()
        person.client.send(f"40{json.dumps({'pid': person.pid})}")
        assert person.client.take()[-1] == "41"
        assert not rig.world.rooms.items

    def test_one_that_is_not_known_to_be_dead(self, rig: Rig) -> None:
        """A network that changes: the client is back before anybody has noticed that it was gone."""
        heard: list[str] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        person = Person(rig)
        old, sid = person.client, person.sid
        later(rig)
        rig.sio.emit("posted", 1)
        person.hear(loses=1)
        later(rig)
        assert person.come_back() == [["posted", 1]]
        assert (person.recovered, person.sid, heard) == (True, sid, ["transport close"])
        assert old.id in rig.world.wire.closed
        rig.engine.closed(old.id, "transport close", rig.world.deadline)
        rig.sio.emit("still", 1)
        assert person.hear() == [["still", 1]]
        assert heard == ["transport close"]

    def test_each_namespace_by_itself(self, rig: Rig) -> None:
        person = Person(rig, "/other")
        rig.sio.emit("a", 1, namespace="/other")
        later(rig)
        person.hear()
        person.drop()
        rig.sio.emit("b", 2, namespace="/other")
        rig.sio.emit("b", 3)
        assert person.come_back() == [["b", 2]]
        thief = rig.client()
        person.drop()
        thief.send(f"40{json.dumps({'pid': person.pid})}")
        assert json.loads(thief.take()[0][2:])["sid"] != person.sid, "another namespace's pid"

    def test_binary(self, rig: Rig) -> None:
        person = Person(rig)
        person.drop()
        later(rig)
        rig.sio.emit("e", {"x": [b"\0\1"]})
        person.come_back()
        # The event came right after CONNECT, and its attachment right after it.
        rig.sio.emit("e", b"\2")
        header, attachment = person.client.take()
        assert header.startswith('451-["e",{"_placeholder":true,"num":0},"')
        assert attachment == "bAg=="

    def test_what_was_published(self, rig: Rig) -> None:
        """It is kept by its journal alone."""
        rig.sio.journal("room").create({}, 4_000_000_000)
        person = Person(rig)
        rig.sio.enter_room(person.sid, "room")
        later(rig)
        rig.sio.publish("said", "k1", {"text": "one"}, "room")
        first = person.hear()
        later(rig)
        person.drop()
        rig.sio.publish("said", "k2", {"text": "two"}, "room")
        rig.sio.publish("said", "k2", {"text": "two"}, "room")
        at = rig.world.clock
        rig.sio.emit("then", room="room")
        second = {"seq": 2, "id": "k2", "text": "two", "at": at}
        assert person.come_back() == [["said", second], ["then"]]
        assert [event[1]["seq"] for event in first] == [1]
        assert sum(map(len, rig.world.packets.items.values())) == 1

    def test_what_was_not_for_it(self, rig: Rig) -> None:
        person = Person(rig)
        rig.sio.enter_room(person.sid, "apart")
        rig.sio.enter_room(person.sid, "left")
        rig.sio.leave_room(person.sid, "left")
        later(rig)
        person.drop()
        later(rig)
        rig.sio.emit("no", 1, room="left")
        rig.sio.emit("no", 2, skip_sid=person.sid)
        rig.sio.emit("no", 3, except_room="apart")
        rig.sio.emit("no", 4, room="never")
        rig.sio.emit("no", 5, volatile=True)
        rig.sio.emit("yes", 6, room=["left", "apart"])
        later(rig)
        rig.sio.emit("yes", 7, to=["never", person.sid, "apart"])
        assert person.come_back() == [["yes", 6], ["yes", 7]]

    def test_rooms_have_their_time(self, rig: Rig) -> None:
        """What was sent to a room before it was entered is not missed, and what it was sent before it left is."""
        person = Person(rig)
        later(rig)
        rig.sio.emit("before", room="room")
        later(rig)
        rig.sio.enter_room(person.sid, "room")
        later(rig)
        rig.sio.emit("while", room="room")
        later(rig)
        rig.sio.leave_room(person.sid, "room")
        later(rig)
        rig.sio.emit("after", room="room")
        person.hear(loses=1)
        person.drop()
        assert person.come_back() == [["while"]]

    def test_it_comes_back_again_and_again(self, rig: Rig) -> None:
        person = Person(rig)
        sid = person.sid
        rig.sio.enter_room(sid, "room")
        for n in range(5):
            later(rig)
            rig.sio.emit("n", n, room="room")
            person.hear(loses=1)
            person.drop()
            later(rig)
            assert person.come_back() == [["n", n]]
            assert (person.recovered, person.sid) == (True, sid)


class TestTwoHours:
    def test_the_cut_is_not_seen(self, rig: Rig) -> None:
        heard: list[Any] = []
        rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        person = Person(rig)
        rig.sio.on("connect", lambda sid, environ: heard.append("connect"))
        rig.sio.enter_room(person.sid, "room")
        sid = person.sid
        rig.world.clock += LONGEST
        person.drop()
        rig.sio.emit("meanwhile", room="room")
        assert person.come_back() == [["meanwhile"]]
        assert (person.recovered, person.sid, heard) == (True, sid, [])
        assert rig.sio.rooms(sid) == [sid, "room"]

    def test_whoever_stays_away_is_missed_later(self, rig: Rig) -> None:
        heard: list[Any] = []

        @rig.sio.event
        def disconnect(sid: str, reason: str) -> None:
            heard.append((reason, rig.sio.get_session(sid), rig.sio.rooms(sid)))

        person = Person(rig)
        rig.sio.save_session(person.sid, {"n": 1})
        rig.sio.enter_room(person.sid, "room")
        rig.world.clock += LONGEST
        person.drop()
        rig.engine.beat(rig.world.deadline)
        assert not heard
        rig.world.clock += WINDOW * 1000 + 1
        rig.engine.beat(rig.world.deadline)
        assert heard == [("transport close", {"n": 1}, [person.sid, "room"])]
        rig.engine.beat(rig.world.deadline)
        assert len(heard) == 1
        assert not rig.world.connections.parked
        person.come_back()
        assert not person.recovered


class TestNotComingBack:
    def comes_back(self, rig: Rig, person: Person, away: Callable[[], None]) -> bool:
        sid = person.sid
        person.drop()
        away()
        person.come_back()
        assert person.recovered == (person.sid == sid)
        rig.sio.emit("live", 1)
        assert person.hear() == [["live", 1]]
        return person.recovered

    def test_too_late(self, rig: Rig) -> None:
        def away() -> None:
            rig.world.clock += WINDOW * 1000

        assert not self.comes_back(rig, Person(rig), away)

    @pytest.mark.parametrize("by_server", [True, False])
    def test_whoever_left(self, rig: Rig, by_server: bool) -> None:
        person = Person(rig)
        if by_server:
            rig.sio.disconnect(person.sid)
        else:
            person.client.send("41")
        person.drop()
        person.come_back()
        assert not person.recovered

    @pytest.mark.parametrize("pid", ["x", "", 5, None, {}, "a.b", "a" * 1000, "../C.x"])
    def test_a_pid_that_is_none(self, rig: Rig, pid: Any) -> None:
        client = rig.client()
        client.send(f"40{json.dumps({'pid': pid, 'offset': 'x'})}")
        assert client.take()[0].startswith('40{"sid":')

    @pytest.mark.parametrize("offset", ["", "x", 5, {}, "0" * 29])
    def test_an_offset_that_is_none(self, rig: Rig, offset: Any) -> None:
        person = Person(rig)
        person.drop()
        person.client = rig.client()
        person.client.send(f"40{json.dumps({'pid': person.pid, 'offset': offset})}")
        assert json.loads(person.client.take()[0][2:])["sid"] != person.sid

    def test_only_once(self, rig: Rig) -> None:
        person = Person(rig)
        person.drop()
        pid = person.pid
        person.come_back()
        assert person.recovered
        other = rig.client()
        other.send(f"40{json.dumps({'pid': pid})}")
        frame = next(frame for frame in other.take() if frame.startswith("40"))
        # Whoever has the secret is the client: the older connection ends.
        assert json.loads(frame[2:])["sid"] == person.sid
        assert person.client.id in rig.world.wire.closed

    def test_events_at_the_same_moment(self, rig: Rig) -> None:
        """Two invocations: which of their events came first, nobody knows."""
        person = Person(rig)
        later(rig)
        rig.sio.emit("a", 1)
        rig.world.clock += SETTLED
        another(rig).emit("b", 2)
        person.hear(loses=1)
        assert not self.comes_back(rig, person, lambda: None)

    def test_events_of_one_process(self, rig: Rig) -> None:
        person = Person(rig)
        later(rig)
        with rig.sio.batch():
            for n in range(3):
                rig.sio.emit("n", n)
        for n in range(3, 5):
            rig.sio.emit("n", n)
        assert len(person.hear(loses=3)) == 2
        person.drop()
        assert person.come_back() == [["n", n] for n in (2, 3, 4)]

    @pytest.mark.parametrize(("pause", "comes_back"), [(SETTLED + SKEW + 50, True), (SETTLED, False)])
    def test_how_long_a_moment_is(self, rig: Rig, pause: int, comes_back: bool) -> None:
        person = Person(rig)
        later(rig)
        rig.sio.emit("a", 1)
        rig.world.clock += pause
        another(rig).emit("b", 2)
        person.hear(loses=1)
        assert self.comes_back(rig, person, lambda: None) == comes_back

    def test_a_busy_recipient_makes_a_long_moment(self, rig: Rig) -> None:
        person, slow = Person(rig), Person(rig)
        later(rig)
        rig.world.wire.faults[slow.client.id] = [Unavailable("429")]
        rig.sio.emit("a", 1)
        rig.world.clock += LATE // 2
        another(rig).emit("b", 2)
        person.hear(loses=1)
        assert not self.comes_back(rig, person, lambda: None)

    def test_a_handler_that_goes_on(self, rig: Rig) -> None:
        """What it has emitted is sent as soon as it is decided whom it reaches."""
        person = Person(rig)
        later(rig)
        with rig.sio.batch():
            rig.sio.emit("a", 1)
            rig.sio.enter_room(person.sid, "room")
            assert len(rig.world.wire.frames(person.client.id)) == 1
            rig.world.clock += 3_000
        another(rig).emit("b", 2)
        person.hear(loses=1)
        person.drop()
        assert person.come_back() == [["b", 2]]


class TestOthers:
    @pytest.mark.parametrize("query", [{"t": "1700000000.5"}, {"t": "12345"}])
    def test_clients_that_know_no_offsets(self, rig: Rig, query: dict[str, str]) -> None:
        """Python's and C++'s: an offset would be one argument too many for their handlers."""
        plain = rig.client()
        rig.engine.open("p=", {"EIO": "4", "transport": "websocket"} | query, {})
        rig.run_queue()
        rig.world.wire.posts.clear()
        answer = rig.engine.receive("p=", "40", rig.world.deadline)
        assert answer
        assert "pid" not in answer
        rig.sio.emit("e", "text")
        assert rig.world.wire.frames("p=") == ['42["e","text"]']
        assert not plain.take()

    def test_off(self) -> None:
        rig = Rig(namespaces=["/"])
        client = rig.client()
        client.send("40")
        (connected,) = client.take()
        assert json.loads(connected[2:]).keys() == {"sid"}
        rig.sio.emit("e", "text")
        assert client.take() == ['42["e","text"]']
        assert not rig.world.packets.items
        rig.engine.closed(client.id, "transport close", rig.world.deadline)
        assert not rig.world.connections.parked

    def test_by_long_polling(self, rig: Rig) -> None:
        """Also from one transport to the other."""
        person = Person(rig)
        rig.sio.enter_room(person.sid, "room")
        person.drop()
        rig.sio.emit("missed", 1, room="room")
        polling = Polling(rig.sio)
        query = {"EIO": "4", "transport": "polling"}
        later(rig)
        opened = polling.answer("GET", query, b"", {}, rig.world.deadline)
        session = json.loads(opened[1:])["sid"]
        assert polling.take(session, f"40{json.dumps({'pid': person.pid})}".encode(), rig.world.deadline) == "ok"
        connected, event = polling.poll(session, rig.world.deadline)
        assert json.loads(connected[2:])["sid"] == person.sid
        *_, offset = json.loads(event[2:])
        rig.sio.emit("live", 2, room="room")
        assert json.loads(polling.poll(session, rig.world.deadline)[0][2:])[:2] == ["live", 2]
        rig.engine.closed(f"~{session}", "transport close", rig.world.deadline)
        person.offset = offset
        assert person.come_back() == [["live", 2]]
        assert person.recovered

    def test_an_answer_has_no_offset(self, rig: Rig) -> None:
        """The client takes the last argument of an event that asks for an acknowledgement for its callback."""
        person = Person(rig)
        rig.sio.emit("question", "text", to=person.sid, callback="m:f")
        (frame,) = person.client.take()
        assert frame.endswith('["question","text"]')

    def test_nothing_stays(self, rig: Rig) -> None:
        person = Person(rig)
        rig.sio.enter_room(person.sid, "room")
        person.drop()
        person.come_back()
        person.client.send("41")
        person.drop()
        assert not rig.world.rooms.items
        moved = [record for record in rig.world.connections.records.values() if not record.moved]
        assert not moved, "what is left has its time"
