"""What posting takes by itself: the benchmark's Python function, and a server that answers everything at once.

With that function no gateway is quicker. `python -m bench.gateway.bare URL MEMBERS ROUNDS` is the function's process.
"""

import asyncio
import contextlib
import json
import os
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from typing import Any, cast

import httptools
import uvloop

from bench.gateway.application.handler import handler
from tests.e2e.processes import ROOT

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


class _Null(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._parser = httptools.HttpRequestParser(self)

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_message_complete(self) -> None:
        """Answer the request."""
        self._transport.write(_ANSWER)


@contextlib.contextmanager
def _answering() -> Iterator[str]:
    """Serve in a thread of this process, which does nothing else meanwhile; yields the address."""
    loop = uvloop.new_event_loop()
    listening = socket.create_server(("127.0.0.1", 0))
    loop.run_until_complete(loop.create_server(_Null, sock=listening))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/dev"
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


def posting(members: int, rounds: int, seconds: float) -> float:
    """Return the milliseconds of so many posts, the median of the rounds. Raises subprocess.TimeoutExpired."""
    credentials = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}
    with _answering() as url:
        command = [sys.executable, "-m", "bench.gateway.bare", url, str(members), str(rounds)]
        done = subprocess.run(
            command,
            cwd=ROOT,
            env={**os.environ, **credentials},
            capture_output=True,
            text=True,
            timeout=seconds,
            check=True,
        )
    return float(done.stdout)


def main() -> None:
    url, members, rounds = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    event: dict[str, Any] = {"body": json.dumps({"endpoint": url, "connections": ["AAAAAAAAAAAAAAA="] * members})}
    times = []
    # The first one warms up.
    for _ in range(rounds + 1):
        began = time.perf_counter()
        handler(event, None)
        times.append(time.perf_counter() - began)
    print(statistics.median(times[1:]) * 1000)


if __name__ == "__main__":
    main()
