"""Acknowledgements from clients: callbacks that another process may call, and answers that are collected."""

import asyncio
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from server.acks import LONGEST_TIMER, MAX_ASKED
from server.exceptions import TooManyAskedError
from tests.server.rig import Client, Poller, Rig, asked

CALLS: list[tuple[Any, ...]] = []


def heard(*args: Any) -> None:
    CALLS.append(args)


def heard_by_name(*args: Any, **kwargs: Any) -> None:
    CALLS.append((*args, kwargs))


def fails(*args: Any) -> None:
    CALLS.append(args)
    raise RuntimeError("bug")


async def heard_later(*args: Any) -> None:
    await asyncio.sleep(0)
    CALLS.append(args)


class Board:
    def method(self, *args: Any) -> None: ...

    @staticmethod
    def static(*args: Any) -> None:
        CALLS.append(args)


@pytest.fixture(autouse=True)
def calls() -> Iterator[list[tuple[Any, ...]]]:
    CALLS.clear()
    yield CALLS
    CALLS.clear()


@pytest.fixture
def rig() -> Rig:
    return Rig(namespaces=["/", "/other"])


def time_passes(rig: Rig) -> None:
    """Do what the next timer says, when it does."""
    job, seconds = rig.world.timers.started.pop(0)
    assert 0 <= seconds <= LONGEST_TIMER
    rig.world.clock += seconds * 1000
    rig.engine.deliver(job, rig.world.deadline)


class TestCallbacks:
    def test_one_socket(self, rig: Rig) -> None:
        client = rig.client("/")
        rig.sio.emit("question", {"n": 1}, to=client.sid, callback=heard)
        client.send(f'43{asked(client)}["yes",{{"no":[null]}}]')
        assert CALLS == [("yes", {"no": [None]})]
        assert client.take() == []
        assert not rig.world.timers.started, "nothing has to happen when the time is up"

    def test_in_another_namespace(self, rig: Rig) -> None:
        client = rig.client("/", "/other")
        rig.sio.emit("question", to=client.sids["/other"], namespace="/other", callback=heard)
        (frame,) = client.take()
        number = int(frame.removeprefix("42/other,").removesuffix('["question"]'))
        client.send(f'43{number}["wrong namespace"]')
        assert not CALLS
        client.send(f'43/other,{number}["right"]')
        assert CALLS == [("right",)]

    def test_a_namespace_with_a_bracket(self) -> None:
        """The id belongs before the event, and not into the namespace's name."""
        rig = Rig(namespaces="*")
        client = rig.client("/a[1]")
        rig.sio.emit("question", to=client.sids["/a[1]"], namespace="/a[1]", callback=heard)
        (frame,) = client.take()
        assert re.fullmatch(r'42/a\[1\],\d+\["question"\]', frame)

    def test_binary_question(self, rig: Rig) -> None:
        client = rig.client("/")
        rig.sio.emit("question", b"\0", to=client.sid, callback=heard)
        header, attachment = client.take()
        assert re.fullmatch(r'451-\d+\["question",\{"_placeholder":true,"num":0\}\]', header)
        assert attachment == "bAA=="

    def test_a_room_is_called_once_for_each_client(self, rig: Rig) -> None:
        clients = [rig.client("/") for _ in range(3)]
        rig.sio.emit("question", skip_sid=clients[0].sid, callback=heard)
        assert clients[0].take() == []
        numbers = {asked(client) for client in clients[1:]}
        assert len(numbers) == 1, "one emit is one question"
        for n, client in enumerate(clients):
            client.send(f"43{min(numbers)}[{n}]")
        assert CALLS == [(1,), (2,)]

    def test_what_partial_gives_comes_first(self, rig: Rig) -> None:
        client = rig.client("/")
        callback = partial(partial(heard_by_name, 1, {"a": [2.5]}, b="b"), None, c=["c"])
        rig.sio.emit("question", to=client.sid, callback=callback)
        client.send(f'43{asked(client)}["answer"]')
        assert CALLS == [(1, {"a": [2.5]}, None, "answer", {"b": "b", "c": ["c"]})]

    @pytest.mark.parametrize("name", [f"{__name__}:heard", f"{__name__}:Board.static"])
    def test_a_name(self, rig: Rig, name: str) -> None:
        client = rig.client("/")
        rig.sio.emit("question", to=client.sid, callback=name)
        client.send(f"43{asked(client)}[1]")
        assert CALLS == [(1,)]

    def test_a_static_method_is_found(self, rig: Rig) -> None:
        client = rig.client("/")
        rig.sio.emit("question", to=client.sid, callback=partial(Board.static, "static"))
        client.send(f"43{asked(client)}[1]")
        assert CALLS == [("static", 1)]

    def test_one_that_is_registered(self, rig: Rig) -> None:
        @rig.sio.callback
        def inner(*args: Any) -> None:
            CALLS.append(("inner", *args))

        client = rig.client("/")
        rig.sio.emit("question", to=client.sid, callback=inner)
        rig.sio.emit("question", to=client.sid, callback="inner")
        for frame in client.take():
            client.send(f"43{re.sub('[^0-9]', '', frame[2:])}[]")
        assert CALLS == [("inner",), ("inner",)]

    def test_in_another_process(self, rig: Rig) -> None:
        client = rig.client("/")
        rig.sio.emit("question", to=client.sid, callback=partial(heard, "context"))
        rig.elsewhere().receive(client.id, f"43{asked(client)}[1]", rig.world.deadline)
        assert CALLS == [("context", 1)]

    def test_a_name_that_the_other_process_does_not_know(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        @rig.sio.callback
        def only_here(*args: Any) -> None: ...

        client = rig.client("/")
        rig.sio.emit("question", to=client.sid, callback=only_here)
        rig.elsewhere().receive(client.id, f"43{asked(client)}[1]", rig.world.deadline)
        assert "there is no callback 'only_here'" in caplog.text
        assert not rig.world.wire.closed

    def test_a_coroutine_function(self, rig: Rig) -> None:
        client = rig.client("/")
        rig.sio.emit("question", to=client.sid, callback=partial(heard_later, "later"))
        client.send(f"43{asked(client)}[1]")
        assert CALLS == [("later", 1)]

    def test_it_may_emit_and_see_to_rooms(self, rig: Rig) -> None:
        @rig.sio.callback
        def answered(sid: str, value: Any) -> None:
            rig.sio.enter_room(sid, "room")
            rig.sio.emit("answered", value, room="room")
            rig.sio.emit("again", to=sid, callback=heard)

        client, other = rig.client("/"), rig.client("/")
        rig.sio.enter_room(other.sid, "room")
        rig.sio.emit("question", to=client.sid, callback=partial(answered, client.sid))
        client.send(f"43{asked(client)}[7]")
        assert other.take() == ['42["answered",7]']
        first, again = client.take()
        assert first == '42["answered",7]'
        client.send(f"43{re.sub('[^0-9]', '', again[2:])}[8]")
        assert CALLS == [(8,)]

    def test_one_that_raises_is_logged(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        client = rig.client("/")
        rig.sio.emit("question", to=client.sid, callback=fails)
        client.send(f"43{asked(client)}[1]")
        assert CALLS == [(1,)]
        assert f"the callback {__name__}:fails failed" in caplog.text
        assert "RuntimeError: bug" in caplog.text
        assert not rig.world.wire.closed

    def test_nobody_there(self, rig: Rig) -> None:
        rig.sio.emit("question", room="nobody", callback=heard)
        assert not CALLS
        assert not rig.world.questions.items

    def test_ids_suit_every_client(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        """One that is taken is not taken again, and none has more than 31 bits."""
        drawn = iter([5, 5, 5, 2**31 - 1])
        monkeypatch.setattr("server.acks.random.randrange", lambda *bounds: next(drawn))
        client = rig.client("/")
        for _ in range(2):
            rig.sio.emit("question", to=client.sid, callback=heard)
        assert client.take() == ['425["question"]', '422147483647["question"]']


class TestWhatIsNoCallback:
    @pytest.mark.parametrize(
        "callback",
        [lambda *args: None, partial(lambda *args: None, 1), Board().method, Board(), print, len],
        ids=["lambda", "partial of a lambda", "method", "object", "builtin", "builtin too"],
    )
    def test_what_another_process_could_not_find(self, rig: Rig, callback: Callable[..., Any]) -> None:
        client = rig.client("/")
        if callback in (print, len):  # these it could: they have a module
            rig.sio.emit("question", to=client.sid, callback=callback)
            return
        with pytest.raises(ValueError, match="cannot be found again by another process"):
            rig.sio.emit("question", to=client.sid, callback=callback)
        assert client.take() == []

    def test_a_closure(self, rig: Rig) -> None:
        def closure(*args: Any) -> None: ...

        with pytest.raises(ValueError, match=r"@sio\.callback"):
            rig.sio.emit("question", callback=closure)

    @pytest.mark.parametrize("value", [b"bytes", object(), {1, 2}])
    def test_arguments_that_json_cannot_keep(self, rig: Rig, value: Any) -> None:
        for callback in (partial(heard, value), partial(heard_by_name, key=value)):
            with pytest.raises(ValueError, match="kept as JSON"):
                rig.sio.emit("question", callback=callback)

    def test_a_timeout_without_one(self, rig: Rig) -> None:
        with pytest.raises(ValueError, match="for the answers that a callback gets"):
            rig.sio.emit("question", timeout=5)


class TestTooMany:
    def crowd(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> list[Client]:
        monkeypatch.setattr("server.acks.MAX_ASKED", 2)
        assert MAX_ASKED == 1_000
        return [rig.client("/") for _ in range(3)]

    def test_it_is_raised(self, rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
        clients = self.crowd(rig, monkeypatch)
        with pytest.raises(TooManyAskedError, match="3 sockets, and an emit with a callback asks at most 2"):
            rig.sio.emit("question", callback=heard)
        assert [client.take() for client in clients] == [[], [], []]

    def test_in_a_handler_it_is_like_any_other_error(
        self, rig: Rig, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The frame is done with; what came before and after it is sent."""
        clients = self.crowd(rig, monkeypatch)

        @rig.sio.event
        def work(sid: str) -> None:
            rig.sio.emit("before", to=clients[1].sid)
            rig.sio.emit("question", callback=heard)
            rig.sio.emit("after", to=clients[1].sid)

        clients[0].emit("work")
        assert "TooManyAskedError" in caplog.text
        assert clients[1].take()[0] == '42["before"]'
        assert clients[2].take() == []


class TestWhoseAnswer:
    def question(self, rig: Rig, client: Client, **options: Any) -> int:
        rig.sio.emit("question", to=client.sid, callback=heard, **options)
        return asked(client)

    def test_a_strangers(self, rig: Rig) -> None:
        client, stranger = rig.client("/"), rig.client("/")
        number = self.question(rig, client)
        stranger.send(f'43{number}["mine"]')
        assert not CALLS
        client.send(f'43{number}["his"]')
        assert CALLS == [("his",)]

    def test_one_that_nobody_asked_for(self, rig: Rig) -> None:
        client = rig.client("/")
        client.send("4312345[1]")
        assert not rig.world.wire.closed

    def test_twice(self, rig: Rig) -> None:
        client = rig.client("/")
        number = self.question(rig, client)
        for n in (1, 2):
            client.send(f"43{number}[{n}]")
        assert CALLS == [(1,)]

    @pytest.mark.parametrize(("away", "counts"), [(59_999, True), (60_000, False)])
    def test_late(self, rig: Rig, away: int, counts: bool) -> None:
        client = rig.client("/")
        number = self.question(rig, client)
        rig.world.clock += away
        client.send(f"43{number}[1]")
        assert bool(CALLS) == counts

    def test_a_frame_that_comes_again(self, rig: Rig) -> None:
        """An invocation that died before its frame counted as handled: what it had begun is done again."""
        client = rig.client("/")
        number = self.question(rig, client)
        rig.engine.receive(client.id, f"43{number}[1]", rig.world.deadline, 7)
        rig.engine.receive(client.id, f"43{number}[1]", rig.world.deadline, 7)
        assert CALLS == [(1,)]
        rig.world.connections.records[client.id].connection.handled = 0
        rig.engine.receive(client.id, f"43{number}[1]", rig.world.deadline, 7)
        assert CALLS == [(1,), (1,)]
        rig.engine.receive(client.id, f"43{number}[1]", rig.world.deadline, 8)
        assert CALLS == [(1,), (1,)]

    def test_binary_over_websocket(self, rig: Rig) -> None:
        client = rig.client("/")
        number = self.question(rig, client)
        header = f'462-{number}[{{"_placeholder":true,"num":1}},[{{"_placeholder":true,"num":0}}]]'
        for n, frame in enumerate([header, "bAAE=", "b//4="], 1):
            rig.engine.receive(client.id, frame, rig.world.deadline, n)
        assert CALLS == [(b"\xff\xfe", [b"\x00\x01"])]

    def test_binary_over_polling(self, rig: Rig) -> None:
        client = Poller(rig, "/")
        sid = client.sids["/"]
        rig.sio.emit("question", to=sid, callback=heard, timeout=5)
        number = re.sub("[^0-9]", "", client.poll()[0][2:])
        client.post(f'461-{number}[{{"_placeholder":true,"num":0}}]', "bAAE=")
        assert [({sid: [b"\x00\x01"]}, [])] == CALLS

    def test_one_that_is_too_large(self, rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
        """By polling a client may post more than fits into a record; it is no answer, and no error of the server."""
        client = Poller(rig, "/")
        rig.sio.emit("question", to=client.sids["/"], callback=heard)
        number = re.sub("[^0-9]", "", client.poll()[0][2:])
        client.post(f'43{number}["{"x" * 200_000}"]')
        assert not CALLS
        assert "cannot be kept" in caplog.text


class TestCollected:
    def test_all_came(self, rig: Rig) -> None:
        one, two = rig.client("/"), rig.client("/")
        rig.sio.emit("question", callback=partial(heard, "context"), timeout=5)
        number = asked(one)
        assert asked(two) == number
        two.send(f"43{number}[2,3]")
        assert not CALLS
        rig.elsewhere().receive(one.id, f"43{number}[]", rig.world.deadline)
        assert [("context", {one.sid: [], two.sid: [2, 3]}, [])] == CALLS
        time_passes(rig)
        assert len(CALLS) == 1, "the time means nothing any more"

    def test_the_time_is_up(self, rig: Rig) -> None:
        clients = [rig.client("/") for _ in range(3)]
        rig.sio.emit("question", callback=heard, timeout=5)
        (number, *_) = [asked(client) for client in clients]
        clients[0].send(f'43{number}["here"]')
        (_, seconds) = rig.world.timers.started[0]
        assert seconds == 5
        time_passes(rig)
        missing = sorted(client.sid for client in clients[1:])
        assert [({clients[0].sid: ["here"]}, missing)] == CALLS
        clients[1].send(f'43{number}["late"]')
        assert len(CALLS) == 1

    def test_a_timer_that_rings_twice(self, rig: Rig) -> None:
        rig.client("/")
        rig.sio.emit("question", callback=heard, timeout=5)
        rig.world.timers.started *= 2
        for _ in range(2):
            time_passes(rig)
        assert len(CALLS) == 1

    def test_in_another_process(self, rig: Rig) -> None:
        client = rig.client("/")
        rig.sio.emit("question", callback=partial(heard, 1), timeout=0.5)
        ((job, seconds),) = rig.world.timers.started
        rig.world.clock += seconds * 1000
        rig.elsewhere().deliver(job, rig.world.deadline)
        assert [(1, {}, [client.sid])] == CALLS

    def test_nobody_is_there(self, rig: Rig) -> None:
        rig.sio.emit("question", room="nobody", callback=heard, timeout=5)
        assert CALLS == [({}, [])]
        assert not rig.world.timers.started

    def test_longer_than_a_timer(self, rig: Rig) -> None:
        """A queue holds a message back for 15 minutes at most, so the time is waited for in parts."""
        client = rig.client("/")
        began = rig.world.clock
        rig.sio.emit("question", callback=heard, timeout=2_000)
        for _ in range(2):
            time_passes(rig)
            assert not CALLS
        time_passes(rig)
        assert rig.world.clock - began == 2_000_000
        assert [({}, [client.sid])] == CALLS

    def test_an_answer_after_the_first_part(self, rig: Rig) -> None:
        client = rig.client("/")
        rig.sio.emit("question", callback=heard, timeout=2_000)
        time_passes(rig)
        client.send(f"43{asked(client)}[1]")
        assert [({client.sid: [1]}, [])] == CALLS
        time_passes(rig)
        assert len(CALLS) == 1
        assert not rig.world.timers.started

    def test_what_the_callback_does_is_sent(self, rig: Rig) -> None:
        @rig.sio.callback
        def count(answers: dict[str, Any], missing: list[str]) -> None:
            rig.sio.emit("count", (len(answers), len(missing)))

        client = rig.client("/")
        rig.sio.emit("question", callback=count, timeout=5)
        client.take()
        time_passes(rig)
        assert client.take() == ['42["count",0,1]']
