"""The messages that a client knows of a room: opened, put in order, and checked."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from chat.seals import Keys, SealError, random_id

KEPT = 1_000
"""Messages that are remembered."""


@dataclass(slots=True)
class Message:
    """One message as it stands; `at` in Unix milliseconds, `seq` its number in the room.

    ``misplaced``: the server has put it where its author did not (docs/chat.md, "Order"); ``unreadable``: it was
    sealed by somebody without the room's key, or for another place.
    """

    seq: int
    id: str
    at: int
    person: str
    rev: int = 0
    name: str = ""
    text: str = ""
    reply: str = ""
    file: dict[str, Any] | None = None
    edited: bool = False
    deleted: bool = False
    unreadable: bool = False
    misplaced: bool = False
    stream: str = ""
    n: int = 0
    after: tuple[int, str] = (0, "")
    reactions: dict[str, tuple[int, list[str]]] = field(default_factory=dict)  # person -> counter and emojis


class Messages:
    """Those of one room, by number; and what seals one's own."""

    def __init__(self, keys: Keys, person: str) -> None:
        self._keys = keys
        self._person = person
        self._known: dict[int, Message] = {}
        self._stream, self._n = random_id(6), 0
        self._highest: dict[str, dict[int, int]] = {}  # stream -> n -> seq

    def __iter__(self) -> Iterator[Message]:
        return iter(self._known[seq] for seq in sorted(self._known))

    def get(self, seq: int) -> Message | None:
        return self._known.get(seq)

    def by_id(self, id: str) -> Message | None:
        return next((message for message in self._known.values() if message.id == id), None)

    # ------------------------------------------------------------------ one's own
    def seal(self, id: str, name: str, text: str, **more: Any) -> str:
        """Seal a new message, naming the last one that is known."""
        self._n += 1
        last = max(self._known, default=0)
        after = [last, self._known[last].id if last else ""]
        body = {"text": text, "name": name, "stream": self._stream, "n": self._n, "after": after, **more}
        return self._keys.seal("message", body, self._person, id)

    def reseal(self, message: Message, text: str) -> str:
        """Seal an own message with another text; its place stays."""
        body: dict[str, Any] = {
            "text": text,
            "name": message.name,
            "stream": message.stream,
            "n": message.n,
            "after": list(message.after),
            "edited": True,
        }
        body |= {name: value for name in ("reply", "file") if (value := getattr(message, name))}
        return self._keys.seal("message", body, self._person, message.id)

    def seal_reactions(self, message: Message, emojis: list[str]) -> str:
        """Seal one's reactions to a message: these, and no others."""
        n, _ = message.reactions.get(self._person, (0, []))
        return self._keys.seal("reaction", {"n": n + 1, "emoji": emojis}, self._person, message.id)

    # ------------------------------------------------------------------ what comes
    def take(self, entry: dict[str, Any]) -> Message | None:
        """Take an entry; returns its message if it is new, None if it is known (its later revision is taken over)."""
        if (known := self._known.get(entry["seq"])) is not None and known.id == entry["id"]:
            self.change(entry)
            self._react_all(known, entry)
            return None
        message = Message(entry["seq"], entry["id"], entry["at"], entry["from"], entry.get("rev", 0))
        self._open(message, entry["body"])
        message.misplaced = known is not None or (not message.deleted and not self._fits(message))
        self._react_all(message, entry)
        if known is None:
            self._known[message.seq] = message
            self._highest.setdefault(message.stream, {})[message.n] = message.seq
            while len(self._known) > KEPT:
                del self._known[min(self._known)]
        return message

    def change(self, change: dict[str, Any]) -> Message | None:
        """Take another revision of a message; returns it if that is news."""
        message = self._known.get(change["seq"])
        if message is None or message.id != change["id"] or change.get("rev", 0) <= message.rev:
            return None
        message.rev = change["rev"]
        self._open(message, change["body"])
        return message

    def react(self, id: str, person: str, sealed: str) -> Message | None:
        """Take somebody's reactions to a message; returns it if they are news."""
        message = self.by_id(id)
        return message if message and self._react(message, person, sealed) else None

    def _react_all(self, message: Message, entry: dict[str, Any]) -> None:
        for person, sealed in (entry.get("reactions") or {}).items():
            self._react(message, person, sealed)

    def _react(self, message: Message, person: str, sealed: str) -> bool:
        try:
            value = self._keys.open("reaction", sealed, person, message.id)
            n, emojis = int(value["n"]), [str(emoji)[:16] for emoji in value["emoji"]][:8]
        except (SealError, KeyError, TypeError, ValueError):
            return False
        if n <= message.reactions.get(person, (0, []))[0]:
            return False
        message.reactions[person] = (n, emojis)
        return True

    def _open(self, message: Message, sealed: str | None) -> None:
        if sealed is None:
            message.deleted, message.text, message.file, message.reply = True, "", None, ""
            return
        try:
            value = self._keys.open("message", sealed, message.person, message.id)
            message.text, message.name = str(value["text"]), str(value["name"])
            message.stream, message.n = str(value["stream"]), int(value["n"])
            seq, id = value["after"]
            message.after = (int(seq), str(id))
            message.reply, message.file = str(value.get("reply") or ""), value.get("file")
            message.edited = bool(value.get("edited"))
        except (SealError, AttributeError, KeyError, TypeError, ValueError):
            message.unreadable = True

    def _fits(self, message: Message) -> bool:
        """Tell whether a message stands where its author put it, as far as can be known."""
        if message.unreadable:
            return True
        seq, id = message.after
        before = self._known.get(seq)
        if seq >= message.seq or (before is not None and before.id != id):
            return False
        others = self._highest.get(message.stream, {})
        return all((n < message.n) == (at < message.seq) for n, at in others.items())
