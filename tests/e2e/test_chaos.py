"""The chat while things go wrong on purpose: members of a room still see each message once, and in one order."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from gateway.aws.faults import AwsFault
from gateway.chaos.rules import AnyRule, ColdStart, ConnectionsError, Crash, Delay, Duplicate, Reorder, Throttle
from gateway.journal import Called
from gateway.testing import Gateway, emptied
from tests.chat.person import Invitation, Person
from tests.e2e.processes import ROOT, NodeClient, until
from tests.e2e.test_applications import Actor

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

SOON = 15
"""Seconds in which each message has come to everybody."""

HELD_UP = 2
"""Seconds for which a function that was killed holds up its messages, in place of minutes."""

Round = tuple[AnyRule, ...]
"""What goes wrong while each member says a few things."""


@pytest.fixture(scope="module")
def started() -> Iterator[Gateway]:
    def parameters(url: str) -> dict[str, Any]:
        return {"PublicUrl": url, "RoomsPerHour": 0}

    with Gateway(ROOT / "template.yaml", parameters=parameters, seed=1) as gateway:
        yield gateway


gateway = emptied("started")


class Client:
    """Either client, as a person of the chat has it."""

    def __init__(self, client: Actor | NodeClient) -> None:
        self.client = client

    @property
    def heard(self) -> list[list[Any]]:
        return self.client.heard

    def call(self, event: str, data: Any, /) -> Any:
        return self.client.ask(event, data) if isinstance(self.client, Actor) else self.client.call(event, data)


class Member:
    """Somebody in a room, by either client."""

    def __init__(self, client: Actor | NodeClient, invitation: Invitation, name: str) -> None:
        self.name = name
        self.person = Person(Client(client), invitation, name)
        self._client = client
        self._said = 0

    def say(self, count: int) -> list[tuple[int, str]]:
        """Say some things, one after another; returns the number that each got, and its text."""
        said = []
        for _ in range(count):
            self._said += 1
            text = f"{self.name} {self._said}"
            said.append((self.person.say(text)["seq"], text))
        return said

    @property
    def heard(self) -> list[tuple[int, str]]:
        return self.person.heard

    @property
    def sids(self) -> list[str]:
        """The ids of a Node client's sockets so far, one for each connection."""
        assert isinstance(self._client, NodeClient)
        return [line["connected"] for line in map(json.loads, list(self._client.lines)) if "connected" in line]

    @property
    def lost(self) -> list[Any]:
        return [event for event in self._client.heard if event[0] == "disconnect"]


class Room:
    """A room, and who is in it."""

    def __init__(self, gateway: Gateway) -> None:
        self.url = gateway.url
        self.invitation = Invitation(gateway.url)
        self.invitation.create()
        self.members: list[Member] = []
        self.said: list[tuple[int, str]] = []
        self._ends = ExitStack()

    def __enter__(self) -> "Room":
        return self

    def __exit__(self, *_: object) -> None:
        self._ends.close()

    def enter(self, name: str, transport: str) -> Member:
        """Let somebody in; `node` is Socket.IO's own client by WebSocket, else it is a transport of Python's."""
        client: Actor | NodeClient
        if transport == "node":
            client = self._ends.enter_context(NodeClient(self.url, {"transports": ["websocket"]}))
        else:
            client = Actor(self.url, transport=transport)
            self._ends.callback(client.close)
        member = Member(client, self.invitation, name)
        member.person.join()
        self.members.append(member)
        return member

    def talk(self, count: int, *, repeats: bool = False, late: bool = False) -> None:
        """Let everybody say some things at the same time, and hold that everybody hears them as they should.

        Nobody misses anything, nor hears it twice, unless `repeats`; what one person said is heard in its order, unless
        some of it may be `late`. What several say at once has the order of its numbers, by which the page puts it.
        """
        with ThreadPoolExecutor(len(self.members)) as threads:
            for said in threads.map(lambda member: member.say(count), self.members):
                self.said += said
        expected = sorted(self.said)
        if not repeats:  # the number of one whose function was killed may stay empty
            assert [number for number, _ in expected] == list(range(1, len(expected) + 1))
        for member in self.members:
            until(lambda: set(member.heard) >= set(expected), f"all that was said, to {member.name}", SOON)  # noqa: B023
            heard = list(dict.fromkeys(member.heard)) if repeats else member.heard
            assert sorted(heard) == expected, member.name
            for speaker in [] if late else self.members:
                numbers = [number for number, text in heard if text.startswith(speaker.name)]
                assert numbers == sorted(numbers), f"{speaker.name} to {member.name}"
            assert member.lost == []


@contextmanager
def entered(gateway: Gateway) -> Iterator[Room]:
    """A room of three: two by WebSocket, one by long polling."""
    sqs = gateway.boto3("sqs")
    for url in sqs.list_queues()["QueueUrls"]:
        sqs.set_queue_attributes(QueueUrl=url, Attributes={"VisibilityTimeout": str(HELD_UP)})
    with Room(gateway) as room:
        for name, transport in (("Noah", "node"), ("Pia", "websocket"), ("Paul", "polling")):
            room.enter(name, transport)
        yield room


@pytest.fixture
def room(gateway: Gateway) -> Iterator[Room]:
    with entered(gateway) as room:
        yield room


def post(status: Any, **options: Any) -> ConnectionsError:
    return ConnectionsError(method="POST", status=status, **options)


def dynamodb(error: str, **options: Any) -> AwsFault:
    return AwsFault(service="dynamodb", error=error, **options)


FAULTS: dict[str, list[Round]] = {
    "frames out of order": [(Reorder(within=0.3),)],
    "cold starts": [(ColdStart(rate=0.2, extra=0.1),)],
    # As often as a frame is tried again.
    "busy connections": [(post(429, rate=0.5, times=3),)] * 3,
    "batches twice": [(Duplicate(rate=0.7),)],
    "killed after the work": [(Crash(function="MessageFunction", when="after", times=1),)],
    # As often as the SDK tries again.
    "lost answers of the table": [(dynamodb("InternalServerError", every=5, times=2, applied=True),)],
    "several at once": [
        (
            Reorder(within=0.2),
            Delay(within=0.1),
            ColdStart(rate=0.05),
            post(429, rate=0.1, times=3),
            Duplicate(rate=0.1),
        )
    ],
}

MORE: dict[str, list[Round]] = {
    "invocations held back": [(Delay(within=0.2),)],
    "failing connections": [(post(500, rate=0.5, times=3),), (post(503, rate=0.5, times=3),)],
    "throttled": [(Throttle(function="MessageFunction", times=1),)],
    "never started": [(Crash(function="MessageFunction", when="before", times=1),)],
    "a busy table": [(dynamodb("ProvisionedThroughputExceededException", every=5, times=2),)] * 3,
    "a failing table": [(dynamodb("InternalServerError", every=5, times=2),)] * 3,
}

# A frame that its connection does not take for longer than a sender waits goes through the queue, and one that follows
# may be there before it.
LATE: dict[str, list[Round]] = {
    "connections busy for long": [(post(429, times=24),)],
    "connections failing for long": [(post(500, times=24),), (post(503, times=24),)],
}

REPEATS: dict[str, list[Round]] = {
    # Nobody can tell whether a frame reached its client: it is sent again, and the page knows it by its number.
    "killed during the work": [
        (Crash(function="MessageFunction", when="during", calls=calls, times=1),) for calls in (2, 5)
    ],
    "sent, and answered with an error": [(post(500, when="after", rate=0.2),)],
    "sent long after it was given up": [(post(None, hang=5, times=1),)],
}


@pytest.mark.slow
@pytest.mark.parametrize("rounds", MORE.values(), ids=MORE)
def test_nothing_of_more_is_lost_doubled_or_reordered(gateway: Gateway, room: Room, rounds: list[Round]) -> None:
    talk(gateway, room, rounds)


@pytest.mark.parametrize("rounds", FAULTS.values(), ids=FAULTS)
def test_nothing_is_lost_doubled_or_reordered(gateway: Gateway, room: Room, rounds: list[Round]) -> None:
    talk(gateway, room, rounds)


@pytest.mark.parametrize("rounds", LATE.values(), ids=LATE)
def test_nothing_is_lost_or_doubled(gateway: Gateway, room: Room, rounds: list[Round]) -> None:
    talk(gateway, room, rounds, late=True)


@pytest.mark.parametrize("rounds", REPEATS.values(), ids=REPEATS)
def test_nothing_is_lost_or_reordered(gateway: Gateway, room: Room, rounds: list[Round]) -> None:
    talk(gateway, room, rounds, repeats=True)


def talk(gateway: Gateway, room: Room, rounds: list[Round], **allowed: bool) -> None:
    for faults in rounds:
        before = len(gateway.faults.injected) + failed(gateway)
        with gateway.faults(*faults):
            room.talk(3, **allowed)
        assert len(gateway.faults.injected) + failed(gateway) > before, "nothing went wrong"


def failed(gateway: Gateway) -> int:
    """Return how many calls of the embedded AWS have failed."""
    return sum(
        isinstance(entry, Called) and entry.service == "dynamodb" and (entry.status >= 500 or "Exceeded" in entry.error)
        for entry in gateway.journal
    )


def test_a_connection_that_is_not_there_yet(gateway: Gateway, room: Room) -> None:
    """`@connections` answers 410 for a while after a client has connected."""
    with gateway.faults(post(410, times=3)):
        room.enter("Late", "node")
        assert len(gateway.faults.injected) == 3
    room.talk(2)


def test_all_connections_are_cut(gateway: Gateway) -> None:
    """Nobody is told of it by `$disconnect`. A client comes back with its socket and what it missed, or with a new one
    where something was sent just then; it enters again, and finds the rest in the room's history."""
    with Room(gateway) as room:
        noah, paul = room.enter("Noah", "node"), room.enter("Paul", "polling")
        room.talk(1)
        gateway.faults.restart()
        until(lambda: noah.lost, "the cut")
        room.said += paul.say(2)
        first, second = until(lambda: len(noah.sids) == 2 and noah.sids, "the return")
        missed = noah.person.join()["history"] if first != second else []
        room.said += noah.say(1) + paul.say(1)
        seen = [(entry["seq"], noah.person.read(entry)) for entry in missed]
        until(lambda: {*seen, *noah.heard} == {*paul.heard} == {*room.said}, "all of it", SOON)


def test_ten_idle_minutes_and_two_hours(gateway: Gateway) -> None:
    """A client that does nothing is cut after ten minutes of the clock; the heartbeat goes on meanwhile."""
    with gateway.connect("/live/?EIO=4&transport=websocket") as client:
        assert client.receive()[0] == "0"
        client.send("40")
        assert client.receive().startswith("40{")
        gateway.settle()
        gateway.clock.turn(600)
        assert client.closed() == 1001
        ended = gateway.invocations.wait_for(lambda each: each.function == "DisconnectFunction")
        assert (ended.event["requestContext"]["disconnectStatusCode"], ended.error) == (1001, "")
    gateway.clock.turn(7200)
    beats = gateway.invocations.wait_for_all(lambda each: each.function == "HeartbeatFunction", 129)
    assert not [each.message for each in beats if each.error]
    assert gateway.bill.total > 0
