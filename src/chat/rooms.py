"""What a chat room is, apart from any transport: created, looked up, written to, burned.

A room is a journal of the same name: its data are title and owner's key, its entries are the messages.
"""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from server import Entry, Server
from server.exceptions import JournalExpiredError, JournalMissingError

MIN_TTL = 60
MAX_TTL = 7 * 24 * 3600
DEFAULT_TTL = 3600
"""Seconds that a room lives."""

MAX_TITLE = 80
MAX_NAME = 40
MAX_TEXT = 4_000
"""Characters."""

MAX_ID = 64
HISTORY = 100
HISTORY_BYTES = 65_536
"""Most messages, and their size as JSON, that a newcomer gets: an answer is one message of 128 KB at most."""

MAX_PEOPLE = 500
"""Most people in a room at once; all of them are in the answer to a newcomer."""


class Refused(Exception):
    """A request that the chat declines, with a code for programs and a sentence for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message

    def as_json(self) -> dict[str, str]:
        return {"code": self.code, "message": self.message}


@dataclass(frozen=True, slots=True)
class Room:
    """A room as its visitors know it; `expires_at` is in Unix seconds."""

    id: str
    title: str
    expires_at: int


class Rooms:
    """The chat's rooms, on a server's journals."""

    def __init__(self, sio: Server) -> None:
        self._sio = sio

    def create(self, title: str, ttl: int, now: int) -> tuple[Room, str]:
        """Make a room that lives `ttl` seconds from `now` (Unix seconds); returns it and its owner's key."""
        owner_key = secrets.token_urlsafe(24)
        room = Room(secrets.token_urlsafe(12), title, now + ttl)
        data = {"title": title, "owner": _digest(owner_key)}
        self._sio.journal(room.id).create(data, room.expires_at)
        return room, owner_key

    def find(self, room_id: str) -> Room:
        """Return a room; Refused if there is none, or no more."""
        return self._find(room_id)[0]

    def _find(self, room_id: str) -> tuple[Room, dict[str, Any]]:
        with _refusing():
            if not 0 < len(room_id) <= MAX_ID:
                raise JournalMissingError
            record = self._sio.journal(room_id).read()
        return Room(room_id, record.data["title"], record.expires_at), record.data

    def say(self, room_id: str, message_id: str, author: dict[str, str], text: str) -> Entry:
        """Number a message and send it to the room; the same id again is the same message, and is not sent twice."""
        with _refusing():
            entry, _ = self._sio.publish("message", message_id, {"from": author, "text": text}, room_id)
        return entry

    def history(self, room_id: str) -> list[dict[str, Any]]:
        """Return the last messages, oldest first; no more than fit into an answer."""
        messages: list[dict[str, Any]] = []
        room = HISTORY_BYTES
        for entry in reversed(self._sio.journal(room_id).entries(limit=HISTORY)):
            message = entry.as_json()
            room -= len(json.dumps(message))
            if room < 0:
                break
            messages.append(message)
        return messages[::-1]

    def burn(self, room_id: str, owner_key: str) -> None:
        """End a room now: everybody hears it and is disconnected, and nothing of it stays.

        Refused with ``not_owner`` for a wrong key.
        """
        _, data = self._find(room_id)
        if not hmac.compare_digest(data["owner"], _digest(owner_key)):
            raise Refused("not_owner", "Only the one who created the room can burn it.")
        journal = self._sio.journal(room_id)
        # First of all everybody hears it, however long the rest takes.
        self._sio.emit("burned", {}, room=room_id)
        members = self._sio.members(room_id)
        journal.delete()  # from here on nobody joins or writes any more
        with self._sio.batch():
            for member in members:
                self._sio.disconnect(member.sid)
        journal.delete()  # what was on its way in when the room went


@contextmanager
def _refusing() -> Iterator[None]:
    try:
        yield
    except JournalMissingError:
        raise Refused("no_such_room", "There is no such room. It may have burned.") from None
    except JournalExpiredError:
        raise Refused("expired", "This room's time is up.") from None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
