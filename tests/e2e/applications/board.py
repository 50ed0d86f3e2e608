"""Two namespaces, binary data and every form of registering a handler."""

try:
    import server as socketio  # on Lambda
except ImportError:
    import socketio  # in a process of its own

sio = socketio.Server(namespaces=["/", "/board", "/silent"])


@sio.event
def whoami(sid):
    return "root"


@sio.event(namespace="/board")
def connect(sid, environ):
    sio.emit("origin", environ.get("HTTP_X_TEST"), to=sid, namespace="/board")


@sio.on("whoami", namespace="/board")
def whoami_on_the_board(sid):
    return "board"


def draw(sid, *points):
    sio.emit("drawn", (len(points), *points), namespace="/board", skip_sid=sid)
    return list(points)


sio.on("draw", draw, namespace="/board")


@sio.on("picture", namespace="/board")
def picture(sid, name):
    sio.emit("picture", {"name": name, "bytes": [b"\x00\x01\xff", b""]}, namespace="/board")
    return b"ack \xfe"


@sio.on("types", namespace="/board")
def types(sid, value):
    return value, None, True, 1.5, "é\u2028😀", [], {}


@sio.on("disconnect", namespace="/board")
def left(sid):
    sio.emit("left the board", namespace="/board", skip_sid=sid)
