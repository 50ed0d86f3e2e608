"""What is said in a room: written down, replaced, taken back, reacted to, read again."""

import json
from collections.abc import Sequence
from typing import Any

from chat.files import Files
from chat.people import Visitor
from chat.refusals import Refused
from server import Entry, Server

PAGE = 100
PAGE_BYTES = 65_536
"""Most messages of a page, and their size as JSON: an answer is one message of 128 KB at most."""

REACTIONS_BYTES = 32_000
"""Of all reactions to a message, as JSON: with the longest message they fit into a page."""

Body = dict[str, Any]


class Messages:
    """The messages of all rooms, on a server's journals: entries `{from, body, rev, reactions?}`."""

    def __init__(self, sio: Server, files: Files) -> None:
        self._sio = sio
        self._files = files

    def say(self, visitor: Visitor, key: str, body: str) -> Entry:
        """Number a message and send it to the room; the same id again is the same message (see `publish`)."""
        said = {"from": visitor.person, "body": body, "rev": 0}
        entry, _ = self._sio.publish("message", key, said, visitor.room)
        if entry.body["from"] != visitor.person:
            raise Refused("bad_id", "Somebody else's message has this id.")
        return entry

    def edit(self, visitor: Visitor, key: str, body: str, rev: int) -> None:
        """Replace an own message by its next revision; the same again is the same."""

        def change(entry: Body) -> Body:
            if entry["from"] != visitor.person:
                raise Refused("not_yours", "Only its author can change a message.")
            if entry["body"] is None:
                raise _gone()
            if (entry["body"], entry["rev"]) == (body, rev):
                return entry
            return {**entry, "body": body, "rev": _next(entry, rev)}

        self._tell_changed(visitor.room, self._sio.journal(visitor.room).rewrite(key, change))

    def delete(self, visitor: Visitor, key: str, rev: int, file: str | None) -> None:
        """Empty an own message, or as the owner any, and delete its file; again is the same."""

        def change(entry: Body) -> Body:
            if entry["from"] != visitor.person and not visitor.is_owner:
                raise Refused("not_yours", "Only its author, or the room's owner, can delete a message.")
            if entry["body"] is None:
                return entry
            return {"from": entry["from"], "body": None, "rev": _next(entry, rev)}

        entry = self._sio.journal(visitor.room).rewrite(key, change)
        self._tell_changed(visitor.room, entry)
        if file is not None:
            self._files.discard(visitor.room, file, entry.body["from"])

    def react(self, visitor: Visitor, key: str, body: str) -> None:
        """Replace somebody's reactions to a message."""

        def change(entry: Body) -> Body:
            if entry["body"] is None:
                raise _gone()
            reactions = {**entry.get("reactions", {}), visitor.person: body}
            if len(json.dumps(reactions)) > REACTIONS_BYTES:
                raise Refused("full", "This message has all the reactions that it can hold.")
            return {**entry, "reactions": reactions}

        self._sio.journal(visitor.room).rewrite(key, change)
        reacted = {"id": key, "person": visitor.person, "body": body}
        self._sio.emit("reacted", reacted, room=visitor.room)

    def history(self, room: str, before: int | None = None, size: int = PAGE_BYTES) -> dict[str, Any]:
        """Return the last messages, or those before a number, oldest first, as many as fit; and whether more do."""
        found = self._sio.journal(room).entries(before, PAGE)
        page = _fitting(found, size)
        is_all = not found or (bool(page) and page[0]["seq"] == 1)
        return {"history": page, "more": not is_all}

    def _tell_changed(self, room: str, entry: Entry) -> None:
        # The same again is told again: whoever changed it may have died before this.
        changed = {"id": entry.key, "seq": entry.seq, "body": entry.body["body"], "rev": entry.body["rev"]}
        self._sio.emit("changed", changed, room=room)


def _next(entry: Body, rev: int) -> int:
    """Return a revision if it is the one after an entry's; Refused if another came first."""
    if rev != entry["rev"] + 1:
        raise Refused("stale", "This message was changed meanwhile.", rev=entry["rev"])
    return rev


def _gone() -> Refused:
    return Refused("no_such_message", "This message was deleted.")


def _fitting(entries: Sequence[Entry], size: int) -> list[dict[str, Any]]:
    """Return the last of some entries, those that fit into so many bytes of JSON."""
    page: list[dict[str, Any]] = []
    for entry in reversed(entries):
        message = entry.as_json()
        size -= len(json.dumps(message))
        if size < 0:
            break
        page.append(message)
    return page[::-1]
