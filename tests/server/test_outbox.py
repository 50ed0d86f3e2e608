"""The outbox: in which order frames are sent, to whom again, and which wait in the queue."""

import pytest

from server.jobs import Post, to_json
from server.outbox import INLINE_LIMIT, PAUSES, SHARDS
from server.ports import Rejected, Unavailable
from tests.server.rig import Client, Rig


@pytest.fixture
def rig() -> Rig:
    return Rig(namespaces=["/"])


def crowd(rig: Rig, size: int) -> list[Client]:
    clients = [rig.client("/") for _ in range(size)]
    for client in clients:
        rig.sio.enter_room(client.sid, "room")
    return clients


def test_the_last_frame_for_the_caller_rides_the_response(rig: Rig) -> None:
    @rig.sio.event
    def ask(sid: str) -> str:
        rig.sio.emit("one", to=sid)
        rig.sio.emit("two", to=sid)
        return "answer"

    client = rig.client("/")
    answer = rig.engine.receive(client.id, '421["ask"]', rig.world.deadline)
    assert client.take() == ['42["one"]', '42["two"]']
    assert answer == '431["answer"]'


@pytest.mark.parametrize(("number", "own"), [(0, 1), (1, 2)])  # a route response; the queue, where nothing rides
def test_who_asked_is_answered_after_the_others(
    rig: Rig, number: int, own: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So what one does, having the answer, reaches nobody before what the answer was about."""
    order: list[str] = []
    post = rig.world.wire.post

    @rig.sio.event
    def ask(sid: str) -> str:
        rig.sio.emit("news")
        return "answer"

    client, *others = crowd(rig, 40)

    def noted(connection_id: str, frame: str) -> None:
        post(connection_id, frame)
        order.append(connection_id)

    monkeypatch.setattr(rig.world.wire, "post", noted)
    rig.engine.receive(client.id, '421["ask"]', rig.world.deadline, number)
    assert set(order[: len(others)]) == {other.id for other in others}
    assert order[len(others) :] == [client.id] * own


def test_no_answer_overtakes_a_frame_that_could_not_be_sent(rig: Rig) -> None:
    @rig.sio.event
    def ask(sid: str) -> str:
        rig.sio.emit("one", to=sid)
        return "answer"

    client = rig.client("/")
    rig.world.wire.faults[client.id] = [Unavailable("429")] * (len(PAUSES) + 1)
    assert rig.engine.receive(client.id, '421["ask"]', rig.world.deadline) is None
    assert client.take() == []
    rig.run_queue()
    assert client.take() == ['42["one"]', '431["answer"]']


def test_the_busy_are_tried_again(rig: Rig) -> None:
    client = rig.client("/")
    rig.world.wire.faults[client.id] = [Unavailable("429")] * len(PAUSES)
    rig.sio.emit("e")
    assert client.take() == ['42["e"]']
    assert not rig.world.queue.jobs


def test_who_stays_busy_is_left_to_the_queue_and_then_closed(rig: Rig) -> None:
    heard: list[str] = []
    rig.sio.on("disconnect", lambda sid, reason: heard.append(reason))
    client, other = rig.client("/"), rig.client("/")
    rig.world.wire.faults[client.id] = [Unavailable("429")] * 1_000
    rig.sio.emit("e")
    assert other.take() == ['42["e"]'], "one busy recipient holds nobody up"
    (job,) = rig.world.queue.parsed()
    assert job == Post((client.id,), ('42["e"]',))
    rig.run_queue()
    assert heard == ["transport error"]
    assert rig.world.wire.closed == [client.id]


def test_a_refused_frame_does_not_stop_the_next(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    client = rig.client("/")
    rig.world.wire.faults[client.id] = [Rejected("413")]
    with rig.sio.batch():
        rig.sio.emit("one")
        rig.sio.emit("two")
    assert client.take() == ['42["two"]']
    assert "is lost" in caplog.text


@pytest.mark.parametrize("size", [INLINE_LIMIT, INLINE_LIMIT + 1])
def test_a_large_room_goes_to_the_queue(rig: Rig, size: int) -> None:
    clients = crowd(rig, size)
    rig.sio.emit("e", room="room")
    groups = {group for group, _ in rig.world.queue.jobs}
    assert len(groups) == (0 if size == INLINE_LIMIT else SHARDS)
    rig.run_queue()
    assert all(client.take() == ['42["e"]'] for client in clients)


def test_order_holds_across_the_queue(rig: Rig) -> None:
    """What a handler sends to one of a large room waits behind what it sent to the room."""
    clients = crowd(rig, INLINE_LIMIT + 1)

    @rig.sio.event
    def say(sid: str) -> str:
        rig.sio.emit("before", to=sid)
        rig.sio.emit("room", room="room")
        rig.sio.emit("after", to=sid)
        return "ack"

    first = clients[0]
    first.emit("say", id=1)
    assert first.take() == ['42["before"]']
    rig.run_queue()
    assert first.take() == ['42["room"]', '42["after"]', '431["ack"]']


def test_what_outlives_the_invocation_goes_to_the_queue(rig: Rig) -> None:
    rig.sio.on("say", lambda sid: rig.sio.emit("e", skip_sid=sid))
    client, other = rig.client("/"), rig.client("/")
    rig.engine.receive(client.id, '42["say"]', rig.world.clock + 1_000)
    assert other.take() == []
    rig.run_queue()
    assert other.take() == ['42["e"]']


def test_a_job_that_comes_too_late_in_an_invocation_is_put_back(rig: Rig) -> None:
    with pytest.raises(Unavailable):
        rig.engine.deliver(to_json(Post(("c",), ("42",))), rig.world.clock + 5_000)
    assert not rig.world.wire.posts


def test_a_queue_that_fails_is_logged_not_raised(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    crowd(rig, INLINE_LIMIT + 1)
    rig.world.queue.fault = Unavailable("down")
    rig.sio.emit("e", room="room")
    assert "jobs, which are lost" in caplog.text
