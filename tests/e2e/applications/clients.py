"""What every stock client is put through (tests/e2e/clients): what Socket.IO has, and python-socketio's API has not.

Who else is on the same server is kept apart by the names of rooms, which the clients make up.
"""

from functools import partial

import server as socketio

sio = socketio.Server()
PRIVATE = "/private"


@sio.event
def connect(sid, environ, auth):
    sio.emit("greeting", sio.recovered(sid), to=sid)


@sio.event
def whoami(sid):
    return sid


@sio.event
def echo(sid, *args):
    sio.emit("echoed", args, to=sid)


@sio.event
def reverse(sid, *args):
    return args[::-1]


@sio.event
def ask(sid, question):
    sio.emit("question", question, to=sid, callback=partial(answered, sid, question))


def answered(sid, question, *answers):
    """Tell a client what it answered; this runs in another invocation than `ask`."""
    sio.emit("answered", (question, list(answers)), to=sid)


@sio.event
def fetch(sid):
    sio.emit("picture", ({"name": "é", "parts": [b"\x00\x01\xff", [b""]]}, bytes(range(256)) * 40), to=sid)
    return b"ack \xfe", {"more": [b"\xff"]}


@sio.event
def describe(sid, *values):
    def name(value):
        if isinstance(value, bytes):
            return f"{len(value)} bytes: {value.hex()}"
        if isinstance(value, dict):
            return {key: name(each) for key, each in value.items()}
        return [name(each) for each in value] if isinstance(value, list) else value

    return [name(value) for value in values]


@sio.event
def join(sid, room):
    sio.enter_room(sid, room)
    return sid in sio.rooms(sid) and room in sio.rooms(sid)


@sio.event
def leave(sid, room):
    sio.leave_room(sid, room)
    return room in sio.rooms(sid)


@sio.event
def say(sid, rooms, text):
    sio.emit("said", text, to=rooms)
    return True


@sio.event
def whisper(sid, room, text):
    sio.emit("said", text, room=room, skip_sid=[sid])
    return True


@sio.event
def confide(sid, room, others, text):
    sio.emit("said", text, room=room, except_room=[others])
    return True


@sio.event
def murmur(sid, room, text):
    sio.emit("said", text, room=room, volatile=True)
    return True


@sio.event
def hang_up(sid):
    sio.disconnect(sid)


@sio.on("connect", namespace=PRIVATE)
def admit(sid, environ, auth):
    if not auth or auth.get("token") != "sesame":
        raise socketio.exceptions.ConnectionRefusedError("who are you?", {"hint": "open …"})
    sio.emit("welcome", auth["token"], to=sid, namespace=PRIVATE)


@sio.on("whoami", namespace=PRIVATE)
def whoami_in_private(sid):
    return sid


@sio.on("hang_up", namespace=PRIVATE)
def hang_up_in_private(sid):
    sio.disconnect(sid, namespace=PRIVATE)
