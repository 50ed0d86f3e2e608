"""Which handler gets an event: python-socketio decides, and ours decides the same."""

import asyncio
from itertools import combinations
from typing import Any

import pytest
import socketio

import server
from server.registry import Registry, call
from tests.server.rig import Rig

FUNCTIONS = [("/", "add"), ("/", "*"), ("*", "add"), ("*", "*"), ("/", "connect"), ("*", "connect")]
CLASSES = ["/", "*"]
CHOICES = [*FUNCTIONS, *CLASSES]


def register(sio: Any, base: type, chosen: tuple[Any, ...], heard: list[Any]) -> None:
    for choice in chosen:
        if isinstance(choice, tuple):
            where, event = choice
            sio.on(event, lambda *args, choice=choice: heard.append((choice, args)), namespace=where)
        else:
            body = {
                "on_add": lambda self, *args: heard.append((self.namespace, "on_add", args)),
                "on_connect": lambda self, *args: heard.append((self.namespace, "on_connect", args)),
            }
            sio.register_namespace(type("Board", (base,), body)(choice))


@pytest.mark.parametrize("event", ["add", "other", "connect"])
def test_the_choice_is_python_socketios(event: str) -> None:
    for size in range(4):
        for chosen in combinations(CHOICES, size):
            expected: list[Any] = []
            theirs = socketio.Server(async_mode="threading")
            register(theirs, socketio.Namespace, chosen, expected)
            theirs._trigger_event(event, "/", "sid", 1)
            got: list[Any] = []
            ours = server.Server()
            register(ours, server.Namespace, chosen, got)
            ours.trigger(event, "/", "sid", 1)
            assert got == expected, chosen


def test_which_namespaces_are_served() -> None:
    def serves(sio: server.Server) -> list[bool]:
        return [sio.serves(namespace) for namespace in ("/", "/a", "/b")]

    assert serves(server.Server()) == [True, False, False]
    assert serves(server.Server(namespaces=["/a"])) == [False, True, False]
    assert serves(server.Server(namespaces="*")) == [True, True, True]
    sio = server.Server()
    sio.on("e", print, namespace="/a")
    sio.register_namespace(server.Namespace("/b"))
    assert serves(sio) == [True, True, True]
    sio = server.Server(namespaces=[])
    sio.on("e", print, namespace="*")
    assert serves(sio) == [True, True, True]


def test_a_namespace_class() -> None:
    rig = Rig()

    class Board(server.Namespace):
        def on_connect(self, sid: str, environ: dict[str, Any]) -> None:
            self.save_session(sid, {"drawn": 0})
            self.enter_room(sid, "board")

        def on_draw(self, sid: str, point: int) -> int:
            with self.session(sid) as session:
                session["drawn"] += 1
            self.emit("drawn", point, room="board", skip_sid=sid)
            return int(self.get_session(sid)["drawn"])

        def on_quit(self, sid: str) -> None:
            self.disconnect(sid)

    rig.sio.register_namespace(Board("/board"))
    one, two = rig.client("/board"), rig.client("/board")
    one.emit("draw", 7, id=1, namespace="/board")
    assert one.take() == ["43/board,1[1]"]
    assert two.take() == ['42/board,["drawn",7]']
    one.emit("quit", namespace="/board")
    assert one.take() == ["41/board,"]
    with pytest.raises(AttributeError, match="nonsense"):
        _ = Board("/x").nonsense
    with pytest.raises(RuntimeError, match="register_namespace"):
        Board("/x").emit("e")


def test_coroutine_functions() -> None:
    rig = Rig()

    @rig.sio.event
    async def slow(sid: str, n: int) -> int:
        await asyncio.sleep(0)
        rig.sio.emit("half way", to=sid)
        return n

    client = rig.client("/")
    client.emit("slow", 3, id=1)
    assert client.take() == ['42["half way"]', "431[3]"]


def test_arguments_may_be_dropped_only_where_it_is_allowed() -> None:
    assert call(lambda a: a, 1, 2, may_drop=True) == 1
    assert call(lambda *a: a, 1, 2, may_drop=True) == (1, 2)
    with pytest.raises(TypeError):
        call(lambda a: a, 1, 2)


def test_nothing_is_found_in_an_empty_registry() -> None:
    assert Registry().find("/", "e") is None
