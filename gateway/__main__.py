"""The command: `wsgateway [template.yaml]`, or `python -m gateway`."""

import asyncio
import contextlib
import gc
import logging
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gateway import __version__
from gateway.chaos.rules import Delay
from gateway.chaos.rules import load as load_faults
from gateway.console import Console, Detail
from gateway.errors import GatewayError, UsageError
from gateway.gateway import Gateway
from gateway.inspector.routes import PREFIX
from gateway.json_lines import JsonConsole
from gateway.options import Options
from gateway.run import new_event_loop, running
from gateway.settings import Settings
from gateway.template.reader import found

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


def _version(asked: bool) -> None:
    if asked:
        print(__version__)
        raise typer.Exit


@cli.command()
def main(
    template: Annotated[Path, typer.Argument(help="SAM template to run, or its folder.", show_default=True)] = Path(
        "template.yaml"
    ),
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
    ] = 0.0,
    chaos: Annotated[
        Path | None, typer.Option(metavar="FILE.toml", help="Let go wrong what the file says: crashes, errors, delays.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(metavar="NUMBER", help="Let it go wrong the same way at each run.", show_default=False)
    ] = None,
    sigv4: Annotated[
        bool, typer.Option(help="Ask for AWS signatures on @connections and IAM-authorized routes.")
    ] = True,
    reload: Annotated[bool, typer.Option(help="Run functions anew when their code changes; clients stay.")] = True,
    inspector: Annotated[bool, typer.Option(help="Serve the inspector at /_gateway/, to this machine only.")] = True,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Tell faults and notes only.")] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Tell of AWS calls too, and full texts.")] = False,
    json_lines: Annotated[
        bool, typer.Option("--json", help="Tell all that happens as JSON on standard output, an object a line.")
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Tell the version, and nothing else.")
    ] = False,
) -> None:
    """Run a SAM template's WebSocket and HTTP APIs on this machine, as API Gateway and Lambda would.

    Parameters come from --parameter-overrides, from a samconfig.toml beside the template, and from their defaults.
    Packages of functions are installed once, into the user's cache.
    """
    detail = Detail.QUIET if quiet else Detail.VERBOSE if verbose else Detail.NORMAL
    console = JsonConsole() if json_lines else Console(detail=detail, limit=DEFAULTS.console_lines)
    try:
        if quiet + verbose + json_lines > 1:
            raise UsageError("--quiet, --verbose and --json exclude each other")
        overrides: dict[str, str] = {}
        for item in parameter_overrides or []:
            key, equals, value = item.partition("=")
            if not equals or not key:
                raise UsageError(f"{_OVERRIDES} takes Key=Value, not {item}")
            overrides[key] = value
        faults = load_faults(chaos) if chaos is not None else []
        if start_delay:
            faults.append(Delay(within=start_delay, http=False))
        options = Options(
            found(template),
            host,
            port,
            endpoint_url,
            app,
            overrides,
            every,
            fresh,
            Settings(max_workers=max_workers, seed=seed, sigv4=sigv4),
            aws_port,
            lambda_endpoint,
            sam_env,
            container_host,
            tuple(faults),
            reload=reload,
            inspector=inspector,
        )
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(_serve(options, console, quiet))
    except GatewayError as error:
        console.error(str(error))
        raise typer.Exit(error.exit_code) from None


async def _serve(options: Options, console: Console, quiet: bool) -> None:
    logging.basicConfig(level=logging.WARNING, format="%(name)s: %(message)s")
    loop = asyncio.get_running_loop()
    work = loop.create_task(_run(options, console, quiet))
    # Cancelled while it starts or while it serves: what has started so far is ended either way.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, work.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await work


async def _run(options: Options, console: Console, quiet: bool) -> None:
    async with running(options, console) as gateway:
        # What has been loaded stays: to look through all of it for garbage would hold up messages now and then.
        gc.collect()
        gc.freeze()
        _announce(gateway, console)

        def tell_bill() -> None:
            if gateway.aws is not None:
                bill = gateway.bill()
                console.bill(bill.text(), bill.as_json())

        # Some systems have no such signal.
        if hasattr(signal, "SIGUSR1"):
            asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, tell_bill)
        try:
            await asyncio.Event().wait()
        finally:
            if not quiet:
                tell_bill()


def _announce(gateway: Gateway, console: Console) -> None:
    if gateway.inspector is not None:
        console.progress(f"Inspector: {gateway.url}{PREFIX}/")
    if not gateway.websocket_apis:
        console.note(f"{gateway.options.template} has no WebSocket API")
    console.ready(f"{gateway.url}/", gateway.addresses())


def run(name: str = "wsgateway") -> None:
    """Run the command line of this process, whose command has that name."""
    cli(args=split_overrides(sys.argv[1:]), prog_name=name)


if __name__ == "__main__":
    run("python -m gateway")
