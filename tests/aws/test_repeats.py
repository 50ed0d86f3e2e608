"""What moto does not do by itself: the SDK repeats a call whose answer was lost; an item is full."""

from collections.abc import Callable
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
    """Call something whose first write is repeated by the SDK, as if its answer had been lost."""

    def call(operation: str, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        repeats: list[str] = []

        def repeat(response: Any = None, **_: Any) -> int | None:
            if repeats or response is None:
                return None
            repeats.append(operation)
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
    assert repeated("UpdateItem", ports.connections.leave, POLLING, "/")
    assert not ports.connections.leave(POLLING, "/")


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


def test_a_full_box_is_busy_not_silent(ports: Ports) -> None:
    """The record holds 400 KB; whoever lags so far behind is told apart from one that takes nothing at all."""
    ports.connections.change(POLLING, Change(data={"/": "x" * 380_000}))

    def fill() -> None:
        for _ in range(60):
            ports.mailboxes.append(POLLING, ["4" + "x" * 900])

    with pytest.raises(Unavailable, match="full"):
        fill()
