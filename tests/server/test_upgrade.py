"""The upgrade, while everything else goes on: nothing is lost, doubled or reordered, whatever the moment."""

import json
from collections import defaultdict

import pytest

from protocol.engineio import SEPARATOR
from server.engine import Engine
from server.polling import EngineError, Polling
from server.ports import Unavailable
from tests.server.rig import Rig
from tests.server.schedule import Schedule

COUNT = 8


class Upgrading:
    """A polling client in a room, which upgrades while two others talk to the room and it talks itself."""

    def __init__(self, seed: int, *, polls: bool = True) -> None:
        self.rig = Rig(namespaces=["/"])
        self.schedule = Schedule(self.rig.world, seed)
        self.polls = polls
        self.received: list[str] = []
        self.is_released = not polls
        self.is_probed = False
        self.sio, self.engine = self.rig.sio, self.rig.engine
        self.polling = Polling(self.sio)
        self.sio.on("echo", lambda sid, n: n)
        opened = self.polling.answer("GET", {"EIO": "4", "transport": "polling"}, b"", {}, self.rig.world.deadline)
        self.session: str = json.loads(opened[1:])["sid"]
        self.post("40")
        (connected,) = self.poll()
        self.sio.enter_room(json.loads(connected[2:])["sid"], "room")
        self.sio.bind(self.schedule.ports)

    @property
    def deadline(self) -> int:
        return self.rig.world.deadline

    def post(self, *frames: str) -> None:
        assert self.polling.take(self.session, SEPARATOR.join(frames).encode(), self.deadline) == "ok"

    def poll(self) -> list[str]:
        return self.polling.poll(self.session, self.deadline)

    # ------------------------------------------------------------------ actors
    def emitter(self, name: str) -> None:
        for n in range(0, COUNT, 3):
            with self.sio.batch():  # as a handler does: each emit looks for the members anew
                for each in range(n, min(n + 3, COUNT)):
                    self.sio.emit(name, each, room="room")

    def poller(self) -> None:
        while not self.is_probed:
            self.received += self.poll()
        self.is_released = True

    def prober(self) -> None:
        query = {"EIO": "4", "transport": "websocket", "sid": self.session}
        assert self.engine.open("ws=", query, {}) == 200
        assert self.engine.receive("ws=", "2probe", self.deadline) == "3probe"
        self.is_probed = True

    def five(self) -> None:
        self.schedule.until(lambda: self.is_probed and self.is_released)
        assert self.engine.receive("ws=", "5", self.deadline) is None

    def talker(self, n: int) -> None:
        """A frame sent right behind the `5`, which may overtake it."""
        self.schedule.until(lambda: self.is_probed and self.is_released)
        answer = self.engine.receive("ws=", f'42{n}["echo",{n}]', self.deadline)
        assert answer == f"43{n}[{n}]"

    def run(self) -> dict[str, list[int]]:
        """Run everything; returns what came of each emitter, in the order in which it came."""
        actors = [lambda: self.emitter("a"), lambda: self.emitter("b"), self.prober, self.five]
        actors += [lambda: self.talker(1), lambda: self.talker(2)]
        if self.polls:
            actors.append(self.poller)
        self.schedule.run(*actors)
        self.sio.bind(self.rig.world.ports)
        self.rig.run_queue()
        self.received += self.rig.world.wire.frames("ws=")
        numbers: dict[str, list[int]] = defaultdict(list)
        for frame in self.received:
            if frame.startswith("42"):
                name, n = json.loads(frame[2:])
                numbers[name].append(n)
        return numbers

    def check(self) -> None:
        expected = list(range(COUNT))
        assert self.run() == {"a": expected, "b": expected}, (self.received, self.schedule.log)
        world = self.rig.world
        members = [member for room in world.rooms.items.values() for member in room.values()]
        assert {member.connection_id for member in members} == {"ws="}, "every place knows the new home"
        assert world.connections.records[f"~{self.session}"].moved == "ws="
        # From here on the session is the WebSocket's alone.
        for refused in (self.poll, lambda: self.post("3")):
            with pytest.raises(EngineError):
                refused()
        again = {"EIO": "4", "transport": "websocket", "sid": self.session}
        assert self.engine.open("other=", again, {}) == 400
        self.sio.emit("after", 0)
        assert world.wire.frames("ws=")[-1] == '42["after",0]'
        self.engine.closed("ws=", "transport close", self.deadline)
        assert not world.rooms.items
        assert not world.connections.records


@pytest.mark.parametrize("polls", [True, False], ids=["polling meanwhile", "before any poll"])
@pytest.mark.parametrize("seed", range(60))
def test_whatever_the_moment(seed: int, polls: bool) -> None:
    Upgrading(seed, polls=polls).check()


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("start", range(1_000, 5_000, 500))
def test_thousands_of_moments(start: int) -> None:
    for seed in range(start, start + 500):
        Upgrading(seed, polls=bool(seed % 4)).check()


class TestProbes:
    @pytest.fixture
    def up(self) -> Upgrading:
        up = Upgrading(0)
        up.sio.bind(up.rig.world.ports)
        return up

    def test_the_waiting_poll_is_let_go(self, up: Upgrading) -> None:
        def probe_once() -> None:
            if not up.is_probed:
                up.prober()

        up.rig.world.on_sleep = probe_once
        assert up.poll() == ["6"]

    def test_a_dropped_probe_leaves_the_session_polling(self, up: Upgrading) -> None:
        up.prober()
        up.engine.closed("ws=", "transport close", up.deadline)
        up.sio.emit("still", 1)
        assert up.poll() == ['42["still",1]']
        before = up.rig.world.clock
        assert up.poll() == ["6"]
        assert up.rig.world.clock - before > 20_000, "polls wait again"

    def test_only_one_websocket_may_take_over(self, up: Upgrading) -> None:
        up.prober()
        query = {"EIO": "4", "transport": "websocket", "sid": up.session}
        assert up.engine.open("second=", query, {}) == 200
        assert up.engine.receive("second=", "2probe", up.deadline) is None
        assert up.rig.world.wire.closed == ["second="]
        up.rig.world.clock += 10_001  # the first never came back
        assert up.engine.open("third=", query, {}) == 200
        assert up.engine.receive("third=", "2probe", up.deadline) == "3probe"

    def test_another_probe_may_follow_one_that_was_dropped(self, up: Upgrading) -> None:
        up.prober()
        up.engine.closed("ws=", "transport close", up.deadline)
        query = {"EIO": "4", "transport": "websocket", "sid": up.session}
        assert up.engine.open("second=", query, {}) == 200
        assert up.engine.receive("second=", "2probe", up.deadline) == "3probe"

    def test_the_end_of_the_session_ends_its_probe(self, up: Upgrading) -> None:
        up.prober()
        up.post("1")
        assert up.rig.world.wire.closed == ["ws="]

    @pytest.mark.parametrize("frame", ['42["echo",1]', "3probe", "6", "5", "2"])
    def test_what_comes_before_the_probe(self, up: Upgrading, frame: str) -> None:
        query = {"EIO": "4", "transport": "websocket", "sid": up.session}
        assert up.engine.open("ws=", query, {}) == 200
        before = up.rig.world.clock
        up.engine.receive("ws=", frame, up.deadline)
        assert up.rig.world.wire.closed == ["ws="]
        assert up.rig.world.clock - before < 100
        assert up.rig.world.connections.load(f"~{up.session}")

    @pytest.mark.parametrize("frame", ["2probe", "5"])
    def test_what_has_nothing_to_upgrade(self, up: Upgrading, frame: str) -> None:
        client = up.rig.client("/")
        client.send(frame)
        assert up.rig.world.wire.closed == ([client.id] if frame == "2probe" else [])

    def test_the_client_leaves_at_the_last_moment(self, up: Upgrading) -> None:
        """The WebSocket closes between the move and its completion: the session ends, and nothing stays."""
        heard: list[str] = []
        up.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        up.prober()
        adopt = up.rig.world.connections.adopt

        def closes(connection_id: str, session: object) -> bool:
            up.engine.closed("ws=", "transport close", up.deadline)
            return adopt(connection_id, session)  # type: ignore[arg-type]

        up.rig.world.connections.adopt = closes  # type: ignore[method-assign]
        up.engine.receive("ws=", "5", up.deadline)
        assert heard == ["transport close"]
        assert not up.rig.world.rooms.items
        assert not up.rig.world.connections.records

    def test_an_invocation_dies_between_the_move_and_its_completion(self, up: Upgrading) -> None:
        """Whoever comes next completes it."""
        up.prober()
        assert up.rig.world.mailboxes.move(f"~{up.session}", "ws=")
        assert up.engine.receive("ws=", '421["echo",1]', up.deadline) == "431[1]"
        up.sio.emit("e", 1, room="room")
        assert up.rig.world.wire.frames("ws=") == ['42["e",1]']

    def test_or_the_end_does(self, up: Upgrading) -> None:
        heard: list[str] = []
        up.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        up.prober()
        assert up.rig.world.mailboxes.move(f"~{up.session}", "ws=")
        up.engine.closed("ws=", "transport close", up.deadline)
        assert heard == ["transport close"]
        assert not up.rig.world.rooms.items
        assert not up.rig.world.connections.records

    def test_a_box_that_cannot_be_emptied_ends_the_session(self, up: Upgrading) -> None:
        """What was sent of it cannot be told from what was not, and nothing may come twice."""
        up.sio.emit("e", 1, room="room")
        up.sio.emit("e", 2, room="room")
        up.prober()
        up.rig.world.wire.faults["ws="] = [Unavailable("429")] * 9
        up.engine.receive("ws=", "5", up.deadline)
        assert up.rig.world.wire.closed[0] == "ws="
        assert not up.rig.world.connections.load(f"~{up.session}")
        assert not up.rig.world.rooms.items

    def test_a_late_end_of_the_polling_side_does_not_end_the_websocket(self, up: Upgrading) -> None:
        heard: list[str] = []
        up.sio.on("disconnect", lambda sid, reason: heard.append(reason))
        up.prober()
        up.engine.receive("ws=", "5", up.deadline)
        up.engine.closed(f"~{up.session}", "transport error", up.deadline)
        assert heard == []
        assert up.engine.receive("ws=", '421["echo",1]', up.deadline) == "431[1]"

    def test_a_session_that_moves_while_a_handler_emits(self, up: Upgrading) -> None:
        """What a handler sends to one socket stays together: two homes would be served at once, in any order."""
        up.prober()
        with up.sio.batch() as turn:
            up.sio.emit("n", 0, room="room")
            turn.resolve()
            up.engine.receive("ws=", "5", up.deadline)
            (member,) = up.sio.members("room")
            assert member.connection_id == "ws="
            up.sio.emit("n", 1, room="room")
            turn.resolve()
            assert list(turn.outbox._frames) == [f"~{up.session}"]
        assert up.rig.world.wire.frames("ws=") == ['42["n",0]', '42["n",1]']

    def test_a_probe_that_leads_nowhere_is_closed_by_the_heartbeat(self, up: Upgrading) -> None:
        up.prober()
        up.rig.world.clock += 45_000
        up.engine.beat(up.deadline)
        assert up.rig.world.wire.closed == ["ws="]
        assert up.rig.world.connections.load(f"~{up.session}")


def test_an_engine_is_found_by_its_server() -> None:
    rig = Rig()
    assert isinstance(rig.sio.engine, Engine)
