"""`call`: a handler, or whoever else, waits for a client's answer, which another process takes."""

from typing import Any

import pytest

from server.exceptions import CallError, TimeoutError, UnknownSidError
from tests.server.rig import Client, Rig, asked


@pytest.fixture
def rig() -> Rig:
    return Rig(namespaces=["/", "/other"])


def answers(rig: Rig, client: Client, answer: str, after: float = 0.1) -> None:
    """Let another process take a client's answer while somebody waits."""
    due = rig.world.clock + after * 1000

    def meanwhile() -> None:
        if rig.world.clock >= due:
            rig.world.on_sleep = None
            rig.elsewhere().receive(client.id, f"43{asked(client)}{answer}", rig.world.deadline)

    rig.world.on_sleep = meanwhile


@pytest.mark.parametrize(
    ("answer", "value"),
    [("[]", None), ("[null]", None), ('["one"]', "one"), ('["one",2]', ("one", 2)), ("[[1,2]]", [1, 2])],
)
def test_what_comes_back(rig: Rig, answer: str, value: Any) -> None:
    client = rig.client("/")
    answers(rig, client, answer)
    assert rig.sio.call("question", 1, to=client.sid) == value


def test_an_answer_that_takes_a_while(rig: Rig) -> None:
    client = rig.client("/")
    answers(rig, client, "[1]", after=15)
    assert rig.sio.call("question", sid=client.sid) == 1


def test_in_a_handler(rig: Rig) -> None:
    """What was emitted before the question is there before it."""
    client, other = rig.client("/"), rig.client("/")

    @rig.sio.event
    def relay(sid: str, value: Any) -> Any:
        rig.sio.emit("one", to=other.sid)
        answer = rig.sio.call("question", value, to=other.sid)
        rig.sio.emit("two", to=other.sid)
        return answer

    def meanwhile() -> None:
        rig.world.on_sleep = None
        one, question = other.take()
        assert one == '42["one"]'
        number = question.removeprefix("42").removesuffix('["question",5]')
        rig.elsewhere().receive(other.id, f"43{number}[6]", rig.world.deadline)

    rig.world.on_sleep = meanwhile
    client.emit("relay", 5, id=1)
    assert client.take() == ["431[6]"]
    assert other.take() == ['42["two"]']


def test_what_the_handler_changed_is_seen_by_others_meanwhile(rig: Rig) -> None:
    client, other = rig.client("/"), rig.client("/")

    @rig.sio.event
    def ask(sid: str) -> Any:
        rig.sio.enter_room(sid, "room")
        rig.sio.save_session(sid, {"asks": True})
        return rig.sio.call("question", to=other.sid)

    seen: list[Any] = []

    def meanwhile() -> None:
        rig.world.on_sleep = None
        seen.append([each.sid for each in rig.world.rooms.members("/", "room")])
        connection = rig.world.connections.load(client.id)
        assert connection
        seen.append(connection.sockets["/"].data)
        rig.elsewhere().receive(other.id, f"43{asked(other)}[1]", rig.world.deadline)

    rig.world.on_sleep = meanwhile
    client.emit("ask", id=1)
    assert client.take() == ["431[1]"]
    assert seen == [[client.sid], {"asks": True}]


def test_binary(rig: Rig) -> None:
    client = rig.client("/")

    def meanwhile() -> None:
        rig.world.on_sleep = None
        number, engine = asked(client), rig.elsewhere()
        engine.receive(client.id, f'461-{number}[{{"_placeholder":true,"num":0}}]', rig.world.deadline, 1)
        engine.receive(client.id, "bAAE=", rig.world.deadline, 2)

    rig.world.on_sleep = meanwhile
    assert rig.sio.call("question", to=client.sid) == b"\x00\x01"


def test_no_answer(rig: Rig) -> None:
    client = rig.client("/")
    began = rig.world.clock
    with pytest.raises(TimeoutError, match=f"{client.sid} did not answer 'question' in time"):
        rig.sio.call("question", to=client.sid, timeout=3)
    assert 3_000 <= rig.world.clock - began < 3_200


def test_no_longer_than_the_invocation_lasts(rig: Rig) -> None:
    client, other = rig.client("/"), rig.client("/")
    errors: list[Exception] = []

    @rig.sio.event
    def ask(sid: str) -> str:
        try:
            rig.sio.call("question", to=other.sid)
        except TimeoutError as error:
            errors.append(error)
        return "in time"

    deadline = rig.world.deadline
    client.emit("ask", id=1)
    assert client.take() == ['431["in time"]']
    assert errors
    assert rig.world.clock < deadline


@pytest.mark.parametrize("namespace", ["/", "/other"])
def test_the_caller_itself(rig: Rig, namespace: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whichever of its sockets: its answer would wait behind the event that is being handled."""
    client = rig.client("/", "/other")
    rig.sio.on("ask", lambda sid: rig.sio.call("question", to=client.sids[namespace], namespace=namespace))
    began = rig.world.clock
    client.emit("ask", id=1)
    assert client.take() == []
    assert CallError.__name__ in caplog.text
    assert "use emit(callback=)" in caplog.text
    assert rig.world.clock == began, "nobody waited"


def test_who_is_not_there(rig: Rig) -> None:
    with pytest.raises(UnknownSidError):
        rig.sio.call("question", to="nobody")
    with pytest.raises(ValueError, match="say which"):
        rig.sio.call("question")


def test_a_late_answer_is_nobodys(rig: Rig) -> None:
    client = rig.client("/")
    with pytest.raises(TimeoutError):
        rig.sio.call("question", to=client.sid, timeout=1)
    client.send(f"43{asked(client)}[1]")
    assert not rig.world.wire.closed
