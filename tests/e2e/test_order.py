"""Stock clients that count aloud as fast as they can: which numbers the application hears, and in which order."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import Any

import pytest

from tests.e2e.processes import Gateway, until
from tests.e2e.test_transports import DEFAULT, POLLING, WEBSOCKET, NodeActor, PythonActor
from tests.e2e.ways import OPTIONS, WAYS

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(300)]

APPLICATION = "tests/e2e/applications/order.py:sio"
PATIENCE = 120
"""Seconds for all numbers."""

WINDOW = 40
"""Numbers under way of a client that counts while it upgrades: it is not to be done before."""

Heard = list[tuple[int, int]]
"""Each number that was heard, and how many were by then."""


class Counter(NodeActor):
    """A client under Node that counts many numbers in one go."""

    def count(self, start: int, end: int) -> None:
        self._tell({"count": [start, end]})

    @property
    def said(self) -> int:
        """How many numbers were heard so far."""
        return sum(line.startswith('{"event":["counted"') for line in list(self.lines))

    @property
    def numbers(self) -> Heard:
        return [(event[1], event[2]) for event in self.heard if event[0] == "counted"]


def node(url: str, options: dict[str, Any], count: int) -> Heard:
    """Count in one go; returns what the client heard, in its order."""
    with closing(Counter(url, options)) as counter:
        counter.count(0, count)
        until(lambda: counter.said >= count, "all numbers", PATIENCE)
        counter.call("counted")
        return counter.numbers


def node_upgrading(url: str, count: int) -> Heard:
    """Count from the beginning on, across the upgrade, which comes before the counting is done."""
    with closing(Counter(url, DEFAULT)) as counter:
        for start in range(0, count, WINDOW // 4):
            until(lambda: counter.said >= start - WINDOW, "the numbers so far", PATIENCE)  # noqa: B023
            counter.count(start, min(start + WINDOW // 4, count))
        until(lambda: counter.said >= count, "all numbers", PATIENCE)
        counter.call("counted")
        kinds = [line.partition(":")[0] for line in counter.lines]
        assert '{"event"' in kinds[kinds.index('{"upgraded"') :], "all came by long polling"
        return counter.numbers


def python(url: str, options: dict[str, Any], count: int) -> Heard:
    """The same with python-socketio's client, which has a thread for each event that it hears."""
    with closing(PythonActor(url, options)) as actor:
        for number in range(count):
            actor.tell("count", number)
        until(lambda: len(actor.heard) >= count, "all numbers", PATIENCE)
        actor.call("counted")
        return sorted((event[1], event[2]) for event in actor.heard)


CLIENTS: dict[str, Callable[[str, int], Heard]] = {
    "node, websocket": lambda url, count: node(url, WEBSOCKET, count),
    "node, polling": lambda url, count: node(url, POLLING, count),
    "node, upgrading": node_upgrading,
    "python, websocket": lambda url, count: python(url, WEBSOCKET, count),
    "python, polling": lambda url, count: python(url, POLLING, count),
}


@pytest.fixture(scope="module", params=WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """How frames come to the functions."""
    way: str = request.param
    return way


@pytest.fixture(scope="module")
def gateway(way: str) -> Iterator[Gateway]:
    options = ("--max-workers", "8")  # each new process is slower than what waits for it
    with Gateway("--app", APPLICATION, "RecoveryWindow=0", *options, *OPTIONS[way]) as gateway:
        yield gateway


@pytest.mark.parametrize("count", [300, pytest.param(1000, marks=pytest.mark.slow)])
def test_numbers(way: str, gateway: Gateway, count: int) -> None:
    """Each client for itself: none of its numbers is lost, none is heard twice, and they are heard in their order, each
    with the state that the one before it has left.

    Where frames have no order (Ingest=direct) that holds for long polling alone, and all frames are there at once: so
    there the clients come one after another, and count less far.
    """
    at_once, count = (1, count // 3) if way == "direct" else (len(CLIENTS), count)
    with ThreadPoolExecutor(at_once) as threads:
        heard = {name: threads.submit(client, gateway.url, count) for name, client in CLIENTS.items()}
        for name, future in heard.items():
            numbers = future.result()
            if way != "direct" or "polling" in name:
                assert numbers == [(number, number + 1) for number in range(count)], name
            else:
                assert sorted(number for number, _ in numbers) == list(range(count)), name
