"""What moto does not do by itself: the SDK repeats a call whose answer was lost; an item is full."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import aws
from server.ports import Ports, Unavailable
from server.records import Change, Connection, Socket
from tests.aws.test_ports import NOW

POLLING, WEBSOCKET = "~session", "ws="


@pytest.fixture
def ports(stack: dict[str, str]) -> Ports:
    ports = aws.ports()
    ports.connections.open(Connection(POLLING, "session", NOW, {}))
    ports.connections.change(POLLING, Change(joined={"/": Socket("s")}))
    return ports


@pytest.fixture
def repeated(ports: Ports) -> Callable[..., Any]:
    """Call something whose first write is repeated by the SDK, as if its answer had been lost.

    `meanwhile` is done by others before the repetition.
    """

    def call(
        operation: str,
        function: Callable[..., Any],
        *args: Any,
        meanwhile: Callable[[], Any] = lambda: None,
        **kwargs: Any,
    ) -> Any:
        repeats: list[str] = []

        def repeat(response: Any = None, **_: Any) -> int | None:
            if repeats or response is None:
                return None
            repeats.append(operation)
            meanwhile()
            return 0

        events = ports.connections._table.client.meta.events  # type: ignore[attr-defined]
        events.register_first(f"needs-retry.dynamodb.{operation}", repeat)
        try:
            return function(*args, **kwargs)
        finally:
            events.unregister(f"needs-retry.dynamodb.{operation}", repeat)
            assert repeats, "the call was not repeated, so nothing is shown"

    return call


def test_frames_are_in_the_box_once(ports: Ports, repeated: Callable[..., Any]) -> None:
    assert repeated("UpdateItem", ports.mailboxes.append, POLLING, ["1", "2"]) is None
    box = ports.mailboxes.peek(POLLING)
    assert box
    assert ports.mailboxes.read(POLLING, box.letters) == ["1", "2"]


def test_a_poll_ends_once(ports: Ports, repeated: Callable[..., Any]) -> None:
    ports.mailboxes.append(POLLING, ["1"])
    ports.mailboxes.append(POLLING, ["2"])
    box = ports.mailboxes.begin(POLLING, "poll")
    assert box
    assert repeated("UpdateItem", ports.mailboxes.end, POLLING, "poll", box.letters[:1])
    left = ports.mailboxes.peek(POLLING)
    assert left
    assert ports.mailboxes.read(POLLING, left.letters) == ["2"]


class TestMeanwhile:
    """Others write to the same record between a call and its repetition."""

    def test_a_poll_ends(self, ports: Ports, repeated: Callable[..., Any]) -> None:
        """What it takes is not lost: the client gets it, though the answer to its end was."""
        ports.mailboxes.append(POLLING, ["1"])
        box = ports.mailboxes.begin(POLLING, "poll")
        assert box
        meanwhile = partial(ports.mailboxes.append, POLLING, ["2"])
        assert repeated("UpdateItem", ports.mailboxes.end, POLLING, "poll", box.letters, meanwhile=meanwhile)
        left = ports.mailboxes.peek(POLLING)
        assert left
        assert ports.mailboxes.read(POLLING, left.letters) == ["2"]

    def test_frames_are_put_into_the_box(self, ports: Ports, repeated: Callable[..., Any]) -> None:
        ports.mailboxes.begin(POLLING, "poll")

        def meanwhile() -> None:
            box = ports.mailboxes.peek(POLLING, consistent=True)
            assert box
            ports.mailboxes.end(POLLING, "poll", box.letters)
            ports.connections.touch(POLLING, NOW + 1)
            ports.connections.change(POLLING, Change(data={"/": 1}))
            ports.mailboxes.begin(POLLING, "next")

        assert repeated("UpdateItem", ports.mailboxes.append, POLLING, ["1"], meanwhile=meanwhile) is None
        box = ports.mailboxes.peek(POLLING)
        assert box
        assert not box.letters, "it was taken"

    def test_a_namespace_is_joined(self, ports: Ports, repeated: Callable[..., Any]) -> None:
        change = Change(joined={"/x": Socket("t")})
        meanwhile = partial(ports.mailboxes.begin, POLLING, "poll")
        assert repeated("UpdateItem", ports.connections.change, POLLING, change, meanwhile=meanwhile)

    def test_a_socket_is_ended(self, ports: Ports, repeated: Callable[..., Any]) -> None:
        meanwhile = partial(ports.mailboxes.append, POLLING, ["1"])
        assert repeated("UpdateItem", ports.connections.leave, POLLING, "/", NOW, "work", meanwhile=meanwhile)

    def test_a_box_is_emptied(self, ports: Ports, repeated: Callable[..., Any]) -> None:
        ports.connections.open(Connection(WEBSOCKET, "session", NOW, probes=POLLING))
        assert ports.mailboxes.offer(POLLING, WEBSOCKET, NOW)
        ports.mailboxes.append(POLLING, ["1"])
        meanwhile = partial(ports.mailboxes.append, POLLING, ["2"])
        box = repeated("UpdateItem", ports.mailboxes.lock, POLLING, WEBSOCKET, "holder", NOW, meanwhile=meanwhile)
        assert box
        assert repeated("UpdateItem", ports.mailboxes.discard, POLLING, "holder", box.letters[:1], meanwhile=meanwhile)
        left = ports.mailboxes.peek(POLLING)
        assert left
        assert ports.mailboxes.read(POLLING, left.letters) == ["2", "2"]


def test_a_session_moves_once(ports: Ports, repeated: Callable[..., Any]) -> None:
    ports.connections.open(Connection(WEBSOCKET, "session", NOW, probes=POLLING))
    assert repeated("UpdateItem", ports.mailboxes.offer, POLLING, WEBSOCKET, NOW)
    ports.mailboxes.append(POLLING, ["1"])
    box = repeated("UpdateItem", ports.mailboxes.lock, POLLING, WEBSOCKET, "holder", NOW)
    assert box
    assert repeated("UpdateItem", ports.mailboxes.discard, POLLING, "holder", box.letters)
    left = repeated("UpdateItem", ports.mailboxes.move, POLLING, WEBSOCKET)
    assert left
    assert repeated("UpdateItem", ports.connections.adopt, WEBSOCKET, left)


def test_a_socket_is_ended_once(ports: Ports, repeated: Callable[..., Any]) -> None:
    assert repeated("UpdateItem", ports.connections.leave, POLLING, "/", NOW, "work")
    assert not ports.connections.leave(POLLING, "/", NOW, "other")


def test_a_connection_is_claimed_once(ports: Ports, repeated: Callable[..., Any]) -> None:
    assert repeated("UpdateItem", ports.connections.claim, POLLING, at=NOW, born_before=NOW)
    assert ports.connections.claim(POLLING, at=NOW, born_before=NOW) is None


def test_a_namespace_is_joined_once(ports: Ports, repeated: Callable[..., Any]) -> None:
    assert repeated("UpdateItem", ports.connections.change, POLLING, Change(joined={"/x": Socket("t")}))
    assert not ports.connections.change(POLLING, Change(joined={"/x": Socket("other")}))


@pytest.mark.parametrize("operation", ["UpdateItem", "PutItem"])
def test_an_entry_is_new_once(ports: Ports, repeated: Callable[..., Any], operation: str) -> None:
    ports.journals.create("/", "room", None, NOW // 1000 + 60)
    entry, is_new = repeated(operation, ports.journals.append, "/", "room", "key", {"text": "hi"}, NOW)
    assert is_new
    assert entry.seq == 1
    assert ports.journals.append("/", "room", "key", {"text": "hi"}, NOW + 1) == (entry, False)
    assert ports.journals.append("/", "room", "next", {}, NOW)[0].seq == 2


def test_a_change_is_made_once(ports: Ports, repeated: Callable[..., Any]) -> None:
    ports.journals.create("/", "room", 0, NOW // 1000 + 60)
    record, is_done = repeated("UpdateItem", ports.journals.change, "/", "room", 0, 1, NOW)
    assert (record.data, is_done) == (1, True)
    ports.journals.append("/", "room", "key", 0, NOW)
    entry, is_done = repeated("UpdateItem", ports.journals.rewrite, "/", "room", "key", 0, 1, NOW)
    assert (entry.body, is_done) == (1, True)


def test_a_use_is_counted_once(ports: Ports, repeated: Callable[..., Any]) -> None:
    assert repeated("UpdateItem", ports.limits.count, "key", 2, 100)
    assert ports.limits.count("key", 2, 100)
    assert not ports.limits.count("key", 2, 100)


def test_a_full_box_is_busy_not_silent(ports: Ports) -> None:
    """The record holds 400 KB; whoever lags so far behind is told apart from one that takes nothing at all."""
    ports.connections.change(POLLING, Change(data={"/": "x" * 380_000}))

    def fill() -> None:
        for _ in range(60):
            ports.mailboxes.append(POLLING, ["4" + "x" * 900])

    with pytest.raises(Unavailable, match="full"):
        fill()
