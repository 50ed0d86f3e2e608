"""What is said in a room as lines of text, for people, and as JSON, for programs."""

import time
import unicodedata
from typing import Any

from chat.terminal.errors import RoomError
from chat.terminal.messages import Message
from chat.terminal.room import Person, Room

# They turn the direction of what stands around them, and so can make a name or a link look like another one.
BIDI_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

BREAK = "\n      "
"""Between the lines of a message: one that began like a message's first could be taken for another person's."""


def plain(text: str) -> str:
    """Return somebody else's text without what a terminal would obey: escapes, bells, carriage returns."""
    return "".join(
        character
        for character in text
        if character in "\n\t" or (unicodedata.category(character) != "Cc" and character not in BIDI_CONTROLS)
    )


def one_line(text: str) -> str:
    return plain(text).replace("\n", " ").replace("\t", " ")


def size_of(count: int) -> str:
    return f"{count / 2**20:.1f} MiB" if count >= 2**20 else f"{-(-count // 1024)} KiB"


def message_line(room: Room, message: Message) -> str:
    """Return a message as one line, or several."""
    clock = time.strftime("%H:%M", time.localtime(message.at / 1000))
    name = "you" if message.person == room.person else one_line(message.name) or "?"
    return f"{clock} #{message.seq} {name}: {_content(room, message)}{_marks(message)}"


def _content(room: Room, message: Message) -> str:
    if message.deleted:
        return "(deleted)"
    if message.unreadable:
        return "(cannot be read: it was not sealed with this room's key)"
    target = room.messages.by_id(message.reply) if message.reply else None
    quote = f"[to #{target.seq} {one_line(target.name)}] " if target else ""
    file = ""
    if message.file:
        name, size = one_line(str(message.file.get("name"))), message.file.get("size")
        file = f"[file {name}, {size_of(size) if isinstance(size, int) else '?'}: /save {message.seq}]"
    text = plain(message.text).replace("\n", BREAK)
    return quote + " ".join(part for part in (text, file) if part)


def _marks(message: Message) -> str:
    counts: dict[str, int] = {}
    for _, emojis in message.reactions.values():
        for emoji in emojis:
            counts[emoji] = counts.get(emoji, 0) + 1
    marks = [f"{one_line(emoji)}{count if count > 1 else ''}" for emoji, count in counts.items()]
    if message.edited:
        marks.append("(edited)")
    if message.misplaced:
        marks.append("(out of place: the server may have moved it)")
    return "".join(f" {mark}" for mark in marks)


def notice(kind: str, what: Any) -> str:
    """Return what happened, as a line."""
    match kind, what:
        case (("joined" | "left"), Person(name=name)):
            return f"* {one_line(name)} {kind}"
        case "removed", Person(name=name):
            return f"* {one_line(name)} was removed by the owner"
        case "locked", bool(locked):
            return "* the room is locked: nobody new can join" if locked else "* the room is open again"
        case "status", status:
            return "* connected" if status == "online" else "* connection lost, trying again …"
        case "ended", RoomError(message=message):
            return f"* {message}"
    raise ValueError(f"no line for {kind}")


def as_json(room: Room, kind: str, what: Any) -> dict[str, Any]:
    """Return what happened as an object: ``type`` and what belongs to it."""
    match what:
        case Message():
            fields = {"seq": what.seq, "id": what.id, "at": what.at, "person": what.person, "name": what.name}
            fields |= {"own": what.person == room.person, "text": what.text}
            if what.reply:
                fields["reply"] = what.reply
            if what.file:
                fields["file"] = what.file
            fields |= {flag: True for flag in ("edited", "deleted", "unreadable", "misplaced") if getattr(what, flag)}
            if what.reactions:
                fields["reactions"] = {person: emojis for person, (_, emojis) in what.reactions.items() if emojis}
            return {"type": kind, **fields}
        case Person():
            return {"type": kind, "person": what.id, "name": what.name, "owner": what.is_owner}
        case RoomError():
            return {"type": kind, "code": what.code, "message": what.message}
        case bool():
            return {"type": "locked" if what else "unlocked"}
    return {"type": kind, "status": what}
