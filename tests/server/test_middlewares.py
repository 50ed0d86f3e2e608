"""Middlewares: what is asked before a connect handler, and before the handler of every event."""

import asyncio
import re
from typing import Any

import pytest

from server.exceptions import ConnectionRefusedError, EventRefusedError
from tests.server.rig import Rig


@pytest.fixture
def rig() -> Rig:
    return Rig(namespaces=["/", "/chat", "/admin-1", "/admin-2"])


class TestForConnections:
    def test_in_order_and_before_the_handler(self, rig: Rig) -> None:
        heard: list[Any] = []

        @rig.sio.event
        def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
            heard.append(("connect", sid))

        @rig.sio.use
        def first(sid: str, environ: dict[str, Any], auth: Any) -> None:
            heard.append(("first", sid, environ, auth))

        @rig.sio.use()
        def second(sid: str) -> None:
            heard.append(("second", sid))

        client = rig.client("/", auth={"token": "t"})
        sid = client.sid
        assert heard == [("first", sid, {"HTTP_X": client.id}, {"token": "t"}), ("second", sid), ("connect", sid)]

    @pytest.mark.parametrize(
        ("refusal", "told"),
        [
            (False, '44{"message":"Connection rejected by server"}'),
            (ConnectionRefusedError(), '44{"message":"Connection rejected by server"}'),
            (ConnectionRefusedError("not you"), '44{"message":"not you"}'),
            (ConnectionRefusedError("not you", {"why": [1]}), '44{"message":"not you","data":{"why":[1]}}'),
            (KeyError("bug"), '44{"message":"Connection rejected by server"}'),
        ],
        ids=repr,
    )
    def test_the_first_that_refuses_is_the_last(self, rig: Rig, refusal: Any, told: str) -> None:
        heard: list[str] = []

        @rig.sio.use
        def refuse(sid: str) -> Any:
            rig.sio.save_session(sid, {"refused": True})
            rig.sio.enter_room(sid, "room")
            heard.append("refuse")
            if isinstance(refusal, Exception):
                raise refusal
            return refusal

        rig.sio.use(lambda sid: heard.append("never"))
        rig.sio.on("connect", lambda sid, environ: heard.append("never"))
        rig.sio.on("disconnect", lambda sid: heard.append("never"))
        client = rig.client()
        client.send("40")
        assert client.take() == [told]
        assert heard == ["refuse"]
        assert not rig.world.rooms.items, "nothing of it stays"

    @pytest.mark.parametrize("answer", [None, True, 0, "", {}])
    def test_only_false_refuses(self, rig: Rig, answer: Any) -> None:
        rig.sio.use(lambda sid: answer)
        assert rig.client("/").sid

    def test_what_it_saved_is_the_handlers(self, rig: Rig) -> None:
        seen: list[Any] = []
        rig.sio.use(lambda sid, environ, auth: rig.sio.save_session(sid, {"name": auth["name"]}))
        rig.sio.on("connect", lambda sid, environ: seen.append(rig.sio.get_session(sid)))
        client = rig.client("/", auth={"name": "Ann"})
        assert seen == [rig.sio.get_session(client.sid)] == [{"name": "Ann"}]

    def test_a_coroutine_function(self, rig: Rig) -> None:
        @rig.sio.use
        async def slowly(sid: str, environ: dict[str, Any], auth: Any) -> bool:
            await asyncio.sleep(0)
            return bool(auth)

        assert rig.client("/", auth={"token": "t"}).sid
        client = rig.client()
        client.send("40")
        assert client.take() == ['44{"message":"Connection rejected by server"}']

    def test_whom_they_are_for(self, rig: Rig) -> None:
        heard: list[str] = []
        rig.sio.use(lambda sid: heard.append("/"))
        rig.sio.use(namespace="/chat")(lambda sid: heard.append("/chat"))
        rig.sio.use(namespace="*")(lambda sid: heard.append("*"))
        rig.sio.use(namespace=re.compile(r"^/admin-\d$"))(lambda sid: heard.append("pattern"))
        rig.sio.use(namespace=lambda name: name.endswith("2"))(lambda sid: heard.append("function"))
        for namespace, expected in {
            "/": ["/", "*"],
            "/chat": ["/chat", "*"],
            "/admin-1": ["*", "pattern"],
            "/admin-2": ["*", "pattern", "function"],
        }.items():
            rig.client(namespace)
            assert heard == expected, namespace
            heard.clear()

    def test_they_open_no_namespace(self, rig: Rig) -> None:
        rig.sio.use(namespace="/secret")(lambda sid: None)
        client = rig.client()
        client.send("40/secret,")
        assert client.take() == ['44/secret,{"message":"Invalid namespace"}']

    def test_always_connect(self) -> None:
        rig = Rig(always_connect=True)
        rig.sio.use(lambda sid: False)
        client = rig.client()
        client.send("40")
        connected, disconnected = client.take()
        assert connected.startswith('40{"sid":')
        assert disconnected == "41"


class TestForEvents:
    def test_in_order_and_before_the_handler(self, rig: Rig) -> None:
        heard: list[Any] = []
        rig.sio.on("add", lambda sid, *args: heard.append(("handler", *args)))
        rig.sio.use(events=True)(lambda sid, event, *args: heard.append(("first", sid, event, *args)))
        rig.sio.use(namespace="*", events=True)(lambda sid, event, *args: heard.append(("second", event)))
        client = rig.client("/")
        assert not heard, "connecting is no event"
        client.emit("add", 1, {"two": 2})
        assert heard == [("first", client.sid, "add", 1, {"two": 2}), ("second", "add"), ("handler", 1, {"two": 2})]
        client.send("41")
        assert len(heard) == 3, "nor is leaving"

    @pytest.mark.parametrize(
        ("error", "answer"),
        [
            (EventRefusedError(), '{"error":{"message":"Event rejected by server"}}'),
            (EventRefusedError("no"), '{"error":{"message":"no"}}'),
            (EventRefusedError("no", {"why": [1]}), '{"error":{"message":"no","data":{"why":[1]}}}'),
        ],
    )
    def test_a_refusal_is_the_acknowledgement(self, rig: Rig, error: Exception, answer: str) -> None:
        heard: list[Any] = []
        rig.sio.on("add", lambda sid: heard.append("handler"))

        @rig.sio.use(events=True)
        def refuse(sid: str, event: str, *args: Any) -> None:
            raise error

        rig.sio.use(events=True)(lambda sid, event: heard.append("never"))
        client = rig.client("/")
        client.emit("add", id=7)
        assert client.take() == [f"437[{answer}]"]
        client.emit("add")
        assert client.take() == [], "nobody asked"
        assert not heard

    def test_also_of_an_event_that_nobody_handles(self, rig: Rig) -> None:
        @rig.sio.use(events=True)
        def refuse(sid: str, event: str) -> None:
            raise EventRefusedError(event)

        client = rig.client("/")
        client.emit("unknown", id=1)
        assert client.take() == ['431[{"error":{"message":"unknown"}}]']

    def test_one_that_fails_is_like_a_handler_that_does(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        heard: list[Any] = []
        rig.sio.on("add", lambda sid: heard.append("handler"))

        @rig.sio.use(events=True)
        def fail(sid: str, event: str) -> None:
            raise RuntimeError("bug")

        client = rig.client("/")
        client.emit("add", id=1)
        assert client.take() == []
        assert "RuntimeError: bug" in caplog.text
        assert not heard
        assert not rig.world.wire.closed

    def test_what_it_returns_means_nothing(self, rig: Rig) -> None:
        rig.sio.on("add", lambda sid: "added")
        rig.sio.use(events=True)(lambda sid, event: False)
        client = rig.client("/")
        client.emit("add", id=1)
        assert client.take() == ['431["added"]']

    def test_a_coroutine_function(self, rig: Rig) -> None:
        rig.sio.on("add", lambda sid: rig.sio.get_session(sid))

        @rig.sio.use(events=True)
        async def count(sid: str, event: str) -> None:
            await asyncio.sleep(0)
            with rig.sio.session(sid) as session:
                session["n"] = session.get("n", 0) + 1

        client = rig.client("/")
        client.emit("add", id=1)
        client.emit("add", id=2)
        assert client.take() == ['431[{"n":1}]', '432[{"n":2}]']

    def test_what_it_emits_comes_first(self, rig: Rig) -> None:
        rig.sio.on("add", lambda sid: rig.sio.emit("handled", to=sid))
        rig.sio.use(events=True)(lambda sid, event: rig.sio.emit("seen", event, to=sid))
        client = rig.client("/")
        client.emit("add")
        assert client.take() == ['42["seen","add"]', '42["handled"]']

    def test_whom_they_are_for(self, rig: Rig) -> None:
        heard: list[str] = []
        rig.sio.use(events=True)(lambda sid, event: heard.append("/"))
        rig.sio.use(namespace=re.compile("admin"), events=True)(lambda sid, event: heard.append("pattern"))
        client = rig.client("/", "/chat", "/admin-1")
        for namespace in ("/", "/chat", "/admin-1"):
            client.emit("add", namespace=namespace)
        assert heard == ["/", "pattern"]


def test_what_is_no_middleware(rig: Rig) -> None:
    with pytest.raises(ValueError, match="a middleware is not callable"):
        rig.sio.use(namespace="/")(7)  # type: ignore[type-var]
