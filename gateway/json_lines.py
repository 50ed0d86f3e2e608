"""What happens in a gateway as JSON, an object a line, for machines.

Each object has a `type` and, where it is a journal entry, the fields of its class in `gateway.journal` under their own
names; times in seconds. `type` is the class's name in lower case: connected, refused, disconnected, received, sent,
invoked, returned, logged, called, managed, requested, injected. `payload` and `answer` are the JSON values themselves,
`data` is text. Beside them there are:

- `ready` with `url` and `addresses`, by logical id;
- `progress`, `note` and `error` with `text`;
- `bill` with `values`, as `gateway.meter` counts them.
"""

import asyncio
import dataclasses
import json
from collections.abc import Iterable
from typing import Any, TextIO

from gateway.console import Console
from gateway.journal import Entry

# Lines are passed on so often: a write for each would cost more than making it.
_FLUSH = 0.05
_JSON = ("payload", "answer")


def described(entry: Entry) -> dict[str, Any]:
    """Return a journal entry as a JSON object."""
    values: dict[str, Any] = {"type": type(entry).__name__.lower()}
    for field in dataclasses.fields(entry):
        value = getattr(entry, field.name)
        if isinstance(value, bytes):
            value = value_of(value) if field.name in _JSON else value.decode("utf-8", "replace")
        values[field.name] = value
    return values


def value_of(data: bytes) -> Any:
    """Return a JSON text's value; what is no JSON is a text, and nothing is None."""
    if not data:
        return None
    try:
        return json.loads(data)
    except ValueError:
        return data.decode("utf-8", "replace")


class JsonConsole(Console):
    """A console that a machine reads: all on `out`, and nothing is left out."""

    def __init__(self, out: TextIO | None = None) -> None:
        super().__init__(out, out)
        self._waiting = False

    def progress(self, text: str) -> None:
        """Tell what is being done."""
        self._object({"type": "progress", "text": text})

    def ready(self, url: str, addresses: Iterable[tuple[str, str]] = ()) -> None:
        """Tell where it is served."""
        by_id: dict[str, list[str]] = {}
        for address, logical_id in addresses:
            by_id.setdefault(logical_id, []).append(address)
        self._object({"type": "ready", "url": url, "addresses": by_id})

    def note(self, text: str) -> None:
        """Tell of something that is not as the template says."""
        self._object({"type": "note", "text": text})

    def error(self, text: str) -> None:
        """Tell why the gateway does not run."""
        self._object({"type": "error", "text": text})

    def bill(self, text: str, values: object) -> None:
        """Tell what the same would have cost."""
        self._object({"type": "bill", "values": values})

    def show(self, entry: Entry) -> None:
        """Tell what has happened."""
        if id(self._out) not in self._gone:
            self._object(described(entry))

    def _object(self, values: dict[str, Any]) -> None:
        self._write(self._out, json.dumps(values, separators=(",", ":")))

    def _flushed(self) -> None:
        self._waiting = False
        super()._flush_stream(self._out)

    def _flush_stream(self, stream: TextIO) -> None:
        if not self._waiting:
            try:
                asyncio.get_running_loop().call_later(_FLUSH, self._flushed)
            except RuntimeError:
                super()._flush_stream(stream)
            else:
                self._waiting = True
