"""The ports' contract, held by DynamoDB (moto) and by the in-memory ports that the server's tests stand on."""

import time
from collections.abc import Callable
from types import SimpleNamespace

import pytest

import aws
from aws.connections import TAKE_LAPSE as LAPSE
from aws.journals import KEPT, MOST
from server.exceptions import JournalExpiredError, JournalMissingError
from server.ports import Ports, Unavailable
from server.records import (
    END_LAPSE,
    Asked,
    Change,
    Connection,
    Dialect,
    Ending,
    JournalRecord,
    Member,
    Membership,
    Packet,
    Parked,
    Question,
    Socket,
    Stays,
)
from tests.aws.conftest import items
from tests.memory import World

STAY: Stays = ((1, 0, None),)
NOW = 1_700_000_000_000
LATER = 4_000_000_000_000


@pytest.fixture(params=["dynamodb", "memory"])
def ports(request: pytest.FixtureRequest) -> Ports:
    if request.param == "memory":
        return World().ports
    request.getfixturevalue("stack")
    return aws.ports()


def opened(ports: Ports, born: int = NOW, connection_id: str = "conn=") -> Connection:
    connection = Connection(connection_id, "session", born, {"HTTP_ORIGIN": "https://example.com", "n": 1.5})
    ports.connections.open(connection)
    return connection


class TestConnections:
    def test_what_was_opened_is_loaded(self, ports: Ports) -> None:
        connection = opened(ports)
        assert ports.connections.load("conn=") == connection

    def test_unknown(self, ports: Ports) -> None:
        assert ports.connections.load("other=") is None
        assert ports.connections.touch("other=", NOW) is None
        assert not ports.connections.change("other=", Change(joined={"/": Socket("s")}))
        assert ports.connections.claim("other=", at=NOW, born_before=NOW) is None

    def test_changes(self, ports: Ports) -> None:
        opened(ports)
        odd = "/odd#name :x,1"
        change = Change(
            joined={"/": Socket("s1"), odd: Socket("s2")},
            data={odd: {"a": [1.5, None]}},
            stays={("/", "r"): STAY, (odd, "r"): STAY},
        )
        assert ports.connections.change("conn=", change)
        loaded = ports.connections.load("conn=")
        assert loaded
        assert {name: socket.sid for name, socket in loaded.sockets.items()} == {"/": "s1", odd: "s2"}
        assert loaded.sockets["/"].data is None
        assert loaded.sockets[odd].data == {"a": [1.5, None]}
        assert loaded.rooms == {("/", "r"), (odd, "r")}

    def test_rooms_come_and_go_in_one_change(self, ports: Ports) -> None:
        opened(ports)
        ports.connections.change("conn=", Change(joined={"/": Socket("s")}, stays={("/", "a"): STAY, ("/", "b"): STAY}))
        ports.connections.change("conn=", Change(stays={("/", "c"): STAY, ("/", "a"): ()}))
        loaded = ports.connections.load("conn=")
        assert loaded
        assert loaded.rooms == {("/", "b"), ("/", "c")}

    def test_leaving_a_namespace(self, ports: Ports) -> None:
        opened(ports)
        ports.connections.change("conn=", Change(joined={"/": Socket("s"), "/x": Socket("t")}, data={"/": {"k": 1}}))
        assert ports.connections.leave("conn=", "/", NOW, "work")
        assert not ports.connections.leave("conn=", "/", NOW, "other"), "only one may end a socket"
        loaded = ports.connections.load("conn=")
        assert loaded
        assert list(loaded.sockets) == ["/x"]
        # and coming back finds nothing of before
        ports.connections.change("conn=", Change(joined={"/": Socket("s2")}))
        loaded = ports.connections.load("conn=")
        assert loaded
        assert loaded.sockets["/"].data is None

    def test_a_socket_is_leaving_until_it_has_left(self, ports: Ports) -> None:
        opened(ports)
        stays: dict[tuple[str, str], Stays] = {
            ("/", "a"): ((1, 0, None),),
            ("/", "b"): ((1, 2, None),),
            ("/x", "a"): ((1, 0, None),),
        }
        sockets = {"/": Socket("s"), "/x": Socket("t")}
        ports.connections.change("conn=", Change(joined=sockets, data={"/": {"k": 1}}, stays=stays))
        assert ports.connections.leave("conn=", "/", NOW, "work")
        loaded = ports.connections.load("conn=")
        assert loaded
        assert (list(loaded.sockets), loaded.leaving["/"]) == (["/x"], Ending(Socket("s", {"k": 1}), NOW, "work"))
        assert set(loaded.places()) == {
            Membership(space, room, sid) for space, sid in (("/", "s"), ("/x", "t")) for room in (sid, None, "a")
        }
        assert ports.connections.leave("conn=", "/", NOW + 1, "work"), "it is done again"
        assert not ports.connections.leave("conn=", "/", NOW + 2, "wor")
        assert ports.connections.leave("conn=", "/", NOW + END_LAPSE + 2, "other"), "whoever was at it has died"
        ports.connections.left("conn=", "/", ["a", "b"])
        ports.connections.left("conn=", "/", ["a", "b"])
        loaded = ports.connections.load("conn=")
        assert loaded
        assert (list(loaded.sockets), loaded.leaving, list(loaded.stays)) == (["/x"], {}, [("/x", "a")])

    def test_another_socket_comes_while_one_is_leaving(self, ports: Ports) -> None:
        opened(ports)
        ports.connections.change("conn=", Change(joined={"/": Socket("s")}, data={"/": {"k": 1}}))
        assert ports.connections.leave("conn=", "/", NOW, "work")
        assert ports.connections.change("conn=", Change(joined={"/": Socket("s2")}))
        ports.connections.left("conn=", "/", [])
        loaded = ports.connections.load("conn=")
        assert loaded
        assert (loaded.sockets["/"].sid, loaded.sockets["/"].data, loaded.leaving) == ("s2", None, {})
        assert ports.connections.leave("conn=", "/", NOW, "work")

    def test_who_closes_a_connection_waits_for_a_socket_that_is_leaving(self, ports: Ports) -> None:
        opened(ports)
        ports.connections.change("conn=", Change(joined={"/": Socket("s")}))
        assert ports.connections.leave("conn=", "/", NOW, "work")
        for later in (0, END_LAPSE + 1):
            claimed = ports.connections.claim("conn=", at=NOW + later, born_before=NOW + later)
            assert claimed
            assert not claimed.sockets
            assert claimed.leaving["/"].at == NOW
        ports.connections.left("conn=", "/", [])
        claimed = ports.connections.claim("conn=", at=NOW + 3 * END_LAPSE, born_before=NOW + 3 * END_LAPSE)
        assert claimed
        assert not claimed.leaving

    def test_only_one_may_close(self, ports: Ports) -> None:
        opened(ports)
        ports.connections.change("conn=", Change(joined={"/": Socket("s")}))
        claimed = ports.connections.claim("conn=", at=NOW + 1, born_before=NOW + 1)
        assert claimed
        assert claimed.sockets["/"].sid == "s"
        assert ports.connections.claim("conn=", at=NOW + 2, born_before=NOW + 2) is None
        assert ports.connections.load("conn=") is None, "a connection that is being closed takes no more frames"
        assert ports.connections.touch("conn=", NOW + 2) is None
        assert not ports.connections.change("conn=", Change(data={"/": {}}))
        assert not ports.connections.leave("conn=", "/", NOW, "work")

    def test_an_abandoned_close_is_taken_over(self, ports: Ports) -> None:
        opened(ports)
        assert ports.connections.claim("conn=", at=NOW, born_before=NOW)
        assert ports.connections.claim("conn=", at=NOW + 60_000, born_before=4_000_000_000_000) is None
        assert ports.connections.claim("conn=", at=NOW + 60_001, born_before=NOW + 60_001)

    def test_the_young_are_spared(self, ports: Ports) -> None:
        opened(ports)
        assert ports.connections.claim("conn=", at=NOW + 10, born_before=NOW - 1) is None
        assert ports.connections.claim("conn=", at=NOW + 10, born_before=NOW)

    def test_beats(self, ports: Ports) -> None:
        for n in range(20):
            opened(ports, connection_id=f"conn{n}=")
        ports.connections.touch("conn3=", NOW + 5)
        ports.connections.change("conn4=", Change(joined={"/": Socket("s")}))
        beats = {beat.connection_id: beat for beat in ports.connections.beats()}
        assert len(beats) == 20
        assert beats["conn3="].seen == NOW + 5
        assert beats["conn4="].joined
        assert not beats["conn5="].joined

    def test_removing_takes_every_membership_along(self, ports: Ports) -> None:
        opened(ports)
        ports.connections.change(
            "conn=", Change(joined={"/": Socket("s")}, stays={("/", f"r{n}"): STAY for n in range(30)})
        )
        member = Member("s", "conn=")
        ports.rooms.enter("/", ["s", None, *(f"r{n}" for n in range(30))], member)
        connection = ports.connections.load("conn=")
        assert connection
        ports.connections.remove(connection, connection.places())
        assert ports.connections.load("conn=") is None
        assert not list(ports.connections.beats())
        assert not any(ports.rooms.members("/", room) for room in ["s", None, *(f"r{n}" for n in range(30))])


class TestRooms:
    def test_members(self, ports: Ports) -> None:
        for n in range(60):
            ports.rooms.enter("/", [f"s{n}", None, "room"], Member(f"s{n}", f"c{n}=", {"name": "ü", "n": 0.5}))
        ports.rooms.enter("/other", ["room"], Member("x", "c"))
        everybody = {(f"s{n}", f"c{n}=") for n in range(60)}
        for room in ("room", None):
            members = ports.rooms.members("/", room)
            assert {(member.sid, member.connection_id) for member in members} == everybody
            assert len(members) == 60
        assert ports.rooms.members("/", "s7") == [Member("s7", "c7=", {"name": "ü", "n": 0.5})]
        assert ports.rooms.members("/", "nobody") == []

    def test_entering_again_replaces_the_info(self, ports: Ports) -> None:
        ports.rooms.enter("/", ["room"], Member("s", "c", "old"))
        ports.rooms.enter("/", ["room"], Member("s", "c", "new"))
        assert ports.rooms.members("/", "room") == [Member("s", "c", "new")]

    def test_leaving(self, ports: Ports) -> None:
        ports.rooms.enter("/", ["a", "b", None], Member("s", "c"))
        ports.rooms.leave([Membership("/", "a", "s"), Membership("/", None, "s"), Membership("/", "never", "s")])
        assert [bool(ports.rooms.members("/", room)) for room in ("a", "b", None)] == [False, True, False]

    def test_places_of_one_connection_alone(self, ports: Ports) -> None:
        for sid, home in (("s", "old="), ("t", "other=")):
            ports.rooms.enter("/", ["room"], Member(sid, home, {"i": 1}))
        places = [Membership("/", "room", sid) for sid in ("s", "t", "nobody")]
        ports.rooms.rehome(places, "old=", "new=")
        homes = {each.sid: each.connection_id for each in ports.rooms.members("/", "room")}
        assert homes == {"s": "new=", "t": "other="}
        ports.rooms.evict(places, "old=")
        assert len(ports.rooms.members("/", "room")) == 2
        ports.rooms.evict(places, "new=")
        assert ports.rooms.members("/", "room") == [Member("t", "other=", {"i": 1})]

    def test_names_cannot_be_mistaken_for_each_other(self, ports: Ports) -> None:
        ports.rooms.enter("/a", ['b","c'], Member("s", "c"))
        assert not ports.rooms.members('/a","b', "c")
        assert not ports.rooms.members("/", 'a","b","c')


class TestJournals:
    END = NOW // 1000 + 3600

    def test_create_and_read(self, ports: Ports) -> None:
        assert ports.journals.read("/", "r") is None
        assert ports.journals.create("/", "r", {"title": "T"}, self.END)
        assert not ports.journals.create("/", "r", {"title": "other"}, self.END)
        record = ports.journals.read("/", "r")
        assert record
        assert (record.data, record.expires_at, record.last) == ({"title": "T"}, self.END, 0)

    def test_numbers_have_no_gaps(self, ports: Ports) -> None:
        ports.journals.create("/", "r", None, self.END)
        numbers = [ports.journals.append("/", "r", f"k{n}", {"n": n}, NOW + n)[0].seq for n in range(40)]
        assert numbers == list(range(1, 41))

    @pytest.mark.parametrize("between", [0, 1, 100])
    def test_a_key_is_taken_once(self, ports: Ports, between: int) -> None:
        """Also when so many came since that the head has forgotten the key."""
        ports.journals.create("/", "r", None, self.END)
        first, is_new = ports.journals.append("/", "r", "key", {"text": "once"}, NOW)
        assert is_new
        for n in range(between):
            ports.journals.append("/", "r", f"other{n}", {}, NOW)
        again, is_new = ports.journals.append("/", "r", "key", {"text": "twice"}, NOW + 99)
        assert not is_new
        assert again == first
        following, _ = ports.journals.append("/", "r", "next", {}, NOW)
        assert following.seq == between + 2, "the repeated key left no gap"

    def test_entries(self, ports: Ports) -> None:
        ports.journals.create("/", "r", None, self.END)
        for n in range(1, 13):
            ports.journals.append("/", "r", f"k{n % 7}-{n}", {"n": n}, NOW)
        assert [entry.seq for entry in ports.journals.entries("/", "r", None, 5)] == [8, 9, 10, 11, 12]
        assert [entry.body["n"] for entry in ports.journals.entries("/", "r", 8, 5)] == [3, 4, 5, 6, 7]
        assert ports.journals.entries("/", "none", None, 5) == []

    @pytest.mark.parametrize("late", [0, 1, 5_000])
    def test_expired(self, ports: Ports, late: int) -> None:
        ports.journals.create("/", "r", None, self.END)
        with pytest.raises(JournalExpiredError):
            ports.journals.append("/", "r", "k", {}, self.END * 1000 + late)
        ports.journals.append("/", "r", "k", {}, self.END * 1000 - 1)

    def test_missing(self, ports: Ports) -> None:
        with pytest.raises(JournalMissingError):
            ports.journals.append("/", "r", "k", {}, NOW)

    def test_deleting_leaves_nothing(self, ports: Ports) -> None:
        ports.journals.create("/", "r", None, self.END)
        ports.journals.create("/", "other", None, self.END)
        for room in ("r", "other"):
            ports.rooms.enter("/", [room], Member("s", "c"))
            ports.packets.write([("/", room, Packet("0" * 25, ("x",)))], LATER)
            for n in range(30):
                ports.journals.append("/", room, f"k{n}", {}, NOW)
                ports.journals.store("/", room, f"v{n}", "x", self.END)
        for _ in range(2):  # again is the same
            ports.journals.delete("/", "r", LATER)
            assert ports.journals.read("/", "r") is None
            assert ports.journals.entries("/", "r", None, 100) == []
            assert ports.journals.entry("/", "r", "k1") is None
            assert ports.journals.load("/", "r", [f"v{n}" for n in range(30)], NOW) == {}
            assert ports.rooms.members("/", "r") == []
            assert ports.packets.since("/", "r", "") == []
        with pytest.raises(JournalMissingError):
            ports.journals.append("/", "r", "k", {}, NOW)
        assert len(ports.journals.entries("/", "other", None, 100)) == 30
        assert len(ports.journals.load("/", "other", [f"v{n}" for n in range(30)], NOW)) == 30

    def test_other_data_are_put_in_the_place_of_those_that_are_there(self, ports: Ports) -> None:
        assert ports.journals.change("/", "r", None, {}, NOW) == (None, False)
        ports.journals.create("/", "r", {"n": 1.5, "ü": [True]}, self.END)
        ports.journals.append("/", "r", "k", {}, NOW)
        record, is_done = ports.journals.change("/", "r", {"n": 1.5, "ü": [True]}, {"n": 2}, NOW)
        assert is_done
        assert record == JournalRecord({"n": 2}, self.END, 1) == ports.journals.read("/", "r")
        assert ports.journals.change("/", "r", {"n": 1.5}, {"n": 3}, NOW) == (record, False), "too late"
        assert ports.journals.change("/", "r", {"n": 2}, {"n": 3}, self.END * 1000) == (record, False), "expired"
        assert ports.journals.read("/", "r") == record

    def test_a_body_is_put_in_the_place_of_the_one_that_is_there(self, ports: Ports) -> None:
        ports.journals.create("/", "r", None, self.END)
        assert ports.journals.rewrite("/", "r", "k", {}, {"n": 1}, NOW) == (None, False)
        entry, _ = ports.journals.append("/", "r", "k", {"n": 0}, NOW, ("1" * 25, "said"))
        ports.journals.append("/", "r", "next", {}, NOW + 1)
        assert ports.journals.entry("/", "r", "k") == entry
        assert ports.journals.entry("/", "r", "other") is None
        rewritten = entry._replace(body={"n": [1.5, None]})
        assert ports.journals.rewrite("/", "r", "k", {"n": 0}, {"n": [1.5, None]}, NOW + 5) == (rewritten, True)
        assert ports.journals.rewrite("/", "r", "k", {"n": 0}, {"n": 2}, NOW + 5) == (rewritten, False), "too late"
        with pytest.raises(JournalExpiredError):
            ports.journals.rewrite("/", "r", "k", rewritten.body, {"n": 2}, self.END * 1000)
        assert [entry.body for entry in ports.journals.entries("/", "r", None, 5)] == [rewritten.body, {}]
        assert ports.journals.append("/", "r", "k", {"n": 0}, NOW) == (rewritten, False)
        assert [packet.entry for packet in ports.packets.since("/", "r", "")] == [rewritten], "for who comes back"

    def test_values(self, ports: Ports) -> None:
        ports.journals.create("/", "r", None, self.END)
        values = {f"file/{n}": "ü" * 10_000 + str(n) for n in range(9)}
        for name, value in values.items():
            ports.journals.store("/", "r", name, value, self.END)
        names = [*values, "file/0", "none"]
        assert ports.journals.load("/", "r", names, NOW) == values
        assert ports.journals.load("/", "other", names, NOW) == {}
        ports.journals.store("/", "r", "file/0", {"n": 1.5}, self.END)
        assert ports.journals.load("/", "r", ["file/0", "file/1"], NOW) == {
            "file/0": {"n": 1.5},
            "file/1": values["file/1"],
        }
        ports.journals.discard("/", "r", ["file/1", "file/1", "none"])
        assert ports.journals.load("/", "r", names, NOW).keys() == values.keys() - {"file/1"}
        assert ports.journals.entries("/", "r", None, 5) == [], "they are no entries"
        assert ports.journals.load("/", "r", names, self.END * 1000) == {}, "they end with the journal"


def test_a_function_that_died_half_way_is_repeated(stack: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The number was given, the entry never written: the same key gets the same number, and is new."""
    journals = aws.ports().journals
    journals.create("/", "r", None, TestJournals.END)
    put: Callable[..., object] = journals._put  # type: ignore[attr-defined]

    def die(item: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(journals, "_put", die)
    with pytest.raises(RuntimeError):
        journals.append("/", "r", "key", {}, NOW)
    monkeypatch.setattr(journals, "_put", put)
    entry, is_new = journals.append("/", "r", "key", {"text": "hi"}, NOW + 5)
    assert is_new
    assert entry.seq == 1
    assert journals.append("/", "r", "next", {}, NOW)[0].seq == 2


def test_half_a_message_finds_its_number_after_many_others(
    stack: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the head forgets the oldest keys, whether one process writes it or a new one each time."""
    journals = aws.ports().journals
    journals.create("/", "r", None, TestJournals.END)
    for count, fresh in ((KEPT + 6, False), (MOST, True)):
        for n in range(count):
            if fresh:
                journals._old.clear()  # type: ignore[attr-defined]
            journals.append("/", "r", f"{fresh}{n}", {}, NOW)
        (head,) = [item for item in items() if item["sk"]["S"] == "J"]
        assert len(head["recent"]["M"]) <= (MOST if fresh else KEPT + 1)
    with monkeypatch.context() as patch:
        patch.setattr(journals, "_put", lambda item: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            journals.append("/", "r", "key", {}, NOW)
    for n in range(KEPT - 1):
        journals.append("/", "r", f"other{n}", {}, NOW)
    entry, is_new = journals.append("/", "r", "key", {}, NOW)
    assert (entry.seq, is_new) == (KEPT + 6 + MOST + 1, True)
    assert [each.seq for each in journals.entries("/", "r", None, 200)] == list(range(1, entry.seq + KEPT))


def test_an_old_key_that_comes_again_beside_a_new_one(stack: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Its second number cannot be given back any more; it is the same entry all the same."""
    journals = aws.ports().journals
    journals.create("/", "r", None, TestJournals.END)
    first, _ = journals.append("/", "r", "key", {"text": "once"}, NOW)
    for n in range(100):
        journals.append("/", "r", f"other{n}", {}, NOW)
    put: Callable[..., object] = journals._put  # type: ignore[attr-defined]

    def slow(item: object) -> object:
        monkeypatch.setattr(journals, "_put", put)
        journals.append("/", "r", "next", {}, NOW)
        return put(item)

    monkeypatch.setattr(journals, "_put", slow)
    assert journals.append("/", "r", "key", {"text": "once"}, NOW + 99) == (first, False)


def test_what_is_cut_while_it_deletes_goes_on(stack: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The journal has ended at once; the rest follows in the next call."""
    journals = aws.ports().journals
    journals.create("/", "r", None, LATER // 1000)
    for n in range(60):
        journals.append("/", "r", f"k{n}", {}, NOW)
    clock = iter([NOW / 1000, NOW / 1000 + 2])
    with monkeypatch.context() as patch:
        patch.setattr("aws.table.time", SimpleNamespace(time=lambda: next(clock), sleep=time.sleep))
        with pytest.raises(Unavailable):
            journals.delete("/", "r", NOW + 1_000)
    assert journals.read("/", "r") is None
    assert len(items()) == 60 - 25
    journals.delete("/", "r", LATER)
    assert items() == []


class TestLimits:
    def test_so_many_and_no_more(self, ports: Ports) -> None:
        assert [ports.limits.count("ü", 2, 100) for _ in range(4)] == [True, True, False, False]
        assert ports.limits.count("ü", 3, 100)
        assert ports.limits.count("ü", 2, 160), "another window"
        assert ports.limits.count("other", 2, 100)


class TestAgenda:
    def test_what_is_due(self, ports: Ports) -> None:
        for when in (2_000_000_000, 100, 99, 100, 101):
            ports.agenda.add(f"at {when}", when)
        assert list(ports.agenda.due(98)) == []
        due = list(ports.agenda.due(100))
        assert [job for _, job in due] == ["at 99", "at 100", "at 100"]
        assert all(id.isascii() and len(id) < 100 for id, _ in due), "they are part of a queue's group"
        for _ in range(2):
            ports.agenda.remove([due[0][0], due[1][0]])
            assert list(ports.agenda.due(100)) == [due[2]]
        assert [job for _, job in ports.agenda.due(2_000_000_000)] == ["at 100", "at 101", "at 2000000000"]


class TestPackets:
    def test_those_after_an_offset_in_order(self, ports: Ports) -> None:
        packets = [Packet(f"{n:011x}-00000000-0000", (f'42["e",{n}]',), ("s",), ("r",)) for n in range(5)]
        ports.packets.write([("/", room, each) for room in ("room", None) for each in packets], 4_000_000_000_000)
        ports.packets.write([("/other", "room", Packet("0" * 25, ("x",)))], 4_000_000_000_000)
        for room in ("room", None):
            assert ports.packets.since("/", room, packets[2].offset) == packets[3:]
            assert ports.packets.since("/", room, "") == packets

    def test_one_is_late(self, ports: Ports) -> None:
        ports.packets.write([("/", "room", Packet("0" * 25, ("x",)))], 4_000_000_000_000)
        ports.packets.delay("/", "room", "0" * 25, 500)
        assert [each.late for each in ports.packets.since("/", "room", "")] == [500]

    def test_what_was_published(self, ports: Ports) -> None:
        ports.journals.create("/", "room", {}, 4_000_000_000)
        offsets = [f"{NOW + n:011x}-00000000-0000000{n}" for n in range(4)]
        ports.packets.write([("/", "room", Packet(offsets[2], ("x",)))], 4_000_000_000_000)
        for n in (1, 3):
            entry, _ = ports.journals.append("/", "room", f"k{n}", {"n": n}, NOW + n, (offsets[n], "said"))
        ports.journals.append("/", "room", "other", {"n": 0}, NOW + 4)
        ports.packets.delay("/", "room", offsets[3], 500, "k3")
        found = ports.packets.since("/", "room", offsets[0])
        assert [each.offset for each in found] == offsets[1:]
        assert found[2] == Packet(offsets[3], late=500, event="said", entry=entry)
        assert [each.offset for each in ports.packets.since("/", "room", offsets[1])] == offsets[2:]

    def test_they_are_no_members(self, ports: Ports) -> None:
        ports.packets.write([("/", room, Packet("0" * 25, ("x",))) for room in ("room", None)], 4_000_000_000_000)
        assert not ports.rooms.members("/", "room")
        assert not ports.rooms.members("/", None)


class TestParked:
    @pytest.mark.parametrize("silent", [True, False])
    def test_only_one_gets_it(self, ports: Ports, silent: bool) -> None:
        opened(ports)
        socket = Socket("s", {"a": [1.5, None]}, "pid", 5)
        parked = Parked("pid", "/ns", socket, {"room": ((1, 2, None), (3, 0, {"i": 1}))}, {"E": "v"}, NOW, silent)
        connection = ports.connections.load("conn=")
        assert connection
        ports.connections.remove(connection, [], [parked])
        assert [beat.pid for beat in ports.connections.beats()] == ["pid"] * silent
        assert ports.connections.unpark("pid", NOW) == parked
        assert ports.connections.unpark("pid", NOW + LAPSE) is None
        ports.connections.park(parked)
        assert ports.connections.unpark("pid", NOW) == parked
        ports.connections.forget("pid")
        assert ports.connections.unpark("pid", NOW + 2 * LAPSE) is None
        assert not list(ports.connections.beats())

    @pytest.mark.parametrize("silent", [True, False])
    def test_what_was_kept_in_silence_is_seen_to_if_whoever_took_it_dies(self, ports: Ports, silent: bool) -> None:
        ports.connections.park(Parked("pid", "/", Socket("s", None, "pid", 5), {}, {}, NOW, silent))
        assert ports.connections.unpark("pid", NOW)
        assert [beat.pid for beat in ports.connections.beats()] == ["pid"] * silent
        assert (ports.connections.unpark("pid", NOW + LAPSE + 1) is not None) is silent

    def test_a_box_holds_it(self, ports: Ports) -> None:
        socket = Socket("s", {"a": 1}, "pid", 5)
        parked = Parked("pid", "/", socket, {"room": ((1, 0, None),), "left": ((1, 2, None),)}, {"E": "v"}, NOW, True)
        ports.connections.open(Connection("~box", "session", NOW, offered="conn=", holds=parked))
        box = ports.connections.claim("~box", at=NOW, born_before=NOW)
        assert box
        assert (box.offered, box.holds, box.sockets) == ("conn=", parked, {})
        assert box.places() == [Membership("/", room, "s") for room in ("s", None, "room")]


class TestQuestions:
    ASKED = Asked("/", frozenset({"a", "b"}), {}, Question("m:f", (1, "x"), {"k": [2]}, 5, True), NOW + 5_000)

    def test_answers_come_once(self, ports: Ports) -> None:
        assert ports.questions.open(7, self.ASKED)
        assert not ports.questions.open(7, self.ASKED), "the id is taken"
        assert ports.questions.answer(7, "/", "stranger", ["430[]"], 0, NOW) is None
        assert ports.questions.answer(7, "/other", "a", ["430[]"], 0, NOW) is None
        assert ports.questions.answer(8, "/", "a", ["430[]"], 0, NOW) is None
        asked = ports.questions.answer(7, "/", "a", ["430[1]"], 0, NOW)
        assert asked
        assert (asked.waiting, asked.answers) == (frozenset({"b"}), {"a": ["430[1]"]})
        assert asked.question == self.ASKED.question
        assert ports.questions.answer(7, "/", "a", ["430[2]"], 0, NOW) is None, "said twice"
        assert ports.questions.read(7) == asked

    def test_the_same_frame_again_is_the_same_answer(self, ports: Ports) -> None:
        ports.questions.open(7, self.ASKED)
        first = ports.questions.answer(7, "/", "a", ["430[1]"], 12, NOW)
        assert ports.questions.answer(7, "/", "a", ["430[1]"], 12, NOW) == first
        assert ports.questions.answer(7, "/", "a", ["430[1]"], 13, NOW) is None

    def test_its_time(self, ports: Ports) -> None:
        ports.questions.open(7, self.ASKED)
        assert ports.questions.answer(7, "/", "a", ["430[1]"], 0, NOW + 5_000) is None, "too late"
        asked = ports.questions.close(7, NOW)
        assert asked == self.ASKED, "too early"
        assert ports.questions.close(7, NOW + 5_000) == self.ASKED
        assert ports.questions.close(7, NOW + 5_000) is None
        assert ports.questions.close(8, NOW + 5_000) is None

    def test_whoever_has_all_answers_ends_it(self, ports: Ports) -> None:
        ports.questions.open(7, self.ASKED)
        ports.questions.answer(7, "/", "a", ["430[1]"], 0, NOW)
        asked = ports.questions.answer(7, "/", "b", ["430[2]"], 0, NOW)
        assert asked
        assert not asked.waiting
        assert ports.questions.close(7, NOW + 5_000) is None


class TestSeveral:
    def test_connections_in_one_call(self, ports: Ports) -> None:
        for n in range(3):
            ports.connections.open(Connection(f"c{n}=", f"s{n}", NOW, dialect=Dialect.OFFSETS))
        ports.connections.claim("c1=", at=NOW, born_before=NOW)
        found = ports.connections.load_all(["c0=", "c1=", "c2=", "other="])
        assert sorted(each.id for each in found) == ["c0=", "c2="]
        assert {each.dialect for each in found} == {Dialect.OFFSETS}

    def test_a_frame_is_noted(self, ports: Ports) -> None:
        opened(ports)
        number = 18_850_000_000_000_000_001
        ports.connections.handled("conn=", number)
        connection = ports.connections.load("conn=")
        assert connection
        assert connection.handled == number
        for pending in (('451-["e",{"_placeholder":true,"num":0}]',), ()):
            ports.connections.handled("conn=", number + 1, pending)
            connection = ports.connections.load("conn=")
            assert connection
            assert (connection.handled, connection.pending) == (number + 1, pending)

    def test_sessions_that_were_saved_with_it(self, ports: Ports) -> None:
        opened(ports)
        ports.connections.change("conn=", Change(joined={"/": Socket("s"), "/x": Socket("t", {"n": 1})}))
        ports.connections.handled("conn=", 1, data={"/": {"a": [1.5, None]}})
        connection = ports.connections.load("conn=")
        assert connection
        assert connection.handled == 1
        assert [connection.sockets[name].data for name in ("/", "/x")] == [{"a": [1.5, None]}, {"n": 1}]

    def test_the_session_of_a_socket_that_left_meanwhile_is_not_the_next_ones(self, ports: Ports) -> None:
        opened(ports)
        ports.connections.change("conn=", Change(joined={"/": Socket("s")}))
        ports.connections.leave("conn=", "/", NOW, "work")
        ports.connections.handled("conn=", 1, data={"/": {"n": 1}})
        connection = ports.connections.load("conn=")
        assert connection
        assert not connection.sockets
        ports.connections.change("conn=", Change(joined={"/": Socket("s2")}))
        connection = ports.connections.load("conn=")
        assert connection
        assert connection.sockets["/"].data is None

    def test_of_a_connection_that_is_gone_nothing_is_noted(self, ports: Ports) -> None:
        opened(ports)
        ports.connections.change("conn=", Change(joined={"/": Socket("s")}))
        ports.connections.handled("other=", 1, data={"/": {"n": 1}})
        ports.connections.claim("conn=", at=NOW, born_before=NOW)
        ports.connections.handled("conn=", 1, data={"/": {"n": 1}})
        claimed = ports.connections.claim("conn=", at=NOW + 60_001, born_before=NOW)
        assert claimed
        assert (claimed.handled, claimed.sockets["/"].data) == (0, None)
