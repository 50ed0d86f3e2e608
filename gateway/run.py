"""Puts the parts together: template to stack, stack to what runs, and the end of all of it."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from gateway import containers
from gateway.aws import resources
from gateway.aws.queue import AwsQueue
from gateway.aws.server import MotoServer
from gateway.clock import Clock
from gateway.console import Console
from gateway.credentials import Credentials
from gateway.errors import GatewayError, TemplateError, UsageError
from gateway.functions.lambda_endpoint import LambdaEndpoint, RemoteFunction
from gateway.functions.pool import Functions, Pool, Runner, environment
from gateway.functions.start_delay import delayed
from gateway.http.api import HttpApi
from gateway.journal import Journal
from gateway.settings import Settings
from gateway.shell import Server, bind
from gateway.template import apis
from gateway.template.parameters import parameter_values
from gateway.template.reader import expand, load
from gateway.template.specs import FunctionSpec
from gateway.template.stack import Stack
from gateway.triggers.queues import Poller
from gateway.triggers.schedules import run_schedule
from gateway.websocket.api import WebSocketApi
from gateway.websocket.sender import Sender
from gateway.websocket.targets import Services

SINGLE_ORIGIN = "/socket.io"


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


class Gateway:
    """A running stack. `url` is the one origin, such as `http://127.0.0.1:3000`."""

    def __init__(self, options: Options, listening: socket.socket, console: Console) -> None:
        self.options = options
        self.settings = options.settings
        self.console = console
        self.clock = Clock()
        self.journal = Journal()
        self.credentials = Credentials()
        self.journal.subscribe(console.show)
        port = listening.getsockname()[1]
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
        # What events call the domain: the address at which this machine serves the API.
        self.authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.url = f"http://{self.authority}"
        self.websocket_apis: list[WebSocketApi] = []
        self.http_api: HttpApi | None = None
        self._pollers: dict[str, list[Poller]] = {}
        self._tasks: list[asyncio.Task[None]] = []

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
                WebSocketApi(websocket, services, self.settings, self.authority, self.clock, self.journal)
            )
        for http in apis.http_apis(stack):
            if self.http_api is None:
                self.http_api = HttpApi(
                    http,
                    functions.submit,
                    self.settings,
                    self.authority,
                    self.clock,
                    self.journal,
                    self.console.note,
                )
            else:
                stack.unsupported[http.logical_id] = "second HTTP API"

    def add_sources(
        self, stack: Stack, functions: Functions, services: Services, queues: Mapping[str, AwsQueue]
    ) -> None:
        """Poll the stack's queues and run its schedules."""
        for mapping in stack.mappings():
            name = stack.name(mapping.queue)
            poller = Poller(
                mapping,
                queues[name],
                services.submit,
                self.settings,
                self.console.note,
                notified=self.options.endpoint_url is None,
            )
            self._pollers.setdefault(name, []).append(poller)
            self._start(mapping.logical_id, poller.run())
        for schedule in stack.schedules():
            period = self.options.every or schedule.period
            if period is None:
                stack.unsupported[schedule.logical_id] = f"schedule {schedule.expression} (--every runs it)"
                continue
            self._start(
                schedule.logical_id, run_schedule(schedule, period, functions.submit, self.settings, self.clock)
            )

    def _start(self, logical_id: str, work: Coroutine[Any, Any, None]) -> None:
        def ended(task: asyncio.Task[None]) -> None:
            if not task.cancelled() and (error := task.exception()) is not None:
                self.console.note(f"{logical_id} has stopped: {type(error).__name__}: {error}")

        task = asyncio.create_task(work)
        task.add_done_callback(ended)
        self._tasks.append(task)

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
        if self.http_api is not None:
            found.append((f"{self.url}/", self.http_api.spec.logical_id))
        return found

    async def stop(self) -> None:
        """Close the clients, and end polling and schedules."""
        for api in self.websocket_apis:
            api.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


@contextlib.asynccontextmanager
async def running(options: Options, console: Console | None = None) -> AsyncIterator[Gateway]:
    """Run a template in this process's event loop: ready when entered, gone without a trace when left.

    Raises GatewayError where it cannot start.
    """
    console = console or Console()
    settings = options.settings
    root = options.template.resolve().parent
    template = load(options.template)
    overrides, extra_path = _with_app(options, template.get("Parameters", {}))
    values = parameter_values(template.get("Parameters", {}), overrides)
    remote = _remote(options)
    outside = await asyncio.to_thread(_outside, options)
    # Containers come by an address of their own; where that is not this machine's, it leads to the loopback.
    others = [outside] if outside not in (None, "127.0.0.1") and containers.is_here(outside) else []
    async with contextlib.AsyncExitStack() as ends:
        listening = [_bind(ends, options.host, options.port)]
        port = listening[0].getsockname()[1]
        listening += [_bind(ends, name, port) for name in others if options.host not in (name, "0.0.0.0", "::")]
        gateway = Gateway(options, listening[0], console)
        moto: asyncio.Task[None] | None = None
        if options.endpoint_url is None:
            try:
                server = MotoServer(settings.account_id, gateway.queue_changed, options.aws_port, others)
            except OSError as error:
                raise GatewayError(f"cannot listen on port {options.aws_port}: {error.strerror or error}") from None
            ends.push_async_callback(server.close)
            endpoint = server.endpoint
            console.progress("Starting DynamoDB and SQS …")
            moto = asyncio.create_task(server.start())
            # Expanding the template takes this process as long as starting takes the other.
            await asyncio.sleep(0)
        else:
            endpoint = options.endpoint_url
        try:
            expanded = await asyncio.to_thread(expand, template, values, settings)
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

        _check_app(options, functions)
        # Again, now that the queues' addresses are known.
        functions = stack.functions()
        if options.sam_env is not None and outside is not None:
            called = containers.authority(outside, port)
            specs = [_localised(spec, called, gateway.authority, stack) for spec in functions]
            containers.write_environment(options.sam_env, specs, endpoint, outside)
            console.progress(f"Environment for sam local --env-vars: {options.sam_env}")
        runners: dict[str, Runner] = {}
        for spec in functions:
            if remote is not None:
                runners[spec.logical_id] = RemoteFunction(spec, remote, settings, gateway.clock, gateway.journal)
                continue
            local = _localised(spec, gateway.authority, gateway.authority, stack)
            variables = environment(local, endpoint, extra_path, settings)
            runners[spec.logical_id] = Pool(
                local,
                variables,
                settings,
                gateway.clock,
                gateway.journal,
                gateway.credentials,
                fresh=options.fresh,
            )
        started = Functions(runners, settings)
        ends.push_async_callback(started.close)
        executor = ThreadPoolExecutor(max_workers=8, thread_name_prefix="sqs")
        ends.callback(executor.shutdown, wait=False, cancel_futures=True)
        outlets = {stack.name(name): AwsQueue(sqs, url, executor) for name, url in stack.queue_urls.items()}
        sender = Sender(outlets, settings)
        ends.push_async_callback(sender.close)
        submit = delayed(started.submit, settings.start_delay, gateway.clock, settings.seed)
        services = Services(submit, sender.send, console.note)
        gateway.add_apis(stack, started, services)
        if remote is None:
            console.progress(f"Starting {len(runners)} functions …")
        else:
            await remote.wait(settings.lambda_endpoint_wait, console)
        await started.prestart()

        web = Server(gateway, listening)
        ends.push_async_callback(web.stop)
        await web.start()
        ends.push_async_callback(gateway.stop)
        gateway.add_sources(stack, started, services, outlets)
        stack.name_the_rest()
        for logical_id, what in stack.unsupported.items():
            console.note(f"Not run here: {logical_id} ({what})")
        yield gateway


def _bind(ends: contextlib.AsyncExitStack, host: str, port: int) -> socket.socket:
    try:
        listening = bind(host, port)
    except OSError as error:
        raise GatewayError(f"cannot listen on {host}:{port}: {error.strerror or error}") from None
    ends.callback(listening.close)
    return listening


def _remote(options: Options) -> LambdaEndpoint | None:
    """Return the endpoint that runs the functions, if one does. Raises UsageError."""
    if options.lambda_endpoint is None:
        return None
    if options.app is not None or options.fresh:
        raise UsageError("--lambda-endpoint runs the functions as they are: neither --app nor --fresh goes with it")
    return LambdaEndpoint(options.lambda_endpoint)


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

    What begins with http a function calls itself, at `called`; a socket's address it tells clients: `told`.
    """
    settings = stack.settings
    ids = "|".join(str(stack.reference(name)) for name in stack.of_type("AWS::ApiGatewayV2::Api"))
    if not ids:
        return spec
    host = rf"({ids})\.execute-api\.{re.escape(settings.region)}\.{re.escape(settings.url_suffix)}(:443)?(?![\w.-])"
    pattern = re.compile(rf"\b(http|ws)s://{host}")
    authorities = {"http": called, "ws": told}
    changed = {
        name: pattern.sub(lambda found: f"{found[1]}://{authorities[found[1]]}", value)
        for name, value in spec.environment.items()
    }
    return replace(spec, environment=changed)


__all__ = ["Gateway", "GatewayError", "Options", "TemplateError", "UsageError", "running"]
