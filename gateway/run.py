"""Puts the parts together: template to stack, stack to what runs, and the end of all of it."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import re
import socket
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway import containers
from gateway.aws import resources
from gateway.aws.calls import AwsCall
from gateway.aws.faults import AwsFault
from gateway.aws.queue import AwsQueue
from gateway.aws.server import MotoServer
from gateway.aws.streams import AwsStreams, stream_arns
from gateway.chaos.injector import Injector
from gateway.chaos.rules import KINDS, AnyRule, ColdStart, Crash, described
from gateway.clock import Clock
from gateway.console import Console
from gateway.credentials import Credentials
from gateway.errors import GatewayError, TemplateError, UsageError
from gateway.functions.build import build, cache_folder
from gateway.functions.invoke import InvokeApi
from gateway.functions.lambda_endpoint import LambdaEndpoint, RemoteFunction
from gateway.functions.pool import Functions, Pool, Runner, environment
from gateway.http.addresses import Addresses, paths
from gateway.http.api import HttpApi
from gateway.inspector.data import Data
from gateway.inspector.recorder import Recorder
from gateway.inspector.routes import PREFIX, Inspector, Parts
from gateway.journal import Called, Journal
from gateway.meter.bill import Bill
from gateway.meter.meter import Meter, Sizing
from gateway.reload import Reloader
from gateway.settings import Settings
from gateway.shell import Server, bind
from gateway.sigv4 import SignatureRefused, Signatures
from gateway.template import apis, sources
from gateway.template.cache import expanded as expanded_template
from gateway.template.http_apis import http_apis
from gateway.template.parameters import configured, parameter_values
from gateway.template.reader import load
from gateway.template.specs import FunctionSpec
from gateway.template.stack import Stack
from gateway.template.stores import stores
from gateway.tls import Certificate, certificate
from gateway.triggers.asynchronous import Asynchronous
from gateway.triggers.queues import Poller
from gateway.triggers.schedules import run_every, run_schedule
from gateway.triggers.streams import StreamReader
from gateway.websocket.api import WebSocketApi
from gateway.websocket.sender import Sender
from gateway.websocket.targets import Services
from gateway.websocket.throttling import Account

SINGLE_ORIGIN = "/socket.io"
_OWN = (resources.CREDENTIALS["aws_access_key_id"],)


@dataclass(frozen=True, slots=True)
class Options:
    """What to run and how; the command line's options under the same names. `every` in seconds."""

    template: Path = Path("template.yaml")
    host: str = "127.0.0.1"
    port: int = 3000
    endpoint_url: str | None = None
    app: str | None = None
    parameter_overrides: Mapping[str, str] = field(default_factory=dict)
    every: float | None = None
    fresh: bool = False
    settings: Settings = field(default_factory=Settings)
    aws_port: int = 0
    lambda_endpoint: str | None = None
    sam_env: Path | None = None
    container_host: str | None = None
    faults: tuple[AnyRule, ...] = ()
    prestart: bool = True
    reload: bool = False
    inspector: bool = False


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

    def refused(self, error: SignatureRefused) -> None:
        """A call of `@connections` was not signed as it should be: say once for each kind what to do."""
        if error.error_type not in self._refused:
            self._refused.add(error.error_type)
            self.console.note(f"@connections refused: {error.message} ({error.hint})")

    # ---- addresses

    def websocket_stage(self, stage: str) -> WebSocketApi | None:
        """Return the API that has a stage, or None."""
        return next((api for api in self.websocket_apis if stage in api.spec.stages), None)

    def websocket_at(self, path: str) -> tuple[WebSocketApi, str] | None:
        """Return the API and the stage that an upgrade at `path` reaches, or None.

        A stage has two addresses, `/{stage}` and `/{stage}/`; `/socket.io/` is the one origin's, and reaches the first
        stage of the first API.
        """
        if path.removesuffix("/") == SINGLE_ORIGIN and self.websocket_apis:
            api = self.websocket_apis[0]
            return api, next(iter(api.spec.stages), "")
        stage = path[1:].removesuffix("/")
        found = self.websocket_stage(stage) if path.startswith("/") and stage and "/" not in stage else None
        return None if found is None else (found, stage)

    # ---- parts

    def add_apis(self, stack: Stack, functions: Functions, services: Services) -> None:
        """Serve the stack's APIs."""
        for websocket in apis.websocket_apis(stack):
            for stage in websocket.stages:
                if self.websocket_stage(stage) is not None:
                    stack.unsupported[websocket.logical_id] = f"second WebSocket API with a stage {stage}"
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
                HttpApi(spec, submit, settings, authority, clock, self.journal, self.console.note)
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
        found = [
            (f"ws://{self.authority}/{stage}", api.spec.logical_id)
            for api in self.websocket_apis
            for stage in api.spec.stages
        ]
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


@contextlib.asynccontextmanager
async def running(
    options: Options,
    console: Console | None = None,
    listening_on: socket.socket | None = None,
    embedded: Callable[..., MotoServer] = MotoServer,
) -> AsyncIterator[Gateway]:
    """Run a template in this process's event loop: ready when entered, gone without a trace when left.

    `listening_on` is a bound socket in place of the options' host and port; `embedded` makes the AWS. Raises
    GatewayError where it cannot start.
    """
    console = console or Console()
    settings = options.settings
    root = options.template.resolve().parent
    template = load(options.template)
    overrides, extra_path = _with_app(options, template.get("Parameters", {}))
    declared = template.get("Parameters", {})
    values = parameter_values(declared, {**configured(options.template, declared), **overrides})
    remote = _remote(options)
    _check_faults(options)
    outside = await asyncio.to_thread(_outside, options)
    # Containers come by an address of their own; where that is not this machine's, it leads to the loopback.
    others = [outside] if outside not in (None, "127.0.0.1") and containers.is_here(outside) else []
    async with contextlib.AsyncExitStack() as ends:
        listening = [listening_on or _bind(ends, options.host, options.port)]
        port = listening[0].getsockname()[1]
        listening += [_bind(ends, name, port) for name in others if options.host not in (name, "0.0.0.0", "::")]
        gateway = Gateway(options, listening[0], console)
        moto: asyncio.Task[None] | None = None
        if options.endpoint_url is None:
            try:
                server = embedded(
                    settings.account_id,
                    gateway.queue_changed,
                    options.aws_port,
                    others,
                    on_call=gateway.called,
                    ttl_sweep=settings.ttl_sweep,
                    ttl_lag=settings.ttl_lag,
                    region=settings.region,
                )
            except OSError as error:
                raise GatewayError(f"cannot listen on port {options.aws_port}: {error.strerror or error}") from None
            ends.push_async_callback(server.close)
            endpoint = server.endpoint
            console.progress("Starting DynamoDB and SQS …")
            gateway.aws = server
            gateway.faults.set_aws = server.set_faults
            moto = asyncio.create_task(server.start())
            # Expanding the template takes this process as long as starting takes the other.
            await asyncio.sleep(0)
        else:
            endpoint = options.endpoint_url
        try:
            expanded = await asyncio.to_thread(
                expanded_template, template, values, settings, cache_folder() / "templates"
            )
            stack = Stack(expanded, values, root, endpoint, settings)
            tables, queues, functions = stack.tables(), stack.queues(), stack.functions()
        except BaseException:
            if moto is not None:
                moto.cancel()
                await asyncio.gather(moto, return_exceptions=True)
            raise
        if moto is not None:
            await moto
        dynamodb, sqs = resources.clients(endpoint, settings)
        stack.queue_urls = await asyncio.to_thread(resources.create, dynamodb, sqs, tables, queues)
        stack.unsupported |= await asyncio.to_thread(resources.create_stores, endpoint, settings, stores(stack))

        with_stream = {table.logical_id: table.name for table in tables if "StreamSpecification" in table.arguments}
        stack.stream_arns = await asyncio.to_thread(stream_arns, dynamodb, with_stream)

        _check_app(options, functions)
        # Again, now that the addresses of queues and streams are known.
        functions = stack.functions()
        if options.sam_env is not None and outside is not None:
            called = containers.authority(outside, port)
            specs = [_localised(spec, called, gateway.authority, stack) for spec in functions]
            containers.write_environment(options.sam_env, specs, endpoint, outside)
            console.progress(f"Environment for sam local --env-vars: {options.sam_env}")
        if remote is None:
            functions = await build(functions, stack.unsupported, console, cache_folder())
        trusted = await _certificate(gateway, others)
        runners: dict[str, Runner] = {}
        for spec in functions:
            if remote is not None:
                runners[spec.logical_id] = RemoteFunction(spec, remote, settings, gateway.clock, gateway.journal)
                continue
            local = _localised(spec, gateway.authority, gateway.authority, stack)
            if trusted is not None:
                local = replace(local, environment={**trusted.variables, **local.environment})
            variables = environment(local, endpoint, extra_path, settings)
            runners[spec.logical_id] = Pool(
                local,
                variables,
                settings,
                gateway.clock,
                gateway.journal,
                gateway.credentials,
                fresh=options.fresh,
                faults=gateway.faults,
            )
        started = Functions(runners, settings)
        ends.push_async_callback(started.close)
        executor = ThreadPoolExecutor(max_workers=8, thread_name_prefix="sqs")
        ends.callback(executor.shutdown, wait=False, cancel_futures=True)
        outlets = {stack.name(name): AwsQueue(sqs, url, executor) for name, url in stack.queue_urls.items()}
        sender = Sender(outlets, settings)
        ends.push_async_callback(sender.close)
        submit = gateway.faults.submitting(started.submit)
        services = Services(submit, sender.send, console.note)
        events = Asynchronous(
            {spec.logical_id: spec for spec in functions},
            sources.asynchronous(stack),
            submit,
            sender.send,
            settings,
            gateway.clock,
            console.note,
        )
        ends.push_async_callback(events.close)
        gateway.invoke_api = InvokeApi(
            functions, sources.qualifiers(stack), submit, events.put, settings, gateway.journal
        )
        gateway.add_apis(stack, started, services)
        if remote is None:
            console.progress(f"Starting {len(runners)} functions …")
        else:
            await remote.wait(settings.lambda_endpoint_wait, console)
        if options.prestart:
            await started.prestart()
        else:
            ends.callback(asyncio.create_task(started.prestart()).cancel)
        gateway.size(stack, functions)
        if options.inspector:
            gateway.inspect(functions, started, Data(dynamodb, sqs, tables, queues, stack.queue_urls))
        if options.reload and remote is None:
            used = {
                spec.logical_id: [spec.code, *spec.layers, *([Path(extra_path)] if extra_path else [])]
                for spec in functions
            }
            reloader = Reloader(used, options.template, started.reload, console)
            ends.push_async_callback(reloader.close)
            reloader.start()

        web = Server(gateway, listening, trusted)
        ends.push_async_callback(web.stop)
        await web.start()
        ends.push_async_callback(gateway.stop)
        streams = AwsStreams(resources.streams(endpoint, settings), executor)
        gateway.add_sources(stack, services, outlets, streams, events)
        stack.name_the_rest()
        for logical_id, what in stack.unsupported.items():
            console.note(f"Not run here: {logical_id} ({what})")

        async def reset() -> None:
            if gateway.aws is None:
                raise GatewayError("only the embedded AWS can be emptied")
            gateway.faults.clear()
            await gateway.faults.apply()
            await gateway.rest()
            await events.close()
            await started.settle(settings.reset_wait)
            await gateway.aws.reset()
            await asyncio.to_thread(resources.create, dynamodb, sqs, tables, queues)
            await asyncio.to_thread(resources.create_stores, endpoint, settings, stores(stack))
            gateway.add_sources(stack, services, outlets, streams, events)

        gateway.reset = reset
        gateway.faults.add(options.faults)
        await gateway.faults.apply()
        for rule in options.faults:
            console.note(f"Goes wrong on purpose (--seed {gateway.faults.seed}): {described(rule)}")
        yield gateway


def new_event_loop() -> asyncio.AbstractEventLoop:
    """Return the fastest event loop that is installed."""
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def _bind(ends: contextlib.AsyncExitStack, host: str, port: int) -> socket.socket:
    try:
        listening = bind(host, port)
    except OSError as error:
        raise GatewayError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    ends.callback(listening.close)
    return listening


async def _certificate(gateway: Gateway, others: list[str]) -> Certificate | None:
    """Return what TLS is served with; None where it cannot be kept, and why goes to the console."""
    host = gateway.options.host
    names = [socket.gethostname() if host in ("0.0.0.0", "::") else host, *others]
    folder = cache_folder() / "tls"
    try:
        return await asyncio.to_thread(certificate, folder, names)
    except OSError as error:
        gateway.console.note(f"No https:// and wss:// here: cannot write to {folder}: {error.strerror or error}")
        return None


def _remote(options: Options) -> LambdaEndpoint | None:
    """Return the endpoint that runs the functions, if one does. Raises UsageError."""
    if options.lambda_endpoint is None:
        return None
    if options.app is not None or options.fresh:
        raise UsageError("--lambda-endpoint runs the functions as they are: neither --app nor --fresh goes with it")
    return LambdaEndpoint(options.lambda_endpoint)


def _check_faults(options: Options) -> None:
    """Raise UsageError for faults that need what is not run here."""
    for rule in options.faults:
        if options.lambda_endpoint is not None and (
            isinstance(rule, ColdStart) or (isinstance(rule, Crash) and rule.when != "before")
        ):
            raise UsageError(f"--lambda-endpoint runs the functions: none can {KINDS[type(rule)]} on purpose here")
        if options.endpoint_url is not None and isinstance(rule, AwsFault):
            raise UsageError("--endpoint-url names another AWS: it cannot fail on purpose")


def _outside(options: Options) -> str | None:
    """Return this machine's name for containers, where it is asked for. Raises GatewayError."""
    return None if options.sam_env is None else options.container_host or containers.host()


def _with_app(options: Options, parameters: Mapping[str, object]) -> tuple[dict[str, str], str | None]:
    """Return the overrides and the folder that `--app FILE.py:NAME` adds. Raises UsageError."""
    overrides = dict(options.parameter_overrides)
    if options.app is None:
        return overrides, None
    file, _, name = options.app.rpartition(":")
    if not file or not name.isidentifier() or not file.endswith(".py"):
        raise UsageError(f"--app takes FILE.py:NAME, not {options.app}")
    path = Path(file)
    if not path.is_file():
        raise UsageError(f"--app: no file {file}")
    if not path.stem.isidentifier():
        raise UsageError(f"--app: {path.name} cannot be imported, its name is no Python identifier")
    if "App" not in parameters:
        raise UsageError("--app: the template has no parameter App")
    if "App" in overrides:
        raise UsageError("--app and --parameter-overrides App=… exclude each other")
    overrides["App"] = f"{path.stem}:{name}"
    return overrides, str(path.resolve().parent)


def _check_app(options: Options, functions: list[FunctionSpec]) -> None:
    if options.app is None:
        return
    path = Path(options.app.rpartition(":")[0]).resolve()
    for function in functions:
        code = function.code.resolve()
        taken = (code / path.stem).is_dir() or (code / path.name).is_file()
        if taken and code != path.parent:
            raise UsageError(f"--app: {function.logical_id} has a module {path.stem} of its own; rename {path.name}")


def _localised(spec: FunctionSpec, called: str, told: str, stack: Stack) -> FunctionSpec:
    """Return a function whose variables name this machine wherever they named an API of the stack.

    What begins with http a function calls itself, at `called`; a socket's address it tells clients: `told`. Lambda's
    own API is at `called` too.
    """
    settings = stack.settings
    below = {str(stack.reference(name)): "" for name in stack.of_type("AWS::ApiGatewayV2::Api")}
    below |= paths(http_apis(stack))
    region = re.escape(settings.region)
    domain = rf"(?:execute-api\.{region}\.{re.escape(settings.url_suffix)}|lambda-url\.{region}\.on\.aws)"
    pattern = re.compile(rf"\b(http|ws)s://({'|'.join(below) or '(?!)'})\.{domain}(?::443)?(?![\w.-])")
    authorities = {"http": called, "ws": told}
    changed = {
        name: pattern.sub(lambda found: f"{found[1]}://{authorities[found[1]]}{below[found[2]]}", value)
        for name, value in spec.environment.items()
    }
    return replace(spec, environment={"AWS_ENDPOINT_URL_LAMBDA": f"http://{called}", **changed})


__all__ = ["Gateway", "GatewayError", "Options", "TemplateError", "UsageError", "new_event_loop", "running"]
