"""Questions with callbacks and calls, rooms, catch-alls, and several namespaces over one connection."""

from functools import partial
from urllib.parse import parse_qs

try:
    import server as socketio  # on Lambda
except ImportError:
    import socketio  # in a process of its own

sio = socketio.Server(namespaces="*")


@sio.event
def connect(sid, environ, auth):
    sio.save_session(sid, {"name": auth["name"]})
    for room in auth.get("rooms", []):
        sio.enter_room(sid, room)


@sio.event
def disconnect(sid, reason):
    sio.emit("left", (sio.get_session(sid)["name"], reason), to="square", skip_sid=[sid])


@sio.event
def headers(sid):
    environ = sio.get_environ(sid)
    return environ["HTTP_X_BASKET"], parse_qs(environ["QUERY_STRING"])["token"]


@sio.event
def rooms(sid):
    return sorted(room for room in sio.rooms(sid) if room != sid)


# ---------------------------------------------------------------------- questions
@sio.event
def ask(sid, question):
    sio.emit("question", (question, b"\x00\xfe"), to=sid, callback=partial(answered, sid, kind="asked"))


def answered(sid, *answers, kind):
    """Tell who asked what was answered; with us this is another invocation."""
    # Several are answered at the same moment, in several processes, and frames of binary events must not mix.
    end = b"\xff" if kind != "all" else "no bytes"
    sio.emit("answered", (kind, len(answers), list(answers), end), to=sid)


@sio.event
def ask_all(sid, room, *question):
    sio.emit("question", question, room=room, skip_sid=sid, callback=partial(answered, sid, kind="all"))
    sio.send("all were asked", room=room)


@sio.event
def send_one(sid, other, text):
    sio.send({"text": text}, to=other, callback=heard_by_somebody)


def heard_by_somebody(*answers):
    sio.emit("heard", answers, to="square")


@sio.event
def relay(sid, other, *question):
    """Ask somebody else, and answer with the answer."""
    with sio.session(sid) as session:
        session["relayed"] = session.get("relayed", 0) + 1
    answer = sio.call("question", question, to=other, timeout=20)
    return answer if isinstance(answer, tuple) else (answer, sio.get_session(sid)["relayed"])


@sio.event
def relay_in_vain(sid, other):
    try:
        return sio.call("silence", b"\x00", to=other, timeout=0.3)
    except socketio.exceptions.TimeoutError:
        return "no answer"


# ---------------------------------------------------------------------- rooms
@sio.event
def cry(sid, rooms, others, text):
    sio.emit("cried", text, to=rooms, skip_sid=others)
    return True


@sio.event
def walk(sid, here, there):
    sio.leave_room(sid, here)
    sio.enter_room(sid, there)
    sio.emit("walks", here, room=here)
    sio.emit("walks", there, room=there, skip_sid=[])
    return rooms(sid)


@sio.event
def close(sid, room):
    sio.emit("closes", room, room=room)
    sio.close_room(room)
    sio.emit("closed", room, room=room)
    return rooms(sid)


# ---------------------------------------------------------------------- everything else
@sio.on("*")
def anything(event, sid, *args):
    return event, *args


@sio.on("connect", namespace="*")
def connect_anywhere(namespace, sid, environ, auth):
    if namespace.startswith("/locked"):
        raise socketio.exceptions.ConnectionRefusedError(namespace, "key", 7)
    sio.emit("you are in", namespace, to=sid, namespace=namespace)


@sio.on("*", namespace="*")
def anything_anywhere(event, namespace, sid, *args):
    with sio.session(sid, namespace=namespace) as session:
        session[event] = session.get(event, 0) + 1
    sio.emit(event, args, namespace=namespace, skip_sid=sid)
    return namespace, sio.get_session(sid, namespace=namespace)


@sio.on("disconnect", namespace="*")
def disconnect_anywhere(namespace, sid, reason):
    sio.emit("gone", (namespace, reason), namespace=namespace)
