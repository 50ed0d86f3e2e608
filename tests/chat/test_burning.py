"""The end of a room: by its owner, by its time, by the last one who leaves; and that nothing stays."""

import json

import pytest

from server.ports import Unavailable
from tests.chat.conftest import Chat, news_of, socket_of
from tests.chat.person import Invitation, Person

BURNED = [["burned", {}], ["disconnect"]]

BOTH = pytest.mark.parametrize("chat", [0, 120], ids=["without recovery", "with it"], indirect=True)


def lived_in(chat: Chat, invitation: Invitation | None = None) -> tuple[Person, Person]:
    """Return two people in a room that holds all that a room can."""
    ann, bob = chat.person("Ann", invitation, owns=True), chat.person("Bob", invitation)
    ann.say("secret", "m")
    bob.react("m", "👍")
    ann.ask("upload", file="f" * 16, index=0, count=1, data="x" * 38)
    ann.ask("lock", locked=True)
    ann.ask("remove", person="x" * 16)
    news_of(ann), news_of(bob)
    return ann, bob


class TestBurning:
    @BOTH
    def test_everybody_hears_it_and_nothing_stays(self, chat: Chat) -> None:
        ann, bob = lived_in(chat)
        kept = {"members", "heads", "entries", "values", "session"}
        assert set(chat.left_over(ann.room)) == kept | ({"packets", "published"} if chat.app.sio.recovery else set())
        chat.app.rooms.burn(ann.room)
        assert news_of(ann) == news_of(bob) == BURNED
        assert chat.left_over(ann.room) == []
        for _, job in chat.world.agenda.items.values():
            assert json.loads(job)["args"] == [ann.room], "what has its time knows the room's id, and no more"

    def test_nobody_comes_in_any_more(self, chat: Chat) -> None:
        ann, _ = lived_in(chat)
        chat.app.rooms.burn(ann.room)
        late = chat.stranger("Late")
        assert late.refused("join", **late.joining()) == "no_such_room"

    def test_another_room_is_left_alone(self, chat: Chat) -> None:
        ann, _ = lived_in(chat)
        dora = chat.person("Dora", chat.room())
        chat.app.rooms.burn(ann.room)
        assert news_of(dora) == []
        assert dora.say("still here")["seq"] == 1

    def test_twice(self, chat: Chat) -> None:
        ann, bob = lived_in(chat)
        chat.app.rooms.burn(ann.room)
        chat.app.rooms.burn(ann.room)
        assert news_of(bob) == BURNED
        chat.pass_time(3600)
        assert chat.left_over(ann.room) == []

    def test_what_was_in_flight_goes_a_minute_later(self, chat: Chat) -> None:
        """A slow function writes what it had begun before the room burned."""
        ann, bob = lived_in(chat)
        journals = chat.world.journals
        chat.app.rooms.burn(ann.room)
        journals.store("/", ann.room, "f/1", "late", chat.now + 600)
        chat.app.sio.enter_room(socket_of(chat.stranger("Slow")).sid, ann.room, info={"person": "x"})
        assert set(chat.left_over(ann.room)) == {"values", "members"}
        chat.pass_time(120)
        assert chat.left_over(ann.room) == []
        assert news_of(bob) == BURNED

    def test_the_function_dies_half_way(self, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nobody comes in from the first moment, and the rest is done a minute later."""
        ann, bob = lived_in(chat)
        with monkeypatch.context() as patch:
            patch.setattr(chat.app.rooms, "_put_out", lambda room: None)
            chat.app.rooms.burn(ann.room)
        late = chat.stranger("Late")
        assert late.refused("join", **late.joining()) == "no_such_room"
        chat.pass_time(120)
        assert news_of(ann) == news_of(bob) == BURNED
        assert chat.left_over(ann.room) == []

    def test_a_large_room_takes_several_goes(self, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
        ann, bob = lived_in(chat)
        with monkeypatch.context() as patch:

            def delete(namespace: str, room: str, until: int) -> None:
                chat.world.journals.heads.pop((namespace, room))
                raise Unavailable("the time does not suffice")

            patch.setattr(chat.world.journals, "delete", delete)
            with pytest.raises(Unavailable):
                chat.app.rooms.burn(ann.room)
        assert news_of(bob) == BURNED
        assert chat.left_over(ann.room) == ["entries", "values"]
        chat.pass_time(120)
        assert chat.left_over(ann.room) == []

    def test_a_room_that_was_made_again(self, chat: Chat) -> None:
        """By its creator, whose first request came twice: what was to look after the first one leaves it alone."""
        ann, _ = lived_in(chat)
        first = {name: chat.world.journals.heads["/", ann.room][0][name] for name in ("door", "owner", "title")}
        chat.app.rooms.burn(ann.room)
        plan = type(chat.app.rooms.find(chat.room().room).plan)(**first)
        chat.app.rooms.create(ann.room, plan, 7200)
        chat.pass_time(3660)
        assert chat.app.rooms.find(ann.room).plan == plan
        chat.pass_time(3660)
        assert chat.left_over(ann.room) == []


class TestItsTime:
    def test_it_burns(self, chat: Chat) -> None:
        invitation = chat.room(ttl=600)
        ann, bob = lived_in(chat, invitation)
        chat.pass_time(540)
        assert news_of(ann) == []
        chat.pass_time(120)
        assert news_of(ann) == news_of(bob) == BURNED
        assert chat.left_over(ann.room) == []
        late = chat.stranger("Late", invitation)
        assert late.refused("join", **late.joining()) == "no_such_room"

    def test_a_room_that_nobody_entered(self, chat: Chat) -> None:
        invitation = chat.room(ttl=600, burn_when_empty=True)
        chat.pass_time(540)
        assert chat.app.rooms.find(invitation.room)
        chat.pass_time(120)
        assert chat.left_over(invitation.room) == []


class TestWhenEmpty:
    @pytest.fixture
    def people(self, chat: Chat) -> tuple[Person, Person]:
        invitation = chat.room(burn_when_empty=True)
        return chat.person("Ann", invitation), chat.person("Bob", invitation)

    @BOTH
    def test_the_last_one_leaves(self, chat: Chat, people: tuple[Person, Person]) -> None:
        ann, bob = people
        ann.say("secret")
        ann.ask("leave")
        assert bob.say("alone now")["seq"] == 2
        bob.ask("leave")
        assert chat.left_over(ann.room) == []
        assert ann.refused("join", **ann.joining()) == "no_such_room"

    def test_into_another_room(self, chat: Chat, people: tuple[Person, Person]) -> None:
        ann, bob = people
        ann.ask("leave")
        Person(bob.client, chat.invitation, "Bob").join()
        assert chat.left_over(ann.room) == []

    def test_another_tab_is_somebody(self, chat: Chat, people: tuple[Person, Person]) -> None:
        ann, bob = people
        bob.ask("leave")
        tab = chat.person("Ann", ann.invitation, me=ann.me)
        ann.ask("leave")
        assert tab.say("still here")["seq"] == 1

    def test_connections_are_lost(self, chat: Chat, people: tuple[Person, Person]) -> None:
        ann, _ = people
        for each in people:
            socket_of(each).hang_up()
        assert "heads" in chat.left_over(ann.room)
        chat.pass_time(120)
        assert chat.left_over(ann.room) == []

    def test_one_is_back_in_time(self, chat: Chat, people: tuple[Person, Person]) -> None:
        ann, _ = people
        for each in people:
            socket_of(each).hang_up()
        socket_of(ann).come_back()
        ann.join()
        chat.pass_time(180)
        assert ann.say("anybody?")["seq"] == 1

    def test_other_rooms_wait_for_their_time(self, chat: Chat) -> None:
        ann = chat.person("Ann")
        ann.ask("leave")
        ann.join()
        socket_of(ann).hang_up()
        chat.pass_time(180)
        assert chat.app.rooms.find(ann.room)
