"""What the person at the terminal sees: progress and addresses on stdout, all that happens, and faults, on stderr."""

import asyncio
import enum
import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Any, TextIO

from rich.color import Color, ColorSystem
from rich.style import Style

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

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")
_LEVELS = {"WARNING": Style(color="yellow"), "ERROR": Style(color="red"), "CRITICAL": Style(color="red", bold=True)}
_FAILED = Style(color="red")
_NOTE = Style(color="yellow")
_READY = Style(bold=True)
_IN = Style(color="cyan")
_OUT = Style(color="green")
_DIM = Style(dim=True)
_NO_BREAK_SPACE = "\u00a0"
_ID_SHOWN = 8
_TEXT_SHOWN = 100
# For so long a frame's line waits for its duration; whatever else is to be told writes it at once.
_HOLD = 0.25
_RECORD = (
    "timestamp",
    "level",
    "message",
    "logger",
    "requestId",
    "errorMessage",
    "errorType",
    "stackTrace",
    "location",
)
# What the runtimes write of an error: Python's and Node's text, and their JSON.
_ERROR_LINE = re.compile(
    r'\[(?:ERROR|CRITICAL)\]|[^\t]*\t[^\t]*\t(?:ERROR|FATAL)\t|\{.*"level": ?"(?:ERROR|CRITICAL|FATAL)"'
)
_MESSAGE = re.compile(rb'"eventType": ?"MESSAGE"')
# A terminal obeys these: what a client sends must not be able to.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160))} | {10: "\\n", 13: "\\r", 9: "\\t"}


class Detail(enum.IntEnum):
    """How much is told: faults and notes, what happens as well, or all of it with full texts."""

    QUIET = 0
    NORMAL = 1
    VERBOSE = 2


class Console:
    """Writes lines at once and unbuffered; colours only where a terminal reads.

    Of traffic it writes at most `limit` lines a second, and then how many it left out; what functions log is complete.
    """

    def __init__(
        self,
        out: TextIO | None = None,
        err: TextIO | None = None,
        *,
        detail: Detail = Detail.NORMAL,
        limit: int = 60,
    ) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._detail = detail
        self._limit = limit
        self._colours: dict[str, Style] = {}
        self._systems = {
            id(stream): ColorSystem.STANDARD if stream.isatty() and not os.environ.get("NO_COLOR") else None
            for stream in (self._out, self._err)
        }
        self._gone: set[int] = set()
        # The last frame, while nothing else was told, and what each invocation that runs is for.
        self._held: Received | None = None
        self._running: dict[str, tuple[str, str]] = {}
        self._second = 0
        self._lines = 0
        self._left_out = 0
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

    # ---- words of the gateway itself

    def progress(self, text: str) -> None:
        """Tell what is being done."""
        if self._detail > Detail.QUIET:
            self._write(self._out, text)

    def ready(self, url: str, addresses: Iterable[tuple[str, str]] = ()) -> None:
        """Tell where it is served: the one origin, and each API's address with its logical id."""
        for address, logical_id in addresses:
            self.progress(f"{address}  {logical_id}")
        self._write(self._out, self._styled(self._out, f"Ready: {url}", _READY))

    def note(self, text: str) -> None:
        """Tell of something that is not as the template says."""
        self._flush()
        self._write(self._err, self._styled(self._err, text, _NOTE))

    def error(self, text: str) -> None:
        """Tell why the gateway does not run."""
        self._write(self._err, self._styled(self._err, f"Error: {text}", _FAILED))

    def bill(self, text: str, values: object) -> None:
        """Tell what the same would have cost: as a text, and as values for machines."""
        self._flush()
        self._write(self._out, text)

    # ---- what happens

    def show(self, entry: Entry) -> None:
        """Show what is for eyes of what has happened."""
        if id(self._err) not in self._gone:
            self._shows[type(entry)](entry)

    def _connected(self, entry: Connected) -> None:
        if self._may():
            agent = f"  {_shown(entry.user_agent)}" if entry.user_agent else ""
            self._tell(entry.at, "●", _OUT, f"{_id(entry.connection)} connected  {entry.stage}  {entry.address}{agent}")

    def _refused(self, entry: Refused) -> None:
        if self._may():
            self._tell(entry.at, "✕", _FAILED, f"{'-' * _ID_SHOWN} refused {entry.status}  {entry.stage}")

    def _disconnected(self, entry: Disconnected) -> None:
        if self._may():
            text = f"{_id(entry.connection)} closed {entry.code}  {_shown(entry.reason)}"
            self._tell(entry.at, "○", _DIM, text.rstrip())

    def _received(self, entry: Received) -> None:
        self._flush()
        if self._detail is Detail.QUIET:
            return
        if entry.route is None or not self._later(_HOLD, self._flush_held, entry):
            self._frame(entry)
        else:
            self._held = entry

    def _frame(self, entry: Received, duration: float | None = None, failed: str = "") -> None:
        if not self._may():
            return
        route = "no route" if entry.route is None else entry.route
        text = entry.text if self._detail is Detail.VERBOSE else entry.text[: _TEXT_SHOWN + 1]
        taken = "" if duration is None else _duration(duration)
        head = f"{_id(entry.connection)} {route:<12} {_size(len(entry.text.encode())):>8}"
        style = _FAILED if failed or entry.route is None else _IN
        fault = f"  {failed}" if failed else ""
        self._tell(entry.at, "→", style, f"{head} {taken:>8}  {self._text(text)}{fault}")

    def _sent(self, entry: Sent) -> None:
        if self._may():
            data = entry.data if self._detail is Detail.VERBOSE else entry.data[: 4 * _TEXT_SHOWN]
            head = f"{_id(entry.connection)} {'':<12} {_size(len(entry.data)):>8} {'':>8}"
            self._tell(entry.at, "←", _OUT, f"{head}  {self._text(data.decode('utf-8', 'replace'))}")

    def _invoked(self, entry: Invoked) -> None:
        if self._detail is Detail.QUIET:
            return
        kind = "frame" if _MESSAGE.search(entry.payload) else "request" if b'"requestContext"' in entry.payload else ""
        self._running[entry.invocation] = (kind, entry.cause)

    def _returned(self, entry: Returned) -> None:
        if self._detail is Detail.QUIET:
            return
        kind, cause = self._running.pop(entry.invocation, ("", ""))
        held = self._held
        if held is not None and held.request == cause:
            self._held = None
            self._frame(held, entry.duration, entry.error)
            return
        # A request tells its duration itself.
        if (kind == "request" and not entry.error and self._detail < Detail.VERBOSE) or not self._may():
            return
        what = f"{entry.function} {entry.invocation[:_ID_SHOWN]}  {_duration(entry.duration)}"
        what += f"  {entry.error}" if entry.error else ""
        what += "" if kind or not cause else f"  for {_shown(cause)}"
        self._tell(entry.at, "✗" if entry.error else "✓", _FAILED if entry.error else _DIM, what)

    def _logged(self, entry: Logged) -> None:
        self._flush()
        if entry.fault:
            self._failed(entry.function, entry.invocation, entry.line)
        else:
            self._log(entry.function, entry.invocation, entry.line)

    def _called(self, entry: Called) -> None:
        # Whoever is no function polls.
        if self._detail is Detail.VERBOSE and entry.invocation and self._may():
            what = f"{entry.service} {entry.operation} {entry.resource}".rstrip()
            result = f"{entry.status} {entry.error}".rstrip()
            self._tell(entry.at, "·", _DIM, f"{_id(entry.invocation)} {what}  {result}  {_duration(entry.duration)}")

    def _managed(self, entry: Managed) -> None:
        # What is posted is told as it is sent.
        if (entry.status >= 400 or self._detail is Detail.VERBOSE) and self._may():
            text = f"{_id(entry.connection)} @connections {entry.method} {entry.status}"
            self._tell(entry.at, "·", _FAILED if entry.status >= 500 else _DIM, text)

    def _injected(self, entry: Injected) -> None:
        if self._may():
            self._tell(entry.at, "!", _NOTE, f"{_shown(entry.target)} {entry.kind} on purpose: {entry.what}")

    def _requested(self, entry: Requested) -> None:
        if self._may():
            head = f"{entry.method} {_shown(entry.path)} {entry.status}"
            text = f"{head}  {_size(entry.sent)}  {_duration(entry.duration)}"
            self._tell(entry.at, "⇄", _FAILED if entry.status >= 500 else _IN, text)

    # ---- lines of traffic

    def _may(self) -> bool:
        """Whether one more line may be told now; nothing is made of those that may not."""
        if self._detail is Detail.QUIET:
            return False
        second = int(time.monotonic())
        if second != self._second:
            self._tell_left_out()
            self._second, self._lines = second, 0
        self._lines += 1
        if self._lines <= self._limit:
            return True
        if not self._left_out:
            self._later(1.0, self._tell_left_out)
        self._left_out += 1
        return False

    def _tell_left_out(self) -> None:
        count, self._left_out = self._left_out, 0
        if count:
            text = f"… {count:,} line{'s' if count > 1 else ''} left out"
            self._write(self._err, self._styled(self._err, text, _DIM))

    def _tell(self, at: float, sign: str, style: Style, text: str) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._frame(held)
        moment = self._styled(self._err, datetime.fromtimestamp(at).strftime("%H:%M:%S.%f")[:-3], _DIM)
        self._write(self._err, f"{moment} {self._styled(self._err, sign, style)} {text.rstrip()}")

    def _flush(self) -> None:
        held, self._held = self._held, None
        if held is not None:
            self._frame(held)

    def _flush_held(self, entry: Received) -> None:
        if self._held is entry:
            self._flush()

    def _later(self, seconds: float, call: Callable[..., None], *arguments: object) -> bool:
        """Call something later, if there is an event loop that can."""
        try:
            asyncio.get_running_loop().call_later(seconds, call, *arguments)
        except RuntimeError:
            return False
        return True

    def _text(self, text: str) -> str:
        if self._detail is not Detail.VERBOSE and len(text) > _TEXT_SHOWN:
            text = text[:_TEXT_SHOWN] + "…"
        return _shown(text)

    # ---- what functions write

    def _log(self, function: str, request_id: str, line: str) -> None:
        """Show a line that a function wrote; a stack in it is spread over lines of its own."""
        if self._detail is Detail.QUIET and not is_error(line):
            return
        prefix = self._prefix(function, request_id)
        styles = [(part, _LEVELS.get(level or "")) for part, level in readable(line)]
        shown = (self._styled(self._err, part, style) if style else part for part, style in styles)
        self._write(self._err, "\n".join(prefix + part for part in shown))

    def _failed(self, function: str, request_id: str, message: str) -> None:
        """Show a fault that the function could not write itself: a crash, a timeout, a module that does not load."""
        self._write(self._err, self._prefix(function, request_id) + self._styled(self._err, message, _FAILED))

    def _prefix(self, function: str, request_id: str) -> str:
        if function not in self._colours:
            colour = _COLOURS[len(self._colours) % len(_COLOURS)]
            self._colours[function] = Style(color=Color.parse(colour))
        label = f"{function} {request_id[:_ID_SHOWN]}".rstrip()
        return self._styled(self._err, label, self._colours[function]) + " | "

    def _styled(self, stream: TextIO, text: str, style: Style) -> str:
        return style.render(text, color_system=self._systems[id(stream)])

    def _write(self, stream: TextIO, text: str) -> None:
        # A closed pipe, or a terminal that cannot show a character, is no reason to stop serving.
        if id(stream) in self._gone:
            return
        try:
            stream.write(text + "\n")
        except UnicodeEncodeError:
            stream.write(text.encode("ascii", "backslashreplace").decode() + "\n")
        except (BrokenPipeError, ValueError):
            self._gone.add(id(stream))
            return
        self._flush_stream(stream)

    def _flush_stream(self, stream: TextIO) -> None:
        try:
            stream.flush()
        except (BrokenPipeError, ValueError):
            self._gone.add(id(stream))


def _id(identifier: str) -> str:
    return identifier[:_ID_SHOWN]


def _shown(text: str) -> str:
    return text.translate(_CONTROLS)


def _size(size: int) -> str:
    return f"{size} B" if size < 1024 else f"{size / 1024:.1f} KB"


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.0f} ms" if seconds < 10 else f"{seconds:.1f} s"


def is_error(line: str) -> bool:
    """Whether a line that a runtime wrote tells of an error."""
    return _ERROR_LINE.match(line) is not None


def readable(line: str) -> list[tuple[str, str | None]]:
    """Return the lines to show for one that a runtime wrote, each with its log level if it has one.

    Lambda's Python runtime writes text (with a carriage return between a stack's lines) or a JSON object a line.
    """
    record = _record(line)
    if record is None:
        return [(part, None) for part in line.rstrip("\r").replace(_NO_BREAK_SPACE, " ").split("\r")]
    level = str(record["level"])
    message = record.get("message")
    text = "" if message is None else message if isinstance(message, str) else json.dumps(message)
    rest = {key: value for key, value in record.items() if key not in _RECORD}
    if rest:
        text += f" {json.dumps(rest, ensure_ascii=False)}"
    if "errorMessage" in record:
        kind = record.get("errorType")
        text += ("\n" if text else "") + (f"{kind}: " if kind else "") + str(record["errorMessage"])
    lines = f"{level} {text}".splitlines()
    for entry in record.get("stackTrace") or []:
        lines += str(entry).splitlines()
    return [(part, level) for part in lines]


def _record(line: str) -> dict[str, Any] | None:
    if not line.startswith("{"):
        return None
    try:
        record: Any = json.loads(line)
    except ValueError:
        return None
    is_record = isinstance(record, dict) and "level" in record and ("message" in record or "errorMessage" in record)
    return record if is_record else None
