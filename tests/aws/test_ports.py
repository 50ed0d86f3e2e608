"""The ports' contract, held by DynamoDB (moto) and by the in-memory ports that the server's tests stand on."""

from collections.abc import Callable

import pytest

import aws
from server.exceptions import JournalExpiredError, JournalMissingError
from server.ports import Ports
from server.records import (
    Asked,
    Change,
    Connection,
    Dialect,
    Member,
    Membership,
    Packet,
    Parked,
    Question,
    Socket,
    Stays,
)
from tests.memory import World

STAY: Stays = ((1, 0, None),)
NOW = 1_700_000_000_000


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
        assert ports.connections.leave("conn=", "/")
        assert not ports.connections.leave("conn=", "/"), "only one may end a socket"
        loaded = ports.connections.load("conn=")
        assert loaded
        assert list(loaded.sockets) == ["/x"]
        # and coming back finds nothing of before
        ports.connections.change("conn=", Change(joined={"/": Socket("s2")}))
        loaded = ports.connections.load("conn=")
        assert loaded
        assert loaded.sockets["/"].data is None

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
        assert not ports.connections.leave("conn=", "/")

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
        ports.rooms.enter("/", ["r"], Member("s", "c"))
        for n in range(30):
            ports.journals.append("/", "r", f"k{n}", {}, NOW)
        ports.journals.delete("/", "r")
        assert ports.journals.read("/", "r") is None
        assert ports.journals.entries("/", "r", None, 100) == []
        assert ports.rooms.members("/", "r") == []
        with pytest.raises(JournalMissingError):
            ports.journals.append("/", "r", "k", {}, NOW)


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
        assert ports.connections.unpark("pid") == parked
        assert ports.connections.unpark("pid") is None
        assert not list(ports.connections.beats())
        ports.connections.park(parked)
        assert ports.connections.unpark("pid") == parked


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
