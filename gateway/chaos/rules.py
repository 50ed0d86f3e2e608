"""What is to go wrong, as values: rules from Python, or from a TOML file with a table for each."""

import dataclasses
import tomllib
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from gateway.aws.faults import AwsFault
from gateway.errors import UsageError

_CONFIG = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)
Rate = Annotated[float, Field(ge=0, le=1)]
Seconds = Annotated[float, Field(ge=0)]
Pattern = Annotated[str, Field(min_length=1)]
"""A name in which `*`, `?` and `[…]` stand for what they do in a shell."""


@dataclass(frozen=True, kw_only=True, slots=True, config=_CONFIG)
class Rule:
    """What all rules have: it strikes at `rate`, not before it has been passed over `skip` times, and at most `times`.

    What is not of its kind or name does not count. Times are in seconds everywhere.
    """

    rate: Rate = 1.0
    skip: Annotated[int, Field(ge=0)] = 0
    times: Annotated[int, Field(ge=1)] | None = None


@dataclass(frozen=True, kw_only=True, slots=True, config=_CONFIG)
class Reorder(Rule):
    """A frame is held back for between 0 and `within` seconds before its route's integration gets it.

    Later ones overtake it, unless they are of the same connection and the route hands them to a queue, which keeps
    their order (`Settings.ordered_sends`): those wait behind it.
    """

    route: Pattern = "*"
    within: Seconds


@dataclass(frozen=True, kw_only=True, slots=True, config=_CONFIG)
class Delay(Rule):
    """An invocation is held back for between 0 and `within` seconds; those of an HTTP API too, if `http`."""

    function: Pattern = "*"
    within: Seconds
    http: bool = True


@dataclass(frozen=True, kw_only=True, slots=True, config=_CONFIG)
class ColdStart(Rule):
    """An invocation gets a new process, whose start takes `extra` seconds longer."""

    function: Pattern = "*"
    extra: Seconds = 0.0


@dataclass(frozen=True, kw_only=True, slots=True, config=_CONFIG)
class Crash(Rule):
    """An invocation fails.

    `before`: it is never started. `during`: its process is killed, as soon as it has made `calls` calls of AWS and of
    `@connections`, or at a moment between 0 and `within` seconds; one that is over by then is spared. `after`: its
    process is killed as soon as it has answered, and the answer is lost.
    """

    function: Pattern = "*"
    when: Literal["before", "during", "after"]
    calls: Annotated[int, Field(ge=1)] | None = None
    within: Seconds | None = None

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = (self.calls is not None) + (self.within is not None)
        if given != (self.when == "during"):
            raise ValueError('a crash "during" the work takes one of calls and within, no other takes any')
        return self


@dataclass(frozen=True, kw_only=True, slots=True, config=_CONFIG)
class Throttle(Rule):
    """An invocation is refused with Lambda's 429, TooManyRequestsException."""

    function: Pattern = "*"


@dataclass(frozen=True, kw_only=True, slots=True, config=_CONFIG)
class ConnectionsError(Rule):
    """A call of `@connections` hangs for `hang` seconds, gets an error, or both.

    `before`: nothing was done. `after`: it was done, and the caller does not know. Without a `status` a call that hung
    is answered as ever.
    """

    method: Literal["POST", "GET", "DELETE", "*"] = "*"
    when: Literal["before", "after"] = "before"
    status: Literal[410, 429, 500, 503, 504] | None = None
    hang: Seconds = 0.0

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.status is None and not self.hang:
            raise ValueError("one of status and hang is needed")
        return self


@dataclass(frozen=True, kw_only=True, slots=True, config=_CONFIG)
class Disconnect(Rule):
    """A connection's `$disconnect` comes `late` seconds after its end; without that, never."""

    late: Seconds | None = None


@dataclass(frozen=True, kw_only=True, slots=True, config=_CONFIG)
class Duplicate(Rule):
    """A batch of an event source mapping is given again after it was handled, as if its deletion had been lost.

    `mapping` is the mapping's logical id; a FIFO queue's group waits meanwhile, as on AWS.
    """

    mapping: Pattern = "*"


@dataclass(frozen=True, kw_only=True, slots=True, config=_CONFIG)
class Restart:
    """`at` seconds after the rule came into force all connections are cut.

    With 1001 their clients are told, with 1006 they are not. Their `$disconnect` is lost, unless `disconnect`.
    """

    at: Seconds
    code: Literal[1001, 1006] = 1006
    disconnect: bool = False


AnyRule = (
    Reorder | Delay | ColdStart | Crash | Throttle | ConnectionsError | Disconnect | Duplicate | Restart | AwsFault
)

TABLES: dict[str, type[AnyRule]] = {
    "reorder": Reorder,
    "delay": Delay,
    "cold_start": ColdStart,
    "crash": Crash,
    "throttle": Throttle,
    "connections": ConnectionsError,
    "disconnect": Disconnect,
    "duplicate": Duplicate,
    "restart": Restart,
    "aws": AwsFault,
}
"""What each table of a file becomes."""

# The AWS's process knows nothing of pydantic.
_CheckedAwsFault = dataclass(frozen=True, config=_CONFIG)(AwsFault)

KINDS = {rule: table for table, rule in TABLES.items()}


def load(path: Path) -> list[AnyRule]:
    """Return the rules of a TOML file, in its order of tables. Raises UsageError."""
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}") from None
    rules: list[AnyRule] = []
    for table, entries in tables.items():
        if table not in TABLES:
            raise UsageError(f"{path}: there is no fault {table}; there are {', '.join(TABLES)}")
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise UsageError(f"{path}: {table} is written as [[{table}]], once for each")
        for number, entry in enumerate(entries, 1):
            rules.append(_rule(f"{path}: [[{table}]]" + (f" number {number}" if number > 1 else ""), table, entry))
    return rules


def _rule(place: str, table: str, entry: dict[str, Any]) -> AnyRule:
    try:
        if table == "aws":
            _CheckedAwsFault(**entry)
        return TABLES[table](**entry)
    except ValidationError as error:
        raise UsageError("; ".join(f"{place}{_said(found)}" for found in error.errors())) from None
    except ValueError as error:
        raise UsageError(f"{place}: {error}") from None


def _said(error: Any) -> str:
    key = next((part for part in error["loc"] if isinstance(part, str)), None)
    reason = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] in ("missing", "missing_argument", "missing_keyword_only_argument"):
        reason = "is missing"
    elif error["type"] in ("unexpected_keyword_argument", "extra_forbidden"):
        reason = "no such key"
    return f" {key}: {reason}" if key else f": {reason}"


def described(rule: AnyRule) -> str:
    """Return a rule in a line, as it stands in a file: `crash when="after" rate=0.1`, what is as ever left out."""
    given = [
        f"{field.name}={getattr(rule, field.name)!r}".replace("'", '"')
        for field in dataclasses.fields(rule)
        if getattr(rule, field.name) != field.default
    ]
    return " ".join([KINDS[type(rule)], *given])
