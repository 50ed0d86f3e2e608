"""What to run and how, and whether it goes together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from gateway.aws.faults import AwsFault
from gateway.chaos.rules import KINDS, AnyRule, ColdStart, Crash
from gateway.errors import UsageError
from gateway.settings import Settings
from gateway.template.specs import FunctionSpec


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


def check_faults(options: Options) -> None:
    """Raise UsageError for faults that need what is not run here."""
    for rule in options.faults:
        if options.lambda_endpoint is not None and (
            isinstance(rule, ColdStart) or (isinstance(rule, Crash) and rule.when != "before")
        ):
            raise UsageError(f"--lambda-endpoint runs the functions: none can {KINDS[type(rule)]} on purpose here")
        if options.endpoint_url is not None and isinstance(rule, AwsFault):
            raise UsageError("--endpoint-url names another AWS: it cannot fail on purpose")


def with_app(options: Options, parameters: Mapping[str, object]) -> tuple[dict[str, str], str | None]:
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


def check_app(options: Options, functions: Sequence[FunctionSpec]) -> None:
    """Raise UsageError where the module of `--app` would hide one of a function's."""
    if options.app is None:
        return
    path = Path(options.app.rpartition(":")[0]).resolve()
    for function in functions:
        code = function.code.resolve()
        taken = (code / path.stem).is_dir() or (code / path.name).is_file()
        if taken and code != path.parent:
            raise UsageError(f"--app: {function.logical_id} has a module {path.stem} of its own; rename {path.name}")
