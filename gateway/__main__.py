"""The command: `python -m gateway [template.yaml]`."""

import asyncio
import contextlib
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gateway.console import Console
from gateway.errors import GatewayError, UsageError
from gateway.run import Gateway, Options, running
from gateway.settings import Settings

DEFAULTS = Settings()
_OVERRIDES = "--parameter-overrides"
cli = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def split_overrides(arguments: Sequence[str]) -> list[str]:
    """Return a command line in which each `Key=Value` after --parameter-overrides has the option of its own.

    As with `sam`, one option takes several values; they end at the next option, or at a word without `=`.
    """
    result: list[str] = []
    taking = first = False
    for argument in arguments:
        if argument == _OVERRIDES:
            taking = first = True
            continue
        if taking and not argument.startswith("-") and ("=" in argument or first):
            result += [_OVERRIDES, argument]
        else:
            if taking and first:
                result.append(_OVERRIDES)
            taking = False
            result.append(argument)
        first = False
    if taking and first:
        result.append(_OVERRIDES)
    return result


@cli.command()
def main(
    template: Annotated[Path, typer.Argument(help="SAM template to run.", show_default=True)] = Path("template.yaml"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 takes a free one.")] = 3000,
    endpoint_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="AWS to use for DynamoDB and SQS, in place of the embedded one."),
    ] = None,
    app: Annotated[
        str | None,
        typer.Option(
            metavar="FILE.py:NAME",
            help="Run another application: sets the template's parameter App, and puts FILE's folder on the path.",
        ),
    ] = None,
    parameter_overrides: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE …", help="Values of template parameters; several, or the option repeated."),
    ] = None,
    every: Annotated[
        float | None,
        typer.Option(metavar="SECONDS", min=0.05, help="Run every schedule at this period in place of its own."),
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Run every invocation in a new process.")] = False,
    lambda_endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Let another process run the functions: `sam local start-lambda`, at http://127.0.0.1:3001.",
        ),
    ] = None,
    sam_env: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Write the functions' environment for `sam local --env-vars`, and listen where containers come by.",
        ),
    ] = None,
    container_host: Annotated[
        str | None,
        typer.Option(
            metavar="HOST", help="This machine as containers see it; asked of docker if not given.", show_default=False
        ),
    ] = None,
    aws_port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port of the embedded DynamoDB and SQS; 0 takes a free one.")
    ] = 0,
    max_workers: Annotated[int, typer.Option(min=1, help="Most processes of one function.")] = DEFAULTS.max_workers,
    start_delay: Annotated[
        float,
        typer.Option(
            metavar="SECONDS",
            min=0,
            help="Hold invocations of WebSocket routes and queues back for up to so long, as cold starts do.",
        ),
    ] = DEFAULTS.start_delay,
    seed: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Draw the delays of --start-delay the same way at each run.")
    ] = None,
) -> None:
    """Run a SAM template's WebSocket and HTTP APIs on this machine, as API Gateway and Lambda would."""
    console = Console()
    try:
        overrides: dict[str, str] = {}
        for item in parameter_overrides or []:
            key, equals, value = item.partition("=")
            if not equals or not key:
                raise UsageError(f"{_OVERRIDES} takes Key=Value, not {item}")
            overrides[key] = value
        options = Options(
            template,
            host,
            port,
            endpoint_url,
            app,
            overrides,
            every,
            fresh,
            Settings(max_workers=max_workers, start_delay=start_delay, seed=seed),
            aws_port,
            lambda_endpoint,
            sam_env,
            container_host,
        )
        with asyncio.Runner(loop_factory=_loop_factory) as runner:
            runner.run(_serve(options, console))
    except GatewayError as error:
        console.error(str(error))
        raise typer.Exit(error.exit_code) from None


def _loop_factory() -> asyncio.AbstractEventLoop:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


async def _serve(options: Options, console: Console) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    loop = asyncio.get_running_loop()
    work = loop.create_task(_run(options, console))
    # Cancelled while it starts or while it serves: what has started so far is ended either way.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


async def _run(options: Options, console: Console) -> None:
    async with running(options, console) as gateway:
        _announce(gateway, console)
        await asyncio.Event().wait()


def _announce(gateway: Gateway, console: Console) -> None:
    for address, logical_id in gateway.addresses():
        console.progress(f"{address}  {logical_id}")
    console.ready(f"Ready: {gateway.url}/")


if __name__ == "__main__":
    sys.argv[0] = "python -m gateway"
    cli(args=split_overrides(sys.argv[1:]), prog_name="python -m gateway")
