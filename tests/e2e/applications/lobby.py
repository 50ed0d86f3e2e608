"""Rooms, broadcasts, acknowledgements and refusals, as anybody would write it for python-socketio."""

try:
    import server as socketio  # on Lambda
except ImportError:
    import socketio  # in a process of its own

sio = socketio.Server()


@sio.event
def connect(sid, environ, auth):
    if not auth:
        raise socketio.exceptions.ConnectionRefusedError("who are you?", {"hint": "send a name"})
    if auth.get("name") == "nobody":
        return False
    sio.save_session(sid, {"name": auth["name"], "said": 0})
    sio.enter_room(sid, "lobby")
    sio.emit("welcome", auth["name"], to=sid)
    sio.emit("arrived", auth["name"], room="lobby", skip_sid=sid)


@sio.event
def disconnect(sid, reason):
    sio.emit("gone", (sio.get_session(sid)["name"], reason), room="lobby", skip_sid=sid)


@sio.event
def say(sid, text):
    with sio.session(sid) as session:
        session["said"] += 1
        name, said = session["name"], session["said"]
    sio.emit("said", {"who": name, "text": text}, room="lobby")
    return said


@sio.event
def move(sid, room):
    for old in sio.rooms(sid):
        if old != sid:
            sio.leave_room(sid, old)
    sio.enter_room(sid, room)
    sio.emit("moved", (sio.get_session(sid)["name"], room), to=["lobby", room])
    return sorted(room for room in sio.rooms(sid) if room != sid), "done"


@sio.event
def nothing(sid):
    pass


@sio.event
def several(sid, a, b, c):
    return c, b, a


@sio.event
def fail(sid):
    sio.emit("failing", to=sid)
    raise RuntimeError("on purpose")


@sio.event
def shut(sid, room):
    sio.emit("shutting", room, room=room)
    sio.close_room(room)
    sio.emit("nobody hears this", room=room)


@sio.event
def kick(sid, text):
    sio.emit("kicked", text, to=sid)
    sio.disconnect(sid)


@sio.on("all of them")
def everybody(sid, data):
    sio.emit("all", data)
    sio.send(data)
