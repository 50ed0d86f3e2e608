"""How often: rates of a person, counts of an address, and what is said to those who hit them."""

import json
from typing import Any

import pytest

from chat.seals import random_id
from tests.chat.conftest import Chat
from tests.chat.person import Person

SEAL = "x" * 38

ADDRESS = {"REMOTE_ADDR": "192.0.2.1"}


def act(person: Person, event: str) -> Any:
    """Do something once more; returns the answer."""
    data: dict[str, dict[str, Any]] = {
        "message": {"id": random_id(), "body": SEAL},
        "edit": {"id": "m", "body": SEAL, "rev": 1},
        "delete": {"id": "m", "rev": 1},
        "react": {"id": "m", "body": SEAL},
        "upload": {"file": "f" * 16, "index": 0, "count": 1, "data": SEAL},
    }
    return person.client.call(event, data[event])


@pytest.mark.parametrize(
    ("event", "burst"), [("message", 20), ("edit", 20), ("delete", 20), ("react", 20), ("upload", 600)]
)
class TestRates:
    def test_so_many_at_once_then_one_a_second(self, chat: Chat, event: str, burst: int) -> None:
        ann = chat.person("Ann")
        if event != "message":
            ann.say("hi", "m")
        for _ in range(burst):
            assert act(ann, event)["ok"]
        error = act(ann, event)["error"]
        assert (error["code"], error["retry_after"]) == ("too_many", 1)
        assert error["message"].endswith("at once. Try again in 1 second.")
        for _ in range(3):
            chat.world.clock += 1_000
            assert act(ann, event)["ok"]
            assert act(ann, event)["error"]["code"] == "too_many"

    def test_it_is_all_there_again_after_a_while(self, chat: Chat, event: str, burst: int) -> None:
        """And no more than that, however long the while."""
        ann = chat.person("Ann", chat.room(ttl=86_400))
        if event != "message":
            ann.say("hi", "m")
        for pause in (10_000, burst):
            chat.world.clock += pause * 1000
            assert all(act(ann, event)["ok"] for _ in range(burst))
            assert not act(ann, event)["ok"]


class TestPersons:
    def test_each_has_their_own(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        while act(ann, "message")["ok"]:
            pass
        assert act(bob, "message")["ok"]

    def test_joining_again_gives_no_more(self, chat: Chat) -> None:
        ann = chat.person("Ann")
        while act(ann, "message")["ok"]:
            pass
        ann.join()
        assert not act(ann, "message")["ok"]
        ann.ask("leave")
        ann.join()
        assert not act(ann, "message")["ok"]

    def test_talking_and_changing_are_apart(self, chat: Chat) -> None:
        ann = chat.person("Ann")
        ann.say("hi", "m")
        while act(ann, "message")["ok"]:
            pass
        assert act(ann, "react")["ok"]

    def test_what_is_refused_costs_nothing(self, chat: Chat) -> None:
        ann = chat.person("Ann")
        for _ in range(50):
            assert ann.refused("message", id="", body=SEAL) == "bad_id"
        assert act(ann, "message")["ok"]


class TestJoins:
    @pytest.mark.parametrize(("passphrase", "limit"), [("", 120), ("open sesame", 20)])
    def test_so_many_a_minute(self, chat: Chat, passphrase: str, limit: int) -> None:
        """Right or wrong: who guesses a passphrase gets no further."""
        invitation = chat.room(passphrase)
        ann = chat.stranger("Ann", invitation)
        for n in range(limit):
            assert ann.client.call("join", ann.joining(door="guess" if n % 2 else ann.keys.door))["ok"] is (n % 2 == 0)
        answer = ann.client.call("join", ann.joining())
        wait = answer["error"]["retry_after"]
        assert answer["error"] == {
            "code": "too_many",
            "message": f"Too many people came to this room from your network just now. Try again in {wait} seconds.",
            "retry_after": wait,
        }
        assert 0 < wait <= 60
        other = chat.stranger("Ann")
        other.join()  # another room
        chat.world.clock += wait * 1000
        ann.join()

    def test_by_address(self, chat: Chat) -> None:
        limits, sio = chat.app.limits, chat.app.sio
        for _ in range(20):
            limits.count_join(sio, ADDRESS, "room", has_passphrase=True)
        with pytest.raises(chat.app.Refused):
            limits.count_join(sio, ADDRESS, "room", has_passphrase=True)
        limits.count_join(sio, {"REMOTE_ADDR": "192.0.2.2"}, "room", has_passphrase=True)

    def test_no_address_is_kept(self, chat: Chat) -> None:
        chat.app.limits.count_join(chat.app.sio, ADDRESS, "a-room", has_passphrase=True)
        chat.app.limits.count_room(chat.app.sio, ADDRESS)
        kept = json.dumps(list(map(str, chat.world.limits.used)))
        assert len(chat.world.limits.used) == 2
        assert "192.0" not in kept
        assert "a-room" not in kept


class TestRooms:
    def test_so_many_an_hour(self, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ROOMS_PER_HOUR", "3")
        for _ in range(3):
            chat.app.limits.count_room(chat.app.sio, ADDRESS)
        with pytest.raises(chat.app.Refused) as refused:
            chat.app.limits.count_room(chat.app.sio, ADDRESS)
        assert 0 < refused.value.more["retry_after"] <= 3600
        assert refused.value.message.endswith(" minutes.")
        chat.app.limits.count_room(chat.app.sio, {"REMOTE_ADDR": "192.0.2.2"})
        chat.world.clock += 3_600_000
        chat.app.limits.count_room(chat.app.sio, ADDRESS)

    def test_no_limit(self, chat: Chat, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ROOMS_PER_HOUR", "0")
        for _ in range(100):
            chat.app.limits.count_room(chat.app.sio, ADDRESS)
        assert not chat.world.limits.used


@pytest.mark.parametrize(
    ("public", "peer", "forwarded", "expected"),
    [
        ("", "192.0.2.1", "", "192.0.2.1"),
        ("", "192.0.2.1", "198.51.100.1, 203.0.113.1", "192.0.2.1"),  # anybody can say so
        ("https://x", "192.0.2.1", "", "192.0.2.1"),
        ("https://x", "192.0.2.1", "203.0.113.1", "192.0.2.1"),
        ("https://x", "192.0.2.1", "198.51.100.1, 203.0.113.1", "198.51.100.1"),
        ("https://x", "192.0.2.1", "8.8.8.8, 198.51.100.1 , 203.0.113.1", "198.51.100.1"),
        ("", "2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::/64"),
        ("", "2001:db8:1:2::7", "", "2001:db8:1:2::/64"),
        ("", "::ffff:192.0.2.1", "", "192.0.2.1"),
        ("https://x", "192.0.2.1", "nonsense, 203.0.113.1", "nonsense"),
        ("", "", "", ""),
    ],
)
def test_whose_address_it_is(
    chat: Chat, monkeypatch: pytest.MonkeyPatch, public: str, peer: str, forwarded: str, expected: str
) -> None:
    monkeypatch.setenv("PUBLIC_URL", public)
    environ = {"REMOTE_ADDR": peer} | ({"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {})
    assert chat.app.limits.address_of(environ) == expected
