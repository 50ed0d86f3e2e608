"""What the person at the terminal sees: progress and addresses on stdout, functions' output and faults on stderr."""

import json
import os
import sys
from typing import Any, TextIO

from rich.color import Color, ColorSystem
from rich.style import Style

from gateway.journal import Entry, Logged

_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta", "bright_green")
_LEVELS = {"WARNING": Style(color="yellow"), "ERROR": Style(color="red"), "CRITICAL": Style(color="red", bold=True)}
_FAILED = Style(color="red")
_NOTE = Style(color="yellow")
_READY = Style(bold=True)
_NO_BREAK_SPACE = "\u00a0"
_REQUEST_ID_SHOWN = 8
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


class Console:
    """Writes lines at once and unbuffered; colours only where a terminal reads."""

    def __init__(self, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._colours: dict[str, Style] = {}
        self._systems = {
            id(stream): ColorSystem.STANDARD if stream.isatty() and "NO_COLOR" not in os.environ else None
            for stream in (self._out, self._err)
        }

    def progress(self, text: str) -> None:
        """Tell what is being done."""
        self._write(self._out, text)

    def ready(self, text: str) -> None:
        """Tell where something is served."""
        self._write(self._out, self._styled(self._out, text, _READY))

    def note(self, text: str) -> None:
        """Tell of something that is not as the template says."""
        self._write(self._err, self._styled(self._err, text, _NOTE))

    def error(self, text: str) -> None:
        """Tell why the gateway does not run."""
        self._write(self._err, self._styled(self._err, f"Error: {text}", _FAILED))

    def show(self, entry: Entry) -> None:
        """Show what is for eyes of what has happened."""
        if isinstance(entry, Logged):
            if entry.fault:
                self._failed(entry.function, entry.invocation, entry.line)
            else:
                self._log(entry.function, entry.invocation, entry.line)

    def _log(self, function: str, request_id: str, line: str) -> None:
        """Show a line that a function wrote; a stack in it is spread over lines of its own."""
        prefix = self._prefix(function, request_id)
        lines = [(part, _LEVELS.get(level or "")) for part, level in _readable(line)]
        shown = (self._styled(self._err, part, style) if style else part for part, style in lines)
        self._write(self._err, "\n".join(prefix + part for part in shown))

    def _failed(self, function: str, request_id: str, message: str) -> None:
        """Show a fault that the function could not write itself: a crash, a timeout, a module that does not load."""
        self._write(self._err, self._prefix(function, request_id) + self._styled(self._err, message, _FAILED))

    def _prefix(self, function: str, request_id: str) -> str:
        if function not in self._colours:
            colour = _COLOURS[len(self._colours) % len(_COLOURS)]
            self._colours[function] = Style(color=Color.parse(colour))
        label = f"{function} {request_id[:_REQUEST_ID_SHOWN]}".rstrip()
        return self._styled(self._err, label, self._colours[function]) + " | "

    def _styled(self, stream: TextIO, text: str, style: Style) -> str:
        return style.render(text, color_system=self._systems[id(stream)])

    def _write(self, stream: TextIO, text: str) -> None:
        # A closed pipe, or a terminal that cannot show a character, is no reason to stop serving.
        try:
            stream.write(text + "\n")
            stream.flush()
        except UnicodeEncodeError:
            stream.write(text.encode("ascii", "backslashreplace").decode() + "\n")
            stream.flush()
        except (BrokenPipeError, ValueError):
            pass


def _readable(line: str) -> list[tuple[str, str | None]]:
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
