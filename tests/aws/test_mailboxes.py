"""The mailboxes' contract, and the moves of an upgrade, on DynamoDB and in memory."""

import pytest

from server.ports import Gone, Ports
from server.records import MAX_LETTER, OFFER_LAPSE, Box, Change, Connection, Member, Membership, Socket
from tests.aws.conftest import items
from tests.aws.test_ports import NOW, STAY
from tests.aws.test_ports import ports as ports

POLLING, WEBSOCKET = "~session", "ws="


@pytest.fixture
def session(ports: Ports) -> Ports:
    """A session that polls."""
    ports.connections.open(Connection(POLLING, "session", NOW, {"HTTP_X": "y"}))
    return ports


def waiting(ports: Ports, box: Box | None) -> list[str]:
    assert box is not None
    return ports.mailboxes.read(POLLING, box.letters)


class TestBox:
    def test_frames_wait_in_order_until_an_answer_carries_them(self, session: Ports) -> None:
        box = session.mailboxes
        assert box.append(POLLING, ["1", "2"]) is None
        assert box.append(POLLING, ["3"]) is None
        found = box.begin(POLLING, "p1")
        assert found
        assert waiting(session, found) == ["1", "2", "3"]
        assert box.append(POLLING, ["4"]) is None
        assert box.end(POLLING, "p1", found.letters)
        assert waiting(session, box.begin(POLLING, "p2")) == ["4"]

    def test_a_poll_that_dies_takes_nothing(self, session: Ports) -> None:
        session.mailboxes.append(POLLING, ["1"])
        session.mailboxes.begin(POLLING, "died")
        found = session.mailboxes.begin(POLLING, "next")
        assert found
        assert found.interrupted
        assert waiting(session, found) == ["1"]
        assert not session.mailboxes.end(POLLING, "died", found.letters), "it is not its turn any more"
        assert waiting(session, session.mailboxes.peek(POLLING)) == ["1"]

    def test_a_poll_that_ended_interrupts_nobody(self, session: Ports) -> None:
        session.mailboxes.begin(POLLING, "p1")
        assert session.mailboxes.end(POLLING, "p1", ())
        found = session.mailboxes.begin(POLLING, "p2")
        assert found
        assert not found.interrupted
        assert found.poll == "p2"

    def test_large_and_many(self, session: Ports) -> None:
        frames = [f"4{n}" + "x" * 500 for n in range(3 * MAX_LETTER + 1)] + ["bAAAA", "4é\u2028😀"]
        session.mailboxes.append(POLLING, frames)
        found = session.mailboxes.begin(POLLING, "p")
        assert found
        assert [letter.packets for letter in found.letters] == [16, 16, 16, 3]
        assert waiting(session, found) == frames
        assert session.mailboxes.end(POLLING, "p", found.letters[:2])
        rest = session.mailboxes.peek(POLLING)
        assert waiting(session, rest) == frames[32:]

    def test_letters_are_small_enough_for_an_item(self, session: Ports) -> None:
        frames = ["4" + "é" * 60_000 for _ in range(7)]
        assert session.mailboxes.append(POLLING, frames) is None
        assert waiting(session, session.mailboxes.peek(POLLING)) == frames

    def test_gone(self, session: Ports) -> None:
        with pytest.raises(Gone):
            session.mailboxes.append("~nobody", ["1"])
        assert session.mailboxes.begin("~nobody", "p") is None
        assert session.mailboxes.peek("~nobody") is None
        session.connections.claim(POLLING, at=NOW, born_before=NOW)
        with pytest.raises(Gone):
            session.mailboxes.append(POLLING, ["1"])
        assert session.mailboxes.begin(POLLING, "p") is None
        assert session.mailboxes.peek(POLLING) is None

    def test_nothing_stays_of_what_waited(self, stack: dict[str, str], session: Ports) -> None:
        session.mailboxes.append(POLLING, ["4" + "x" * 5_000])
        connection = session.connections.claim(POLLING, at=NOW, born_before=NOW)
        assert connection
        session.connections.remove(connection, connection.places())
        assert not items()


class TestMoves:
    def probing(self, ports: Ports, at: int = NOW) -> bool:
        ports.connections.open(Connection(WEBSOCKET, "session", at, probes=POLLING))
        return ports.mailboxes.offer(POLLING, WEBSOCKET, at)

    def test_one_websocket_at_a_time(self, session: Ports) -> None:
        assert self.probing(session)
        assert session.mailboxes.offer(POLLING, WEBSOCKET, NOW + 1), "again is the same"
        assert not session.mailboxes.offer(POLLING, "other=", NOW + 2)
        found = session.mailboxes.peek(POLLING)
        assert found
        assert found.offered_at == NOW + 1
        assert session.mailboxes.offer(POLLING, "other=", NOW + 2 + OFFER_LAPSE)
        assert session.mailboxes.move(POLLING, WEBSOCKET) is None

    def test_the_box_is_emptied_by_one_and_first(self, session: Ports) -> None:
        self.probing(session)
        session.mailboxes.append(POLLING, ["1"])
        session.mailboxes.append(POLLING, ["2"])
        assert session.mailboxes.move(POLLING, WEBSOCKET) is None
        assert session.mailboxes.lock(POLLING, "other=", "h", NOW) is None
        found = session.mailboxes.lock(POLLING, WEBSOCKET, "h", NOW)
        assert found
        assert waiting(session, found) == ["1", "2"]
        assert session.mailboxes.lock(POLLING, WEBSOCKET, "h", NOW + 1) is None, "somebody is at it"
        session.mailboxes.append(POLLING, ["3"])
        session.mailboxes.discard(POLLING, "h", found.letters)
        assert session.mailboxes.move(POLLING, WEBSOCKET) is None
        found = session.mailboxes.lock(POLLING, WEBSOCKET, "h", NOW + 2)
        assert waiting(session, found) == ["3"]
        assert found
        session.mailboxes.discard(POLLING, "h", found.letters)
        assert session.mailboxes.move(POLLING, WEBSOCKET)

    def test_a_dead_emptier_is_replaced(self, session: Ports) -> None:
        self.probing(session)
        session.mailboxes.append(POLLING, ["1"])
        assert session.mailboxes.lock(POLLING, WEBSOCKET, "h", NOW)
        assert session.mailboxes.lock(POLLING, WEBSOCKET, "h", NOW + 10_001)

    def test_what_moves_along(self, session: Ports) -> None:
        change = Change(
            joined={"/": Socket("s")}, data={"/": {"n": 1}}, stays={("/", "room"): STAY}, pending=("451-[]",)
        )
        session.connections.change(POLLING, change)
        session.rooms.enter("/", ["s", None, "room"], Member("s", POLLING, {"name": "Ann"}))
        self.probing(session)
        left = session.mailboxes.move(POLLING, WEBSOCKET)
        assert left
        assert session.mailboxes.move(POLLING, WEBSOCKET) == left, "again is the same"
        assert session.mailboxes.append(POLLING, ["1"]) == WEBSOCKET, "whoever still knows the old home is sent on"
        assert session.connections.adopt(WEBSOCKET, left)
        assert not session.connections.adopt(WEBSOCKET, left), "only once"
        session.rooms.rehome([*left.places(), Membership("/", "left meanwhile", "s")], POLLING, WEBSOCKET)
        for room in ("s", None, "room"):
            (member,) = session.rooms.members("/", room)
            assert member.connection_id == WEBSOCKET
            assert member.info == {"name": "Ann"}
        assert not session.rooms.members("/", "left meanwhile")
        for known_as in (POLLING, WEBSOCKET):
            connection = session.connections.load(known_as)
            assert connection
            assert (connection.id, connection.session, connection.origin) == (WEBSOCKET, "session", POLLING)
            assert connection.sockets["/"].data == {"n": 1}
            assert connection.rooms == {("/", "room")}
            assert connection.environ == {"HTTP_X": "y"}
            assert connection.pending == ("451-[]",)
            assert connection.probes is None
        assert [beat.connection_id for beat in session.connections.beats()] == [WEBSOCKET]

    def test_changes_follow(self, session: Ports) -> None:
        """A handler that began before the move writes after it."""
        session.connections.change(POLLING, Change(joined={"/": Socket("s"), "/x": Socket("t")}))
        self.probing(session)
        left = session.mailboxes.move(POLLING, WEBSOCKET)
        assert left
        session.connections.adopt(WEBSOCKET, left)
        assert session.connections.change(POLLING, Change(data={"/": {"n": 2}}, stays={("/", "late"): STAY}))
        assert session.connections.leave(POLLING, "/x", NOW, "work")
        assert not session.connections.leave(POLLING, "/x", NOW, "other")
        connection = session.connections.load(WEBSOCKET)
        assert connection
        assert connection.sockets.keys() == {"/"}
        assert connection.sockets["/"].data == {"n": 2}
        assert connection.rooms == {("/", "late")}

    def test_a_websocket_that_closed_adopts_nothing(self, session: Ports) -> None:
        self.probing(session)
        left = session.mailboxes.move(POLLING, WEBSOCKET)
        assert left
        session.connections.claim(WEBSOCKET, at=NOW, born_before=NOW)
        assert not session.connections.adopt(WEBSOCKET, left)

    def test_both_records_go_in_the_end(self, stack: dict[str, str], session: Ports) -> None:
        self.probing(session)
        left = session.mailboxes.move(POLLING, WEBSOCKET)
        assert left
        session.connections.adopt(WEBSOCKET, left)
        connection = session.connections.claim(WEBSOCKET, at=NOW, born_before=NOW)
        assert connection
        session.connections.remove(connection, connection.places())
        assert not items()
