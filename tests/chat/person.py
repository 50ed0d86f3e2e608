"""Somebody who chats by any Socket.IO client, with the keys of the room's link: what they say is sealed as in the page.

Tests that speak the chat's wire (docs/chat.md) do it through this.
"""

import json
import urllib.request
from collections.abc import Sequence
from typing import Any, Protocol

from chat.seals import Keys, Link, digest, person_of, random_id

JSON = {"content-type": "application/json"}
PATIENCE = 60
"""Seconds: a function may have to start."""


class Client(Protocol):
    """What a person needs of a client."""

    @property
    def heard(self) -> Sequence[Sequence[Any]]:
        """Every event so far: its name and its arguments."""

    def call(self, event: str, data: Any, /) -> Any:
        """Emit, and return the acknowledgement."""


class Invitation:
    """What whoever creates a room knows of it: link, passphrase, owner's key; guests get the first two."""

    def __init__(self, origin: str = "https://chat.example.com", passphrase: str = "") -> None:
        self.link = Link.new(origin)
        self.owner_key = random_id(32)
        self.keys = Keys(self.link.room, self.link.secret, passphrase)
        self._has_passphrase = bool(passphrase)

    @property
    def room(self) -> str:
        return self.link.room

    def body(self, title: str = "", **options: Any) -> dict[str, Any]:
        """Return the body of ``POST /api/rooms``; `options` are others of its fields."""
        return {
            "room": self.room,
            "door": digest(self.keys.door),
            "owner": digest(self.owner_key),
            "title": title and self.keys.seal("title", title),
            "passphrase": self._has_passphrase,
        } | options

    def create(self, **options: Any) -> Any:
        """Create the room, where the link says that it is; returns the answer."""
        return self._ask("POST", "/api/rooms", json.dumps(self.body(**options)).encode())

    def burn(self) -> None:
        """Burn the room, as its owner."""
        self._ask("DELETE", f"/api/rooms/{self.room}", authorization=f"Bearer {self.owner_key}")

    def _ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Any:
        asked = urllib.request.Request(self.link.origin + path, body, JSON | headers, method=method)
        with urllib.request.urlopen(asked, timeout=PATIENCE) as answer:
            text = answer.read()
        return json.loads(text) if text else None


class Person:
    """One person with one client; several with the same `me` are tabs of one browser."""

    def __init__(
        self, client: Client, invitation: Invitation, name: str, *, owns: bool = False, me: str | None = None
    ) -> None:
        self.client = client
        self.invitation = invitation
        self.name = name
        self.room = invitation.room
        self.keys = invitation.keys
        self.owner_key = invitation.owner_key if owns else None
        self.me = me or random_id(16)
        self.id = person_of(self.room, self.me)
        self._stream, self._count = random_id(), 0
        self._last: tuple[int, str] = (0, "")

    # ------------------------------------------------------------------ asking
    def ask(self, event: str, **data: Any) -> Any:
        """Emit, and return what the acknowledgement holds; AssertionError for a refusal."""
        answer = self.client.call(event, data)
        assert answer.pop("ok"), answer
        return answer

    def refused(self, event: str, **data: Any) -> str:
        """Emit, and return the code of the refusal."""
        answer = self.client.call(event, data)
        assert answer["ok"] is False, answer
        assert answer["error"]["message"].endswith("."), "a sentence"
        code: str = answer["error"]["code"]
        return code

    def joining(self, **changes: Any) -> dict[str, Any]:
        """Return the data of ``join``."""
        data = {
            "room": self.room,
            "door": self.keys.door,
            "me": self.me,
            "name": self.keys.seal("name", self.name, self.id),
        }
        return data | ({"owner": self.owner_key} if self.owner_key else {}) | changes

    def join(self, **changes: Any) -> Any:
        return self.ask("join", **self.joining(**changes))

    def say(self, text: str, key: str | None = None, **more: Any) -> Any:
        """Say something; returns ``{id, seq, at}``."""
        key = key or random_id()
        answer = self.ask("message", id=key, body=self.message(text, key, **more))
        self._last = (answer["seq"], key)
        return {"id": key, **answer}

    def edit(self, key: str, text: str, rev: int) -> Any:
        return self.ask("edit", id=key, body=self.message(text, key, edited=True), rev=rev)

    def react(self, key: str, *emoji: str, n: int = 1) -> Any:
        return self.ask("react", id=key, body=self.keys.seal("reaction", {"n": n, "emoji": emoji}, self.id, key))

    def message(self, text: str, key: str, **more: Any) -> str:
        """Return a sealed message."""
        self._count += 1
        value = {"text": text, "name": self.name, "stream": self._stream, "n": self._count, "after": list(self._last)}
        return self.keys.seal("message", value | more, self.id, key)

    # ------------------------------------------------------------------ hearing
    def read(self, entry: dict[str, Any]) -> str:
        """Return the text of an entry."""
        text: str = self.keys.open("message", entry["body"], entry["from"], entry["id"])["text"]
        return text

    def name_of(self, member: dict[str, Any]) -> str:
        """Return the name of a member."""
        name: str = self.keys.open("name", member["name"], member["person"])
        return name

    def names(self, members: Sequence[dict[str, Any]]) -> set[str]:
        return {self.name_of(member) for member in members}

    def events(self, name: str) -> list[Any]:
        """Return the data of all events of a name so far."""
        return [event[1] for event in list(self.client.heard) if event[0] == name]

    @property
    def heard(self) -> list[tuple[int, str]]:
        """Number and text of every message so far."""
        return [(entry["seq"], self.read(entry)) for entry in self.events("message")]

    def knows(self, other: "Person") -> bool:
        """Tell whether it has heard of another's coming."""
        return other.id in {member["person"] for member in self.events("joined")}

    def misses(self, other: "Person") -> bool:
        """Tell whether it has heard of another's leaving."""
        return other.id in {left["person"] for left in self.events("left")}
