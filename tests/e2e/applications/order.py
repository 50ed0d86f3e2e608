"""Says to each client what it counts, and how many it has counted by then."""

try:
    import server as socketio  # on Lambda
except ImportError:
    import socketio  # in a process of its own

sio = socketio.Server(async_handlers=False)


@sio.event
def count(sid, number):
    with sio.session(sid) as session:
        position = session["counted"] = session.get("counted", 0) + 1
    sio.emit("counted", (number, position), to=sid)


@sio.event
def counted(sid):
    return (sio.get_session(sid) or {}).get("counted", 0)
