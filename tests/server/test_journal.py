"""What an application keeps of a room: changed by several at once, and gone at the end."""

from typing import Any

import pytest

from server import Entry, Journal
from server.exceptions import EntryMissingError, JournalExpiredError, JournalMissingError
from server.outbox import MARGIN
from server.ports import Unavailable
from tests.server.rig import Rig
from tests.server.schedule import Schedule

LIFE = 60


@pytest.fixture
def rig() -> Rig:
    return Rig(namespaces=["/"])


@pytest.fixture
def journal(rig: Rig) -> Journal:
    journal = rig.sio.journal("room")
    journal.create({"n": 0, "list": []}, rig.world.clock // 1000 + LIFE)
    journal.append("key", {"n": 0})
    return journal


def add(data: Any) -> Any:
    data["n"] += 1
    return data


class Meanwhile:
    """Counts one up; the first times, others have changed what it was given before it returns."""

    def __init__(self, rig: Rig, times: int) -> None:
        self.rig, self.times, self.calls = rig, times, 0

    def __call__(self, data: Any) -> Any:
        self.calls += 1
        if self.calls <= self.times:
            other = self.rig.sio.journal("room")
            other.change(add)
            other.rewrite("key", add)
        return add(data)


class TestChange:
    def test_data_are_replaced(self, rig: Rig, journal: Journal) -> None:
        changed = journal.change(add)
        assert changed == journal.read()
        assert changed.data == {"n": 1, "list": []}
        assert changed.last == 1
        entry = journal.rewrite("key", add)
        assert entry == journal.entry("key") == Entry("key", 1, rig.world.clock, {"n": 1})

    @pytest.mark.parametrize("times", [1, 3])
    def test_who_is_late_is_asked_again(self, rig: Rig, journal: Journal, times: int) -> None:
        function = Meanwhile(rig, times)
        assert journal.change(function).data["n"] == times + 1
        assert function.calls == times + 1
        assert journal.rewrite("key", Meanwhile(rig, times)).body == {"n": 2 * times + 1}

    def test_who_is_always_late(self, rig: Rig, journal: Journal) -> None:
        with pytest.raises(Unavailable):
            journal.change(Meanwhile(rig, 1_000))
        with pytest.raises(Unavailable):
            journal.rewrite("key", Meanwhile(rig, 1_000))

    @pytest.mark.parametrize("seed", range(20))
    def test_nothing_is_lost_between_several(self, seed: int) -> None:
        rig = Rig()
        rig.sio.journal("room").create([], rig.world.clock // 1000 + LIFE)
        schedule = Schedule(rig.world, seed)
        rig.sio.bind(schedule.ports)

        def actor(n: int) -> Any:
            return lambda: rig.sio.journal("room").change(lambda data: [*data, n])

        schedule.run(*map(actor, range(4)))
        assert sorted(rig.sio.journal("room").read().data) == [0, 1, 2, 3]

    def test_what_is_raised_comes_out_and_nothing_is_written(self, journal: Journal) -> None:
        def refuse(data: Any) -> Any:
            add(data)
            raise PermissionError

        with pytest.raises(PermissionError):
            journal.change(refuse)
        with pytest.raises(PermissionError):
            journal.rewrite("key", refuse)
        with pytest.raises(TypeError):
            journal.change(lambda data: {1, 2})
        assert journal.read().data == {"n": 0, "list": []}
        assert journal.entry("key").body == {"n": 0}

    def test_what_stays_equal_is_not_written(self, rig: Rig, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        written: list[str] = []
        for name in ("change", "rewrite"):
            monkeypatch.setattr(rig.world.journals, name, lambda *args, name=name: written.append(name))
        assert journal.change(dict).data == {"n": 0, "list": []}
        assert journal.rewrite("key", dict).body == {"n": 0}
        assert not written

    def test_true_is_not_one(self, journal: Journal) -> None:
        journal.change(lambda data: 1)
        assert journal.change(lambda data: True).data is True

    def test_where_there_is_none(self, rig: Rig) -> None:
        journal = rig.sio.journal("none")
        with pytest.raises(JournalMissingError):
            journal.change(add)
        with pytest.raises(JournalMissingError):
            journal.store("name", "value")
        for call in (journal.entry, lambda key: journal.rewrite(key, add)):
            with pytest.raises(EntryMissingError):
                call("key")
        assert journal.load(["name"]) == {}

    def test_whose_time_is_up(self, rig: Rig, journal: Journal) -> None:
        journal.store("name", "value")
        rig.world.clock += LIFE * 1000
        with pytest.raises(JournalExpiredError):
            journal.change(add)
        with pytest.raises(JournalExpiredError):
            journal.rewrite("key", add)
        with pytest.raises(JournalExpiredError):
            journal.store("name", "value")
        assert journal.load(["name"]) == {}

    def test_that_is_deleted_meanwhile(self, rig: Rig, journal: Journal) -> None:
        def burn(data: Any) -> Any:
            rig.sio.journal("room").delete()
            return add(data)

        with pytest.raises(EntryMissingError):
            journal.rewrite("key", burn)
        journal.create({"n": 0}, rig.world.clock // 1000 + LIFE)
        with pytest.raises(JournalMissingError):
            journal.change(burn)
        assert not rig.world.journals.heads
        assert not rig.world.journals.logs


class TestValues:
    def test_they_come_and_go(self, journal: Journal) -> None:
        journal.store("file/0", "AAAA")
        journal.store("file/1", "BBBB")
        journal.store("file/0", "CCCC")
        assert journal.load(["file/0", "file/1", "file/2"]) == {"file/0": "CCCC", "file/1": "BBBB"}
        journal.discard(["file/0", "file/2"])
        assert journal.load(["file/0", "file/1"]) == {"file/1": "BBBB"}
        assert journal.load([]) == {}
        assert [entry.key for entry in journal.entries()] == ["key"]

    @pytest.mark.parametrize("name", ["", "x" * 257, "ü" * 129, "\ud83d"])
    def test_a_name_that_is_no_key(self, journal: Journal, name: str) -> None:
        for call in (
            lambda: journal.store(name, ""),
            lambda: journal.load([name]),
            lambda: journal.discard([name]),
            lambda: journal.entry(name),
            lambda: journal.rewrite(name, add),
            lambda: journal.append(name, {}),
        ):
            with pytest.raises(ValueError):
                call()


class TestDelete:
    def test_nothing_stays(self, rig: Rig, journal: Journal) -> None:
        journal.store("name", "value")
        rig.sio.enter_room(rig.client("/").sid, "room")
        journal.delete()
        world = rig.world
        assert not world.journals.heads
        assert not world.journals.logs
        assert not world.journals.values
        assert not rig.sio.members("room")
        journal.delete()

    def test_it_stops_in_time(self, rig: Rig, journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
        """What it leaves can still be scheduled, and what was emitted be sent."""
        deadlines: list[int] = []
        monkeypatch.setattr(rig.world.journals, "delete", lambda *args: deadlines.append(args[-1] - rig.world.clock))

        @rig.sio.event
        def burn(sid: str) -> None:
            journal.delete()

        rig.client("/").emit("burn")
        journal.delete()
        assert deadlines == [29_000 - MARGIN, 20_000]
