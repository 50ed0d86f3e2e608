"""What fails half way: nothing of it stays, and what comes after is in its order."""

import json
from collections.abc import Iterable
from typing import Any

import pytest

from server.engine import BEAT_PERIOD
from server.exceptions import ConnectionRefusedError
from server.ports import Unavailable
from server.records import Membership
from tests.server.rig import Poller, Rig
from tests.server.test_recovery import Person, another, later


class TestUnavailable:
    """A service refused for now, in the middle of an event's handler."""

    def test_a_frame_of_the_queue_comes_again(self) -> None:
        rig = Rig()
        tries: list[str] = []

        @rig.sio.event
        def order(sid: str, what: str) -> str:
            tries.append(what)
            if len(tries) == 1:
                raise Unavailable("throttled")
            return f"{what} it is"

        client = rig.client("/")
        with pytest.raises(Unavailable):
            rig.engine.receive(client.id, '420["order","tea"]', rig.world.deadline, 1)
        for _ in range(2):  # the second time it is known to have been handled
            rig.engine.receive(client.id, '420["order","tea"]', rig.world.deadline, 1, again=True)
        assert tries == ["tea", "tea"]
        assert client.take() == ['430["tea it is"]']

    def test_what_comes_no_more_is_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        rig = Rig()

        @rig.sio.event
        def order(sid: str) -> None:
            raise Unavailable("throttled")

        client = rig.client("/")
        client.emit("order", id=0)
        assert client.take() == []
        assert "the handler of 'order' in / failed" in caplog.text


class TestRefused:
    """A client that was refused is in no namespace, whatever its handler did before."""

    @pytest.mark.parametrize("always_connect", [True, False])
    @pytest.mark.parametrize("emits", [True, False])
    @pytest.mark.parametrize("way", ["raises", "returns", "disconnects"])
    def test_it_cannot_send_events(self, always_connect: bool, emits: bool, way: str) -> None:
        rig = Rig(always_connect=always_connect)
        heard: list[Any] = []

        @rig.sio.event
        def connect(sid: str, environ: dict[str, Any]) -> bool:
            if emits:
                rig.sio.emit("hello", to=sid)
            if way == "raises":
                raise ConnectionRefusedError("no")
            if way == "disconnects":
                rig.sio.disconnect(sid)
            return way == "disconnects"

        rig.sio.on("secret", lambda sid: heard.append(sid))
        client = rig.client()
        client.send("40")
        frames = client.take()
        assert frames[-1][:2] in ("41", "44"), frames
        assert not rig.world.connections.records[client.id].connection.sockets
        assert not rig.world.rooms.items
        client.send('420["secret"]')
        assert not heard


class TestHandOver:
    @pytest.fixture
    def rig(self) -> Rig:
        return Rig(recovery=120, namespaces=["/"])

    def test_no_doubtful_return_costs_the_new_connection(self, rig: Rig) -> None:
        person = Person(rig)
        person.drop()
        person.offset = "nonsense"
        person.come_back()
        assert not person.recovered
        assert [each for each in rig.world.connections.records if each.startswith("~")] == []

    def test_no_doubtful_return_leaves_places(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        """The heartbeat frees them, if the table does not take it at once."""
        person = Person(rig)
        sid = person.sid
        later(rig)
        rig.sio.emit("a")
        another(rig).emit("b")
        person.hear(loses=1)
        person.drop()
        leave = rig.world.rooms.leave

        def throttled(places: Iterable[Membership]) -> None:
            monkeypatch.setattr(rig.world.rooms, "leave", leave)
            raise Unavailable("throttled")

        monkeypatch.setattr(rig.world.rooms, "leave", throttled)
        person.come_back()
        assert person.sid not in ("", sid)
        for _ in range(2):
            rig.world.clock += BEAT_PERIOD + 1
            rig.engine.receive(person.client.id, "3", rig.world.deadline)
            rig.engine.beat(rig.world.deadline)
        assert {member.sid for room in rig.world.rooms.items.values() for member in room.values()} == {person.sid}
        assert set(rig.world.connections.records) == {person.client.id}

    def test_one_that_fails_closes_the_connection(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        """And the next one finds the socket as it was."""
        person = Person(rig)
        sid = person.sid
        rig.sio.enter_room(sid, "room")
        later(rig)
        person.drop()
        rig.sio.emit("missed", room="room")
        later(rig)

        def failing(*_: Any) -> None:
            raise Unavailable("on purpose")

        with monkeypatch.context() as patch:
            patch.setattr(rig.world.mailboxes, "move", failing)
            client = rig.client()
            client.send(f"40{json.dumps({'pid': person.pid})}")
        assert client.id in rig.world.wire.closed
        assert not rig.world.rooms.items
        later(rig)
        assert person.come_back() == [["missed"]]
        assert (person.recovered, person.sid) == (True, sid)

    def test_one_whose_places_still_name_its_box(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is found by way of that, while it is there; and whoever finds it gone frees the places."""
        person = Person(rig)
        rig.sio.enter_room(person.sid, "room")
        later(rig)
        person.drop()

        def failing(*_: Any) -> None:
            raise Unavailable("on purpose")

        with monkeypatch.context() as patch:
            patch.setattr(rig.world.rooms, "rehome", failing)
            person.come_back()
        assert person.recovered
        rig.sio.emit("now", room="room")
        assert person.hear() == [["now"]]
        later(rig, 60)
        rig.world.wire.absent.add(person.client.id)
        rig.sio.emit("gone", room="room")
        rig.run_queue()
        assert not rig.world.rooms.items

    def test_a_client_that_takes_nothing(self, rig: Rig) -> None:
        person = Person(rig)
        later(rig)
        person.drop()
        rig.sio.emit("missed")
        later(rig)
        client = rig.client()
        rig.world.wire.faults[client.id] = [Unavailable("429")] * 10
        client.send(f"40{json.dumps({'pid': person.pid})}")
        assert client.id in rig.world.wire.closed
        assert person.come_back() == [["missed"]]

    def test_a_busy_one_gets_everything_in_order(self, rig: Rig) -> None:
        person = Person(rig)
        later(rig)
        person.drop()
        for n in range(3):
            rig.sio.emit("missed", n)
            later(rig)
        client = rig.client()
        rig.world.wire.faults[client.id] = [Unavailable("429")] * 2
        client.send(f"40{json.dumps({'pid': person.pid})}")
        rig.sio.emit("live")
        events = [json.loads(frame[2:])[0] for frame in client.take() if frame.startswith("42")]
        assert events == ["missed", "missed", "missed", "live"]

    def test_a_pid_of_another_namespace_takes_nothing(self, rig: Rig) -> None:
        rig.sio.on("e", print, namespace="/other")
        person = Person(rig)
        person.drop()
        stranger = rig.client()
        stranger.send(f"40/other,{json.dumps({'pid': person.pid})}")
        person.come_back()
        assert person.recovered


def test_what_comes_later_in_a_handler_waits_behind_what_is_left_to_the_queue() -> None:
    rig = Rig(namespaces=["/"])
    ann, busy = rig.client("/"), rig.client("/")
    rig.world.wire.faults[busy.id] = [Unavailable("429")] * 4
    with rig.sio.batch():
        rig.sio.emit("a")
        rig.sio.enter_room(ann.sid, "room")
        rig.sio.emit("b")
    rig.run_queue()
    assert busy.take() == ['42["a"]', '42["b"]']


@pytest.mark.parametrize("again", [True, False])
def test_what_was_published_by_half_is_sent_when_its_frame_comes_again(again: bool) -> None:
    rig = Rig(namespaces=["/"])
    rig.sio.journal("room").create({}, 4_000_000_000)
    rig.sio.on("say", lambda sid: rig.sio.publish("said", "key", {"text": "x"}, "room") and "ok")
    ann, bob, carl = rig.client("/"), rig.client("/"), Poller(rig, "/")
    for sid in (bob.sid, carl.sids["/"]):
        rig.sio.enter_room(sid, "room")
    rig.sio.journal("room").append("key", {"text": "x"})  # as far as the function came that died
    rig.world.clock += 60_000  # else it is sent because it comes again
    rig.engine.receive(ann.id, '420["say"]', rig.world.deadline, 7, again=again)
    assert len(bob.take()) == again
    if again:  # though nobody was polling just then
        assert carl.poll()[-1].startswith('42["said",')


def test_what_was_published_by_half_is_sent_when_its_client_repeats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where frames have no order, and over long polling, nobody else does."""
    rig = Rig(namespaces=["/"])
    rig.sio.journal("room").create({}, 4_000_000_000)
    rig.sio.on("say", lambda sid: rig.sio.publish("said", "key", {"text": "x"}, "room") and "ok")
    ann, bob = rig.client("/"), rig.client("/")
    rig.sio.enter_room(bob.sid, "room")

    def throttled(*_: Any) -> None:
        raise Unavailable("throttled")

    with monkeypatch.context() as patch:
        patch.setattr(rig.world.rooms, "members", throttled)
        ann.emit("say", id=0)
    assert (ann.take(), bob.take()) == ([], []), "its client waits in vain, and repeats"
    ann.emit("say", id=1)
    assert ann.take() == ['431["ok"]']
    assert len(bob.take()) == 1


def test_a_socket_whose_places_were_taken_though_the_table_said_no(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is none, and leaves none of them behind: its client tries again, and gets another one."""
    rig = Rig(namespaces=["/"])
    client, enter = rig.client(), rig.world.rooms.enter

    def unheard(*where: Any) -> None:
        enter(*where)
        raise Unavailable("the answer was lost")

    with monkeypatch.context() as patch:
        patch.setattr(rig.world.rooms, "enter", unheard)
        with pytest.raises(Unavailable):
            client.send("40")
    assert not rig.world.rooms.items
    assert client.join()


def test_a_connection_that_closes_while_it_joins() -> None:
    """Who heard `connect` hears `disconnect`."""
    rig = Rig(namespaces=["/"])
    heard: list[str] = []

    @rig.sio.event
    def connect(sid: str, environ: dict[str, Any]) -> None:
        heard.append("connect")
        rig.engine.closed(client.id, "transport close", rig.world.deadline)

    rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
    client = rig.client()
    client.send("40")
    assert heard == ["connect", "transport close"]
    assert not rig.world.rooms.items
