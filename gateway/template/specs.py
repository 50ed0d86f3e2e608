"""What a template asks for, as plain values: what the gateway runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gateway.websocket.targets import Target


@dataclass(frozen=True, slots=True)
class MakeSpec:
    """What a Makefile makes of the folder `source`: its target is `build-{logical_id}`.

    It runs in a copy of the folder, or in the folder `working`.
    """

    logical_id: str
    source: Path
    makefile: Path
    working: Path | None = None


@dataclass(frozen=True, slots=True)
class FunctionSpec:
    """A Lambda function; `timeout` in seconds, `memory` in MB.

    `code` is the folder or the zip file that the template names, or `inline` its text; `layers` are folders or zip
    files as well, the last one on top. `fault` says why this machine has no such code. Once it is built
    (`gateway.functions.build`), `code` and `layers` are folders, and `packages` more of them to look for modules in.
    `build` is the template's Metadata, and `source` the folder that `code` was made of, where it was. `make` says how a
    Makefile makes the code, `layer_makes` how it makes those of `layers` that it does.
    """

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
    runtime: str = "python3"
    inline: str | None = None
    layers: tuple[Path, ...] = ()
    fault: str = ""
    packages: tuple[Path, ...] = ()
    build: Mapping[str, Any] = field(default_factory=dict)
    source: Path | None = None
    make: MakeSpec | None = None
    layer_makes: Mapping[Path, MakeSpec] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class AuthorizerSpec:
    """A Lambda authorizer of a WebSocket API: `function` is a logical id, `sources` what a request has to have."""

    logical_id: str
    function: str
    sources: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WebSocketRoute:
    """A route of a WebSocket API; `responds` tells whether its target's answer reaches the client.

    `models` are JSON schemas by what `model_selection` finds in a message; without a selection nothing is checked.
    """

    key: str
    target: Target
    responds: bool = False
    timeout: float | None = None
    authorizer: AuthorizerSpec | None = None
    iam: bool = False
    key_required: bool = False
    model_selection: str = ""
    models: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Throttle:
    """A token bucket's size and the tokens that it gets a second; None leaves that to the account's."""

    burst: int | None = None
    rate: float | None = None


@dataclass(frozen=True, slots=True)
class StageThrottles:
    """The throttling settings of one stage: for each of its routes, and for routes by key."""

    default: Throttle = field(default_factory=Throttle)
    routes: Mapping[str, Throttle] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WebSocketSpec:
    """A WebSocket API: its routes by key, and the variables of each stage by the stage's name.

    `api_keys` are, by stage, the ids of the keys that its usage plans hold, by the keys' values.
    """

    logical_id: str
    api_id: str
    selection: str
    routes: dict[str, WebSocketRoute]
    stages: dict[str, dict[str, str]]
    throttles: Mapping[str, StageThrottles] = field(default_factory=dict)
    key_selection: str = "$request.header.x-api-key"
    api_keys: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class HttpAuthorizerSpec:
    """A Lambda authorizer of an HTTP or a REST API: `function` is a logical id, `sources` what a request has to have.

    `format` is that of its event: 2.0, 1.0, or `token`, which has no more than a token. `simple` answers say
    `isAuthorized`, others a policy; they count for `ttl` seconds.
    """

    name: str
    function: str
    format: str
    sources: tuple[str, ...] = ()
    simple: bool = False
    ttl: float = 0


@dataclass(frozen=True, slots=True)
class TokenSpec:
    """An authorizer that takes JSON Web Tokens of one issuer: a JWT authorizer, or one for a pool of `cognito`.

    `keys` is the address of the issuer's keys, empty where the issuer says it. A route asks for one of `scopes`.
    """

    name: str
    issuer: str
    audience: tuple[str, ...] = ()
    sources: tuple[str, ...] = ("$request.header.Authorization",)
    scopes: tuple[str, ...] = ()
    keys: str = ""
    cognito: bool = False


@dataclass(frozen=True, slots=True)
class HttpProxy:
    """An HTTP endpoint behind a route: `method` upper case or ANY, `url` with the route's `{parameters}`."""

    method: str
    url: str


@dataclass(frozen=True, slots=True)
class HttpMock:
    """An answer that needs nothing behind a route."""

    status: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class HttpRoute:
    """A route of an HTTP or a REST API: `method` upper case or ANY, `path` as `/rooms/{id}`, or `$default` for both.

    `function` is a logical id, empty where something else is the `target`. `format` is that of the function's event.
    With `iam` whoever asks has to sign, with `key_required` to have an API key of the stage. `closed` names what guards
    the route and is not run here: nobody is let in.
    """

    method: str
    path: str
    function: str
    timeout: float | None = None
    format: str = "2.0"
    authorizer: HttpAuthorizerSpec | TokenSpec | None = None
    target: HttpProxy | HttpMock | None = None
    iam: bool = False
    closed: str = ""
    key_required: bool = False

    @property
    def key(self) -> str:
        """The route key that events carry."""
        return "$default" if self.path == "$default" else f"{self.method} {self.path}"


@dataclass(frozen=True, slots=True)
class Cors:
    """What an API answers browsers of other origins; `max_age` in seconds."""

    origins: tuple[str, ...] = ()
    methods: tuple[str, ...] = ()
    headers: tuple[str, ...] = ()
    exposed: tuple[str, ...] = ()
    max_age: int | None = None
    credentials: bool = False


@dataclass(frozen=True, slots=True)
class HttpSpec:
    """An HTTP API, a REST API or a function's URL, which is what `kind` says: HTTP, REST or URL.

    `stages` are the variables of each stage by its name, `binary_types` the content types that are no text, `api_keys`
    as a WebSocket API's.
    """

    logical_id: str
    api_id: str
    routes: list[HttpRoute]
    kind: str = "HTTP"
    stages: dict[str, dict[str, str]] = field(default_factory=lambda: {"$default": {}})
    cors: Cors | None = None
    binary_types: tuple[str, ...] = ()
    api_keys: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


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
class StoreSpec:
    """A bucket, parameter or secret: the boto3 client's operation that makes it, and its arguments.

    `answer` names the fields of the answer that are the new one's id, such as `UserPool.Id`, where AWS chooses it.
    """

    logical_id: str
    service: str
    operation: str
    arguments: dict[str, Any]
    answer: str = ""


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
