"""Stock clients, each through the same steps (tests/e2e/clients) on one server: what they see, and where they differ.

Node's clients from Socket.IO 2 to 4, the newest in Chromium, Firefox and WebKit as well, and python-socketio's two;
each as it is by default (long polling, then the upgrade), by WebSocket alone and by long polling alone; with both ways
that frames come from the WebSocket API.
"""

import json
import shutil
import sys
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Self
from unittest.mock import ANY

import pytest
from playwright.sync_api import Browser, Page

from tests.e2e.clients.firefox import Firefox
from tests.e2e.clients.webkit import WebKit
from tests.e2e.processes import ROOT, Gateway, Process

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(120)]

APPLICATION = "tests/e2e/applications/clients.py:sio"
STEPS = ROOT / "tests/e2e/clients/steps.mjs"

NEWEST = "socket.io-client"
NODE = {
    "node 4.8": NEWEST,
    "node 4.0": "socket.io-client-4.0",
    "node 3": "socket.io-client-3",
    "node 2": "socket.io-client-2",
}
OLDER = [client for client in NODE if NODE[client] != NEWEST]
PYTHON = {"python": "sync", "python asyncio": "async"}
BROWSERS = ("chromium", "firefox", "webkit")
OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "websocket": {"transports": ["websocket"]},
    "polling": {"transports": ["polling"]},
}

BINARY = ["4 bytes: 0001feff", {"b": "2 bytes: 0809", "list": [1, ["1 bytes: 07", None]]}, "é"]
PICTURE = [{"name": "é", "parts": [{"bytes": [0, 1, 255]}, [{"bytes": []}]]}, {"bytes": 10240, "sum": 1305600}]

SEEN: dict[str, Any] = {
    "connect": [["connect"], ["greeting", False], True],
    "no auth": ["refused", {"message": "who are you?", "data": {"hint": "open …"}}],
    "auth": [["connect"], ["welcome", "sesame"], True],
    "unknown namespace": ["refused", {"message": "Invalid namespace"}],
    "echo": ["echoed", 1, -1.5, "é\u2028😀\x1e", {"ключ": [None, True, {}]}, "last"],
    "acknowledgement": ["😀", {"a": [1]}, "é"],
    "question": [["question", 42], ["answered", 42, ["six", {"by": ["seven 😀"]}]]],
    "binary to the client": [[{"bytes": [*b"ack \xfe"]}, {"more": [{"bytes": [255]}]}], ["picture", *PICTURE]],
    "binary from the client": [BINARY, ["again", *BINARY]],
    "rooms": [[True] * 3, [["1 to both", "2 not to myself", "3 not to the quiet", "4 once"], ["1 to both", "4 once"]]],
    "left": [False, [[], ["without you"]]],
    "transports": ["polling", "websocket"],
    "nothing else": [[], [], []],
    # Whether each of two sockets says that it has recovered, and has its old id; what the application says of it;
    # whether they agree on the id; what came that was said meanwhile.
    "reconnect": [[[True, True], [True, True]], ["greeting", True], True, ["missed", "missed, too"]],
    "in the room again": [["again"]],
    "disconnected from a namespace": [["disconnect", "io server disconnect"], [2, 1]],
    "disconnected": ["disconnect", "io server disconnect"],
    "offsets": 1,
}
"""What the newest client sees by default, step by step: it is the same in Node and in browsers."""

ANEW = [[[False, False], [False, False]], ["greeting", False], True, []]
VOLATILE = [[*heard, "5 now or never"] for heard in SEEN["rooms"][1]]

BY_OPTIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "websocket": {"transports": ["websocket"], "rooms": [SEEN["rooms"][0], VOLATILE]},
    "polling": {"transports": ["polling"]},
}
# Recovery came with 4.6. Nobody can tell an older client from a newer one, so it sees the offsets, too, as it does on
# Node's server.
BEFORE_RECOVERY = {"reconnect": ANEW}
BY_CLIENT: dict[str, dict[str, Any]] = {
    "node 4.0": BEFORE_RECOVERY,
    "node 3": BEFORE_RECOVERY,
    # What is refused has no message beside its data.
    "node 2": {"reconnect": ANEW, "offsets": 0, "no auth": ["refused", {"hint": "open …"}]},
}
for client in PYTHON:
    BY_CLIENT[client] = {
        "reconnect": ANEW,
        "offsets": 0,
        "disconnected from a namespace": [["disconnect", "server disconnect"], [2, 1]],
        "disconnected": ["disconnect", "server disconnect"],
    }


def expected(client: str, options: str, ingest: str) -> list[list[Any]]:
    """Return the steps of a client and what it is to see."""
    seen = SEEN | BY_CLIENT.get(client, {}) | BY_OPTIONS[options]
    if options != "polling" and ingest == "direct":
        # Over WebSocket an event and its attachments are frames of their own, which nobody keeps in order here.
        seen["binary from the client"] = ["refused", {"message": ANY}]
    if client in PYTHON and options != "polling":
        del seen["binary from the client"]  # it would come in binary frames, which API Gateway refuses
    if client in PYTHON and options == "default":
        seen["transports"] = ["websocket"]  # it upgrades before it is connected, and tells of the last one alone
    return [list(step) for step in seen.items()]


class Troupe:
    """A gateway, and what clients on it have seen: those that are processes start at once, some at a time."""

    def __init__(self, ingest: str, cast: Iterable[tuple[str, str]]) -> None:
        self.gateway = Gateway("--app", APPLICATION, f"Ingest={ingest}")
        self.page = f"{self.gateway.url}/socket.io/"
        self._threads = ThreadPoolExecutor(2)
        self._seen = {role: self._threads.submit(self._play, *role) for role in cast}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._threads.shutdown(cancel_futures=True)
        self.gateway.stop()

    def seen(self, client: str, options: str) -> list[list[Any]]:
        return self._seen[client, options].result()

    def _play(self, client: str, options: str) -> list[list[Any]]:
        arguments = [self.gateway.url, json.dumps(OPTIONS[options])]
        if client in PYTHON:
            command = [sys.executable, "-W", "error", "-m", "tests.e2e.clients.script", PYTHON[client], *arguments]
        else:
            node = shutil.which("node")
            assert node
            command = [node, "tests/e2e/clients/script.mjs", NODE[client], *arguments]
        with Process(command) as process:
            process.popen.wait(100)
        return [json.loads(line) if line.startswith("[") else [line] for line in process.lines]


def troupe(request: pytest.FixtureRequest, ingest: str) -> Troupe:
    """Return a gateway and those clients that this run of pytest asks for."""
    tests = [item for item in request.session.items if isinstance(item, pytest.Function)]
    here = [test for test in tests if test.module is request.module and ingest in test.fixturenames]
    asked = [test.callspec.params for test in here if hasattr(test, "callspec")]
    cast = [(str(params["client"]), str(params["options"])) for params in asked]
    return Troupe(ingest, [role for role in cast if role[0] not in BROWSERS])


@pytest.fixture(scope="module")
def ordered(request: pytest.FixtureRequest) -> Iterator[Troupe]:
    with troupe(request, "ordered") as those:
        yield those


@pytest.fixture(scope="module")
def direct(request: pytest.FixtureRequest) -> Iterator[Troupe]:
    with troupe(request, "direct") as those:
        yield those


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context() as context:
        yield context.new_page()


# A document of the server is open, so that its client may be imported; the steps come from here.
IN_A_PAGE = """async ([steps, options]) => {
    const client = globalThis.io ?? await import("/socket.io/socket.io.esm.min.js");
    const { run } = await import(URL.createObjectURL(new Blob([steps], { type: "text/javascript" })));
    const told = [];
    try {
        await run(client, location.origin, options, (...step) => told.push(step));
    } catch (error) {
        told.push([String(error)]);
    }
    return JSON.stringify(told);
}"""


def watch(troupe: Troupe, client: str, options: str, request: pytest.FixtureRequest) -> Any:
    """Return what a client sees."""
    if client not in BROWSERS:
        return troupe.seen(client, options)
    arguments = [STEPS.read_text(), OPTIONS[options]]
    if client != "chromium":
        remote: Firefox | WebKit = request.getfixturevalue(client)
        remote.open(troupe.page)
        return json.loads(remote.evaluate(IN_A_PAGE, arguments))
    page: Page = request.getfixturevalue("page")
    page.goto(troupe.page)
    return json.loads(page.evaluate(IN_A_PAGE, arguments))


def _shared_out() -> Iterator[Any]:
    """Yield each client with each of its options; browsers first, since meanwhile the others are at it.

    The newest client and Python's do all, the others what is theirs by default; the rest takes long.
    """
    for client in (*BROWSERS, *NODE, *PYTHON):
        for options in OPTIONS:
            marks = [pytest.mark.browser] if client in BROWSERS else []
            if client in (*BROWSERS, *OLDER) and options != "default":
                marks.append(pytest.mark.slow)
            yield pytest.param(client, options, marks=marks)


CLIENTS = [*(pytest.param(client, marks=pytest.mark.browser) for client in BROWSERS), *NODE, *PYTHON]


@pytest.mark.parametrize(("client", "options"), [*_shared_out()])
def test_in_order(client: str, options: str, ordered: Troupe, request: pytest.FixtureRequest) -> None:
    """Frames from the WebSocket API come through a queue."""
    assert watch(ordered, client, options, request) == expected(client, options, "ordered")


@pytest.mark.slow
@pytest.mark.parametrize("options", ["default", "websocket"])  # what polls takes the same way as above
@pytest.mark.parametrize("client", CLIENTS)
def test_directly(client: str, options: str, direct: Troupe, request: pytest.FixtureRequest) -> None:
    """Each frame from the WebSocket API has an invocation of its own at once."""
    assert watch(direct, client, options, request) == expected(client, options, "direct")


@pytest.mark.browser
def test_binary_payloads(ordered: Troupe, page: Page) -> None:
    """In browsers Socket.IO 2 posts bytes as they are; in Node, as base64."""
    types: set[str | None] = set()
    page.goto(ordered.page)
    page.add_script_tag(path=ROOT / "node_modules/socket.io-client-2/dist/socket.io.js")
    page.on("request", lambda request: types.add(request.headers.get("content-type")))
    seen = page.evaluate(IN_A_PAGE, [STEPS.read_text(), OPTIONS["polling"]])
    assert json.loads(seen) == expected("node 2", "polling", "ordered")
    assert types == {None, "text/plain;charset=UTF-8", "application/octet-stream"}
