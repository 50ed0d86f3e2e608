"""The chat's Socket.IO events: join, message, typing, leave."""

from collections.abc import Callable
from functools import wraps
from typing import Any

from chat.rooms import MAX_ID, MAX_NAME, MAX_PEOPLE, MAX_TEXT, Refused, Rooms
from server import Server

sio = Server()
rooms = Rooms(sio)

Answer = dict[str, Any]


def answering(handler: Callable[[str, dict[str, Any]], Answer]) -> Callable[..., Answer]:
    """Turn what a handler refuses into the answer that the client gets."""

    @wraps(handler)
    def answer(sid: str, data: Any = None, *_: Any) -> Answer:
        try:
            return {"ok": True, **handler(sid, data if isinstance(data, dict) else {})}
        except Refused as refused:
            return {"ok": False, "error": refused.as_json()}

    return answer


def text_of(data: dict[str, Any], field: str, limit: int, code: str, what: str) -> str:
    """Return a field that must be a text of 1 to `limit` characters, not only white space."""
    value = data.get(field)
    if not isinstance(value, str) or not value.strip() or len(value) > limit:
        raise Refused(code, f"{what} must have 1 to {limit:,} characters.")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise Refused(code, f"{what} must not hold half a character.")
    return value


def place_of(sid: str) -> tuple[str, dict[str, str]]:
    """Return the room that a person is in, and who they are there; Refused if in none."""
    session = sio.get_session(sid)
    if "room" not in session:
        raise Refused("not_in_room", "Join a room first.")
    return session["room"], {"id": sid, "name": session["name"]}


@sio.event
def connect(sid: str, environ: dict[str, Any]) -> None:
    """Whoever comes back is in the room again, and the others were told that they left."""
    session = sio.get_session(sid) if sio.recovered(sid) else {}
    if "room" in session:
        sio.emit("joined", {"id": sid, "name": session["name"]}, room=session["room"], skip_sid=sid)


@sio.event
@answering
def join(sid: str, data: dict[str, Any]) -> Answer:
    """Enter a room under a name; again is the same, and gets the room's state anew."""
    name = text_of(data, "name", MAX_NAME, "bad_name", "A name").strip()
    room = rooms.find(text_of(data, "room", MAX_ID, "no_such_room", "A room's id"))
    you = {"id": sid, "name": name}
    before = sio.get_session(sid)
    if before.get("room") not in (None, room.id):
        depart(sid, before)
    # First in the room, then the history: what is said meanwhile comes both ways rather than neither.
    sio.enter_room(sid, room.id, info=you)
    sio.save_session(sid, {"room": room.id, "name": name})
    members = [member.info for member in sio.members(room.id)]
    if len(members) > MAX_PEOPLE:
        sio.leave_room(sid, room.id)
        sio.save_session(sid, {})
        raise Refused("full", f"{MAX_PEOPLE} people are in this room, and no more fit in.")
    if before != {"room": room.id, "name": name}:
        sio.emit("joined", you, room=room.id, skip_sid=sid)
    return {
        "you": you,
        "members": members,
        "history": rooms.history(room.id),
        "room": {"id": room.id, "title": room.title, "expires_at": room.expires_at},
    }


@sio.event
@answering
def message(sid: str, data: dict[str, Any]) -> Answer:
    """Say something to the room; the same id again gets the same answer and is not sent twice."""
    text = text_of(data, "text", MAX_TEXT, "bad_text", "A message")
    message_id = text_of(data, "id", MAX_ID, "bad_id", "A message's id")
    room, author = place_of(sid)
    entry = rooms.say(room, message_id, author, text)
    return {"seq": entry.seq, "at": entry.at}


@sio.event
def typing(sid: str, data: Any = None, *_: Any) -> None:
    try:
        room, author = place_of(sid)
    except Refused:
        return
    is_typing = bool(data.get("typing")) if isinstance(data, dict) else False
    sio.emit("typing", {"id": author["id"], "typing": is_typing}, room=room, skip_sid=sid, volatile=True)


@sio.event
@answering
def leave(sid: str, _: dict[str, Any]) -> Answer:
    """Leave the room; fine if in none."""
    session = sio.get_session(sid)
    if "room" in session:
        depart(sid, session)
        sio.save_session(sid, {})
    return {}


@sio.event
def disconnect(sid: str, reason: str) -> None:
    session = sio.get_session(sid)
    if "room" in session:
        depart(sid, session)


def depart(sid: str, session: dict[str, Any]) -> None:
    """Take a person out of a room, and tell the others."""
    sio.leave_room(sid, session["room"])
    sio.emit("left", {"id": sid, "name": session["name"]}, room=session["room"])
