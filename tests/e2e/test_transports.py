"""Stock clients with their default options, which begin with long polling and upgrade, and with long polling alone.

What they see is what they see on python-socketio's own server, where that is up to it; in whatever way frames come to
the functions of this one.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from typing import Any, Protocol, Self

import pytest
import socketio
from playwright.sync_api import Browser, Page

from tests.e2e.processes import ROOT, Gateway, NodeClient, Process, free_port, until
from tests.e2e.ways import OPTIONS, WAYS

pytestmark = [pytest.mark.e2e, pytest.mark.alone, pytest.mark.timeout(120)]

APPLICATION = "tests/e2e/applications/transports.py:sio"
BUNDLE = "socket.io/socket.io.esm.min.js"
DEFAULT: dict[str, Any] = {}
POLLING = {"transports": ["polling"]}
WEBSOCKET = {"transports": ["websocket"]}
KINDS = ("python", "node", "browser")


def with_bytes(value: Any) -> Any:
    """Return what Node's JSON of a buffer stands for."""
    if isinstance(value, dict):
        if value.get("type") == "Buffer":
            return bytes(value["data"])
        return {key: with_bytes(each) for key, each in value.items()}
    return [with_bytes(each) for each in value] if isinstance(value, list) else value


def without_bytes(value: Any) -> Any:
    """Return the same with bytes as Node's JSON has them."""
    if isinstance(value, bytes):
        return {"type": "Buffer", "data": list(value)}
    if isinstance(value, dict):
        return {key: without_bytes(each) for key, each in value.items()}
    return [without_bytes(each) for each in value] if isinstance(value, list | tuple) else value


class Actor(Protocol):
    """A client that says and hears."""

    @property
    def heard(self) -> list[list[Any]]:
        """Every event so far: its name and its arguments."""

    @property
    def transports(self) -> list[str]:
        """The names of the transports that it has had, as far as it tells."""

    def call(self, event: str, *args: Any) -> Any:
        """Emit, and return the acknowledgement."""

    def tell(self, event: str, *args: Any) -> None:
        """Emit."""

    def close(self) -> None:
        """Disconnect."""


class PythonActor:
    """python-socketio's client, which upgrades before it is connected."""

    def __init__(self, url: str, options: dict[str, Any], greeting: list[Any] | None = None) -> None:
        self.heard: list[list[Any]] = []
        self.client = socketio.Client(reconnection=False, request_timeout=20)
        self.client.on("*", lambda *event: self.heard.append(list(event)))
        self.client.on("disconnect", lambda *reason: self.heard.append(["disconnect"]))
        if greeting:
            self.client.on("connect", lambda: self.tell(*greeting))
        self.client.connect(url, wait_timeout=20, **options)

    @property
    def transports(self) -> list[str]:
        return [self.client.transport()]

    def call(self, event: str, *args: Any) -> Any:
        return self.client.call(event, args, timeout=20)

    def tell(self, event: str, *args: Any) -> None:
        self.client.emit(event, args)

    def close(self) -> None:
        self.client.disconnect()


class NodeActor(NodeClient):
    """socket.io-client under Node."""

    def __init__(self, url: str, options: dict[str, Any], greeting: list[Any] | None = None) -> None:
        node = shutil.which("node")
        assert node
        command = [node, "tests/e2e/client.mjs", url, json.dumps(options)]
        Process.__init__(self, [*command, json.dumps(greeting)] if greeting else command)
        self._answers = 0
        self._ids = iter(range(1, 1_000_000))

    @property
    def heard(self) -> list[list[Any]]:
        events: list[list[Any]] = [with_bytes(event) for event in super().heard]
        return [event[:1] if event[0] == "disconnect" else event for event in events]

    @property
    def transports(self) -> list[str]:
        lines = [json.loads(line) for line in list(self.lines)]
        return [name for line in lines for key, name in line.items() if key in ("opened", "upgraded")]

    def call(self, event: str, *args: Any) -> Any:
        return with_bytes(super().call(event, *without_bytes(args)))

    def tell(self, event: str, *args: Any) -> None:
        self._tell({"emit": [event, *without_bytes(args)]})

    def close(self) -> None:
        super().close()
        self.stop()


class BrowserActor:
    """socket.io-client in a page, from the bundle that the server serves."""

    CONNECT = """async ([bundle, options, greeting]) => {
        const { io } = await import(bundle);
        const revive = (_, value) => (value?.type === "Buffer" ? new Uint8Array(value.data) : value);
        const plain = (value) => {
            if (value instanceof ArrayBuffer) return { type: "Buffer", data: [...new Uint8Array(value)] };
            if (Array.isArray(value)) return value.map(plain);
            if (value === null || typeof value !== "object") return value;
            return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, plain(each)]));
        };
        const socket = io(options);
        const actor = { heard: [], transports: [] };
        socket.io.on("open", () => {
            actor.transports.push(socket.io.engine.transport.name);
            socket.io.engine.once("upgrade", (transport) => actor.transports.push(transport.name));
        });
        if (greeting) socket.on("connect", () => socket.emit(...greeting));
        socket.on("disconnect", () => actor.heard.push(["disconnect"]));
        socket.onAny((...event) => actor.heard.push(plain(event)));
        actor.tell = (text) => { socket.emit(...JSON.parse(text, revive)); };
        actor.call = async (text) => plain(await socket.timeout(20_000).emitWithAck(...JSON.parse(text, revive)));
        actor.close = () => { socket.disconnect(); };
        window.actor = actor;
    }"""

    def __init__(self, page: Page, url: str, options: dict[str, Any], greeting: list[Any] | None = None) -> None:
        self._page = page
        page.evaluate(self.CONNECT, [f"{url}/{BUNDLE}", options, greeting])

    @property
    def heard(self) -> list[list[Any]]:
        heard: list[list[Any]] = with_bytes(self._page.evaluate("actor.heard"))
        return heard

    @property
    def transports(self) -> list[str]:
        transports: list[str] = self._page.evaluate("actor.transports")
        return transports

    def call(self, event: str, *args: Any) -> Any:
        return with_bytes(self._page.evaluate("text => actor.call(text)", json.dumps([event, *without_bytes(args)])))

    def tell(self, event: str, *args: Any) -> None:
        self._page.evaluate("text => actor.tell(text)", json.dumps([event, *without_bytes(args)]))

    def close(self) -> None:
        self._page.evaluate("actor.close()")


class Stage:
    """One server, and the actors on it."""

    def __init__(self, url: str, browser: Browser | None, *, serves_bundle: bool) -> None:
        self.url = url
        self._browser = browser
        self._serves_bundle = serves_bundle
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def actor(self, kind: str, options: dict[str, Any], greeting: list[Any] | None = None) -> Actor:
        """Start a client."""
        actor: Actor
        if kind == "browser":
            actor = BrowserActor(self._page(), self.url, options, greeting)
        else:
            actor = (PythonActor if kind == "python" else NodeActor)(self.url, options, greeting)
        self._stack.callback(actor.close)
        return actor

    def _page(self) -> Page:
        assert self._browser
        context = self._browser.new_context()
        self._stack.callback(context.close)
        page = context.new_page()
        if not self._serves_bundle:
            file = ROOT / "node_modules/socket.io-client/dist/socket.io.esm.min.js"
            page.route(f"**/{BUNDLE}", lambda route: route.fulfill(path=file, content_type="text/javascript"))
        # Any document of the server will do, a refusal, too. One made up here would have no address, and Chromium keeps
        # such pages from WebSockets of the local network.
        page.goto(f"{self.url}/socket.io/")
        return page


@pytest.fixture(scope="module")
def reference() -> Iterator[str]:
    """Where python-socketio's server runs the application."""
    port = free_port()
    with Process([sys.executable, "-m", "tests.e2e.reference", APPLICATION, str(port)]) as process:
        process.wait_for(lambda line: line.startswith("Ready:"))
        yield f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module", params=WAYS)
def gateway(request: pytest.FixtureRequest) -> Iterator[Gateway]:
    """Where this project's server does."""
    # Without recovery, whose offsets are seen as arguments.
    with Gateway("--app", APPLICATION, "RecoveryWindow=0", *OPTIONS[request.param]) as gateway:
        yield gateway


def hears(actor: Actor, count: int) -> list[list[Any]]:
    """Wait until an actor has heard that many events in all; returns them."""
    return list(until(lambda: len(actor.heard) >= count and actor.heard, f"{count} events"))


def last(actor: Actor, count: int) -> list[Any]:
    """Wait for a further event, the count-th; returns it."""
    return hears(actor, count)[count - 1]


DEEP = [b"\x00\x01\xfe\xff", {"b": b"", "list": [1, [b"deep", None]]}, "é"]


def script(stage: Stage, kind: str, options: dict[str, Any]) -> list[Any]:
    """What `kind` goes through with two others in a room, one on each transport."""
    one, two = stage.actor("python", WEBSOCKET), stage.actor("python", POLLING)
    star = stage.actor(kind, options)
    everybody = (star, one, two)
    seen: list[Any] = [actor.call("join", "hall") for actor in everybody]

    values = [1, -1.5, "é\u2028😀\x1e", {"a": [None, True, {}]}, []]
    seen += [star.call("echo", *values), last(star, 1)]
    for actor in everybody:
        seen.append(actor.call("say", "hall", "hello", {"n": 1}))
    seen += [hears(star, 4), hears(one, 3), hears(two, 3)]
    star.tell("whisper", "hall", "psst")
    seen += [last(one, 4), last(two, 4)]

    # To one at a time: python-engineio sends a room what its first member gets, base64 or not.
    seen.append(two.call("describe", *DEEP))
    for actor in everybody:
        seen += [two.call("say", actor.call("me"), *DEEP), last(actor, 5)]
    if options == POLLING:
        seen += [star.call("describe", *DEEP), star.call("echo", *DEEP), last(star, 6)]
        star.tell("say", one.call("me"), b"\x00\xff" * 5000)
        seen.append(last(one, 6))

    seen += [star.call("leave", "hall"), one.call("say", "hall", "without you"), one.heard[-1]]
    for actor in (star, one):  # Python's client waits three seconds where it has to close its WebSocket itself
        count = len(actor.heard)
        actor.tell("hang_up")
        seen += [hears(actor, count + 2)[count:]]
    return seen


@pytest.mark.parametrize("options", [DEFAULT, POLLING], ids=["default", "polling"])
@pytest.mark.parametrize("kind", ["python", "node", pytest.param("browser", marks=pytest.mark.browser)])
def test_the_transcript_is_the_same(
    kind: str, options: dict[str, Any], reference: str, gateway: Gateway, browser: Browser
) -> None:
    """Events, acknowledgements, rooms and binary data, with members on both transports."""
    with Stage(reference, browser, serves_bundle=False) as stage:
        expected = script(stage, kind, options)
    with Stage(gateway.url, browser, serves_bundle=True) as stage:
        assert script(stage, kind, options) == expected
    assert expected.count(["said", *DEEP]) == 3


@pytest.mark.parametrize("kind", ["python", "node", pytest.param("browser", marks=pytest.mark.browser)])
def test_the_transports_of_a_client(kind: str, reference: str, gateway: Gateway, browser: Browser) -> None:
    """By default it begins with polling and goes on by WebSocket; it stays where it is told to."""
    for url in (reference, gateway.url):
        with Stage(url, browser, serves_bundle=url == gateway.url) as stage:
            default, polling = stage.actor(kind, DEFAULT), stage.actor(kind, POLLING)
            # Python's client tells of the last one alone.
            expected = ["websocket"] if kind == "python" else ["polling", "websocket"]
            until(lambda: default.transports == expected, "the upgrade")  # noqa: B023
            for actor in (default, polling):
                assert actor.call("echo", "one", 2) == ["one", 2]
            assert default.transports == expected
            assert polling.transports == ["polling"]
            if kind == "python":
                default.tell("hang_up")
                hears(default, 2)


@pytest.mark.browser
def test_binary_to_a_room_of_both(gateway: Gateway, browser: Browser) -> None:
    """Members get the same bytes by either transport."""
    with Stage(gateway.url, browser, serves_bundle=True) as stage:
        speaker = stage.actor("python", POLLING)
        actors = [stage.actor(kind, options) for kind in KINDS for options in (DEFAULT, POLLING)]
        for actor in actors:
            actor.call("join", "hall")
        for number in range(3):
            assert speaker.call("say", "hall", number, *DEEP) == 4
        for actor in actors:
            assert hears(actor, 3) == [["said", number, *DEEP] for number in range(3)]


CAST: list[tuple[str, dict[str, Any]]] = [
    ("node", DEFAULT),
    ("browser", DEFAULT),
    ("node", POLLING),
    ("python", DEFAULT),
    ("node", DEFAULT),
    ("python", POLLING),
]


def has_heard_all(actor: Actor, end: int) -> bool:
    """Tell whether an actor has heard as many numbers as there are from its lowest to the end."""
    numbers = [event[1] for event in actor.heard]
    return end - 1 in numbers and len(numbers) >= end - min(numbers)


@pytest.mark.browser
def test_nothing_is_lost_while_clients_upgrade(gateway: Gateway, browser: Browser) -> None:
    """One client counts aloud while others come, upgrade or not, and listen: each hears every number once, in order,
    from the first that it hears.

    Other servers lose Python's client here, which refuses an answer of more than 16 packets.
    """
    greeting = ["join", "hall"]
    with Stage(gateway.url, browser, serves_bundle=True) as stage, ThreadPoolExecutor(4) as threads:
        speaker = stage.actor("python", POLLING)
        said = 0

        def count() -> None:
            nonlocal said
            said = speaker.call("burst", "hall", said, 10)

        def settled(actor: Actor, options: dict[str, Any]) -> bool:
            return bool(actor.heard) and (options == POLLING or actor.transports[-1] == "websocket")

        listeners: list[tuple[Future[Actor], dict[str, Any]]] = []
        for kind, options in CAST:
            start = partial(stage.actor, kind, options, greeting)
            if kind == "browser":  # which only this thread can drive
                future: Future[Actor] = Future()
                future.set_result(start())
            else:
                future = threads.submit(start)
            listeners.append((future, options))
            count()
        while not all(future.done() for future, _ in listeners):
            count()
        actors = [(future.result(), options) for future, options in listeners]
        while said < 200 or not all(settled(actor, options) for actor, options in actors):
            count()
            assert said < 5000, "somebody never came"
        count()
        for (kind, options), (actor, _) in zip(CAST, actors, strict=True):
            until(partial(has_heard_all, actor, said), f"{said - 1} for {kind} {options}, or one before it")
            numbers = [event[1] for event in actor.heard]
            if kind == "python":
                numbers.sort()  # each event has a thread of its own in this client
            assert numbers == list(range(numbers[0], said)), (kind, options)
