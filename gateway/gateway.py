"""A running stack: its parts, and what is asked of all of them."""

from __future__ import annotations

import asyncio
import itertools
import re
import socket
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any

from gateway.aws import resources
from gateway.aws.calls import AwsCall
from gateway.aws.queue import AwsQueue
from gateway.aws.server import MotoServer
from gateway.aws.streams import AwsStreams
from gateway.chaos.injector import Injector
from gateway.clock import Clock
from gateway.console import Console
from gateway.credentials import Credentials
from gateway.functions.invoke import InvokeApi
from gateway.functions.pool import Functions
from gateway.http.addresses import Addresses
from gateway.http.api import HttpApi
from gateway.ids import new_request_id
from gateway.inspector.data import Data
from gateway.inspector.recorder import Recorder
from gateway.inspector.routes import PREFIX, Inspector, Parts
from gateway.journal import Called, Journal
from gateway.meter.bill import Bill
from gateway.meter.meter import Meter, Sizing
from gateway.options import Options
from gateway.sigv4 import SignatureRefused, Signatures
from gateway.template import apis, sources
from gateway.template.http_apis import http_apis
from gateway.template.specs import FunctionSpec
from gateway.template.stack import Stack
from gateway.triggers.asynchronous import Asynchronous
from gateway.triggers.queues import Poller
from gateway.triggers.schedules import run_every, run_schedule
from gateway.triggers.streams import StreamReader
from gateway.websocket.api import WebSocketApi
from gateway.websocket.targets import Services
from gateway.websocket.throttling import Account

SINGLE_ORIGIN = "/socket.io"
_BELOW = re.compile(r"/_apis/(?P<id>.+)/(?P<stage>[^/]+)/?")
_OWN = (resources.CREDENTIALS["aws_access_key_id"],)


class Gateway:
    """A running stack. `url` is the one origin, such as `http://127.0.0.1:3000`.

    `aws` is its embedded AWS, None where there is another one. `reset()` empties the state of all of it: clients are
    closed, tables and queues are empty, faults are over. The functions' processes stay, but for those that do not end
    what they run.
    """

    aws: MotoServer | None = None
    reset: Callable[[], Coroutine[Any, Any, None]]

    def __init__(self, options: Options, listening: socket.socket, console: Console) -> None:
        self.options = options
        self.settings = options.settings
        self.console = console
        self.clock = Clock()
        self.journal = Journal()
        self.faults = Injector(self.settings.seed, self.clock, self.journal, self.cut)
        self.credentials = Credentials(self.settings.known_secrets)
        self.account = Account(self.settings, self.clock.monotonic)
        # Functions that others run have credentials that nobody here knows.
        checked = self.settings.sigv4 and options.lambda_endpoint is None and options.sam_env is None
        # By the machine's time, as the functions sign.
        self.signatures = Signatures(self.credentials.secret_of, self.settings, time.time) if checked else None
        self.journal.subscribe(console.show)
        port = listening.getsockname()[1]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
        # What events call the domain: the address at which this machine serves the API.
        self.authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.url = f"http://{self.authority}"
        self.websocket_apis: list[WebSocketApi] = []
        self.http_apis = Addresses([])
        self.invoke_api: InvokeApi | None = None
        self.inspector: Inspector | None = None
        self._sizes: dict[str, Sizing] = {}
        self._scheduled: set[str] = set()
        self._meter = Meter(self._sizes, self._scheduled, _OWN, count_empty_receives=self.settings.bill_empty_receives)
        self.journal.subscribe(self._meter.read)
        self._refused: set[str] = set()
        self._pollers: dict[str, list[Poller]] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._events: Asynchronous | None = None
        self._functions: dict[str, str] = {}

    def refused(self, error: SignatureRefused) -> None:
        """A call of `@connections` was not signed as it should be: say once for each kind what to do."""
        if error.error_type not in self._refused:
            self._refused.add(error.error_type)
            self.console.note(f"@connections refused: {error.message} ({error.hint})")

    # ---- addresses

    def websocket_stage(self, stage: str, connection_id: str = "") -> WebSocketApi | None:
        """Return the API that has a stage, or None; of several the one whose connection it is, else the first."""
        having = [api for api in self.websocket_apis if stage in api.spec.stages]
        return next((api for api in having if api.knows(connection_id)), having[0] if having else None)

    def websocket_at(self, path: str) -> tuple[WebSocketApi, str] | None:
        """Return the API and the stage that an upgrade at `path` reaches, or None.

        A stage has two addresses, `/{stage}` and `/{stage}/`, each also below `/_apis/{id}`: of several APIs that have
        a stage of one name, only the first is at the short ones. `/socket.io/` is the one origin's, and reaches the
        first stage of the first API.
        """
        if path.removesuffix("/") == SINGLE_ORIGIN and self.websocket_apis:
            api = self.websocket_apis[0]
            return api, next(iter(api.spec.stages), "")
        if (below := _BELOW.fullmatch(path)) is not None:
            named = (api for api in self.websocket_apis if below["id"] in (api.spec.api_id, api.spec.logical_id))
            return next(((api, below["stage"]) for api in named if below["stage"] in api.spec.stages), None)
        stage = path[1:].removesuffix("/")
        found = self.websocket_stage(stage) if path.startswith("/") and stage and "/" not in stage else None
        return None if found is None else (found, stage)

    # ---- parts

    def add_apis(self, stack: Stack, functions: Functions, services: Services) -> None:
        """Serve the stack's APIs."""
        for websocket in apis.websocket_apis(stack):
            self.websocket_apis.append(
                WebSocketApi(
                    websocket,
                    services,
                    self.settings,
                    self.authority,
                    self.clock,
                    self.journal,
                    self.account,
                    self.signatures,
                    self.faults,
                )
            )
        submit = self.faults.submitting(functions.submit, http=True)
        settings, authority, clock = self.settings, self.authority, self.clock
        self.http_apis = Addresses(
            [
                HttpApi(spec, submit, settings, authority, clock, self.journal, self.console.note, self.signatures)
                for spec in http_apis(stack)
            ]
        )

    def add_sources(
        self,
        stack: Stack,
        services: Services,
        queues: Mapping[str, AwsQueue],
        streams: AwsStreams,
        events: Asynchronous,
    ) -> None:
        """Poll the stack's queues, read its streams and run its schedules."""
        settings, clock, note = self.settings, self.clock, self.console.note
        self._events = events
        self._functions = {spec.arn: spec.logical_id for spec in stack.functions()}
        notified = self.options.endpoint_url is None
        of_queues, of_tables = sources.mappings(stack)
        for mapping in of_queues:
            name = stack.name(mapping.queue)
            poller = Poller(
                mapping, queues[name], services.submit, settings, clock, note, notified=notified, faults=self.faults
            )
            self._pollers.setdefault(name, []).append(poller)
            self._start(mapping.logical_id, poller.run())
        for stream in of_tables:
            reader = StreamReader(stream, streams, services.submit, events.deliver, settings, clock, note)
            self._start(stream.logical_id, reader.run())
        every = self.options.every
        for schedule in sources.schedules(stack):
            work = (
                run_schedule(schedule, events.deliver, settings, clock)
                if every is None
                else run_every(schedule, every, services.submit, events.deliver, settings, clock)
            )
            self._start(schedule.logical_id, work)

    def inspect(self, functions: Sequence[FunctionSpec], started: Functions, data: Data) -> None:
        """Record what happens, and serve the page that shows it."""
        if self.websocket_stage(PREFIX.strip("/")) is not None:
            self.console.note(f"No inspector: its address {PREFIX} is a stage's")
            return
        recorder = Recorder(self.settings.inspector_entries, self.settings.inspector_bytes)
        self.journal.subscribe(recorder.record)
        self.inspector = Inspector(
            Parts(
                self.options.template.name,
                self.websocket_apis,
                [spec.logical_id for spec in functions],
                started.submit,
                data,
                self.clock,
                self.turn,
                recorder,
                self.settings,
                None if self.aws is None else self.bill,
            )
        )

    def _start(self, logical_id: str, work: Coroutine[Any, Any, None]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                self.console.note(f"{logical_id} has stopped: {type(error).__name__}: {error}")

        task = asyncio.create_task(work)
        task.add_done_callback(ended)
        self._tasks.append(task)

    def bill(self) -> Bill:
        """Return what AWS would bill until now."""
        return self._meter.bill(self.clock.now())

    def size(self, stack: Stack, functions: Iterable[FunctionSpec]) -> None:
        """Tell the meter what the stack's prices depend on."""
        for spec in functions:
            processors = stack.property(spec.logical_id, "Architectures") or ["x86_64"]
            self._sizes[spec.logical_id] = Sizing(spec.memory, str(processors[0]))
        self._scheduled |= {schedule.logical_id for schedule in sources.schedules(stack)}

    def invoke_later(self, arn: str, payload: str, service: str) -> None:
        """A topic, a rule or a bucket of the embedded AWS has an event for a function."""
        # A version or an alias is the function itself here.
        function = self._functions.get(":".join(arn.split(":")[:7]))
        if self._events is None or function is None:
            self.console.note(f"{service}: an event is lost, there is no function {arn}")
        else:
            self._events.put(function, payload.encode("utf-8", "surrogatepass"), service, new_request_id())

    def called(self, call: AwsCall) -> None:
        """Somebody called the embedded AWS."""
        # What the inspector reads of tables nobody would on AWS.
        if call.service != "dynamodb" or call.access_key not in _OWN:
            self._meter.aws_call(call)
        self.journal.write(
            Called(
                call.at,
                self.credentials.invocation(call.access_key),
                call.service,
                call.operation,
                call.resource,
                call.status,
                call.error,
                call.duration,
            )
        )

    async def turn(self, seconds: float) -> None:
        """Let time pass at once, here and in the embedded AWS."""
        if self.aws is not None:
            await self.aws.advance(seconds)
        await self.clock.turn(seconds)
        for poller in itertools.chain(*self._pollers.values()):
            poller.wake()

    def queue_changed(self, url: str, group: str) -> None:
        """There may be a message of `group`, empty for none, on the queue at `url`."""
        for poller in self._pollers.get(url.rsplit("/", 1)[-1], []):
            poller.wake(group)

    def addresses(self) -> list[tuple[str, str]]:
        """Return each API's address and logical id."""
        found = []
        for api in self.websocket_apis:
            for stage in api.spec.stages:
                path = "" if self.websocket_stage(stage) is api else f"/_apis/{api.spec.api_id}"
                found.append((f"ws://{self.authority}{path}/{stage}", api.spec.logical_id))
        return found + self.http_apis.urls(self.url)

    def cut(self, code: int, disconnect: bool) -> None:
        """End every WebSocket; see WebSocketApi.cut."""
        for api in self.websocket_apis:
            api.cut(code, disconnect)

    async def stop(self) -> None:
        """Close the clients, and end polling and schedules."""
        if self.inspector is not None:
            self.inspector.close()
        await self.rest()

    async def rest(self) -> None:
        """Close the clients, and end polling and schedules; `add_sources` begins them again."""
        for api in self.websocket_apis:
            api.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._pollers.clear()
