"""Functions that die at any call of a port: nothing of what they had begun haunts a room."""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from server import jobs
from server.engine import BEAT_PERIOD, LONGEST, Engine
from server.exceptions import ConnectionRefusedError
from server.records import Socket, is_polling
from server.recovery import Recovery
from tests.server.rig import Client, Poller, Rig
from tests.server.schedule import STEPS
from tests.server.test_recovery import Person


class Killed(BaseException):
    """Which no handler catches, as nothing goes on in a function that is dead."""


class _Mortal:
    """A port of a function that dies at its n-th call of any port, before the call or after it."""

    def __init__(self, port: Any, life: "Life") -> None:
        self._port, self._life = port, life

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._port, method)

        def mortal(*args: Any, **kwargs: Any) -> Any:
            self._life.spend()
            result = call(*args, **kwargs)
            self._life.survive()
            return result

        return mortal


@dataclass
class Life:
    """How many calls a function has left; the last one is made, with `applied`, and its answer never comes."""

    calls: int
    applied: bool

    def spend(self) -> None:
        self.calls -= 1
        if self.calls < 0 or (self.calls == 0 and not self.applied):
            raise Killed

    def survive(self) -> None:
        if self.calls <= 0:
            raise Killed


def dies(rig: Rig, calls: int, applied: bool, act: Callable[[Engine], Any]) -> bool:
    """Have a function do something and die at that call; returns whether it did die."""
    life, world = Life(calls, applied), rig.world
    mortal: dict[str, Any] = {name: _Mortal(getattr(world.ports, name), life) for name in STEPS}
    ports = world.ports._replace(**mortal)
    rig.sio.bind(ports, Recovery(ports, 120, 300))
    try:
        act(rig.engine)
    except Killed:
        return True
    finally:
        rig.sio.bind(world.ports, Recovery(world.ports, 120, 300))
    return life.calls <= 0


def minutes(rig: Rig, number: int) -> None:
    """Let time pass; those who are there answer the heartbeat."""
    for _ in range(number):
        rig.world.clock += BEAT_PERIOD
        for each in list(rig.world.connections.records):
            if each not in rig.world.wire.absent and not is_polling(each):
                rig.engine.receive(each, "3", rig.world.deadline)
        rig.engine.beat(rig.world.deadline)
        rig.run_queue()


class Story:
    """Somebody for whom a function dies, and what the application hears of them.

    Who joins is in the lobby, unless that is full; and in the room, on request.
    """

    def __init__(self, *, places: int | None = None) -> None:
        self.rig = Rig(recovery=120, namespaces=["/", "/other"])
        self.places = places
        self.heard: Counter[tuple[str, str]] = Counter()
        self.rig.sio.on("connect", self.connect)
        self.rig.sio.on("disconnect", lambda sid: self.heard.update([("disconnect", sid)]))
        self.rig.sio.on("enter", lambda sid: self.rig.sio.enter_room(sid, "room"))
        self.rig.sio.on("remove", lambda _, sid: self.rig.sio.disconnect(sid))

    def connect(self, sid: str, environ: dict[str, Any]) -> None:
        self.rig.sio.enter_room(sid, "lobby")
        if self.places is not None and len(self.rig.sio.members("lobby")) > self.places:
            raise ConnectionRefusedError("full")
        self.heard.update([("connect", sid)])

    @property
    def deadline(self) -> int:
        return self.rig.world.deadline

    def receive(self, client: Client, frame: str, number: int = 0, *, again: bool = False) -> None:
        if answer := self.rig.engine.receive(client.id, frame, self.deadline, number, again=again):
            self.rig.world.wire.posts.append((client.id, answer))

    def dies(self, calls: int, applied: bool, client: Client, frame: str, number: int = 0) -> bool:
        """Have a function die over a frame; returns whether it did."""
        return dies(self.rig, calls, applied, lambda _: self.receive(client, frame, number))

    def closes(self, client: Client) -> None:
        """It goes, and cannot be reached any more."""
        self.rig.world.wire.absent.add(client.id)
        self.rig.engine.closed(client.id, "transport close", self.deadline)

    def lost(self, after: int) -> Person:
        """Return somebody in the room, whose connection is lost after so many milliseconds."""
        person = Person(self.rig)
        person.client.send('421["enter"]')
        person.hear()
        self.rig.world.clock += after
        self.closes(person.client)
        return person

    def sockets(self, client: Client) -> dict[str, Socket]:
        connection = self.rig.world.connections.load(client.id)
        assert connection
        return connection.sockets

    def present(self, sid: str) -> int:
        """Return how often the application has heard of a socket that came, less those that it was gone."""
        return self.heard["connect", sid] - self.heard["disconnect", sid]

    def assert_that_nobody_is_there(self) -> None:
        assert not self.rig.world.rooms.items
        # Where a box went to is kept for a while.
        assert not [each for each in self.rig.world.connections.records.values() if not each.moved]

    def assert_that_nothing_is_left(self) -> None:
        self.assert_that_nobody_is_there()
        assert not [each for each in self.rig.world.connections.parked.values() if each.silent]
        unheard = {sid for what, sid in self.heard if what == "connect" and not self.heard["disconnect", sid]}
        assert not unheard, f"never reported as gone: {unheard}"


APPLIED = pytest.mark.parametrize("applied", [False, True])


def each_call(tell: Callable[[int], bool]) -> int:
    """Tell a story for each call at which a function may die, until it lives; returns how many there are."""
    return next(calls - 1 for calls in count(1) if not tell(calls))


@APPLIED
@pytest.mark.parametrize("again", [True, False], ids=["again", "never again"])
def test_while_it_joins(applied: bool, again: bool) -> None:
    """It has its socket and its room when the frame comes again; without, its client goes."""

    def tell(calls: int) -> bool:
        story = Story()
        client = story.rig.client()
        is_dead = story.dies(calls, applied, client, "40", 1)
        if again:
            story.receive(client, "40", 1, again=True)
            sid = json.loads(client.take()[-1][2:])["sid"]
            assert story.rig.sio.rooms(sid) == [sid, "lobby"]
            for room in (None, sid, "lobby"):
                assert [each.sid for each in story.rig.world.rooms.members("/", room)] == [sid]
        story.closes(client)
        story.assert_that_nobody_is_there()
        return is_dead

    assert each_call(tell) > 4


@APPLIED
def test_while_it_is_refused(applied: bool) -> None:
    """It is refused when its frame comes again, however far the handler came that had seen it in the lobby."""

    def tell(calls: int) -> bool:
        story = Story(places=0)
        client = story.rig.client()
        is_dead = story.dies(calls, applied, client, "40", 1)
        story.receive(client, "40", 1, again=True)
        assert {frame[:2] for frame in client.take()} == {"44"}
        assert not story.rig.world.rooms.items
        assert not story.sockets(client)
        return is_dead

    assert each_call(tell) > 6


@APPLIED
def test_while_it_enters_a_room(applied: bool) -> None:
    def tell(calls: int) -> bool:
        story = Story()
        client = story.rig.client("/")
        is_dead = story.dies(calls, applied, client, '421["enter"]')
        story.closes(client)
        story.assert_that_nothing_is_left()
        return is_dead

    assert each_call(tell) > 2


@APPLIED
@pytest.mark.parametrize("silent", [True, False], ids=["cut for its age", "lost"])
@pytest.mark.parametrize("returns", [True, False], ids=["comes back", "stays away"])
def test_while_it_comes_back(applied: bool, silent: bool, returns: bool) -> None:
    """Whoever died over it, it gets what was sent: with its own socket, or with a new one; or it is gone for all."""

    def tell(calls: int) -> bool:
        story = Story()
        person = story.lost(LONGEST if silent else 5_000)
        story.rig.sio.emit("missed", room="room")
        story.rig.world.clock += 5_000
        client, own = story.rig.client(), person.sid
        frame = f"40{json.dumps({'pid': person.pid, 'offset': person.offset})}"
        is_dead = story.dies(calls, applied, client, frame, 1)
        if returns:
            story.receive(client, frame, 1, again=True)
            if client.id in story.rig.world.wire.closed:
                story.closes(client)
                client = person.client = story.rig.client()
                story.receive(client, frame, 1)
            person.client = client
            person.hear()
            assert story.sockets(client)["/"].sid == person.sid
            assert story.present(person.sid) >= 1
            if person.sid == own:
                assert person.events[-1] == ["missed"]
                story.rig.sio.emit("now", room="room")
            else:
                story.rig.sio.emit("now", to=person.sid)
            assert person.hear() == [["now"]]
        story.closes(client)
        minutes(story.rig, 6)
        story.assert_that_nothing_is_left()
        return is_dead

    assert each_call(tell) > 8


@APPLIED
def test_while_it_comes_back_and_once_more_a_minute_later(applied: bool) -> None:
    """Whatever is tidied up of the first time, nothing is taken from the second."""

    def tell(calls: int) -> bool:
        story = Story()
        person = story.lost(LONGEST)
        story.rig.world.clock += 2_000
        frame = f"40{json.dumps({'pid': person.pid, 'offset': person.offset})}"
        first = story.rig.client()
        is_dead = story.dies(calls, applied, first, frame)
        story.closes(first)
        story.rig.world.clock += BEAT_PERIOD + 1_000
        second = story.rig.client()
        story.receive(second, frame)
        sid = story.sockets(second)["/"].sid
        minutes(story.rig, 6)
        second.take()
        story.rig.sio.emit("now", to=sid)
        assert len(second.take()) == 1
        assert story.present(sid) == 1
        return is_dead

    assert each_call(tell) > 8


@APPLIED
@pytest.mark.parametrize("wait", [0, BEAT_PERIOD + 1], ids=["goes at once", "goes later"])
@pytest.mark.parametrize("number", [0, 2], ids=["never again", "again"])
def test_while_it_leaves(applied: bool, number: int, wait: int) -> None:
    def tell(calls: int) -> bool:
        story = Story()
        client = story.rig.client("/")
        client.send('421["enter"]')
        is_dead = story.dies(calls, applied, client, "41", number)
        if number:
            story.receive(client, "41", number, again=True)
            assert not story.rig.world.rooms.items
            assert story.present(client.sid) <= 0
        story.rig.world.clock += wait
        story.closes(client)
        minutes(story.rig, 5)
        story.assert_that_nothing_is_left()
        return is_dead

    assert each_call(tell) > 2


@APPLIED
def test_while_it_leaves_one_of_two_namespaces(applied: bool) -> None:
    def tell(calls: int) -> bool:
        story = Story()
        client = story.rig.client("/", "/other")
        client.send('421["enter"]')
        is_dead = story.dies(calls, applied, client, "41")
        story.closes(client)
        story.assert_that_nobody_is_there()
        return is_dead

    assert each_call(tell) > 2


@APPLIED
def test_while_it_leaves_to_join_again(applied: bool) -> None:
    """What is sent to all comes once, and the new socket has no rooms of the old one."""

    def tell(calls: int) -> bool:
        story = Story()
        client = story.rig.client("/")
        client.send('421["enter"]')
        client.take()
        is_dead = story.dies(calls, applied, client, "41")
        if is_dead:
            sid, old = client.join(), client.sid
            if sid != old:  # else nothing of it was done
                assert story.rig.sio.rooms(sid) == [sid, "lobby"]
            story.rig.sio.emit("hello")
            assert len(client.take()) == 1
        story.closes(client)
        minutes(story.rig, 5)
        story.assert_that_nobody_is_there()
        return is_dead

    assert each_call(tell) > 2


@APPLIED
@pytest.mark.parametrize("way", ["job", "event", "event again"])
def test_while_it_is_removed(applied: bool, way: str) -> None:
    """It is, when that comes again; it hears so, and nothing more."""

    def tell(calls: int) -> bool:
        story = Story()
        client, owner = story.rig.client("/"), story.rig.client("/")
        client.send('421["enter"]')
        client.take()
        removing = f'42["remove","{client.sid}"]'
        job = jobs.to_json(jobs.Disconnect(client.id, "/", client.sid))
        if way == "job":
            is_dead = dies(story.rig, calls, applied, lambda engine: engine.deliver(job, story.deadline))
            if is_dead:
                story.rig.engine.deliver(job, story.deadline)
        elif way == "event again":
            is_dead = story.dies(calls, applied, owner, removing, 2)
            story.receive(owner, removing, 2, again=True)
        else:  # its sender tries again later
            is_dead = story.dies(calls, applied, owner, removing)
            story.rig.world.clock += BEAT_PERIOD + 1
            story.receive(owner, removing)
        assert "41" in client.take()
        assert not story.sockets(client)
        assert [each.sid for each in story.rig.sio.members(None)] == [owner.sid]
        story.rig.sio.emit("secret")
        assert not client.take()
        assert story.present(client.sid) <= 0
        for each in (client, owner):
            story.closes(each)
        minutes(story.rig, 5)
        story.assert_that_nothing_is_left()
        return is_dead

    assert each_call(tell) > 2


@APPLIED
@pytest.mark.parametrize("recovers", [True, False])
def test_while_it_is_closed(applied: bool, recovers: bool) -> None:
    def tell(calls: int) -> bool:
        story = Story()
        client = Person(story.rig).client if recovers else story.rig.client("/")
        client.send('421["enter"]')
        is_dead = dies(story.rig, calls, applied, lambda _: story.closes(client))
        minutes(story.rig, 6)
        story.assert_that_nothing_is_left()
        return is_dead

    assert each_call(tell) == 2


@APPLIED
@pytest.mark.parametrize("leaves", [True, False])
def test_while_it_upgrades(applied: bool, leaves: bool) -> None:
    """Perhaps after somebody died over its end."""

    def tell(calls: int) -> bool:
        story = Story()
        poller = Poller(story.rig, "/")
        poller.post('421["enter"]')
        poller.poll()
        if leaves:
            job = jobs.to_json(jobs.Disconnect(f"~{poller.session}", "/", poller.sids["/"]))
            assert dies(story.rig, 2, True, lambda engine: engine.deliver(job, story.deadline))
        websocket = Client(story.rig, "upgrade=")
        query = {"EIO": "4", "transport": "websocket", "sid": poller.session}
        is_dead = dies(story.rig, calls, applied, lambda engine: engine.open(websocket.id, query, {}))
        if not is_dead:
            is_dead = story.dies(calls, applied, websocket, "2probe")
            is_dead |= story.dies(calls, applied, websocket, "5")
        story.rig.world.clock += BEAT_PERIOD + 1
        story.closes(websocket)
        minutes(story.rig, 6)
        story.rig.world.clock += LONGEST
        minutes(story.rig, 3)
        story.assert_that_nothing_is_left()
        return is_dead

    assert each_call(tell) > 2
