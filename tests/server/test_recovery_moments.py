"""Coming back while others emit, whatever the moment: each event once and in order, or a new socket."""

import json
from collections import defaultdict

import pytest

from server.emitter import Emitter
from server.recovery import Recovery
from tests.server.rig import Rig
from tests.server.schedule import Schedule

COUNT = 6


class Returning:
    """A client in a room that loses its connection and the end of what it was sent, and comes back.

    Meanwhile two others emit to the room and to the socket itself.
    """

    def __init__(self, seed: int) -> None:
        self.rig = Rig(recovery=120, namespaces=["/"])
        self.schedule = Schedule(self.rig.world, seed)
        client = self.rig.client()
        client.send("40")
        answer = json.loads(client.take()[0][2:])
        self.old, self.sid, self.pid = client.id, answer["sid"], answer["pid"]
        self.rig.sio.enter_room(self.sid, "room")
        self.rig.world.clock += 5_000
        self.dropped = False
        self.new = "new="
        assert self.rig.engine.open(self.new, {"EIO": "4", "transport": "websocket"}, {}) == 200
        self.rig.run_queue()
        self.rig.world.wire.posts.clear()
        self.rig.sio.bind(self.schedule.ports, Recovery(self.schedule.ports, 120, 300))

    @property
    def deadline(self) -> int:
        return self.rig.world.deadline

    def emitter(self, name: str) -> None:
        process = Emitter()
        process.bind(self.schedule.ports, Recovery(self.schedule.ports, 120, 300))
        for n in range(COUNT):
            process.emit(name, n, room=["room", self.sid][n % 2])
            self.schedule.sleep(self.schedule.random.choice([0.05, 0.4, 1, 2]) * self.schedule.random.random())

    def breaker(self) -> None:
        self.schedule.sleep(self.schedule.random.random() * 4)
        frames = [frame for frame in self.rig.world.wire.frames(self.old) if frame.startswith("42")]
        # The last of what was accepted never arrived.
        self.received = frames[: self.schedule.random.randrange(len(frames) + 1)]
        self.offset = json.loads(self.received[-1][2:])[-1] if self.received else None
        self.rig.world.wire.absent.add(self.old)
        if self.schedule.random.random() < 0.5:
            self.rig.engine.closed(self.old, "transport close", self.deadline)
        auth = {"pid": self.pid} | ({"offset": self.offset} if self.offset else {})
        answer = self.rig.engine.receive(self.new, f"40{json.dumps(auth)}", self.deadline)
        if answer:
            self.rig.world.wire.posts.append((self.new, answer))

    def check(self) -> bool:
        """Run it; returns whether the client got its socket back."""
        self.schedule.run(lambda: self.emitter("a"), lambda: self.emitter("b"), self.breaker)
        self.rig.sio.bind(self.rig.world.ports, self.rig.sio.recovery)
        self.rig.run_queue()
        frames = self.rig.world.wire.frames(self.new)
        (connected,) = [frame for frame in frames if frame.startswith("40")]
        if json.loads(connected[2:])["sid"] != self.sid:
            return False
        assert frames[0] == connected, "nothing comes before the answer to CONNECT"
        numbers: dict[str, list[int]] = defaultdict(list)
        for frame in [*self.received, *frames[1:]]:
            name, n, _ = json.loads(frame[2:])
            numbers[name].append(n)
        expected = list(range(COUNT))
        assert numbers == {"a": expected, "b": expected}, (self.received, frames, self.schedule.log)
        places = [member for room in self.rig.world.rooms.items.values() for member in room.values()]
        assert {member.connection_id for member in places} == {self.new}
        return True


@pytest.mark.parametrize("start", range(0, 120, 30))
def test_whatever_the_moment(start: int) -> None:
    assert sum(Returning(seed).check() for seed in range(start, start + 30))


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("start", range(1_000, 5_000, 500))
def test_thousands_of_moments(start: int) -> None:
    recovered = sum(Returning(seed).check() for seed in range(start, start + 500))
    assert recovered > 50
