"""The test kit: a template's stack in this process, with all that a test asks of it, from plain synchronous code.

    with Gateway("template.yaml", parameters={"Colour": "green"}) as gateway:
        with gateway.connect("/prod?token=x") as client:
            client.send({"action": "echo"})
            assert client.receive() == "…"

The gateways of a process share an event loop on a thread of its own; functions and AWS are child processes.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import json
import logging
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, Self, TypeVar, cast, overload

import boto3
from boto3.dynamodb.types import TypeDeserializer, TypeSerializer
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from gateway.aws.resources import CREDENTIALS
from gateway.chaos.rules import AnyRule
from gateway.console import Console
from gateway.errors import GatewayError
from gateway.gateway import Gateway as Running
from gateway.journal import Called, Entry, Injected, Invoked, Logged, Managed, Returned
from gateway.meter.bill import Bill
from gateway.options import Options
from gateway.run import running
from gateway.settings import Settings
from gateway.shell import bind
from gateway.testing_home import Errors, home

PATIENCE = 10.0
"""Seconds for which the kit waits for what is to come."""

_T = TypeVar("_T")
_Made = TypeVar("_Made", bound=Callable[..., Any])


class Never(AssertionError):
    """What was waited for did not come."""


class Refused(Exception):
    """An upgrade was answered with `status` and a `body`."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


# ---------------------------------------------------------------- what a test sees


class Log(Sequence[_T], Generic[_T]):
    """What has happened so far, oldest first; it grows."""

    def __init__(self) -> None:
        self._entries: list[_T] = []
        self._news = threading.Condition()

    @overload
    def __getitem__(self, index: int) -> _T: ...
    @overload
    def __getitem__(self, index: slice) -> list[_T]: ...
    def __getitem__(self, index: int | slice) -> _T | list[_T]:
        with self._news:
            return self._entries[index]

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[_T]:
        return iter(self[:])

    def wait_for(self, wanted: Callable[[_T], Any], timeout: float = PATIENCE) -> _T:
        """Return the first entry that is wanted, now or once it comes. Raises Never after `timeout` seconds."""
        return self.wait_for_all(wanted, 1, timeout)[0]

    def wait_for_all(self, wanted: Callable[[_T], Any], count: int, timeout: float = PATIENCE) -> list[_T]:
        """Return the entries that are wanted, once there are `count`. Raises Never after `timeout` seconds."""
        end = time.monotonic() + timeout
        with self._news:
            while len(found := [entry for entry in self._entries if wanted(entry)]) < count:
                if not self._news.wait(end - time.monotonic()):
                    raise Never(f"{len(found)} of {count} came in {timeout:g} s, among {len(self._entries)} entries")
        return found

    def _wait(self, condition: Callable[[], bool], timeout: float) -> bool:
        with self._news:
            return self._news.wait_for(condition, timeout)

    def _add(self, entry: _T | None = None) -> None:
        """Take an entry; without one, an old one has changed."""
        with self._news:
            if entry is not None:
                self._entries.append(entry)
            self._news.notify_all()

    def _clear(self) -> None:
        with self._news:
            self._entries.clear()


@dataclass(slots=True, eq=False)
class Invocation:
    """One run of a function: event and answer as values, times in seconds; `init` is a cold start's, else None.

    `error` and `message` are empty for one that returned. `calls` are its calls of AWS, `posts` those of
    `@connections`; a call may become known a moment after the answer.
    """

    id: str
    function: str
    cause: str
    event: Any
    init: float | None
    answer: Any = None
    error: str = ""
    message: str = ""
    duration: float = 0.0
    logs: list[str] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)
    posts: list[Managed] = field(default_factory=list)


class Client:
    """A WebSocket client. Left as a context, it closes the connection."""

    def __init__(self, url: str, headers: Mapping[str, str] | None, subprotocols: Sequence[str] | None) -> None:
        self._open = contextlib.ExitStack()
        try:
            opening = connect(
                url,
                additional_headers=headers,
                subprotocols=cast(Any, subprotocols),
                proxy=None,
                max_size=None,
                open_timeout=60,
                close_timeout=5,
            )
            self._connection = self._open.enter_context(opening)
        except InvalidStatus as error:
            response = error.response
            raise Refused(response.status_code, (response.body or b"").decode("utf-8", "replace")) from None

    def send(self, message: Any) -> None:
        """Send text or bytes as they are, any other value as JSON."""
        self._connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    def receive(self, timeout: float = PATIENCE) -> str:
        """Return the next message. Raises Never where none comes, ConnectionClosed where none can."""
        try:
            return str(self._connection.recv(timeout))
        except TimeoutError:
            raise Never(f"no message in {timeout:g} s") from None

    def receive_json(self, timeout: float = PATIENCE) -> Any:
        """Return the value of the next message; see `receive`."""
        return json.loads(self.receive(timeout))

    @property
    def subprotocol(self) -> str | None:
        """What the upgrade's answer named."""
        return self._connection.subprotocol

    def closed(self, timeout: float = PATIENCE) -> int:
        """Wait for the end, and return its code: 1006 where there was no close frame. Messages before it are lost."""
        try:
            end = time.monotonic() + timeout
            while True:
                self._connection.recv(max(0.0, end - time.monotonic()))
        except TimeoutError:
            raise Never(f"not closed in {timeout:g} s") from None
        except ConnectionClosed:
            return self._connection.close_code or 1006

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Close the connection; nothing where it is over."""
        self._connection.close(code, reason)
        self._open.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class Clock:
    """The gateway's time."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def now(self) -> float:
        """Return seconds since 1970."""
        return self._gateway.running.clock.now()

    def turn(self, seconds: float) -> None:
        """Let `seconds` pass at once: what is due in them begins in its order, before this returns.

        Functions that run get a second to end: their timeouts come as all else does.
        """
        with contextlib.suppress(Never):
            self._gateway.settle(1)
        self._gateway.run(self._gateway.running.turn(seconds))


class Faults:
    """What goes wrong on purpose; called with rules, it is a context in which they are in force."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    def add(self, *rules: AnyRule) -> Callable[[], None]:
        """Put rules in force; returns what ends them."""
        injector = self._gateway.running.faults

        async def add() -> Callable[[], None]:
            end = injector.add(rules)
            await injector.apply()
            return end

        async def remove(end: Callable[[], None]) -> None:
            end()
            await injector.apply()

        end = self._gateway.run(add())
        return lambda: self._gateway.run(remove(end))

    @contextlib.contextmanager
    def __call__(self, *rules: AnyRule) -> Iterator[None]:
        end = self.add(*rules)
        try:
            yield
        finally:
            end()

    def clear(self) -> None:
        """End all; the next rules draw as the first ones did."""

        async def clear() -> None:
            self._gateway.running.faults.clear()
            await self._gateway.running.faults.apply()

        self._gateway.run(clear())

    def restart(self, code: int = 1006, *, disconnect: bool = False) -> None:
        """Cut all connections; see `gateway.chaos.rules.Restart`."""

        async def restart() -> None:
            self._gateway.running.faults.restart(code, disconnect)

        self._gateway.run(restart())

    @property
    def injected(self) -> list[Injected]:
        """What has gone wrong so far."""
        return [entry for entry in self._gateway.journal if isinstance(entry, Injected)]


class Table:
    """A DynamoDB table, with items as plain values: text, Decimal, bytes, lists, dicts, sets."""

    def __init__(self, client: Any, name: str) -> None:
        self._client = client
        self.name = name

    @property
    def items(self) -> list[dict[str, Any]]:
        """Every item."""
        pages = self._client.get_paginator("scan").paginate(TableName=self.name, ConsistentRead=True)
        read = TypeDeserializer().deserialize
        return [{key: read(value) for key, value in item.items()} for page in pages for item in page["Items"]]

    def put(self, item: Mapping[str, Any]) -> None:
        """Write an item."""
        write = TypeSerializer().serialize
        self._client.put_item(TableName=self.name, Item={key: write(value) for key, value in item.items()})


class Gateway:
    """A stack that runs until it is stopped, or left as a context.

    `parameters` are the template's, or a function of the gateway's URL that returns them; `app` is the command's
    `--app`, `every` the schedules' period in seconds, `fresh` gives each invocation a process of its own, `faults` are
    in force from the start, drawn by `seed`. It is ready before the functions' processes are, unless `prestart`.

    What fails in the gateway itself is raised by `stop`, or where the context is left. Raises GatewayError where it
    cannot start.
    """

    def __init__(
        self,
        template: str | Path = "template.yaml",
        *,
        parameters: Mapping[str, Any] | Callable[[str], Mapping[str, Any]] | None = None,
        app: str | None = None,
        every: float | None = None,
        fresh: bool = False,
        faults: Sequence[AnyRule] = (),
        seed: int | None = None,
        settings: Settings | None = None,
        prestart: bool = False,
    ) -> None:
        self.invocations: Log[Invocation] = Log()
        self.journal: Log[Entry] = Log()
        self.clock = Clock(self)
        self.faults = Faults(self)
        self._invocations: dict[str, Invocation] = {}
        self._open: set[str] = set()
        self._listening = bind("127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        settings = settings or Settings()
        given = parameters(self.url) if callable(parameters) else parameters or {}
        self._options = Options(
            Path(template),
            port=0,
            app=app,
            parameter_overrides={name: str(value) for name, value in given.items()},
            every=every,
            fresh=fresh,
            settings=settings if seed is None else replace(settings, seed=seed),
            faults=tuple(faults),
            prestart=prestart,
        )
        self._running: Running | None = None
        self._work: concurrent.futures.Future[None] | None = None
        self._end: asyncio.Event | None = None
        self._errors = Errors()

    # ---- its life

    def start(self) -> Self:
        """Start; returns itself once it serves."""
        ready: concurrent.futures.Future[Running] = concurrent.futures.Future()
        logging.getLogger("gateway").addHandler(self._errors)
        self._work = asyncio.run_coroutine_threadsafe(self._serve(ready), home().loop)
        self._work.add_done_callback(lambda work: _fail(ready, work))
        try:
            self._running = ready.result()
        except BaseException:
            self._work.cancel()
            self._forget()
            raise
        return self

    def stop(self) -> None:
        """End it, and all that it started. Raises what failed in it."""
        if self._work is None or self._end is None:
            return
        home().loop.call_soon_threadsafe(self._end.set)
        work, self._work = self._work, None
        try:
            work.result(30)
        finally:
            self._forget()
        errors = [*self._errors.taken(), *home().errors.taken()]
        if errors:
            raise ExceptionGroup("the gateway failed", errors)

    def _forget(self) -> None:
        logging.getLogger("gateway").removeHandler(self._errors)
        self._running = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def _serve(self, ready: concurrent.futures.Future[Running]) -> None:
        self._end = asyncio.Event()
        console = Console(home().output, home().output)
        with self._listening:
            async with running(self._options, console, self._listening, home().aws) as gateway:
                gateway.journal.subscribe(self._read)
                ready.set_result(gateway)
                await self._end.wait()

    @property
    def running(self) -> Running:
        """The gateway itself; of use on its own thread only, see `run`."""
        if self._running is None:
            raise GatewayError("the gateway does not run")
        return self._running

    def run(self, work: Coroutine[Any, Any, _T], timeout: float = 60) -> _T:
        """Run a coroutine on the gateway's thread, and return its result."""
        return asyncio.run_coroutine_threadsafe(work, home().loop).result(timeout)

    def settle(self, timeout: float = PATIENCE) -> None:
        """Return once no function runs. Raises Never after `timeout` seconds."""
        if not self.invocations._wait(lambda: not self._open, timeout):
            raise Never(f"{len(self._open)} invocations still run after {timeout:g} s")

    def reset(self) -> None:
        """Empty it between two tests: clients are closed, tables and queues empty, logs empty and faults over.

        The functions' processes stay, and what they keep in memory; turned time stays turned.
        """
        self.run(self.running.reset())
        self._invocations.clear()
        self._open.clear()
        self.invocations._clear()
        self.journal._clear()

    @property
    def bill(self) -> Bill:
        """What AWS would bill for all that was done since the start, `reset` or not."""
        return self.running.bill()

    # ---- what it serves

    def connect(
        self, path: str, headers: Mapping[str, str] | None = None, subprotocols: Sequence[str] | None = None
    ) -> Client:
        """Open a WebSocket at a path such as `/prod?token=x`. Raises Refused for an answer other than 101."""
        return Client(self.url.replace("http", "ws", 1) + path, headers, subprotocols)

    def boto3(self, service: str) -> Any:
        """Return a client of its AWS, or of `apigatewaymanagementapi` at its first stage."""
        return self._client(service, self.running.url if self._running else "")

    @functools.cache  # noqa: B019 - as long as the gateway, which a test has for as long as it runs
    def _client(self, service: str, url: str) -> Any:
        assert self.running.aws is not None
        endpoint = self.running.aws.endpoint
        if service == "apigatewaymanagementapi":
            stage = next(stage for api in self.running.websocket_apis for stage in api.spec.stages)
            endpoint = f"{url}/{stage}"
        session = boto3.Session(region_name=self.running.settings.region, **CREDENTIALS)  # type: ignore[arg-type]
        return session.client(cast(Any, service), endpoint_url=endpoint)

    def table(self, name: str) -> Table:
        """Return a table, by its logical id or its own name."""
        names = {name, f"{self.running.settings.stack_name}-{name.replace('/', '-')}"}
        client = self.boto3("dynamodb")
        found = sorted(
            names & {each for page in client.get_paginator("list_tables").paginate() for each in page["TableNames"]}
        )
        if not found:
            raise GatewayError(f"there is no table {name}")
        return Table(client, found[0])

    # ---- what happens in it

    def _read(self, entry: Entry) -> None:
        self.journal._add(entry)
        if isinstance(entry, Invoked):
            event = _value(entry.payload)
            made = Invocation(entry.invocation, entry.function, entry.cause, event, entry.init)
            self._invocations[entry.invocation] = made
            self._open.add(entry.invocation)
            return
        if not isinstance(entry, Returned | Logged | Called | Managed):
            return
        found = self._invocations.get(entry.invocation)
        if found is None:
            return
        match entry:
            case Logged():
                found.logs.append(entry.line)
            case Called():
                found.calls.append(entry)
            case Managed():
                found.posts.append(entry)
            case Returned():
                found.answer, found.error, found.message = _value(entry.answer), entry.error, entry.message
                found.duration = entry.duration
                self._open.discard(entry.invocation)
        self.invocations._add(found if isinstance(entry, Returned) else None)


def gateway_fixture(template: str | Path, *, scope: Any = "session", **options: Any) -> Any:
    """Return a pytest fixture: a gateway for a whole `scope`. The options are those of Gateway.

    Two lines of a conftest.py give each test an empty `gateway`, and one start to all of them:

        started = gateway_fixture("template.yaml")
        gateway = emptied("started")
    """
    import pytest

    @pytest.fixture(scope=scope)
    def started() -> Iterator[Gateway]:
        with Gateway(template, **options) as gateway:
            yield gateway

    return started


def emptied(name: str) -> Any:
    """Return a pytest fixture: the gateway of the fixture called `name`, emptied for each test."""
    import pytest

    @pytest.fixture
    def reset(request: pytest.FixtureRequest) -> Gateway:
        gateway: Gateway = request.getfixturevalue(name)
        gateway.reset()
        return gateway

    return reset


def _fail(ready: concurrent.futures.Future[Running], work: concurrent.futures.Future[None]) -> None:
    if not ready.done():
        error = None if work.cancelled() else work.exception()
        ready.set_exception(error or GatewayError("the gateway ended before it began"))


def _value(data: bytes) -> Any:
    try:
        return json.loads(data)
    except ValueError:
        return None
