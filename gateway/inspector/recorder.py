"""What has happened lately, put together: frames with their invocations, and those with their log lines and calls.

It keeps the last entries only, by number and by size, so its memory does not grow with time or traffic. It puts them
together when somebody looks: until then they wait as they are, and what nobody has looked at in time is only counted.
"""

from __future__ import annotations

import itertools
import json
import operator
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from gateway.console import is_error, readable
from gateway.ids import is_connection_id
from gateway.journal import (
    Called,
    Connected,
    Disconnected,
    Entry,
    Injected,
    Invoked,
    Logged,
    Managed,
    Received,
    Refused,
    Requested,
    Returned,
    Sent,
)
from gateway.json_lines import value_of

# Bytes of a row's text in a list, and of a text or a payload that is kept.
_SHOWN = 240
_KEPT = 64 * 1024
# What an object of ours takes beside its texts, roughly.
_OVERHEAD = 600
_SMALL = 160
# Log lines, calls and posts that are kept of one invocation.
_PARTS = 1000
_CLOSED = 200
# Entries that wait, for each row that is kept: a frame, its invocation, its end and its answer make two rows.
_WAITING = 4
_SIZED: dict[type[Any], Callable[[Any], str | bytes]] = {
    Received: operator.attrgetter("text"),
    Sent: operator.attrgetter("data"),
    Invoked: operator.attrgetter("payload"),
    Returned: operator.attrgetter("answer"),
    Logged: operator.attrgetter("line"),
    Requested: operator.attrgetter("path"),
}


@dataclass(slots=True)
class Run:
    """An invocation; `duration` is None while it runs. `at` is its begin, in seconds since 1970."""

    id: str
    at: float
    function: str
    payload: bytes
    init: float | None
    duration: float | None = None
    answer: bytes = b""
    error: str = ""
    message: str = ""
    logs: list[Logged] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)
    posts: list[Managed] = field(default_factory=list)
    left_out: int = 0
    complains: bool = False


@dataclass(slots=True)
class Row:
    """Something that happened, as a list shows it: what began it, and the invocations that it made.

    `kind` is in, out, connect, disconnect, refused, http, run (a queue's batch, a schedule, by hand), log (a line that
    belongs to no invocation) or fault (one on purpose). `parent` is the number of the row that an outgoing frame is due
    to, 0 for none.
    """

    number: int
    at: float
    kind: str
    request: str = ""
    connection: str = ""
    api: str = ""
    route: str = ""
    text: str = ""
    size: int = 0
    status: int = 0
    duration: float | None = None
    parent: int = 0
    runs: list[Run] = field(default_factory=list)
    children: list[Row] = field(default_factory=list)
    weight: int = _OVERHEAD
    version: int = 0


@dataclass(slots=True)
class Client:
    """A connection. Times in seconds since 1970; `code` is None while it is open."""

    id: str
    api: str
    stage: str
    address: str
    user_agent: str
    since: float
    active: float
    received: int = 0
    sent: int = 0
    ended: float | None = None
    code: int | None = None
    reason: str = ""
    version: int = 0


class Recorder:
    """Reads a journal by `record`; keeps at most `entries` rows, and about `size` bytes of them and of what waits."""

    def __init__(self, entries: int, size: int) -> None:
        self._entries = entries
        self._size = size
        self._numbers = itertools.count(1)
        self._versions = itertools.count(1)
        self._version = 0
        self._weight = 0
        self._waiting: deque[Entry] = deque()
        self._waiting_size = 0
        # By their last change, so that what is new since some version is at the end.
        self._rows: OrderedDict[int, Row] = OrderedDict()
        self._clients: OrderedDict[str, Client] = OrderedDict()
        self._closed: OrderedDict[str, Client] = OrderedDict()
        self._by_age: OrderedDict[int, Row] = OrderedDict()
        self._by_request: dict[str, Row] = {}
        self._by_run: dict[str, tuple[Row, Run]] = {}
        self._totals = {"received": 0, "sent": 0, "invocations": 0, "running": 0, "errors": 0, "requests": 0}
        self._counts: dict[type[Any], Callable[[Any], None]] = {
            Connected: self._count_connected,
            Disconnected: self._count_disconnected,
            Received: self._count_received,
            Sent: self._count_sent,
            Invoked: self._count_invoked,
            Returned: self._count_returned,
            Requested: self._count_requested,
        }
        self._shows: dict[type[Any], Callable[[Any], None]] = {
            Connected: self._connected,
            Refused: self._refused,
            Disconnected: self._disconnected,
            Received: self._received,
            Sent: self._sent,
            Invoked: self._invoked,
            Returned: self._returned,
            Logged: self._logged,
            Called: self._called,
            Managed: self._managed,
            Requested: self._requested,
            Injected: self._injected,
        }

    def record(self, entry: Entry) -> None:
        """Take in what has happened."""
        if isinstance(entry, Called | Managed) and not entry.invocation:
            # Polls of a queue without end are nothing to show, and would push out what is.
            return
        self._waiting.append(entry)
        self._waiting_size += _waiting_size(entry)
        while len(self._waiting) > _WAITING * self._entries or self._waiting_size > self._size:
            self._leave_out()

    def _leave_out(self) -> None:
        """Only count the oldest entry that waits; there are enough that came after it to show."""
        entry = self._waiting.popleft()
        self._waiting_size -= _waiting_size(entry)
        self._count(entry)
        # What is older still is no more to be shown than this one is.
        while self._by_age:
            self._forget()

    def _catch_up(self) -> None:
        """Somebody looks: put together what waits."""
        waiting, self._waiting, self._waiting_size = self._waiting, deque(), 0
        for entry in waiting:
            self._count(entry)
            self._shows[type(entry)](entry)

    def _count(self, entry: Entry) -> None:
        count = self._counts.get(type(entry))
        if count is not None:
            count(entry)

    # ---- what is counted, shown or not

    def _count_connected(self, entry: Connected) -> None:
        agent = entry.user_agent or ""
        client = Client(entry.connection, entry.api, entry.stage, entry.address, agent, entry.at, entry.at)
        self._clients[client.id] = client
        self._client_changed(client)

    def _count_disconnected(self, entry: Disconnected) -> None:
        client = self._clients.pop(entry.connection, None)
        if client is not None:
            client.ended, client.code, client.reason = entry.at, entry.code, entry.reason
            client.version = self._next()
            self._closed[client.id] = client
            while len(self._closed) > _CLOSED:
                self._closed.popitem(last=False)

    def _count_received(self, entry: Received) -> None:
        self._totals["received"] += 1
        client = self._clients.get(entry.connection)
        if client is not None:
            client.active = entry.at
            client.received += 1
            self._client_changed(client)

    def _count_sent(self, entry: Sent) -> None:
        self._totals["sent"] += 1
        client = self._clients.get(entry.connection)
        if client is not None:
            client.active = entry.at
            client.sent += 1
            self._client_changed(client)

    def _client_changed(self, client: Client) -> None:
        client.version = self._next()
        self._clients.move_to_end(client.id)

    def _count_invoked(self, _: Invoked) -> None:
        self._totals["invocations"] += 1
        self._totals["running"] += 1

    def _count_returned(self, entry: Returned) -> None:
        self._totals["running"] -= 1
        self._totals["errors"] += bool(entry.error)

    def _count_requested(self, _: Requested) -> None:
        self._totals["requests"] += 1

    # ---- connections

    def _connected(self, entry: Connected) -> None:
        row = self._begun(entry.request, entry.at, "connect")
        row.connection, row.api, row.text, row.status = entry.connection, entry.api, entry.user_agent or "", 101

    def _refused(self, entry: Refused) -> None:
        row = self._begun(entry.request, entry.at, "refused")
        row.api, row.text, row.status = entry.api, entry.stage, entry.status

    def _disconnected(self, entry: Disconnected) -> None:
        row = self._begun(entry.request, entry.at, "disconnect")
        row.connection, row.status, row.text = entry.connection, entry.code, entry.reason

    # ---- frames and requests

    def _received(self, entry: Received) -> None:
        row = self._begun(entry.request, entry.at, "in")
        row.connection, row.route = entry.connection, entry.route or ""
        row.size = len(entry.text.encode("utf-8", "surrogatepass"))
        row.text = entry.text[:_KEPT]
        self._grown(row, row.size)

    def _sent(self, entry: Sent) -> None:
        cause = self._by_request.get(entry.cause)
        if cause is None and (found := self._by_run.get(entry.cause)) is not None:
            cause = found[0]
        row = self._new(entry.at, "out")
        row.connection, row.size = entry.connection, len(entry.data)
        row.text = entry.data[:_KEPT].decode("utf-8", "replace")
        row.request = entry.cause
        self._grown(row, len(row.text))
        if cause is not None:
            row.parent = cause.number
            if len(cause.children) < _PARTS:
                cause.children.append(row)
            self._changed(cause)

    def _requested(self, entry: Requested) -> None:
        row = self._begun(entry.request, entry.at - entry.duration, "http")
        row.api, row.route, row.text, row.status = entry.api, entry.method, entry.path, entry.status
        row.at, row.size, row.duration = entry.at - entry.duration, entry.sent, entry.duration
        self._grown(row, len(entry.path))

    # ---- invocations

    def _invoked(self, entry: Invoked) -> None:
        row = self._by_request.get(entry.cause)
        # A queue's batch that comes again is news of its own; an authorizer and its $connect belong together.
        if row is None or (row.kind == "run" and b'"requestContext"' not in entry.payload):
            row = self._new(entry.at, "run")
            row.request = entry.cause
            if entry.cause:
                self._by_request[entry.cause] = row
        run = Run(entry.invocation, entry.at, entry.function, entry.payload[:_KEPT], entry.init)
        row.runs.append(run)
        self._by_run[run.id] = row, run
        self._grown(row, _OVERHEAD + len(run.payload))

    def _returned(self, entry: Returned) -> None:
        found = self._by_run.get(entry.invocation)
        if found is not None:
            row, run = found
            run.duration, run.answer = entry.duration, entry.answer[:_KEPT]
            run.error, run.message = entry.error, entry.message
            if row.kind != "http":
                row.duration = entry.at - row.at
            self._grown(row, len(run.answer) + len(run.message))

    def _logged(self, entry: Logged) -> None:
        found = self._by_run.get(entry.invocation)
        if found is None:
            # Of a process that starts or ends.
            row = self._new(entry.at, "log")
            row.route, row.text, row.status = entry.function, entry.line[:_KEPT], int(entry.fault)
            self._grown(row, len(row.text))
        else:
            found[1].complains |= entry.fault or is_error(entry.line)
            self._part(found, found[1].logs, entry, len(entry.line))

    def _called(self, entry: Called) -> None:
        if (found := self._by_run.get(entry.invocation)) is not None:
            self._part(found, found[1].calls, entry, 0)

    def _managed(self, entry: Managed) -> None:
        if (found := self._by_run.get(entry.invocation)) is not None:
            self._part(found, found[1].posts, entry, 0)

    def _part(self, found: tuple[Row, Run], parts: list[Any], entry: Entry, size: int) -> None:
        row, run = found
        if len(parts) < _PARTS:
            parts.append(entry)
            self._grown(row, _SMALL + size)
        else:
            run.left_out += 1
            self._changed(row)

    def _injected(self, entry: Injected) -> None:
        row = self._new(entry.at, "fault")
        row.route, row.text = entry.kind, f"{entry.target}  {entry.what}"
        if entry.target in self._clients:
            row.connection = entry.target
        self._grown(row, len(row.text))

    # ---- rows

    def _begun(self, request: str, at: float, kind: str) -> Row:
        """Return the row of a request: the one that its function's invocation has made already, or a new one."""
        row = self._by_request.get(request)
        if row is None:
            row = self._new(at, kind)
            row.request = request
            self._by_request[request] = row
        row.kind = kind
        self._changed(row)
        return row

    def _new(self, at: float, kind: str) -> Row:
        row = Row(next(self._numbers), at, kind)
        self._by_age[row.number] = row
        self._rows[row.number] = row
        self._grown(row, 0)
        self._weight += row.weight
        return row

    def _grown(self, row: Row, size: int) -> None:
        row.weight += size
        if row.number in self._by_age:
            self._weight += size
            self._changed(row)
        while len(self._by_age) > self._entries or (self._weight > self._size and len(self._by_age) > 1):
            self._forget()

    def _changed(self, row: Row) -> None:
        if row.number in self._rows:
            row.version = self._next()
            self._rows.move_to_end(row.number)

    def _forget(self) -> None:
        number, row = self._by_age.popitem(last=False)
        del self._rows[number]
        self._weight -= row.weight
        if self._by_request.get(row.request) is row:
            del self._by_request[row.request]
        for run in row.runs:
            del self._by_run[run.id]
        row.children.clear()

    def _next(self) -> int:
        self._version = next(self._versions)
        return self._version

    # ---- what is read

    @property
    def version(self) -> int:
        """The number of the last change."""
        self._catch_up()
        return self._version

    @property
    def totals(self) -> dict[str, int]:
        """How many frames, invocations and requests there were since the beginning, and how many run."""
        self._catch_up()
        return self._totals

    def rows(self, since: int, limit: int) -> list[dict[str, Any]]:
        """Return rows that have changed since a version, oldest first; of more than `limit` the latest."""
        self._catch_up()
        found = list(itertools.islice(_newer(self._rows.values().__reversed__(), since), limit))
        return [_row(row) for row in sorted(found, key=lambda row: row.number)]

    def clients(self, since: int) -> list[dict[str, Any]]:
        """Return connections that have changed since a version, also those that were closed."""
        self._catch_up()
        open_ones = _newer(self._clients.values().__reversed__(), since)
        closed_ones = _newer(self._closed.values().__reversed__(), since)
        return [_client(client) for client in (*open_ones, *closed_ones)]

    @property
    def oldest(self) -> int:
        """The number of the oldest row that is kept, 0 where there is none."""
        self._catch_up()
        return next(iter(self._by_age), 0)

    @property
    def weight(self) -> int:
        """About how many bytes are kept."""
        self._catch_up()
        return self._weight

    @property
    def open(self) -> int:
        """How many connections are open."""
        self._catch_up()
        return len(self._clients)

    def trace(self, number: int) -> dict[str, Any] | None:
        """Return all that is known of a row, and of what it is due to; None for one that is no longer kept."""
        self._catch_up()
        row = self._by_age.get(number)
        if row is None:
            return None
        row = self._by_age.get(row.parent, row)
        return _row(row) | {
            "text": row.text,
            "runs": [_run(run) for run in row.runs],
            "sent": [_row(child) for child in row.children],
        }


def _waiting_size(entry: Entry) -> int:
    sized = _SIZED.get(type(entry))
    return _SMALL if sized is None else _SMALL + len(sized(entry))


def _newer(items: Iterable[Any], since: int) -> Iterator[Any]:
    return itertools.takewhile(lambda item: item.version > since, items)


def _row(row: Row) -> dict[str, Any]:
    """Return a row as the page's list takes it."""
    if row.kind == "run" and not row.text and row.runs:
        _name(row, row.runs[0].payload)
    return {
        "number": row.number,
        "at": row.at,
        "kind": row.kind,
        "request": row.request,
        "connection": row.connection,
        "api": row.api,
        "route": row.route,
        "text": row.text[:_SHOWN],
        "size": row.size,
        "status": row.status,
        "duration": row.duration,
        "parent": row.parent,
        "functions": [run.function for run in row.runs],
        "error": next((run.error for run in row.runs if run.error), ""),
        "running": any(run.duration is None for run in row.runs),
        "complains": any(run.complains for run in row.runs),
        "cold": any(run.init is not None for run in row.runs),
        "parts": sum(len(run.logs) + len(run.calls) + len(run.posts) for run in row.runs) + len(row.children),
    }


def _name(row: Row, payload: bytes) -> None:
    """Say what began an event of no request: a queue's batch, a schedule, an upgrade that waits for its answer."""
    row.text = row.request
    try:
        event = json.loads(payload)
    except ValueError:
        return
    if not isinstance(event, dict):
        return
    context, records = event.get("requestContext"), event.get("Records")
    if isinstance(context, dict) and "connectionId" in context:
        row.route, row.connection = str(context.get("routeKey", "")), str(context["connectionId"])
    elif isinstance(context, dict) and isinstance(http := context.get("http"), dict):
        row.route, row.text = str(http.get("method", "")), str(http.get("path", ""))
    elif isinstance(records, list) and records and isinstance(records[0], dict):
        row.route = str(records[0].get("eventSourceARN", "")).partition("/stream/")[0].rpartition(":")[2]
        row.text = f"{len(records)} × {records[0].get('body', records[0].get('eventName', ''))}"
        # AWS's own ordered pattern: a FIFO queue with the connection as its group.
        attributes = records[0].get("attributes")
        group = str(attributes.get("MessageGroupId", "")) if isinstance(attributes, dict) else ""
        row.connection = group if is_connection_id(group) else ""
    else:
        row.route = str(event.get("source", ""))


def _run(run: Run) -> dict[str, Any]:
    return {
        "id": run.id,
        "at": run.at,
        "function": run.function,
        "payload": value_of(run.payload),
        "init": run.init,
        "duration": run.duration,
        "answer": value_of(run.answer),
        "error": run.error,
        "message": run.message,
        "logs": [
            {
                "at": entry.at,
                "fault": entry.fault,
                "lines": [{"text": text, "level": level} for text, level in readable(entry.line)],
            }
            for entry in run.logs
        ],
        "calls": [
            {
                "at": entry.at,
                "service": entry.service,
                "operation": entry.operation,
                "resource": entry.resource,
                "status": entry.status,
                "error": entry.error,
                "duration": entry.duration,
            }
            for entry in run.calls
        ],
        "posts": [
            {
                "at": entry.at,
                "method": entry.method,
                "connection": entry.connection,
                "status": entry.status,
                "size": entry.size,
            }
            for entry in run.posts
        ],
        "left_out": run.left_out,
    }


def _client(client: Client) -> dict[str, Any]:
    return {
        "id": client.id,
        "api": client.api,
        "stage": client.stage,
        "address": client.address,
        "user_agent": client.user_agent,
        "since": client.since,
        "active": client.active,
        "received": client.received,
        "sent": client.sent,
        "ended": client.ended,
        "code": client.code,
        "reason": client.reason,
    }
