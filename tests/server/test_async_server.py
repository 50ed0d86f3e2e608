"""AsyncServer: the same server, with coroutines where python-socketio has them."""

import inspect
from typing import Any

import pytest
import socketio

from server import AsyncNamespace, AsyncServer
from server.async_server import COROUTINES
from tests.server.rig import Rig


@pytest.fixture
def sio() -> AsyncServer:
    return AsyncServer(namespaces=["/"])


@pytest.fixture
def rig(sio: AsyncServer) -> Rig:
    return Rig(sio.sync)


def test_what_is_to_be_awaited_is_as_there() -> None:
    theirs = {name for name, each in inspect.getmembers(socketio.AsyncServer, inspect.iscoroutinefunction)}
    theirs = {name for name in theirs if not name.startswith("_")} - {"handle_request", "shutdown"}
    assert theirs <= set(COROUTINES)
    for name in COROUTINES:
        assert not hasattr(socketio.AsyncServer, name) or name in theirs, f"{name} is not to be awaited there"


def test_handlers(sio: AsyncServer, rig: Rig) -> None:
    heard: list[Any] = []

    @sio.event  # type: ignore[untyped-decorator]
    async def connect(sid: str, environ: dict[str, Any]) -> None:
        await sio.save_session(sid, {"n": 0})
        await sio.enter_room(sid, "room")

    @sio.on("add")  # type: ignore[untyped-decorator]
    async def add(sid: str, n: int) -> int:
        async with sio.session(sid) as session:
            session["n"] += n
        await sio.emit("added", n, room="room")
        heard.append((sio.rooms(sid), sio.transport(sid)))
        return (await sio.get_session(sid))["n"]  # type: ignore[no-any-return]

    client = rig.client("/")
    client.take()
    client.emit("add", 2, id=1)
    assert client.take() == ['42["added",2]', "431[2]"]
    assert heard == [([client.sid, "room"], "websocket")]


def test_a_session_is_not_saved_after_an_error(sio: AsyncServer, rig: Rig) -> None:
    @sio.event  # type: ignore[untyped-decorator]
    async def fail(sid: str) -> None:
        async with sio.session(sid) as session:
            session["n"] = 1
            raise RuntimeError

    client = rig.client("/")
    client.emit("fail")
    assert sio.sync.get_session(client.sid) == {}


def test_class_based(sio: AsyncServer, rig: Rig) -> None:
    class Board(AsyncNamespace):
        async def on_draw(self, sid: str, point: int) -> str:
            await self.emit("drawn", point)
            return "ok"

    sio.register_namespace(Board("/board"))
    client = rig.client("/board")
    client.emit("draw", 5, id=0, namespace="/board")
    assert client.take() == ['42/board,["drawn",5]', '43/board,0["ok"]']
