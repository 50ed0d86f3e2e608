"""Several namespaces, binary data and every form of registering a handler."""

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


class Stall(socketio.Namespace):
    def on_connect(self, sid, environ, auth):
        if (auth or {}).get("name") == "Thief":
            return False
        self.save_session(sid, [])
        self.enter_room(sid, "stall")

    def on_offer(self, sid, *goods):
        with self.session(sid) as offered:
            offered += goods
        self.emit("offers", goods, room="stall", skip_sid=[sid])
        self.send(len(goods), to=sid)
        return self.get_session(sid)

    def on_haggle(self, sid, other, price):
        return self.call("haggle", price, to=other, timeout=20)

    def on_rooms(self, sid):
        return [room for room in self.rooms(sid) if room != sid]

    def on_picture(self, sid):
        self.emit("picture", {"of": "figs", "data": b"\x00\x01"}, to=["stall", sid])
        return b"\x02", {"size": 2}

    def on_shut(self, sid):
        self.emit("shut", to=sid)
        self.close_room("stall")
        self.disconnect(sid)

    def on_disconnect(self, sid, reason):
        self.emit("left", (self.get_session(sid), reason), skip_sid=sid)
        sio.emit("a stall is left")


sio.register_namespace(Stall("/stall"))
