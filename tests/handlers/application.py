"""An application each of whose events makes one call of the server, for what the calls cost (APP)."""

import time
from typing import Any

from server import Server

sio = Server()
called: list[Any] = []


def later(*args: Any) -> None:
    called.append(args)
    if args == ("fails",):
        raise RuntimeError("on purpose")


@sio.event
def create(sid: str, entries: int) -> None:
    journal = sio.journal("room")
    journal.create({"n": 0}, int(time.time()) + 3_600)
    for n in range(entries):
        journal.append(f"key{n}", {"n": 0})


@sio.event
def change(sid: str, n: int) -> Any:
    return sio.journal("room").change(lambda data: {"n": n}).data


@sio.event
def rewrite(sid: str, n: int) -> Any:
    return sio.journal("room").rewrite("key0", lambda body: {"n": n}).body


@sio.event
def store(sid: str, name: str) -> None:
    sio.journal("room").store(name, "x" * 29_000)


@sio.event
def load(sid: str, *names: str) -> int:
    return len(sio.journal("room").load(names))


@sio.event
def discard(sid: str, *names: str) -> None:
    sio.journal("room").discard(names)


@sio.event
def delete(sid: str) -> None:
    sio.journal("room").delete()


@sio.event
def allow(sid: str, limit: int) -> int:
    return sio.allow("ann", limit, 3_600)


@sio.event
def at(sid: str, *args: str) -> None:
    sio.at(0, later, *args)


@sio.event
def save(sid: str, n: int) -> None:
    sio.save_session(sid, {"n": n})


@sio.event
def saved(sid: str) -> Any:
    return sio.get_session(sid)
