"""The chat's Socket.IO events (docs/chat.md): what comes in is checked, done, and answered."""

import json
from collections.abc import Callable
from functools import wraps
from typing import Any

from chat import limits, shapes
from chat.files import AT_ONCE, Files
from chat.messages import PAGE_BYTES, Messages
from chat.people import Visitor, person_of
from chat.refusals import JOURNAL_ERRORS, Refused, refusal_of
from chat.rooms import Room, Rooms
from server import Server

sio = Server()
rooms = Rooms(sio)
files = Files(sio)
messages = Messages(sio, files)

ANSWER_BYTES = 125_000
"""Of the answer to a join, as JSON: it is one message of 128 KB at most."""

MEMBERS_BYTES = 110_000
"""Of them for the members; 500 people with names of usual length take less."""

MAX_SEEN = 100
"""Socket ids that one may tell what one has seen."""

SERVER_DISCONNECT = "server disconnect"
"""The reason that `disconnect` gets where a handler has called `sio.disconnect`."""

Answer = dict[str, Any]


def answering(handler: Callable[[str, dict[str, Any]], Answer]) -> Callable[..., Answer]:
    """Turn what a handler refuses into the answer that the client gets."""

    @wraps(handler)
    def answer(sid: str, data: Any = None, *_: Any) -> Answer:
        try:
            return {"ok": True, **handler(sid, data if isinstance(data, dict) else {})}
        except (Refused, *JOURNAL_ERRORS) as error:
            return {"ok": False, "error": refusal_of(error).as_json()}

    return answer


def here(sid: str, rate: limits.Rate | None = None) -> Visitor:
    """Return who a socket is in its room, and count one more of what has a rate; Refused if it is in none."""
    session = sio.get_session(sid)
    visitor = Visitor.of(session)
    if rate is not None:
        spent = limits.spend(visitor.spent, rate, sio.ports.now())
        sio.save_session(sid, {**session, "spent": spent})
    return visitor


def owner_here(sid: str) -> Visitor:
    visitor = here(sid)
    if not visitor.is_owner:
        raise Refused("not_owner", "Only the one who created the room can do that.")
    return visitor


# ---------------------------------------------------------------- coming and going
@sio.event
def connect(sid: str, environ: dict[str, Any]) -> bool | None:
    """Whoever comes back is in the room again, and the others were told that they left."""
    session = sio.get_session(sid) if sio.recovered(sid) else {}
    if "room" not in session:
        return None
    visitor = Visitor.of(session)
    try:
        # As `Room.admit`, but for the lock: they have been here.
        room = rooms.find(visitor.room)
        if visitor.person in room.removed and not visitor.is_owner:
            sio.emit("removed", {"person": visitor.person}, to=sid)
            return False
    except JOURNAL_ERRORS:
        sio.emit("burned", {}, to=sid)
        return False
    sio.emit("joined", visitor.member(sid), room=visitor.room, skip_sid=sid)
    return None


@sio.event
@answering
def join(sid: str, data: dict[str, Any]) -> Answer:
    """Enter a room; again is the same, and gets the room's state anew."""
    room = rooms.find(shapes.room_id(data))
    limits.count_join(sio, sio.get_environ(sid), room.id, has_passphrase=room.plan.passphrase)
    room.check_door(data.get("door"))
    me = shapes.matching(data, "me", shapes.ME, Refused("bad_me", "me must be 16 random bytes in base64url."))
    name = shapes.sealed(data, "name", shapes.MAX_NAME, "A name")
    before = sio.get_session(sid)
    visitor = Visitor(
        room.id,
        person_of(room.id, me),
        name,
        room.is_owner(data.get("owner")),
        room.plan.burn_when_empty,
        before.get("spent", {}),
    )
    room.admit(visitor)
    if is_elsewhere(before, visitor):
        walk_out(sid, Visitor.of(before))
        before = {}
    room, members = enter(sid, visitor, before)
    if before != visitor.as_session():
        sio.emit("joined", visitor.member(sid), room=room.id, skip_sid=sid)
    return state_of(sid, room, visitor, members)


def is_elsewhere(session: dict[str, Any], visitor: Visitor) -> bool:
    """Tell whether a socket is in another room, or somebody else in this one."""
    return "room" in session and (session["room"], session["person"]) != (visitor.room, visitor.person)


def enter(sid: str, visitor: Visitor, before: dict[str, Any]) -> tuple[Room, list[dict[str, Any]]]:
    """Put a socket into its room; returns that and the members. `before` is the session that it had.

    First in the room, then all that is read of it: who is told meanwhile hears it twice rather than never, and what
    ends the visit meanwhile, the room's burning above all, is seen by one side or the other.
    """
    sio.enter_room(sid, visitor.room, info=visitor.member(sid))
    sio.save_session(sid, visitor.as_session())
    is_new = "room" not in before
    try:
        members = [member.info for member in sio.members(visitor.room)]
        room = rooms.find(visitor.room)
        room.admit(visitor)
        if is_new:
            room.seat(visitor, [member for member in members if member["id"] != sid])
        if is_new and not visitor.is_owner and len(json.dumps(members)) > MEMBERS_BYTES:
            raise Refused("full", "This room can take nobody else.")
    except Refused:
        depart(sid, visitor)  # somebody may have found it among the members
        sio.save_session(sid, {"spent": visitor.spent})
        raise
    except JOURNAL_ERRORS:
        sio.leave_room(sid, visitor.room)
        sio.save_session(sid, {"spent": visitor.spent})
        raise
    except Exception:
        # The others have heard nothing, and are to hear it when this one asks again.
        sio.save_session(sid, before)
        raise
    return room, members


def state_of(sid: str, room: Room, visitor: Visitor, members: list[dict[str, Any]]) -> Answer:
    """Return what a newcomer has to know of a room."""
    left = ANSWER_BYTES - len(json.dumps(members))
    return {
        "you": sid,
        "person": visitor.person,
        "is_owner": visitor.is_owner,
        "members": members,
        **messages.history(room.id, size=min(PAGE_BYTES, left)),
        "room": {
            "id": room.id,
            "title": room.plan.title,
            "expires_at": room.expires_at,
            "people": room.plan.people,
            "locked": room.is_locked,
            "burn_when_empty": room.plan.burn_when_empty,
        },
    }


@sio.event
@answering
def leave(sid: str, _: dict[str, Any]) -> Answer:
    """Leave the room; fine if in none."""
    session = sio.get_session(sid)
    if "room" in session:
        visitor = Visitor.of(session)
        walk_out(sid, visitor)
        sio.save_session(sid, {"spent": visitor.spent})
    return {}


@sio.event
def disconnect(sid: str, reason: str) -> None:
    session = sio.get_session(sid)
    # The chat itself disconnects only those of whom it has told the others: they were removed, or all was burned.
    if "room" not in session or reason == SERVER_DISCONNECT:
        return
    visitor = Visitor.of(session)
    depart(sid, visitor)
    if visitor.burns:
        # Whether it was the last one shows then: of two who go at once, each still sees the other.
        rooms.burn_later(visitor.room)


def walk_out(sid: str, visitor: Visitor) -> None:
    """Take a socket out of a room for good: it burns now if it is to, and nobody is left."""
    depart(sid, visitor)
    if visitor.burns:
        rooms.burn_if_empty(visitor.room)


def depart(sid: str, visitor: Visitor) -> None:
    """Take a socket out of a room, and tell the others."""
    sio.leave_room(sid, visitor.room)
    sio.emit("left", {"id": sid, "person": visitor.person}, room=visitor.room)


# ---------------------------------------------------------------- talking
@sio.event
@answering
def message(sid: str, data: dict[str, Any]) -> Answer:
    """Say something to the room; the same id again is the same message, and gets the same answer."""
    key, body = shapes.message_id(data), shapes.sealed(data, "body", shapes.MAX_BODY, "A message")
    entry = messages.say(here(sid, limits.MESSAGES), key, body)
    return {"seq": entry.seq, "at": entry.at}


@sio.event
@answering
def edit(sid: str, data: dict[str, Any]) -> Answer:
    key, body = shapes.message_id(data), shapes.sealed(data, "body", shapes.MAX_BODY, "A message")
    rev = shapes.number(data, "rev", 1, shapes.MAX_NUMBER)
    messages.edit(here(sid, limits.ACTS), key, body, rev)
    return {}


@sio.event
@answering
def delete(sid: str, data: dict[str, Any]) -> Answer:
    key, rev = shapes.message_id(data), shapes.number(data, "rev", 1, shapes.MAX_NUMBER)
    file = None if data.get("file") is None else file_of(data)
    messages.delete(here(sid, limits.ACTS), key, rev, file)
    return {}


@sio.event
@answering
def react(sid: str, data: dict[str, Any]) -> Answer:
    key, body = shapes.message_id(data), shapes.sealed(data, "body", shapes.MAX_REACTION, "Reactions")
    messages.react(here(sid, limits.ACTS), key, body)
    return {}


@sio.event
@answering
def history(sid: str, data: dict[str, Any]) -> Answer:
    """Return a page of messages; without `before` the last one."""
    before = None if data.get("before") is None else shapes.number(data, "before", 1, shapes.MAX_NUMBER)
    return messages.history(here(sid).room, before)


@sio.event
@answering
def typing(sid: str, data: dict[str, Any]) -> Answer:
    visitor = here(sid)
    told = {"person": visitor.person, "typing": data.get("typing") is True}
    sio.emit("typing", told, room=visitor.room, skip_sid=sid, volatile=True)
    return {}


@sio.event
@answering
def seen(sid: str, data: dict[str, Any]) -> Answer:
    """Tell some sockets, if they are in the room, that one has seen all up to a number."""
    visitor, seq, to = here(sid), shapes.number(data, "seq", 1, shapes.MAX_NUMBER), data.get("to")
    if not isinstance(to, list) or len(to) > MAX_SEEN:
        raise Refused("bad_to", f"to must be a list of at most {MAX_SEEN} socket ids.")
    others = [member.sid for member in sio.members(visitor.room) if member.sid not in to]
    told = {"person": visitor.person, "seq": seq}
    sio.emit("seen", told, room=visitor.room, skip_sid=others, volatile=True)
    return {}


# ---------------------------------------------------------------- files
@sio.event
@answering
def upload(sid: str, data: dict[str, Any]) -> Answer:
    """Keep one chunk of a file; again is the same."""
    file, count = file_of(data), shapes.number(data, "count", 1, shapes.MAX_CHUNKS)
    index = shapes.number(data, "index", 0, count - 1)
    chunk = shapes.sealed(data, "data", shapes.MAX_BODY, "A chunk")
    visitor = here(sid, limits.CHUNKS)
    files.keep(visitor.room, visitor.person, file, index, count, chunk)
    return {}


@sio.event
@answering
def fetch(sid: str, data: dict[str, Any]) -> Answer:
    """Return some chunks of a file."""
    file, index = file_of(data), shapes.number(data, "index", 0, shapes.MAX_CHUNKS - 1)
    count = shapes.number(data, "count", 1, AT_ONCE)
    return {"chunks": files.fetch(here(sid).room, file, index, count)}


@sio.event
@answering
def discard(sid: str, data: dict[str, Any]) -> Answer:
    """Delete what was uploaded of an own file that no message names: its sender knows that, and nobody here can."""
    file = file_of(data)
    visitor = here(sid, limits.ACTS)
    files.discard(visitor.room, file, visitor.person)
    return {}


def file_of(data: dict[str, Any]) -> str:
    return shapes.matching(data, "file", shapes.ID, Refused("bad_file", "A file's id is 12 random bytes in base64url."))


# ---------------------------------------------------------------- what the owner may
@sio.event
@answering
def lock(sid: str, data: dict[str, Any]) -> Answer:
    """Let nobody new in, or again whoever has the link."""
    rooms.lock(owner_here(sid).room, shapes.flag(data, "locked"))
    return {}


@sio.event
@answering
def remove(sid: str, data: dict[str, Any]) -> Answer:
    """Disconnect somebody, and keep them out."""
    visitor = owner_here(sid)
    person = shapes.matching(data, "person", shapes.ID, Refused("bad_person", "This is nobody's id."))
    if person == visitor.person:
        raise Refused("bad_person", "You cannot remove yourself. You can leave, or burn the room.")
    rooms.remove(visitor.room, person)
    return {}
