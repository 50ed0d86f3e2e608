"""What a chat room is, apart from any transport: created, found, locked, burned; and who may come in.

A room is a journal of the same name: its data are what is kept here, its entries are the messages.
"""

import hmac
from collections.abc import Iterable
from contextlib import suppress
from typing import Any, NamedTuple

from chat.people import Visitor, digest
from chat.refusals import Refused
from server import JournalRecord, Server
from server.exceptions import JournalExpiredError, JournalMissingError

MIN_TTL = 60
MAX_TTL = 7 * 24 * 3600
DEFAULT_TTL = 3600
"""Seconds that a room lives."""

MIN_PEOPLE = 2
MAX_PEOPLE = 500
DEFAULT_PEOPLE = 50
"""Most people in a room at once, each counted once, however many sockets they have."""

MAX_SOCKETS = 20
"""Sockets of one person in a room: their tabs, and lost connections that the heartbeat has yet to find."""

MAX_REMOVED = 500
"""Removed people that a room remembers, the last ones: its record is written with every message."""

AFTERWARDS = 60
"""Seconds after which a room that burned is looked through once more, for what was on its way in meanwhile.

As long waits one that burns when the last one leaves, after a connection was lost: its client may come back.
"""


class Plan(NamedTuple):
    """What somebody who creates a room decides: its digests (of door and owner's key), its seals, its rules."""

    door: str
    owner: str
    title: str = ""
    people: int = DEFAULT_PEOPLE
    passphrase: bool = False
    burn_when_empty: bool = False


class Room(NamedTuple):
    """A room as the server knows it; `expires_at` is in Unix seconds, `allowed` are those who may enter if locked."""

    id: str
    expires_at: int
    plan: Plan
    allowed: frozenset[str] | None
    removed: frozenset[str]

    @property
    def is_locked(self) -> bool:
        return self.allowed is not None

    def check_door(self, door: object) -> None:
        """Refuse who does not show what opens the room."""
        if not _is_key(self.plan.door, door):
            what = "passphrase" if self.plan.passphrase else "link"
            raise Refused("wrong_key", f"The {what} is not right for this room.")

    def is_owner(self, key: object) -> bool:
        """Tell whether this is the owner's key."""
        return _is_key(self.plan.owner, key)

    def admit(self, visitor: Visitor) -> None:
        """Refuse who was removed, or comes when it is locked; the owner can always come in."""
        if visitor.is_owner:
            return
        if visitor.person in self.removed:
            raise Refused("removed", "You were removed from this room.")
        if self.allowed is not None and visitor.person not in self.allowed:
            raise Refused("locked", "This room is locked: nobody new can come in.")

    def seat(self, visitor: Visitor, others: Iterable[dict[str, Any]]) -> None:
        """Refuse who comes when it is full, the other sockets being members of these; the owner always has a seat."""
        if visitor.is_owner:
            return
        persons = [member["person"] for member in others]
        if visitor.person not in persons and len(set(persons)) >= self.plan.people:
            raise Refused("full", f"{self.plan.people} people are in this room, and no more fit in.")
        if persons.count(visitor.person) >= MAX_SOCKETS:
            raise Refused("full", "You have this room open in too many places. Close some of them.")


class Rooms:
    """The chat's rooms, on a server's journals."""

    def __init__(self, sio: Server) -> None:
        self._sio = sio
        # Kept, since each look at a method makes a new one.
        self._end = sio.callback(self.end)
        self._burn_if_empty = sio.callback(self.burn_if_empty)

    def create(self, room_id: str, plan: Plan, ttl: int) -> Room:
        """Make a room that lives `ttl` seconds; the same again, by its owner, is the room that there is.

        Refused with ``taken`` where it is another owner's.
        """
        expires_at = self._sio.ports.now() // 1000 + ttl
        data = {**plan._asdict(), "allowed": None, "removed": [], "burned": False}
        if not self._sio.journal(room_id).create(data, expires_at):
            room = self.find(room_id)
            if not hmac.compare_digest(room.plan.owner, plan.owner):
                raise Refused("taken", "There is a room of this name already.")
            expires_at = room.expires_at
        # Also if it was there: whoever made it may have died before this.
        self._sio.at(expires_at, self._end, room_id)
        return Room(room_id, expires_at, plan, None, frozenset())

    def find(self, room_id: str) -> Room:
        """Return a room. Raises one of `chat.refusals.JOURNAL_ERRORS` if there is none, or no more."""
        record = self._sio.journal(room_id).read()
        if record.data["burned"]:
            raise JournalMissingError(f"{room_id!r} burns")
        return _room(room_id, record)

    def lock(self, room_id: str, is_locked: bool) -> None:
        """Let nobody new in, or again whoever has the link; who is there when it is locked may come back."""
        present = sorted({member.info["person"] for member in self._sio.members(room_id)}) if is_locked else None

        def change(data: dict[str, Any]) -> dict[str, Any]:
            is_same = is_locked and data["allowed"] is not None
            return data if is_same else {**data, "allowed": present}

        self._sio.journal(room_id).change(change)
        self._sio.emit("room", {"locked": is_locked}, room=room_id)

    def remove(self, room_id: str, person: str) -> None:
        """Keep a person out from now on, and disconnect their sockets."""

        def change(data: dict[str, Any]) -> dict[str, Any]:
            removed = [each for each in data["removed"] if each != person]
            return {**data, "removed": [*removed, person][-MAX_REMOVED:]}

        self._sio.journal(room_id).change(change)
        # Whoever enters from here on finds that they must not.
        members = self._sio.members(room_id)
        self._sio.emit("removed", {"person": person}, room=room_id)
        for member in members:
            if member.info["person"] == person:
                self._sio.disconnect(member.sid)

    # ------------------------------------------------------------------ the end
    def burn(self, room_id: str) -> None:
        """End a room now: everybody hears it and is disconnected, and nothing of it stays. Again is the same."""

        def change(data: dict[str, Any]) -> dict[str, Any]:
            return {**data, "burned": True}

        self._sio.at(self._sio.ports.now() / 1000 + AFTERWARDS, self._end, room_id)
        # One that is past its time, or half gone, lets nobody in as it is.
        with suppress(JournalMissingError, JournalExpiredError):
            self._sio.journal(room_id).change(change)
        self._put_out(room_id)

    def burn_later(self, room_id: str) -> None:
        """End a room in a while, if nobody is in it then."""
        self._sio.at(self._sio.ports.now() / 1000 + AFTERWARDS, self._burn_if_empty, room_id)

    def burn_if_empty(self, room_id: str) -> None:
        """End a room that nobody is in."""
        if not self._sio.members(room_id):
            self.burn(room_id)

    def end(self, room_id: str) -> None:
        """End a room if its time is up, or whatever is left of one that burned; one that lives is left alone."""
        try:
            self.find(room_id)
        except JournalExpiredError:
            self.burn(room_id)
        except JournalMissingError:
            self._put_out(room_id)

    def _put_out(self, room_id: str) -> None:
        """Tell those who are in a room that it burned, disconnect them, and delete it; nobody can enter it any more."""
        with self._sio.batch() as turn:
            self._sio.emit("burned", {}, room=room_id)
            turn.send_out()  # however long the rest takes; what is kept of it for who comes back goes with the room
            self._sio.disconnect_sockets(room_id)
            self._sio.journal(room_id).delete()


def _room(room_id: str, record: JournalRecord) -> Room:
    data = record.data
    plan = Plan(**{name: data[name] for name in Plan._fields})
    allowed = data["allowed"]
    return Room(
        room_id,
        record.expires_at,
        plan,
        None if allowed is None else frozenset(allowed),
        frozenset(data["removed"]),
    )


def _is_key(expected: str, key: object) -> bool:
    """Tell whether a text from outside has this digest; in the same time, wherever it differs."""
    return isinstance(key, str) and hmac.compare_digest(expected, digest(key))
