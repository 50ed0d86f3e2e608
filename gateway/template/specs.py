"""What a template asks for, as plain values: what the gateway runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.websocket.targets import Target


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A Lambda function. `code` is the folder it runs in; `timeout` in seconds, `memory` in MB."""

    logical_id: str
    name: str
    arn: str
    handler: str
    code: Path
    environment: dict[str, str] = field(default_factory=dict)
    timeout: float = 3
    memory: int = 128
    log_format: str = "Text"
    log_level: str | None = None
    concurrency: int | None = None


@dataclass(frozen=True, slots=True)
class WebSocketRoute:
    """A route of a WebSocket API; `responds` tells whether its target's answer reaches the client."""

    key: str
    target: Target
    responds: bool = False
    timeout: float | None = None


@dataclass(frozen=True, slots=True)
class WebSocketSpec:
    """A WebSocket API: its routes by key, and the variables of each stage by the stage's name."""

    logical_id: str
    api_id: str
    selection: str
    routes: dict[str, WebSocketRoute]
    stages: dict[str, dict[str, str]]


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """A route of an HTTP API: `method` upper case or ANY, `path` such as `/rooms/{id}`, or `$default` for both."""

    method: str
    path: str
    function: str
    timeout: float | None = None

    @property
    def key(self) -> str:
        """The route key that events carry."""
        return "$default" if self.path == "$default" else f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class HttpSpec:
    """An HTTP API on its `$default` stage."""

    logical_id: str
    api_id: str
    routes: list[HttpRoute]


@dataclass(frozen=True, slots=True)
class TableSpec:
    """A DynamoDB table: the arguments of CreateTable, and the attribute that holds the expiry, if any."""

    logical_id: str
    name: str
    arguments: dict[str, Any]
    ttl: str | None = None


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """An SQS queue; `attributes` as SetQueueAttributes takes them, the redrive policy apart from the rest."""

    logical_id: str
    name: str
    attributes: dict[str, str]
    redrive: str | None = None

    @property
    def fifo(self) -> bool:
        """Whether the queue keeps the order of its message groups."""
        return self.name.endswith(".fifo")


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a trigger sends to: `kind` is queue or function, `name` the queue's name or the function's logical id."""

    kind: str
    name: str
    arn: str


@dataclass(frozen=True, slots=True)
class MappingSpec:
    """An SQS event source mapping; `queue` and `function` are logical ids.

    A batch is gathered for `window` seconds. `filters` are event patterns of which a message must match one.
    """

    logical_id: str
    queue: str
    queue_arn: str
    function: str
    batch_size: int = 10
    partial: bool = False
    concurrency: int | None = None
    window: float = 0
    filters: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class StreamSpec:
    """An event source mapping of a DynamoDB stream; `table` and `function` are logical ids.

    `retries` and `max_age` (seconds) say how long a batch that fails is tried, None for as long as it has records.
    """

    logical_id: str
    table: str
    stream_arn: str
    function: str
    function_arn: str
    batch_size: int = 100
    window: float = 0
    latest: bool = True
    partial: bool = False
    bisect: bool = False
    retries: int | None = None
    max_age: float | None = None
    filters: tuple[Mapping[str, Any], ...] = ()
    on_failure: Destination | None = None


@dataclass(frozen=True, slots=True)
class AsyncSpec:
    """How a function takes asynchronous events: retries after an error, the most seconds, and what is told then."""

    retries: int | None = None
    max_age: float | None = None
    on_success: Destination | None = None
    on_failure: Destination | None = None
    dead_letters: Destination | None = None


@dataclass(frozen=True, slots=True)
class ScheduleSpec:
    """A schedule: what `expression` says in `timezone` between `start` and `end` (seconds since 1970).

    `input` is the fixed event, if any; `group` the message group of a FIFO queue.
    """

    logical_id: str
    arn: str
    target: Destination
    expression: str
    scheduler: bool
    input: str | None = None
    timezone: str = "UTC"
    start: float | None = None
    end: float | None = None
    group: str | None = None
