"""The chat's interface, event by event, on in-memory ports."""

import importlib
import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.server.rig import Client, Rig

OK = {"ok": True}


class Chat:
    """The application in a world of its own, and people in it."""

    def __init__(self) -> None:
        for name in ("chat.app", "chat.rooms"):
            sys.modules.pop(name, None)
        self.app = importlib.import_module("chat.app")
        self.rig = Rig(self.app.sio)
        self.now = self.rig.world.clock // 1000
        self.room, self.owner_key = self.app.rooms.create("Tea", 600, self.now)

    def ask(self, client: Client, event: str, *args: Any) -> tuple[Any, list[Any]]:
        """Return the answer, and the events that the client got before it."""
        client.take()
        client.emit(event, *args, id=1)
        *events, ack = client.take()
        assert ack.startswith("431")
        return json.loads(ack[3:])[0], [json.loads(frame[2:]) for frame in events]

    def person(self, name: str, room: str | None = None) -> Client:
        client = self.rig.client("/")
        answer, _ = self.ask(client, "join", {"room": room or self.room.id, "name": name})
        assert answer["ok"], answer
        return client

    def heard(self, client: Client) -> list[Any]:
        return [json.loads(frame[2:]) for frame in client.take()]


@pytest.fixture
def chat() -> Iterator[Chat]:
    chat = Chat()
    yield chat
    for name in ("chat.app", "chat.rooms"):
        sys.modules.pop(name, None)


class TestJoin:
    def test_first_and_second(self, chat: Chat) -> None:
        ann = chat.rig.client("/")
        answer, events = chat.ask(ann, "join", {"room": chat.room.id, "name": " Ann "})
        assert events == []
        you = {"id": ann.sid, "name": "Ann"}
        room = {"id": chat.room.id, "title": "Tea", "expires_at": chat.room.expires_at}
        assert answer == {**OK, "you": you, "members": [you], "history": [], "room": room}
        bob = chat.rig.client("/")
        answer, _ = chat.ask(bob, "join", {"room": chat.room.id, "name": "Bob"})
        assert answer["members"] == [you, {"id": bob.sid, "name": "Bob"}]
        assert chat.heard(ann) == [["joined", {"id": bob.sid, "name": "Bob"}]]

    def test_again_tells_nobody_and_gives_the_state_anew(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        chat.ask(bob, "message", {"id": "1", "text": "hi"})
        chat.heard(ann)
        answer, _ = chat.ask(bob, "join", {"room": chat.room.id, "name": "Bob"})
        assert len(answer["members"]) == 2
        assert [message["text"] for message in answer["history"]] == ["hi"]
        assert chat.heard(ann) == []

    def test_under_another_name(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        chat.heard(ann)
        answer, _ = chat.ask(bob, "join", {"room": chat.room.id, "name": "Rob"})
        assert {member["name"] for member in answer["members"]} == {"Ann", "Rob"}
        assert chat.heard(ann) == [["joined", {"id": bob.sid, "name": "Rob"}]]

    def test_another_room_leaves_the_first(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        other, _ = chat.app.rooms.create("", 600, chat.now)
        chat.heard(ann)
        chat.ask(bob, "join", {"room": other.id, "name": "Bob"})
        assert chat.heard(ann) == [["left", {"id": bob.sid, "name": "Bob"}]]
        chat.ask(bob, "message", {"id": "1", "text": "hi"})
        assert chat.heard(ann) == []

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            ({"name": "Ann"}, "no_such_room"),
            ({"room": "nowhere", "name": "Ann"}, "no_such_room"),
            ({"room": "x" * 65, "name": "Ann"}, "no_such_room"),
            ({"room": 7, "name": "Ann"}, "no_such_room"),
            ({"name": ""}, "bad_name"),
            ({"name": "   "}, "bad_name"),
            ({"name": "x" * 41}, "bad_name"),
            ({"name": ["Ann"]}, "bad_name"),
            ({"name": "\ud800"}, "bad_name"),
            (None, "bad_name"),
            ("text", "bad_name"),
            ([1], "bad_name"),
        ],
    )
    def test_refusals(self, chat: Chat, data: Any, code: str) -> None:
        client = chat.rig.client("/")
        if isinstance(data, dict) and code == "bad_name":
            data["room"] = chat.room.id
        answer, _ = chat.ask(client, "join", data)
        assert answer["ok"] is False
        assert answer["error"]["code"] == code
        assert answer["error"]["message"].endswith(".")
        assert not chat.app.sio.members(chat.room.id)

    def test_no_arguments_at_all(self, chat: Chat) -> None:
        answer, _ = chat.ask(chat.rig.client("/"), "join")
        assert answer["error"]["code"] == "bad_name"

    def test_expired(self, chat: Chat) -> None:
        client = chat.rig.client("/")
        chat.rig.world.clock += 600_000
        answer, _ = chat.ask(client, "join", {"room": chat.room.id, "name": "Ann"})
        assert answer["error"]["code"] == "expired"

    def test_a_socket_id_is_no_room(self, chat: Chat) -> None:
        ann, eve = chat.person("Ann"), chat.rig.client("/")
        answer, _ = chat.ask(eve, "join", {"room": ann.sid, "name": "Eve"})
        assert answer["error"]["code"] == "no_such_room"


class TestMessage:
    def test_everybody_gets_it_once_numbered(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        chat.heard(ann)
        for n in (1, 2, 3):
            answer, events = chat.ask(ann, "message", {"id": f"m{n}", "text": f"text {n}"})
            at = chat.rig.world.clock
            assert answer == {**OK, "seq": n, "at": at}
            expected = {"seq": n, "id": f"m{n}", "from": {"id": ann.sid, "name": "Ann"}, "text": f"text {n}", "at": at}
            assert events == [["message", expected]]
            assert chat.heard(bob) == [["message", expected]]

    def test_the_same_id_again(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        first, _ = chat.ask(ann, "message", {"id": "m", "text": "once"})
        chat.rig.world.clock += 5_000
        chat.heard(bob)
        again, events = chat.ask(ann, "message", {"id": "m", "text": "twice"})
        assert again == first
        assert events == []
        assert chat.heard(bob) == []

    def test_history_for_those_who_come_later(self, chat: Chat) -> None:
        ann = chat.person("Ann")
        for n in range(105):
            chat.ask(ann, "message", {"id": f"m{n}", "text": str(n)})
        bob = chat.rig.client("/")
        answer, _ = chat.ask(bob, "join", {"room": chat.room.id, "name": "Bob"})
        assert [message["seq"] for message in answer["history"]] == list(range(6, 106))
        assert answer["history"][-1]["text"] == "104"

    def test_long_messages_lock_nobody_out(self, chat: Chat) -> None:
        """An answer is one message of at most 128 KB; the history is as much of it as fits."""
        ann = chat.person("Ann")
        for n in range(40):
            assert chat.ask(ann, "message", {"id": f"m{n}", "text": "😀" * 4_000})[0]["ok"]
        bob = chat.rig.client("/")
        answer, _ = chat.ask(bob, "join", {"room": chat.room.id, "name": "Bob"})
        assert answer["ok"]
        assert answer["history"][-1]["seq"] == 40
        assert 1 <= len(answer["history"]) < 40

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            ({"id": "1", "text": ""}, "bad_text"),
            ({"id": "1", "text": " \n"}, "bad_text"),
            ({"id": "1", "text": "x" * 4_001}, "bad_text"),
            ({"id": "1"}, "bad_text"),
            ({"id": "1", "text": "half \ud83d"}, "bad_text"),
            ({"text": "hi"}, "bad_id"),
            ({"id": "", "text": "hi"}, "bad_id"),
            ({"id": 1, "text": "hi"}, "bad_id"),
            ({"id": "x" * 65, "text": "hi"}, "bad_id"),
        ],
    )
    def test_refusals(self, chat: Chat, data: Any, code: str) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        answer, _ = chat.ask(ann, "message", data)
        assert (answer["ok"], answer["error"]["code"]) == (False, code)
        assert chat.heard(bob) == []

    def test_the_longest(self, chat: Chat) -> None:
        ann = chat.person("x" * 40)
        assert chat.ask(ann, "message", {"id": "😀" * 64, "text": "€" * 4_000})[0]["ok"]

    def test_not_in_a_room(self, chat: Chat) -> None:
        answer, _ = chat.ask(chat.rig.client("/"), "message", {"id": "1", "text": "hi"})
        assert answer["error"]["code"] == "not_in_room"

    def test_when_the_time_is_up(self, chat: Chat) -> None:
        ann = chat.person("Ann")
        chat.rig.world.clock += 600_000
        answer, _ = chat.ask(ann, "message", {"id": "1", "text": "hi"})
        assert answer["error"]["code"] == "expired"


class TestPresence:
    def test_typing(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        chat.heard(ann)
        for sent, typing in (({"typing": True}, True), ({"typing": False}, False), ({}, False), (None, False)):
            bob.emit("typing", sent)
            assert chat.heard(ann) == [["typing", {"id": bob.sid, "typing": typing}]]
        assert chat.heard(bob) == []
        chat.rig.client("/").emit("typing", {"typing": True})
        assert chat.heard(ann) == []

    def test_leaving(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        chat.heard(ann)
        assert chat.ask(bob, "leave")[0] == OK
        assert chat.heard(ann) == [["left", {"id": bob.sid, "name": "Bob"}]]
        assert chat.ask(bob, "leave")[0] == OK
        assert chat.heard(ann) == []

    @pytest.mark.parametrize("how", ["packet", "connection", "silence"])
    def test_going_away(self, chat: Chat, how: str) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        chat.heard(ann)
        if how == "packet":
            bob.send("41")
        elif how == "connection":
            chat.rig.engine.closed(bob.id, "transport close", chat.rig.world.deadline)
        else:
            for _ in range(4):
                chat.rig.world.clock += 60_000
                ann.send("3")
                chat.rig.engine.beat(chat.rig.world.deadline)
        assert [event for event in chat.heard(ann) if event] == [["left", {"id": bob.sid, "name": "Bob"}]]
        assert [member.info["name"] for member in chat.app.sio.members(chat.room.id)] == ["Ann"]


class TestBurning:
    def test_everybody_hears_it_and_nothing_stays(self, chat: Chat) -> None:
        ann, bob = chat.person("Ann"), chat.person("Bob")
        chat.ask(ann, "message", {"id": "1", "text": "secret"})
        chat.heard(ann), bob.take()
        chat.app.rooms.burn(chat.room.id, chat.owner_key)
        for client in (ann, bob):
            assert client.take() == ['42["burned",{}]', "41"]
        world = chat.rig.world
        assert not world.rooms.items
        assert not world.journals.heads
        assert not world.journals.logs
        for record in world.connections.records.values():
            assert not record.connection.sockets
            assert not record.connection.rooms

    def test_only_the_owner(self, chat: Chat) -> None:
        with pytest.raises(chat.app.Refused) as refused:
            chat.app.rooms.burn(chat.room.id, "wrong")
        assert refused.value.code == "not_owner"
        assert chat.app.rooms.find(chat.room.id)

    def test_another_room_is_left_alone(self, chat: Chat) -> None:
        other, _ = chat.app.rooms.create("", 600, chat.now)
        chat.person("Ann")
        bob = chat.person("Bob", other.id)
        chat.app.rooms.burn(chat.room.id, chat.owner_key)
        assert bob.take() == []
        assert chat.ask(bob, "message", {"id": "1", "text": "still here"})[0]["ok"]
