"""What happens in a gateway, as it happens: console, meter, inspector and tests read it.

Times are seconds since 1970 by the gateway's clock, durations seconds. `cause` says what something was for: the request
id of a frame or of an HTTP request, the id of a queue's first message, the name of a schedule. `invocation` is a Lambda
request id, empty where no function did it.
"""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Connected:
    """A WebSocket connection exists. `request` is the request id of its `$connect`."""

    at: float
    connection: str
    request: str
    api: str
    stage: str
    address: str
    user_agent: str | None


@dataclass(frozen=True, slots=True)
class Refused:
    """An upgrade was answered with `status`."""

    at: float
    request: str
    api: str
    stage: str
    status: int


@dataclass(frozen=True, slots=True)
class Disconnected:
    """A connection is over. `request` is the request id of its `$disconnect`."""

    at: float
    connection: str
    request: str
    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Received:
    """A client's message; `route` is None where there is none for it."""

    at: float
    connection: str
    request: str
    route: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Sent:
    """A message for a client. `cause` is the request id of the frame that it answers, or the invocation that posted."""

    at: float
    connection: str
    cause: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Invoked:
    """A function begins with an event. `init` is the time that its process took to start, None for a warm one."""

    at: float
    invocation: str
    function: str
    cause: str
    payload: bytes
    init: float | None


@dataclass(frozen=True, slots=True)
class Returned:
    """A function has ended: with its answer's JSON, or with an error's type and message."""

    at: float
    invocation: str
    function: str
    duration: float
    answer: bytes
    error: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Logged:
    """A line of a function's output; a `fault` is what it could not write itself, such as a crash."""

    at: float
    invocation: str
    function: str
    line: str
    fault: bool = False


@dataclass(frozen=True, slots=True)
class Called:
    """A function, or somebody else, called AWS. `resource` is a table's or a queue's name, if there is one."""

    at: float
    invocation: str
    service: str
    operation: str
    resource: str
    status: int
    error: str
    duration: float


@dataclass(frozen=True, slots=True)
class Managed:
    """A call of `@connections`; `size` is the posted body's in bytes."""

    at: float
    invocation: str
    method: str
    connection: str
    status: int
    size: int


@dataclass(frozen=True, slots=True)
class Requested:
    """A request of an HTTP API was answered; sizes of the bodies in bytes."""

    at: float
    request: str
    api: str
    method: str
    path: str
    status: int
    received: int
    sent: int
    duration: float


@dataclass(frozen=True, slots=True)
class Injected:
    """Something went wrong on purpose (`gateway.chaos`): the kind of fault, what it met, and what happened to it."""

    at: float
    kind: str
    target: str
    what: str


Entry = (
    Connected
    | Refused
    | Disconnected
    | Received
    | Sent
    | Invoked
    | Returned
    | Logged
    | Called
    | Managed
    | Requested
    | Injected
)


class Journal:
    """Hands each entry to who reads along, at once and in order; it keeps none."""

    def __init__(self) -> None:
        self._readers: list[Callable[[Entry], None]] = []

    def subscribe(self, reader: Callable[[Entry], None]) -> Callable[[], None]:
        """Call `reader(entry)` for each entry from now on; returns what ends that. It must not raise, nor wait."""
        self._readers.append(reader)
        return lambda: self._readers.remove(reader)

    def write(self, entry: Entry) -> None:
        """Tell the readers."""
        for reader in self._readers:
            reader(entry)
