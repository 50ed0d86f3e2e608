"""Two functions at once for one socket, whatever the order of their calls: nobody haunts a room, each end is told once.

Where it is one moment that matters it is a test of its own; the others draw the order from seeds.
"""

import json
from collections.abc import Callable
from typing import Any

import pytest

from server import jobs
from server.engine import LONGEST
from server.ports import Unavailable
from server.records import Connection, Member
from server.recovery import Recovery
from tests.server.rig import Poller, Rig
from tests.server.schedule import Schedule
from tests.server.test_killed import Story, minutes
from tests.server.test_recovery import Person

SEEDS = range(60)


def once(
    port: Any, method: str, *, before: Callable[[], Any] = lambda: None, after: Callable[[], Any] = lambda: None
) -> None:
    """Have something done at the next call of a port's method, and not at those that this brings."""
    call = getattr(port, method)

    def calling(*args: Any, **kwargs: Any) -> Any:
        setattr(port, method, call)
        before()
        result = call(*args, **kwargs)
        after()
        return result

    setattr(port, method, calling)


def at_once(rig: Rig, seed: int, *actors: Callable[[], Any]) -> None:
    """Run actors, a call of a port at a time, in an order that is drawn from the seed."""
    schedule = Schedule(rig.world, seed)
    rig.sio.bind(schedule.ports, Recovery(schedule.ports, 120, 300))
    schedule.run(*actors)
    rig.sio.bind(rig.world.ports, Recovery(rig.world.ports, 120, 300))


def removal(client_id: str, sid: str) -> str:
    return jobs.to_json(jobs.Disconnect(client_id, "/", sid))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_connection_closes_while_it_joins(seed: int) -> None:
    story = Story()
    client = story.rig.client()
    at_once(story.rig, seed, lambda: story.receive(client, "40"), lambda: story.closes(client))
    story.assert_that_nobody_is_there()
    assert not any(story.present(sid) for _, sid in story.heard), "whoever heard `connect` hears `disconnect`, once"


@pytest.mark.parametrize("seed", SEEDS)
def test_a_socket_enters_a_room_while_it_is_removed(seed: int) -> None:
    story = Story()
    client = story.rig.client("/")
    at_once(
        story.rig,
        seed,
        lambda: story.receive(client, '421["enter"]'),
        lambda: story.rig.engine.deliver(removal(client.id, client.sid), story.deadline),
    )
    assert not story.rig.world.rooms.items
    assert "41" in client.take()
    if client.id not in story.rig.world.wire.closed:  # as one is that sends an event, and is in no namespace
        sid = client.join()
        assert story.rig.sio.rooms(sid) == [sid, "lobby"], "the next one has no rooms of the one before it"
    story.closes(client)
    minutes(story.rig, 5)
    story.assert_that_nothing_is_left()


@pytest.mark.parametrize("what", ["41", '421["enter"]'])
def test_a_frame_comes_again_while_another_function_removes_its_socket(what: str) -> None:
    """It is not that frame's function that has died over it."""
    story = Story()
    client = story.rig.client("/")
    sid = client.sid
    once(story.rig.world.connections, "leave", after=lambda: story.receive(client, what, 2, again=True))
    story.rig.engine.deliver(removal(client.id, sid), story.deadline)
    assert story.heard["disconnect", sid] == 1
    assert not story.rig.world.rooms.items


def test_a_socket_is_removed_while_its_session_upgrades() -> None:
    story = Story()
    poller = Poller(story.rig, "/")
    poller.post('421["enter"]')
    poller.poll()
    websocket = "upgrade="
    story.rig.engine.open(websocket, {"EIO": "4", "transport": "websocket", "sid": poller.session}, {})

    def upgrade() -> None:
        for frame in ("2probe", "5"):
            story.rig.engine.receive(websocket, frame, story.deadline)

    once(story.rig.world.connections, "leave", after=upgrade)
    story.rig.engine.deliver(removal(f"~{poller.session}", poller.sids["/"]), story.deadline)
    connection = story.rig.world.connections.records[websocket].connection
    assert (connection.sockets, connection.stays) == ({}, {})
    assert not story.rig.world.rooms.items


class TestComingBack:
    def person(self, story: Story) -> Person:
        person = Person(story.rig)
        person.client.send('421["enter"]')
        person.hear()
        story.rig.world.clock += 60_000
        return person

    def test_the_next_return_is_faster(self) -> None:
        """Whoever is late takes nothing from it."""
        story = Story()
        person = self.person(story)
        sid, frame = person.sid, f"40{json.dumps({'pid': person.pid})}"
        person.drop()
        story.rig.world.clock += 5_000
        late, fast = story.rig.client(), story.rig.client()

        def meanwhile() -> None:
            story.closes(late)
            story.receive(fast, frame)

        once(story.rig.world.mailboxes, "move", before=meanwhile)
        story.receive(late, frame)
        assert story.sockets(fast)["/"].sid == sid
        fast.take()
        story.rig.sio.emit("hello", room="room")
        story.rig.run_queue()
        assert len(fast.take()) == 1

    def test_its_old_connection_is_reaped_late(self) -> None:
        story = Story()
        person = self.person(story)
        story.rig.world.wire.absent.add(person.client.id)
        story.rig.sio.emit("hello", room="room")
        late, story.rig.world.queue.jobs[:] = list(story.rig.world.queue.jobs), []
        assert late
        person.come_back()
        story.rig.world.queue.jobs[:] = late
        story.rig.run_queue()
        story.rig.sio.emit("now", room="room")
        assert person.hear() == [["now"]]

    def test_the_table_refuses_from_the_beginning(self) -> None:
        """The next return finds the socket as it was."""
        story = Story()
        person = self.person(story)
        sid = person.sid
        person.drop()
        client = story.rig.client()

        def refuse() -> None:
            raise Unavailable("on purpose")

        once(story.rig.world.connections, "open", before=refuse)
        story.receive(client, f"40{json.dumps({'pid': person.pid})}")
        assert client.id in story.rig.world.wire.closed
        story.closes(client)
        person.come_back()
        assert (person.recovered, person.sid) == (True, sid)

    def test_it_gets_another_socket_after_two_hours(self) -> None:
        """Then the application hears of the first one, of which nobody had told it."""
        story = Story()
        person = self.person(story)
        sid = person.sid
        person.offset = "nonsense"
        story.rig.world.clock += LONGEST
        story.closes(person.client)
        assert not story.heard["disconnect", sid]
        person.come_back()
        assert person.sid != sid
        assert story.heard["disconnect", sid] == 1
        minutes(story.rig, 5)
        assert story.heard["disconnect", sid] == 1

    def test_it_enters_a_room_before_all_of_it_fails(self) -> None:
        story = Story()
        person = Person(story.rig)
        story.rig.world.clock += 5_000
        person.drop()
        story.rig.world.clock += 5_000
        client = story.rig.client()

        def meanwhile() -> None:
            story.receive(client, '421["enter"]')
            raise Unavailable("on purpose")

        once(story.rig.world.mailboxes, "move", before=meanwhile)
        story.receive(client, f"40{json.dumps({'pid': person.pid})}")
        assert client.id in story.rig.world.wire.closed
        story.closes(client)
        assert not story.rig.world.rooms.items
        assert story.heard["disconnect", person.sid] == 1


def test_a_connection_closes_while_it_enters_a_room() -> None:
    """Its handler learns of it, and goes no further."""
    story = Story()
    client = story.rig.client("/")
    went_on: list[str] = []

    @story.rig.sio.event
    def enter(sid: str) -> None:
        story.rig.sio.enter_room(sid, "room")
        story.rig.sio.members("room")
        went_on.append(sid)

    once(story.rig.world.rooms, "enter", before=lambda: story.closes(client))
    story.receive(client, '421["enter"]')
    assert not went_on
    assert not client.take()
    story.assert_that_nothing_is_left()


def test_a_connection_closes_while_one_of_its_sockets_is_removed() -> None:
    story = Story()
    client = story.rig.client("/", "/other")
    once(story.rig.world.connections, "leave", after=lambda: story.closes(client))
    story.rig.engine.deliver(removal(client.id, client.sid), story.deadline)
    story.assert_that_nothing_is_left()
    assert story.heard["disconnect", client.sid] == 1


def test_whoever_is_found_by_way_of_another_connection_and_is_gone() -> None:
    story = Story()
    client = story.rig.client("/")
    box = Connection("~box", "session", 0, offered=client.id)
    story.rig.world.connections.open(box)
    assert story.rig.world.mailboxes.move(box.id, client.id)
    story.rig.world.rooms.enter("/", ["room"], Member("ghost", box.id))
    story.closes(client)
    story.rig.sio.emit("hello", room="room")
    story.rig.run_queue()
    story.assert_that_nothing_is_left()
