"""Coming into a room and going: the door, persons, names, limits of people, presence."""

from collections.abc import Callable
from typing import Any

import pytest

from chat.seals import Keys, random_id
from server.ports import Unavailable
from server.records import Member
from tests.chat.conftest import Chat, Socket, news_of, socket_of
from tests.chat.person import Person


def member(person: Person, *, owner: bool = False, name: str | None = None) -> dict[str, Any]:
    name = name or person.joining()["name"]
    return {"id": socket_of(person).sid, "person": person.id, "name": name, "owner": owner}


class TestJoin:
    def test_the_first_learns_all_of_the_room(self, chat: Chat) -> None:
        ann = chat.stranger("Ann")
        asked = ann.joining()
        answer = ann.ask("join", **asked)
        you = member(ann, name=asked["name"])
        title = answer["room"].pop("title")
        assert chat.invitation.keys.open("title", title) == "Tea"
        assert answer == {
            "you": you["id"],
            "person": ann.id,
            "is_owner": False,
            "members": [you],
            "history": [],
            "more": False,
            "room": {
                "id": ann.room,
                "expires_at": chat.now + 3600,
                "people": 50,
                "locked": False,
                "burn_when_empty": False,
            },
        }
        assert news_of(ann) == []

    def test_the_second_is_announced(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.stranger("Bob")
        answer = bob.join()
        assert ann.names(answer["members"]) == {"Ann", "Bob"}
        ((event, joined),) = news_of(ann)
        assert (event, ann.name_of(joined)) == ("joined", "Bob")
        assert joined == next(each for each in answer["members"] if each["person"] == bob.id)

    def test_again_tells_nobody_and_gives_the_state_anew(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.stranger("Bob")
        asked = bob.joining()
        bob.ask("join", **asked)
        bob.say("hi")
        news_of(ann)
        answer = bob.ask("join", **asked)
        assert len(answer["members"]) == 2
        assert [bob.read(entry) for entry in answer["history"]] == ["hi"]
        assert news_of(ann) == []

    def test_again_after_half_of_it_failed(self, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is in the room by then, and the others have not heard of it."""
        ann, bob = chat.person("Ann"), chat.stranger("Bob")
        asked, read = bob.joining(), chat.world.journals.read
        reads = iter([True, False])

        def throttled(*where: str) -> Any:
            if next(reads):
                return read(*where)
            raise Unavailable("throttled")

        with monkeypatch.context() as patch:
            patch.setattr(chat.world.journals, "read", throttled)
            with pytest.raises(IndexError, match="pop from empty list"):
                bob.client.call("join", asked)
        assert news_of(ann) == []
        assert len(bob.ask("join", **asked)["members"]) == 2
        assert [event for event, _ in news_of(ann)] == ["joined"]

    def test_under_another_name(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        bob.name = "Rob"
        assert bob.names(bob.join()["members"]) == {"Ann", "Rob"}
        ((event, joined),) = news_of(ann)
        assert (event, joined["id"], ann.name_of(joined)) == ("joined", socket_of(bob).sid, "Rob")

    def test_another_room_leaves_the_first(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        moved = Person(bob.client, chat.room(), "Bob")
        moved.join()
        assert news_of(ann) == [["left", {"id": socket_of(bob).sid, "person": bob.id}]]
        moved.say("hi")
        assert news_of(ann) == []
        assert chat.left_over(ann.room).count("session") == 1

    def test_as_somebody_else(self, chat: Chat) -> None:
        """Another `me` on the same socket: the one is gone, the other came."""
        ann, bob = chat.person("Ann"), chat.person("Bob")
        other = Person(bob.client, chat.invitation, "Other")
        members = other.join()["members"]
        assert {each["person"] for each in members} == {ann.id, other.id}
        left, joined = news_of(ann)
        assert (left[1]["person"], joined[1]["person"]) == (bob.id, other.id)

    def test_tabs_are_one_person(self, chat: Chat) -> None:
        ann = chat.person("Ann")
        tab = chat.person("Ann", me=ann.me)
        assert tab.id == ann.id
        assert tab.say("from here")["seq"] == 1
        assert [entry["from"] for entry in ann.events("message")] == [ann.id]

    def test_the_owner(self, chat: Chat) -> None:
        ann = chat.stranger("Ann", owns=True)
        answer = ann.join()
        assert answer["is_owner"] is True
        assert [each["owner"] for each in answer["members"]] == [True]

    @pytest.mark.parametrize("key", ["wrong", "", "\ud800", 7, None, ["x"]])
    def test_who_only_says_so(self, chat: Chat, key: Any) -> None:
        answer = chat.stranger("Eve").join(owner=key)
        assert answer["is_owner"] is False

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"room": None}, "no_such_room"),
            ({"room": 7}, "no_such_room"),
            ({"room": "nowhere"}, "no_such_room"),
            ({"room": "x" * 16}, "no_such_room"),
            ({"room": "x" * 100_000}, "no_such_room"),
            ({"room": "xxxxxxxxxxxxxxx\n"}, "no_such_room"),
            ({"room": "\ud800" * 16}, "no_such_room"),
            ({"door": None}, "wrong_key"),
            ({"door": ""}, "wrong_key"),
            ({"door": "\ud800"}, "wrong_key"),
            ({"door": ["x"]}, "wrong_key"),
            ({"me": None}, "bad_me"),
            ({"me": ""}, "bad_me"),
            ({"me": "x" * 21}, "bad_me"),
            ({"me": "é" * 22}, "bad_me"),
            ({"me": {"$": 1}}, "bad_me"),
            ({"name": None}, "bad_name"),
            ({"name": "Ann"}, "bad_name"),
            ({"name": "x" * 401}, "bad_name"),
            ({"name": "x" * 40 + "="}, "bad_name"),
            ({"name": "\ud800" * 40}, "bad_name"),
            ({"name": ["x" * 40]}, "bad_name"),
        ],
    )
    def test_refusals(self, chat: Chat, changes: dict[str, Any], code: str) -> None:
        eve = chat.stranger("Eve")
        assert eve.refused("join", **eve.joining(**changes)) == code
        assert not chat.app.sio.members(chat.invitation.room)
        assert eve.refused("message", id="m", body=eve.message("hi", "m")) == "not_in_room"

    @pytest.mark.parametrize("data", [None, "text", 7, [1], True])
    def test_what_is_no_object(self, chat: Chat, data: Any) -> None:
        assert Socket(chat.rig).call("join", data)["error"]["code"] == "no_such_room"

    def test_no_arguments_at_all(self, chat: Chat) -> None:
        assert Socket(chat.rig).call("join")["error"]["code"] == "no_such_room"

    def test_the_longest_name(self, chat: Chat) -> None:
        for name in ("\x01" * 40, "😀" * 40):
            ann = chat.person(name)
            assert name in ann.names(ann.join()["members"])

    def test_a_socket_id_is_no_room(self, chat: Chat) -> None:
        ann, eve = chat.person("Ann"), chat.stranger("Eve")
        assert eve.refused("join", **eve.joining(room=socket_of(ann).sid)) == "no_such_room"

    def test_when_the_time_is_up(self, chat: Chat) -> None:
        late = chat.stranger("Late")
        chat.world.clock += 3_600_000
        assert late.refused("join", **late.joining()) == "expired"


class TestDoor:
    def test_a_rooms_id_opens_nothing(self, chat: Chat) -> None:
        ann, eve = chat.person("Ann"), chat.stranger("Eve")
        other = Keys(eve.room, random_id(16))
        answer = eve.client.call("join", eve.joining(door=other.door))
        assert answer["error"] == {"code": "wrong_key", "message": "The link is not right for this room."}
        assert news_of(ann) == []

    def test_the_digest_opens_nothing(self, chat: Chat) -> None:
        """What the table holds is no key."""
        eve = chat.stranger("Eve")
        data, _ = chat.world.journals.heads["/", eve.room]
        assert eve.refused("join", **eve.joining(door=data["door"])) == "wrong_key"
        assert eve.join(owner=data["owner"])["is_owner"] is False

    def test_a_passphrase(self, chat: Chat) -> None:
        invitation = chat.room("open sesame")
        ann = chat.person("Ann", invitation)
        assert ann.say("inside")["seq"] == 1
        guess = Keys(invitation.room, invitation.link.secret, "open barley")
        eve = chat.stranger("Eve", invitation)
        answer = eve.client.call("join", eve.joining(door=guess.door))
        assert answer["error"] == {"code": "wrong_key", "message": "The passphrase is not right for this room."}


class TestFull:
    def test_persons_are_counted(self, chat: Chat) -> None:
        invitation = chat.room(people=2)
        ann, bob = chat.person("Ann", invitation), chat.person("Bob", invitation)
        chat.person("Bob", invitation, me=bob.me)  # another tab
        cleo = chat.stranger("Cleo", invitation)
        assert cleo.refused("join", **cleo.joining()) == "full"
        assert ann.misses(cleo), "somebody may have seen it among the members"
        assert not ann.knows(cleo)
        assert cleo.refused("message", id="m", body=cleo.message("hi", "m")) == "not_in_room"
        bob.join()  # again is the same
        ann.ask("leave")
        cleo.join()

    def test_the_owner_always_has_a_seat(self, chat: Chat) -> None:
        invitation = chat.room(people=2)
        ann, _ = chat.person("Ann", invitation), chat.person("Bob", invitation)
        chat.person("Olga", invitation, owns=True)
        ann.join()

    def test_tabs_without_end(self, chat: Chat) -> None:
        ann = chat.person("Ann")
        for _ in range(19):
            chat.person("Ann", me=ann.me)
        one_more = chat.stranger("Ann", me=ann.me)
        assert one_more.refused("join", **one_more.joining()) == "full"

    def test_all_of_them_fit_into_an_answer(self, chat: Chat) -> None:
        """Names as long as can be fill a room before its 500 people do; the owner comes in all the same."""
        invitation = chat.room(people=500)
        ann = chat.person("Ann", invitation)
        ann.say("x" * 4_000)
        for n in range(220):
            sid, person = f"{n:020}", f"{n:016}"
            info = {"id": sid, "person": person, "name": "x" * 400, "owner": False}
            chat.world.rooms.enter("/", [invitation.room], Member(sid, "nobody=", info))
        for _ in range(20):
            newcomer = chat.stranger("Newcomer", invitation)
            answer = newcomer.client.call("join", newcomer.joining(name="x" * 400))
            if not answer["ok"]:
                break
        assert answer["error"]["code"] == "full"
        count = len(chat.app.sio.members(invitation.room))
        assert len(chat.stranger("Olga", invitation, owns=True).join()["members"]) == count + 1
        assert len(ann.join()["members"]) == count + 1


class TestPresence:
    def test_typing(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        socket = socket_of(bob).client
        for sent, typing in (({"typing": True}, True), ({"typing": False}, False), ({"typing": 1}, False), (7, False)):
            socket.emit("typing", sent)
            assert news_of(ann) == [["typing", {"person": bob.id, "typing": typing}]]
        assert news_of(bob) == []
        stranger = chat.stranger("Eve")
        assert stranger.refused("typing", typing=True) == "not_in_room"
        assert news_of(ann) == []

    def test_seen(self, chat: Chat) -> None:
        """Those are told who were named, if they are in the room."""
        ann, bob, cleo = (chat.person(name) for name in ("Ann", "Bob", "Cleo"))
        elsewhere = chat.person("Dora", chat.room())
        bob.ask("seen", seq=3, to=[socket_of(ann).sid, socket_of(elsewhere).sid, "nobody", 7])
        assert news_of(ann) == [["seen", {"person": bob.id, "seq": 3}]]
        for other in (bob, cleo, elsewhere):
            assert news_of(other) == []

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            ({"seq": 0, "to": []}, "bad_seq"),
            ({"seq": True, "to": []}, "bad_seq"),
            ({"seq": 10**15, "to": []}, "bad_seq"),
            ({"seq": 1.5, "to": []}, "bad_seq"),
            ({"to": []}, "bad_seq"),
            ({"seq": 1}, "bad_to"),
            ({"seq": 1, "to": "all"}, "bad_to"),
            ({"seq": 1, "to": ["x"] * 101}, "bad_to"),
        ],
    )
    def test_seen_refused(self, chat: Chat, data: Any, code: str) -> None:
        assert chat.person("Ann").refused("seen", **data) == code

    def test_leaving(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        bob.ask("leave")
        assert news_of(ann) == [["left", {"id": socket_of(bob).sid, "person": bob.id}]]
        bob.ask("leave")
        assert news_of(ann) == []
        assert chat.left_over(ann.room).count("session") == 1

    @pytest.mark.parametrize("how", ["packet", "connection", "silence"])
    def test_going_away(self, chat: Chat, how: str) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        if how == "packet":
            socket_of(bob).client.send("41")
        elif how == "connection":
            socket_of(bob).hang_up()
        else:
            chat.sockets.remove(socket_of(bob))
            chat.pass_time(240)
        assert news_of(ann) == [["left", {"id": socket_of(bob).sid, "person": bob.id}]]
        assert [each.info["person"] for each in chat.app.sio.members(ann.room)] == [ann.id]


class TestComingBack:
    def test_it_is_in_the_room_again(self, recovering: Chat) -> None:
        ann, bob = recovering.person("Ann"), recovering.person("Bob")
        recovering.world.clock += 1_000
        socket_of(bob).hang_up()
        ann.say("where are you?")
        socket_of(bob).come_back()
        assert [event for event, *_ in news_of(ann)] == ["left", "message", "joined"]
        assert bob.heard == [(1, "where are you?")]
        assert bob.say("here")["seq"] == 2
        assert ann.heard == [(2, "here")]

    def test_the_room_has_burned_meanwhile(self, recovering: Chat) -> None:
        ann, bob = recovering.person("Ann"), recovering.person("Bob")
        recovering.world.clock += 1_000
        socket_of(bob).hang_up()
        recovering.app.rooms.burn(ann.room)
        socket_of(bob).come_back()
        assert news_of(bob) == [["burned", {}], ["disconnect"]]
        assert recovering.left_over(ann.room) == []

    def test_it_was_removed_meanwhile(self, recovering: Chat) -> None:
        ann, bob = recovering.person("Ann", owns=True), recovering.person("Bob")
        recovering.world.clock += 1_000
        socket_of(bob).hang_up()
        ann.ask("remove", person=bob.id)
        socket_of(bob).come_back()
        assert news_of(bob)[-2:] == [["removed", {"person": bob.id}], ["disconnect"]]
        assert {each.info["person"] for each in recovering.app.sio.members(ann.room)} == {ann.id}

    def test_the_room_is_locked_meanwhile(self, recovering: Chat) -> None:
        """It was here, and is no newcomer."""
        ann, bob = recovering.person("Ann", owns=True), recovering.person("Bob")
        recovering.world.clock += 1_000
        socket_of(bob).hang_up()
        ann.ask("lock", locked=True)
        socket_of(bob).come_back()
        assert bob.say("still here")["seq"] == 1


class TestRaces:
    """Another process ends a visit between its two looks at the room."""

    @pytest.fixture
    def between(self, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[[], None]], None]:
        """Return a function that has something done as soon as the next one has entered."""

        def do(what: Callable[[], None]) -> None:
            members = chat.app.sio.members

            def then(*args: Any) -> Any:
                monkeypatch.setattr(chat.app.sio, "members", members)
                found = members(*args)
                what()
                return found

            monkeypatch.setattr(chat.app.sio, "members", then)

        return do

    def test_the_room_burns(self, chat: Chat, between: Any) -> None:
        ann, bob = chat.person("Ann"), chat.stranger("Bob")
        between(lambda: chat.elsewhere().burn(ann.room))
        assert bob.refused("join", **bob.joining()) == "no_such_room"
        for each in (ann, bob):
            assert news_of(each) == [["burned", {}], ["disconnect"]]
        assert chat.left_over(ann.room) == []

    def test_the_room_is_locked(self, chat: Chat, between: Any) -> None:
        """By one who looked who was in it just before."""
        ann, bob = chat.person("Ann", owns=True), chat.stranger("Bob")

        def lock() -> None:
            data, until = chat.world.journals.heads["/", ann.room]
            chat.world.journals.heads["/", ann.room] = ({**data, "allowed": [ann.id]}, until)

        between(lock)
        assert bob.refused("join", **bob.joining()) == "locked"
        assert [each.info["person"] for each in chat.app.sio.members(ann.room)] == [ann.id]

    def test_somebody_is_removed(self, chat: Chat, between: Any) -> None:
        ann, bob = chat.person("Ann", owns=True), chat.stranger("Bob")
        between(lambda: chat.elsewhere().remove(ann.room, bob.id))
        assert bob.refused("join", **bob.joining()) == "removed"
        assert [each.info["person"] for each in chat.app.sio.members(ann.room)] == [ann.id]
        assert ann.events("removed") == [{"person": bob.id}]
        assert not ann.knows(bob)
