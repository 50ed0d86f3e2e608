"""A room's journal: what the application keeps of a room, a log numbered without gaps, and values beside it.

A process-less application has no memory; this is python-socketio's missing piece for one. A journal belongs to the
room of the same name, and ends with its time.
"""

import copy
import json
import random
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from server.exceptions import EntryMissingError, JournalExpiredError, JournalMissingError
from server.ports import Ports, Unavailable
from server.records import Entry, JournalRecord

MAX_KEY = 256
"""Bytes of an entry's key, and of a value's name."""

PAUSES = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
"""Seconds that one who was too late to change something waits at most, before the next try."""

Found = TypeVar("Found", JournalRecord, Entry)


class Journal:
    """The journal of one room; made by ``Server.journal``. `deadline` tells when (Unix ms) `delete` has to stop."""

    def __init__(self, ports: Ports, namespace: str, room: str, deadline: Callable[[], int]) -> None:
        self._ports = ports
        self._where = (namespace, room)
        self._deadline = deadline

    # ------------------------------------------------------------------ the record
    def create(self, data: Any, expires_at: int) -> bool:
        """Make the journal with the application's data (JSON) and its end (Unix seconds); False if it exists."""
        return self._ports.journals.create(*self._where, data, expires_at)

    def read(self) -> JournalRecord:
        """Return the record; raises JournalMissingError or JournalExpiredError."""
        return self._alive(self._ports.journals.read(*self._where))

    def change(self, function: Callable[[Any], Any]) -> JournalRecord:
        """Replace the application's data by what ``function(data)`` returns (JSON); returns the record as it is then.

        The function is called again, with newer data, where somebody else was faster; what it raises comes out, and
        nothing is written. Nor is anything if the data stay as they are. Raises JournalMissingError,
        JournalExpiredError, and `server.ports.Unavailable` where others were always faster.
        """

        def replace(data: Any, new: Any) -> tuple[JournalRecord, bool]:
            record, is_done = self._ports.journals.change(*self._where, data, new, self._ports.now())
            return self._alive(record), is_done

        return self._replaced(self.read(), lambda record: record.data, function, replace)

    def _alive(self, record: JournalRecord | None) -> JournalRecord:
        if record is None:
            raise JournalMissingError(f"{self._where[1]!r} has no journal")
        if record.expires_at * 1000 <= self._ports.now():
            raise JournalExpiredError(f"the journal of {self._where[1]!r} is past its time")
        return record

    # ------------------------------------------------------------------ the log
    def append(self, key: str, body: Any, *, published: tuple[str, str] | None = None) -> tuple[Entry, bool]:
        """Append an entry (JSON) under the next number; the same key again changes nothing.

        Returns the entry and whether this call made it. Raises JournalMissingError, JournalExpiredError, and
        ValueError for a key that is empty, longer than 256 bytes, or not UTF-8. `published` is for `Emitter.publish`.
        """
        _check(key)
        return self._ports.journals.append(*self._where, key, body, self._ports.now(), published)

    def entries(self, before: int | None = None, limit: int = 100) -> list[Entry]:
        """Return the last entries, oldest first; with ``before``, those with smaller numbers."""
        return self._ports.journals.entries(*self._where, before, limit)

    def entry(self, key: str) -> Entry:
        """Return the entry of a key; raises EntryMissingError, also where there is no journal."""
        _check(key)
        return self._there(key, self._ports.journals.entry(*self._where, key))

    def rewrite(self, key: str, function: Callable[[Any], Any]) -> Entry:
        """Replace an entry's body by what ``function(body)`` returns (JSON), as `change` does; returns the entry.

        Its number, its time and its key stay. Raises EntryMissingError, also where there is no journal,
        JournalExpiredError, and `server.ports.Unavailable` where others were always faster.
        """

        def replace(body: Any, new: Any) -> tuple[Entry, bool]:
            entry, is_done = self._ports.journals.rewrite(*self._where, key, body, new, self._ports.now())
            return self._there(key, entry), is_done

        return self._replaced(self.entry(key), lambda entry: entry.body, function, replace)

    def _there(self, key: str, entry: Entry | None) -> Entry:
        if entry is None:
            raise EntryMissingError(f"the journal of {self._where[1]!r} has no entry {key!r}")
        return entry

    def _replaced(
        self,
        found: Found,
        value_of: Callable[[Found], Any],
        function: Callable[[Any], Any],
        replace: Callable[[Any, Any], tuple[Found, bool]],
    ) -> Found:
        """Replace a value unless it stays as it is; again from what is found then, if it was replaced meanwhile."""
        for pause in (*PAUSES, None):
            value = value_of(found)
            new = function(copy.deepcopy(value))
            if json.dumps(new) == json.dumps(value):  # 1 and True are equal, and not the same JSON
                return found
            found, is_done = replace(value, new)
            if is_done:
                return found
            if pause is not None:
                self._ports.sleep(random.uniform(0, pause))
        raise Unavailable(f"others always changed the journal of {self._where[1]!r} first")

    # ------------------------------------------------------------------ values
    def store(self, name: str, value: Any) -> None:
        """Keep a value (JSON) beside the log, or replace it; a file's chunk, say. It ends with the journal.

        Raises JournalMissingError, JournalExpiredError, and ValueError as `append` does for a key.
        """
        _check(name)
        self._ports.journals.store(*self._where, name, value, self.read().expires_at)

    def load(self, names: Sequence[str]) -> dict[str, Any]:
        """Return those of the values that there are, by name; none of a journal that is past its time."""
        for name in names:
            _check(name)
        return self._ports.journals.load(*self._where, names, self._ports.now()) if names else {}

    def discard(self, names: Sequence[str]) -> None:
        """Delete values; those that do not exist are passed over."""
        for name in names:
            _check(name)
        self._ports.journals.discard(*self._where, names)

    # ------------------------------------------------------------------ the end
    def delete(self) -> None:
        """Delete the record, every entry and value, and the memberships and kept events of the room.

        From the first moment there is no journal. `server.ports.Unavailable` if the time does not suffice for the
        rest: call it again, which goes on. What another function was writing just then comes behind it: call it again
        a minute later (`Emitter.at`), which costs little where nothing is left.
        """
        self._ports.journals.delete(*self._where, self._deadline())


def _check(key: str) -> None:
    if not 0 < len(key.encode()) <= MAX_KEY:
        raise ValueError(f"a key has 1 to {MAX_KEY} bytes, not {len(key.encode())}")
