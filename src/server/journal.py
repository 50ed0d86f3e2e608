"""A room's journal: what the application keeps of a room, and a log numbered without gaps.

A process-less application has no memory; this is python-socketio's missing piece for one. A journal belongs to the
room of the same name, and ends with its time.
"""

from typing import Any

from server.exceptions import JournalExpiredError, JournalMissingError
from server.ports import Ports
from server.records import Entry, JournalRecord

MAX_KEY = 256
"""Bytes."""


class Journal:
    """The journal of one room; made by ``Server.journal``."""

    def __init__(self, ports: Ports, namespace: str, room: str) -> None:
        self._ports = ports
        self._where = (namespace, room)

    def create(self, data: Any, expires_at: int) -> bool:
        """Make the journal with the application's data (JSON) and its end (Unix seconds); False if it exists."""
        return self._ports.journals.create(*self._where, data, expires_at)

    def read(self) -> JournalRecord:
        """Return the record; raises JournalMissingError or JournalExpiredError."""
        record = self._ports.journals.read(*self._where)
        if record is None:
            raise JournalMissingError(f"{self._where[1]!r} has no journal")
        if record.expires_at * 1000 <= self._ports.now():
            raise JournalExpiredError(f"the journal of {self._where[1]!r} is past its time")
        return record

    def append(self, key: str, body: Any, *, published: tuple[str, str] | None = None) -> tuple[Entry, bool]:
        """Append an entry (JSON) under the next number; the same key again changes nothing.

        Returns the entry and whether this call made it. Raises JournalMissingError, JournalExpiredError, and
        ValueError for a key that is empty, longer than 256 bytes, or not UTF-8. `published` is for `Emitter.publish`.
        """
        if not 0 < len(key.encode()) <= MAX_KEY:
            raise ValueError(f"a key has 1 to {MAX_KEY} bytes, not {len(key.encode())}")
        return self._ports.journals.append(*self._where, key, body, self._ports.now(), published)

    def entries(self, before: int | None = None, limit: int = 100) -> list[Entry]:
        """Return the last entries, oldest first; with ``before``, those with smaller numbers."""
        return self._ports.journals.entries(*self._where, before, limit)

    def delete(self) -> None:
        """Delete the record, every entry, and the memberships of the room."""
        self._ports.journals.delete(*self._where)
