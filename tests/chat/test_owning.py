"""What the owner may: lock the room, remove somebody; and that nobody else may."""

from typing import Any

import pytest

from tests.chat.conftest import Chat, news_of
from tests.chat.person import Person


@pytest.fixture
def olga(chat: Chat) -> Person:
    """The owner, in her room."""
    return chat.person("Olga", owns=True)


class TestLock:
    def test_nobody_new_comes_in(self, chat: Chat, olga: Person) -> None:
        ann = chat.person("Ann")
        assert olga.ask("lock", locked=True) == {}
        assert news_of(ann) == news_of(olga) == [["room", {"locked": True}]]
        bob = chat.stranger("Bob")
        assert bob.refused("join", **bob.joining()) == "locked"
        assert not ann.knows(bob)
        assert ann.join()["room"]["locked"] is True
        olga.ask("lock", locked=False)
        assert bob.join()["room"]["locked"] is False
        assert ann.events("room") == [{"locked": False}]

    def test_who_was_there_may_come_back(self, chat: Chat, olga: Person) -> None:
        ann = chat.person("Ann")
        olga.ask("lock", locked=True)
        ann.ask("leave")
        ann.join()
        chat.person("Ann", me=ann.me)
        olga.ask("leave")
        olga.join()

    def test_the_owner_comes_in_from_another_browser(self, chat: Chat, olga: Person) -> None:
        olga.ask("lock", locked=True)
        chat.person("Olga", owns=True)

    def test_again_lets_in_no_more(self, chat: Chat, olga: Person) -> None:
        """Who slipped in while it was being locked is not invited by a second click."""
        olga.ask("lock", locked=True)
        other = chat.person("Olga", owns=True)
        other.ask("lock", locked=True)
        data, _ = chat.world.journals.heads["/", olga.room]
        assert data["allowed"] == [olga.id]

    def test_two_clicks_at_once(self, chat: Chat, olga: Person, monkeypatch: pytest.MonkeyPatch) -> None:
        """One locks while the other removes: both hold."""
        ann, tab = chat.person("Ann"), chat.person("Olga", owns=True, me=olga.me)
        change = chat.world.journals.change

        def late(*args: Any) -> Any:
            monkeypatch.setattr(chat.world.journals, "change", change)
            tab.ask("remove", person=ann.id)
            return change(*args)

        monkeypatch.setattr(chat.world.journals, "change", late)
        olga.ask("lock", locked=True)
        data, _ = chat.world.journals.heads["/", olga.room]
        assert data["removed"] == [ann.id]
        assert olga.id in data["allowed"]

    @pytest.mark.parametrize("locked", [None, 1, "true", []])
    def test_refusals(self, chat: Chat, olga: Person, locked: Any) -> None:
        assert olga.refused("lock", locked=locked) == "bad_locked"
        ann = chat.person("Ann")
        assert ann.refused("lock", locked=True) == "not_owner"
        assert chat.stranger("Eve", owns=True).refused("lock", locked=True) == "not_in_room"
        assert news_of(ann) == []


class TestRemove:
    def test_all_of_their_sockets_go(self, chat: Chat, olga: Person) -> None:
        ann = chat.person("Ann")
        tab, bob = chat.person("Ann", me=ann.me), chat.person("Bob")
        assert olga.ask("remove", person=ann.id) == {}
        gone = ["removed", {"person": ann.id}]
        for each in (ann, tab):
            assert news_of(each) == [gone, ["disconnect"]]
        assert news_of(bob) == [gone], "and nothing of their leaving, which it says"
        assert {each.info["person"] for each in chat.app.sio.members(olga.room)} == {olga.id, bob.id}

    def test_they_may_not_join_again(self, chat: Chat, olga: Person) -> None:
        ann = chat.person("Ann")
        olga.ask("remove", person=ann.id)
        again = chat.stranger("Ann", me=ann.me)
        assert again.refused("join", **again.joining()) == "removed"
        assert not olga.knows(again)

    def test_who_is_away(self, chat: Chat, olga: Person) -> None:
        ann = chat.person("Ann")
        ann.ask("leave")
        olga.ask("remove", person=ann.id)
        assert ann.refused("join", **ann.joining()) == "removed"

    def test_the_last_ones_are_remembered(self, chat: Chat, olga: Person) -> None:
        for n in range(501):
            olga.ask("remove", person=f"{n:016}")
        data, _ = chat.world.journals.heads["/", olga.room]
        assert data["removed"] == [f"{n:016}" for n in range(1, 501)]

    @pytest.mark.parametrize("person", [None, "", 7, "x" * 17, "\ud800" * 16])
    def test_refusals(self, chat: Chat, olga: Person, person: Any) -> None:
        assert olga.refused("remove", person=person) == "bad_person"
        assert olga.refused("remove", person=olga.id) == "bad_person"
        ann = chat.person("Ann")
        assert ann.refused("remove", person=olga.id) == "not_owner"
        assert olga.events("removed") == []
        assert chat.stranger("Eve", owns=True).refused("remove", person=ann.id) == "not_in_room"
