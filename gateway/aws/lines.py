"""JSON lines between the gateway and the process of the embedded AWS, the same at both ends."""

import asyncio
import json
from collections.abc import Callable
from typing import Any, cast

_encode = json.JSONEncoder(separators=(",", ":")).encode


class Lines(asyncio.Protocol):
    """One end. `on_line` gets each value that arrives; `on_lost` is called once, when the other end is gone."""

    def __init__(self, on_line: Callable[[Any], None], on_lost: Callable[[], None]) -> None:
        self._on_line = on_line
        self._on_lost = on_lost
        self._rest = b""
        self._waiting: list[str] = []
        self._flushing: asyncio.Handle | None = None
        self._transport: asyncio.Transport | None = None

    @property
    def lost(self) -> bool:
        """Whether there is no other end, not yet or no more."""
        return self._transport is None

    def send(self, value: Any, within: float = 0.0) -> None:
        """Send a value in this turn of the event loop, or `within` seconds, together with what else there is then."""
        loop = asyncio.get_running_loop()
        if within and self._flushing is None:
            self._flushing = loop.call_later(within, self._flush)
        elif not within:
            if self._flushing is not None:
                self._flushing.cancel()
            self._flushing = loop.call_soon(self._flush)
        self._waiting.append(_encode(value))

    def close(self) -> None:
        """Let the other end see the end."""
        if self._transport is not None:
            self._transport.close()

    def _flush(self) -> None:
        text = "\n".join(self._waiting) + "\n"
        self._waiting.clear()
        self._flushing = None
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(text.encode())

    # ---- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._on_line(json.loads(line))

    def connection_lost(self, _error: Exception | None) -> None:
        self._transport = None
        self._on_lost()
