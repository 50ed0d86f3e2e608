"""Counts what AWS would bill: reads the journal and the calls of the embedded AWS.

It counts what happens here. Where AWS would do something else, such as polling a queue at another pace, the bill's
notes say so.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from fractions import Fraction

from gateway.aws.calls import AwsCall
from gateway.journal import Connected, Disconnected, Entry, Invoked, Received, Requested, Returned, Sent
from gateway.meter import units
from gateway.meter.bill import Bill, bill
from gateway.meter.prices import prices

# What the gateway does with queues in AWS's place. Of what else it calls there is no charge, or no call on AWS.
_OF_MESSAGES = (
    "SendMessage",
    "SendMessageBatch",
    "ReceiveMessage",
    "DeleteMessage",
    "DeleteMessageBatch",
    "ChangeMessageVisibility",
    "ChangeMessageVisibilityBatch",
)
_FREE = ("sts", "iam", "lambda", "execute-api", "")
_DATA_TRANSFER = "data transfer, storage, logs and metrics, and the free tier"
_POLLS = (
    "empty receives by event source mappings: Lambda's pollers keep at least five long polls of 20 s on each queue, "
    "some 650,000 requests a month"
)


@dataclass(frozen=True, slots=True)
class Sizing:
    """What decides a function's price. `memory` in MB."""

    memory: int = 128
    architecture: str = "x86_64"


class Meter:
    """What was used. `functions` and `schedules` are by logical id; of a function that is not there the price is that
    of the smallest. `own` are the access keys that the gateway itself calls AWS with.

    `count_empty_receives` counts the gateway's own polls that find nothing, though AWS polls at another pace.
    """

    def __init__(
        self,
        functions: Mapping[str, Sizing],
        schedules: Collection[str] = (),
        own: Collection[str] = ("local",),
        *,
        count_empty_receives: bool = False,
    ) -> None:
        self._functions = functions
        self._schedules = schedules
        self._own = own
        self._count_empty = count_empty_receives
        # Whole numbers where they can be: fractions are slow, and this is done for each message.
        self._quantities: defaultdict[str, Fraction | int] = defaultdict(int)
        self._milliseconds: Counter[Sizing] = Counter()
        self._messages = 0
        self._open: dict[str, float] = {}
        self._init: dict[str, float] = {}
        self._unpriced: Counter[str] = Counter()
        self._polled = False

    # ---- from the journal

    def read(self, entry: Entry) -> None:
        """Count an entry of the journal."""
        match entry:
            case Connected():
                self._open[entry.connection] = entry.at
            case Disconnected():
                began = self._open.pop(entry.connection, None)
                if began is not None:
                    self.connection_minutes(entry.at - began)
            case Received():
                self.message(len(entry.text.encode()))
            case Sent():
                self.message(len(entry.data))
            case Requested():
                self.http_request(max(entry.received, entry.sent))
            case Invoked():
                if entry.init is not None:
                    self._init[entry.invocation] = entry.init
                if entry.cause in self._schedules:
                    self.schedule()
            case Returned():
                self.invocation(entry.function, entry.duration, self._init.pop(entry.invocation, 0.0))

    # ---- one by one; sizes in bytes, times in seconds

    def message(self, size: int) -> None:
        """A WebSocket message, in or out."""
        self._messages += 1
        self._add("websocket-message", units.chunks(size, units.WEBSOCKET_MESSAGE))

    def connection_minutes(self, seconds: float) -> None:
        """A connection was open for so long. [?] Fractions of a minute are added up before any rounding."""
        self._add("connection-minute", Fraction(seconds).limit_denominator(1000) / 60)

    def http_request(self, size: int) -> None:
        """A request of an HTTP API. [?] The larger of its body and its answer's counts."""
        self._add("http-request", units.chunks(size, units.HTTP_REQUEST))

    def rest_request(self) -> None:
        """A request of a REST API."""
        self._add("rest-request", 1)

    def invocation(self, function: str, duration: float, init: float = 0.0) -> None:
        """A function has run; `init` is what its process took to start, which is billed as well [D]."""
        sizing = self._functions.get(function, Sizing())
        self._add("lambda-request", 1)
        self._milliseconds[sizing] += units.milliseconds(duration + init)

    def schedule(self) -> None:
        """EventBridge Scheduler has invoked its target."""
        self._add("schedule", 1)

    def aws_call(self, call: AwsCall) -> None:
        """A call of the embedded AWS."""
        self._add("dynamodb-write-unit", call.write_units)
        if call.read_units:
            self._add("dynamodb-read-unit", Fraction(call.read_units))
        match call.service:
            case "sqs":
                self._add("sqs-fifo-request" if call.resource.endswith(".fifo") else "sqs-request", self._sqs(call))
            case "dynamodbstreams":
                # [D] What Lambda's event source mappings read is free.
                if call.operation == "GetRecords" and call.access_key not in self._own:
                    self._add("dynamodb-stream-read", 1)
            case "s3":
                self._s3(call)
            case "dynamodb":
                pass
            case service if service not in _FREE and call.access_key not in self._own:
                self._unpriced[service] += 1

    def _sqs(self, call: AwsCall) -> int:
        if call.access_key not in self._own:
            return call.requests
        if call.operation not in _OF_MESSAGES:
            return 0
        if call.operation == "ReceiveMessage" and call.empty:
            self._polled = True
            return call.requests if self._count_empty else 0
        # API Gateway sends each frame by itself; the gateway takes together what waits.
        return max(call.requests, len(call.changed)) if call.operation == "SendMessageBatch" else call.requests

    def _s3(self, call: AwsCall) -> None:
        if call.access_key in self._own or call.operation == "DELETE":
            return
        # Of a bucket a GET is a list.
        written = call.operation in ("PUT", "POST") or (call.operation == "GET" and call.resource.count("/") < 2)
        self._add("s3-write" if written else "s3-read", 1)

    def _add(self, unit: str, quantity: Fraction | int) -> None:
        if quantity:
            self._quantities[unit] += quantity

    # ---- the sum

    def bill(self, now: float) -> Bill:
        """Return what it costs until now, in seconds since 1970; connections that are open count until now."""
        quantities = defaultdict(Fraction, {unit: Fraction(count) for unit, count in self._quantities.items()})
        for sizing, milliseconds in self._milliseconds.items():
            unit = f"lambda-gb-second-{sizing.architecture}"
            quantities[unit] += units.gigabyte_seconds(sizing.memory, milliseconds)
        seconds = sum(
            (Fraction(max(0.0, now - began)).limit_denominator(1000) for began in self._open.values()), Fraction(0)
        )
        if seconds:
            quantities["connection-minute"] += seconds / 60
        notes = [_DATA_TRANSFER]
        if self._polled and not self._count_empty:
            notes.append(_POLLS)
        notes += [f"{count:,} calls of {service}" for service, count in sorted(self._unpriced.items())]
        return bill(quantities, prices(), self._messages, notes)
