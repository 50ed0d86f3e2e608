"""A server to hold against the rules: the gateway, or any other at CONFORMANCE_URL.

    CONFORMANCE_URL=http://127.0.0.1:4000 pytest tests/conformance

This project's runs with both ways in which frames may come to its functions, and with functions that begin late.
Another server serves /socket.io/ with a heartbeat of 2 s (`pingInterval` and `pingTimeout` 2000), by default settings
otherwise, and does what application.py does: `auth`, `echo`, `ask`, `size`, `tell`, `bytes_of`, `leave`, `watch` and
`gone` in the namespaces / and /custom, and a namespace /private that refuses with "not you" and {"hint": "nobody"}.
If it serves Engine.IO 3 as well, those tests are not skipped (Node's: `allowEIO3`).

What the specification leaves open, Node's server decides, and tests hold this server to it; of another server they ask
what the specification says, and `server.ours` marks the difference. All these tests pass on Node's socket.io 4.8.

Left out, since API Gateway passes on only what is whole: a GET that the client cancels, and a POST of which half came
(the official suite closes the session in either case).
"""

import os
from collections.abc import Iterator

import pytest

from tests.conformance.wire import Server, Wire
from tests.e2e.processes import Gateway
from tests.e2e.ways import OPTIONS, WAYS

URL = os.environ.get("CONFORMANCE_URL")


APPLICATION = "tests/conformance/application.py:sio"


@pytest.fixture(scope="session", params=["there"] if URL else WAYS)
def way(request: pytest.FixtureRequest) -> str:
    """How frames come to the functions."""
    way: str = request.param
    return way


@pytest.fixture(scope="session")
def calm(way: str) -> Iterator[Gateway]:
    """A gateway whose pings come between no two packets of a test."""
    with Gateway("--app", APPLICATION, "PingInterval=60", "PingTimeout=60", *OPTIONS[way]) as gateway:
        yield gateway


@pytest.fixture(scope="session")
def quick(way: str) -> Iterator[Gateway]:
    """A gateway whose heartbeat is quick."""
    with Gateway("--app", APPLICATION, "PingInterval=2", "PingTimeout=2", "--every", "1", *OPTIONS[way]) as gateway:
        yield gateway


@pytest.fixture
def server(request: pytest.FixtureRequest, way: str) -> Server:
    """The server under test; for the tests of the heartbeat one with a quick one."""
    if URL:
        return Server(URL.rstrip("/"), ours=False)
    gateway: Gateway = request.getfixturevalue("quick" if "heartbeat" in request.module.__name__ else "calm")
    return Server(gateway.url, ours=True, ordered=way != "direct")


@pytest.fixture
def wire(server: Server) -> Iterator[Wire]:
    """Requests to the server; what a test opens is closed at its end."""
    with Wire(server) as wire:
        yield wire
