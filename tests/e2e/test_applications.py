"""Applications that run unchanged on python-socketio's server and on ours, with the same transcript."""

import sys
from collections.abc import Callable
from typing import Any

import pytest
import socketio

from tests.e2e.processes import Gateway, Process, PythonClient, free_port, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

APPLICATIONS = "tests/e2e/applications"


class Actor(PythonClient):
    """A client that hears every event, and whose transcript names no ids."""

    def __init__(self, url: str, namespace: str = "/", auth: Any = None) -> None:
        self.url = url
        super().__init__(url, "/socket.io/", namespace, ["*"], auth)

    def _hear(self, event: str) -> Callable[..., None]:
        if event == "*":
            return lambda name, *args: self.heard.append([name, *args])
        return super()._hear(event)

    def ask(self, event: str, *args: Any) -> Any:
        data = args[0] if len(args) == 1 else args or None
        return self.client.call(event, data, namespace=self.namespace, timeout=20)

    def tell(self, event: str, *args: Any) -> None:
        self.client.emit(event, args[0] if len(args) == 1 else args or None, namespace=self.namespace)

    def hears(self, count: int) -> list[list[Any]]:
        """Wait for that many events, and return what came."""
        until(lambda: len(self.heard) >= count, f"{count} events, but only {self.heard}")
        heard, self.heard = self.heard, []
        return heard


def refused(url: str, namespace: str = "/", auth: Any = None) -> Any:
    """Return what a client that is refused is told."""
    client = socketio.Client(reconnection=False)
    told: list[Any] = []
    client.on("connect_error", told.append, namespace=namespace)
    with pytest.raises(socketio.exceptions.ConnectionError):
        client.connect(url, transports=["websocket"], namespaces=[namespace], auth=auth, wait_timeout=20)
    client.disconnect()
    return told


def lobby(url: str) -> list[Any]:
    seen: list[Any] = [refused(url), refused(url, auth={"name": "nobody"})]
    ann = Actor(url, auth={"name": "Ann"})
    seen.append(ann.hears(1))
    bob = Actor(url, auth={"name": "Bob"})
    seen += [bob.hears(1), ann.hears(1)]
    seen += [ann.ask("say", "one"), ann.ask("say", "two"), bob.ask("say", "three")]
    seen += [ann.hears(3), bob.hears(3)]
    seen += [bob.ask("nothing"), bob.ask("several", 1, "two", [3]), bob.ask("several", None, {}, "x")]
    seen += [bob.ask("move", "attic"), ann.hears(1), bob.hears(1)]
    seen += [bob.ask("say", "from the attic"), ann.hears(1)]
    ann.tell("fail")
    seen.append(ann.hears(1))
    seen += [bob.ask("all of them", {"n": [1, {"a": None}]}), ann.hears(2), bob.hears(2)]
    bob.tell("shut", "attic")
    seen += [bob.hears(1), bob.ask("nothing")]
    bob.tell("kick", "out")
    seen += [bob.hears(2), ann.hears(1)]
    cleo = Actor(url, auth={"name": "Cleo"})
    seen += [cleo.hears(1), ann.hears(1)]
    cleo.close()
    # Goodbye and hanging up are two invocations at once, so the reason may be either's.
    seen += [[event[:2] for event in ann.hears(1)], ann.ask("say", "alone"), ann.hears(1)]
    ann.close()
    return seen


def board(url: str) -> list[Any]:
    root, one, two = Actor(url), Actor(url, "/board"), Actor(url, "/board")
    silent = Actor(url, "/silent")
    seen: list[Any] = [one.hears(1), two.hears(1)]
    seen += [root.ask("whoami"), one.ask("whoami")]
    seen += [one.ask("draw", {"x": 1}, [2, 3]), two.hears(1)]
    seen += [one.ask("picture", "cat"), one.hears(1), two.hears(1)]
    values: list[Any] = [0, -1.5, "", "text\n\u2028", [[], [{}]], {"k": {"k": None}}, False]
    for value in values:
        seen.append(two.ask("types", value))
    one.close()
    seen += [two.hears(1), list(root.heard), list(silent.heard)]
    for client in (root, two, silent):
        client.close()
    return seen


@pytest.mark.parametrize("script", [lobby, board])
def test_the_transcript_is_the_same(script: Callable[[str], list[Any]]) -> None:
    application = f"{APPLICATIONS}/{script.__name__}.py:sio"
    port = free_port()
    with Process([sys.executable, "-m", "tests.e2e.reference", application, str(port)]) as reference:
        reference.wait_for(lambda line: line.startswith("Ready:"))
        expected = script(f"http://127.0.0.1:{port}")
    with Gateway("--app", application, "RecoveryWindow=0") as gateway:
        assert script(gateway.url) == expected
    assert len(expected) > 15
