"""DEBUG: scopes by name, one line a packet in and out."""

import logging
from collections.abc import Iterator

import pytest

from server import debug
from tests.server.rig import Rig


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    yield
    debug.enable("")


@pytest.mark.parametrize(
    ("patterns", "enabled"),
    [
        ("", []),
        ("engine", ["engine"]),
        ("engine*", ["engine", "engine:outbox", "engine:polling", "engine:upgrade"]),
        ("engine*,-engine:*", ["engine"]),
        ("socket.io:r*  engine:upgrade", ["engine:upgrade", "socket.io:recovery", "socket.io:room"]),
        ("-engine", []),
        ("unknown", []),
    ],
)
def test_scopes(patterns: str, enabled: list[str]) -> None:
    assert debug.enable(patterns) == enabled


def test_all_of_them_are_documented() -> None:
    assert debug.__doc__
    for scope in debug.enable("*"):
        assert f"| `{scope}` |" in debug.__doc__


def test_a_line_for_each_packet(caplog: pytest.LogCaptureFixture) -> None:
    rig = Rig()
    rig.sio.on("add", lambda sid, n: n + 1)
    client = rig.client("/")
    debug.enable("engine,socket.io:client")
    with caplog.at_level(logging.NOTSET, logger="root"):
        client.emit("add", 1, id=7)
    assert [(record.name, record.getMessage()) for record in caplog.records] == [
        ("fleeting.engine", f'{client.id} <- 427["add", 1]'),
        ("fleeting.socket.io:client", f"{client.id} EVENT in /, id 7: ['add', 1]"),
        ("fleeting.engine", f"{client.id} -> 437[2]"),
    ]
