"""Puts the parts together: template to stack, stack to what runs, and the end of all of it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from gateway import containers
from gateway.aws import resources
from gateway.aws.queue import AwsQueue
from gateway.aws.server import MotoServer
from gateway.aws.streams import AwsStreams, stream_arns
from gateway.chaos.rules import described
from gateway.console import Console
from gateway.errors import GatewayError, UsageError
from gateway.functions import bootstrap
from gateway.functions.build import build, cache_folder, rebuild, watched
from gateway.functions.invoke import InvokeApi
from gateway.functions.lambda_endpoint import LambdaEndpoint, RemoteFunction
from gateway.functions.pool import Functions, Pool, Runner, environment
from gateway.gateway import Gateway
from gateway.inspector.data import Data
from gateway.options import Options, check_app, check_faults, with_app
from gateway.reload import Reloader
from gateway.shell import Server, bind
from gateway.template import sources
from gateway.template.cache import expanded as expanded_template
from gateway.template.deliveries import deliveries
from gateway.template.hosts import any_host, host_names, localised
from gateway.template.nested import flattened
from gateway.template.parameters import configured, parameter_values
from gateway.template.reader import load
from gateway.template.specs import FunctionSpec
from gateway.template.stack import Stack
from gateway.template.stores import pool_clients, pools, stores
from gateway.tls import Certificate, certificate
from gateway.triggers.asynchronous import Asynchronous
from gateway.websocket.sender import Sender
from gateway.websocket.targets import Services


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
    overrides, extra_path = with_app(options, template.get("Parameters", {}))
    declared = template.get("Parameters", {})
    values = parameter_values(declared, {**configured(options.template, declared), **overrides})
    remote = _remote(options)
    check_faults(options)
    outside = await asyncio.to_thread(_outside, options)
    # Containers come by an address of their own; where that is not this machine's, it leads to the loopback.
    others = [outside] if outside not in (None, "127.0.0.1") and containers.is_here(outside) else []
    async with contextlib.AsyncExitStack() as ends:
        listening = [listening_on or _bind(ends, options.host, options.port)]
        port = listening[0].getsockname()[1]
        listening += [_bind(ends, name, port) for name in others if options.host not in (name, "0.0.0.0", "::")]
        gateway = Gateway(options, listening[0], console)
        async with _aws(ends, gateway, embedded, others) as endpoint:
            # Expanding the template takes this process as long as starting takes the other.
            cached = cache_folder() / "templates"
            expand = partial(expanded_template, folder=cached)

            def whole() -> tuple[dict[str, Any], list[Path]]:
                return flattened(
                    expand(template, values, settings), values, options.template.resolve(), settings, expand
                )

            expanded, nested = await asyncio.to_thread(whole)
            stack = Stack(expanded, values, root, endpoint, settings)
            check_app(options, stack.functions())
            holdings = _Holdings(stack, embedded=options.endpoint_url is None)
        await asyncio.to_thread(holdings.create)
        # Only now are the addresses of queues and streams known.
        functions = stack.functions()
        if options.sam_env is not None and outside is not None:
            called = containers.authority(outside, port)
            specs = [localised(spec, called, gateway.authority, stack) for spec in functions]
            containers.write_environment(options.sam_env, specs, endpoint, outside)
            console.progress(f"Environment for sam local --env-vars: {options.sam_env}")
        if remote is None:
            functions = await build(functions, stack.unsupported, console, cache_folder())
        trusted = await _certificate(gateway, others)
        runners: dict[str, Runner] = {
            spec.logical_id: _pool(gateway, spec, stack, extra_path, trusted)
            if remote is None
            else RemoteFunction(spec, remote, settings, gateway.clock, gateway.journal)
            for spec in functions
        }
        started = Functions(runners, settings)
        ends.push_async_callback(started.close)
        executor = ThreadPoolExecutor(max_workers=8, thread_name_prefix="aws")
        ends.callback(executor.shutdown, wait=False, cancel_futures=True)
        outlets = {stack.name(name): AwsQueue(holdings.sqs, url, executor) for name, url in stack.queue_urls.items()}
        sender = Sender(outlets, settings)
        ends.push_async_callback(sender.close)
        submit = gateway.faults.submitting(started.submit)
        services = Services(submit, sender.send, console.note)
        by_id, policies = {spec.logical_id: spec for spec in functions}, sources.asynchronous(stack)
        events = Asynchronous(by_id, policies, submit, sender.send, settings, gateway.clock, console.note)
        ends.push_async_callback(events.close)
        qualifiers = sources.qualifiers(stack)
        gateway.invoke_api = InvokeApi(functions, qualifiers, submit, events.put, settings, gateway.journal)
        gateway.add_apis(stack, started, services)
        gateway.size(stack, functions)
        await _prestart(ends, gateway, started, remote, len(runners))
        if options.inspector:
            gateway.inspect(functions, started, holdings.data())
        if options.reload and remote is None:
            used = {
                spec.logical_id: [*watched(spec), *([Path(extra_path)] if extra_path else [])] for spec in functions
            }

            async def reload(changed: list[str]) -> None:
                await rebuild((spec for spec in functions if spec.logical_id in changed), console, cache_folder())
                await started.reload(changed)

            reloader = Reloader(used, [options.template, *nested], reload, console)
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
            await asyncio.to_thread(holdings.create)
            gateway.add_sources(stack, services, outlets, streams, events)

        gateway.reset = reset
        gateway.faults.add(options.faults)
        await gateway.faults.apply()
        for rule in options.faults:
            console.note(f"Goes wrong on purpose (--seed {gateway.faults.seed}): {described(rule)}")
        yield gateway


class _Holdings:
    """What a stack keeps on its AWS: tables, queues and stores."""

    def __init__(self, stack: Stack, *, embedded: bool) -> None:
        self._stack = stack
        self._embedded = embedded
        self._tables, self._queues = stack.tables(), stack.queues()
        self.dynamodb, self.sqs = resources.clients(stack.endpoint, stack.settings)

    def create(self) -> None:
        """Make what does not exist yet, and tell the stack where it is. Raises GatewayError."""
        stack = self._stack
        stack.queue_urls = resources.create(self.dynamodb, self.sqs, self._tables, self._queues)
        for made in (pools, pool_clients):
            stack.unsupported |= resources.create_stores(stack.endpoint, stack.settings, made(stack), stack.chosen)
        told = deliveries(stack)
        if not self._embedded:
            # Another AWS would look for the functions in itself.
            words = "topic, rule or notification; not made in another AWS, which has none of the functions"
            stack.unsupported |= {spec.logical_id: words for spec in told}
            told = []
        stack.unsupported |= resources.create_stores(stack.endpoint, stack.settings, stores(stack) + told)
        streaming = (table for table in self._tables if "StreamSpecification" in table.arguments)
        stack.stream_arns = stream_arns(self.dynamodb, {table.logical_id: table.name for table in streaming})

    def data(self) -> Data:
        """Return what the inspector shows of it."""
        return Data(self.dynamodb, self.sqs, self._tables, self._queues, self._stack.queue_urls)


@contextlib.asynccontextmanager
async def _aws(
    ends: contextlib.AsyncExitStack, gateway: Gateway, embedded: Callable[..., MotoServer], others: list[str]
) -> AsyncIterator[str]:
    """Give the address of the AWS to use; the embedded one starts meanwhile, and answers once the block is left."""
    options, settings = gateway.options, gateway.settings
    if options.endpoint_url is not None:
        yield options.endpoint_url
        return
    try:
        server = embedded(
            settings.account_id,
            gateway.queue_changed,
            options.aws_port,
            others,
            on_call=gateway.called,
            on_invoke=gateway.invoke_later,
            ttl_sweep=settings.ttl_sweep,
            ttl_lag=settings.ttl_lag,
            region=settings.region,
        )
    except OSError as error:
        raise GatewayError(f"cannot listen on port {options.aws_port}: {error.strerror or error}") from None
    ends.push_async_callback(server.close)
    gateway.console.progress("Starting DynamoDB and SQS …")
    gateway.aws = server
    gateway.faults.set_aws = server.set_faults
    starting = asyncio.create_task(server.start())
    try:
        await asyncio.sleep(0)
        yield server.endpoint
        await starting
    finally:
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)


async def _prestart(
    ends: contextlib.AsyncExitStack,
    gateway: Gateway,
    started: Functions,
    remote: LambdaEndpoint | None,
    count: int,
) -> None:
    """Return once the functions can be invoked, without a wait where that is asked for."""
    if remote is not None:
        await remote.wait(gateway.settings.lambda_endpoint_wait, gateway.console)
    else:
        gateway.console.progress(f"Starting {count} functions …")
    if gateway.options.prestart:
        await started.prestart()
    else:
        ends.callback(asyncio.create_task(started.prestart()).cancel)


def _pool(
    gateway: Gateway, spec: FunctionSpec, stack: Stack, extra_path: str | None, trusted: Certificate | None
) -> Pool:
    """Return what runs a function here."""
    spec = localised(spec, gateway.authority, gateway.authority, stack)
    if trusted is not None:
        spec = replace(spec, environment={**trusted.variables, **spec.environment})
    hosts = {bootstrap.HOSTS: f"{','.join(host_names(stack))}={gateway.authority}"}
    return Pool(
        spec,
        environment(spec, stack.endpoint, extra_path, gateway.settings) | hosts,
        gateway.settings,
        gateway.clock,
        gateway.journal,
        gateway.credentials,
        fresh=gateway.options.fresh,
        faults=gateway.faults,
    )


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
    names = [socket.gethostname() if host in ("0.0.0.0", "::") else host, *others, *any_host(gateway.settings)]
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


def _outside(options: Options) -> str | None:
    """Return this machine's name for containers, where it is asked for. Raises GatewayError."""
    return None if options.sam_env is None else options.container_host or containers.host()
