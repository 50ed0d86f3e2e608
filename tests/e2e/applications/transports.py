"""What clients on different transports say to each other: rooms, answers, binary both ways, many events in order."""

try:
    import server as socketio  # on Lambda
except ImportError:
    import socketio  # in a process of its own

sio = socketio.Server(async_handlers=False)


@sio.event
def me(sid):
    return sid


@sio.event
def join(sid, room):
    sio.enter_room(sid, room)
    return sorted(room for room in sio.rooms(sid) if room != sid)


@sio.event
def leave(sid, room):
    sio.leave_room(sid, room)
    return sorted(room for room in sio.rooms(sid) if room != sid)


@sio.event
def say(sid, room, *args):
    sio.emit("said", args, room=room)
    return len(args)


@sio.event
def whisper(sid, room, *args):
    sio.emit("whispered", args, room=room, skip_sid=sid)


@sio.event
def echo(sid, *args):
    sio.emit("echoed", args, to=sid)
    return list(args)


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
def burst(sid, room, first, count):
    for number in range(first, first + count):
        sio.emit("counted", number, room=room)
    return first + count


@sio.event
def hang_up(sid):
    sio.emit("bye", to=sid)
    sio.disconnect(sid)
