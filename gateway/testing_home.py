"""Where the test kit's gateways live: one thread with an event loop for a process, and the AWS that outlives them."""

from __future__ import annotations

import asyncio
import atexit
import functools
import logging
import sys
import threading
from collections.abc import Callable, Sequence
from typing import Any, Self, TextIO, cast

from gateway.aws.calls import AwsCall
from gateway.aws.server import MotoServer
from gateway.errors import GatewayError
from gateway.run import new_event_loop


class Errors(logging.Handler):
    """Keeps what failed without a caller that would be told."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self._found: list[Exception] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a record of an error."""
        error = record.exc_info[1] if record.exc_info else None
        self.add(error if isinstance(error, Exception) else GatewayError(record.getMessage()))

    def add(self, error: Exception) -> None:
        """Keep an error."""
        self._found.append(error)

    def taken(self) -> list[Exception]:
        """Return the errors so far, once."""
        found, self._found = self._found, []
        return found


class _Output:
    """Standard error as it is when something is written: pytest gives each test its own."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()

    def isatty(self) -> bool:
        return False


class _Kept(MotoServer):
    """An embedded AWS that outlives its gateway: to start it takes longer than all else, to empty it a moment."""

    def __init__(self, home: Home, key: object, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._home = home
        self._key = key
        self._turned = False

    def given(
        self,
        on_sent: Callable[[str, str], None],
        on_call: Callable[[AwsCall], None] | None = None,
        on_invoke: Callable[[str, str, str], None] | None = None,
    ) -> Self:
        """Serve another gateway."""
        self._on_sent, self._on_call, self._on_invoke = on_sent, on_call, on_invoke
        return self

    async def start(self, timeout: float = 60) -> None:
        """See MotoServer."""
        if self._process is None:
            await super().start(timeout)
        else:
            await self.set_faults(())
            await self.reset()

    async def advance(self, seconds: float) -> None:
        """See MotoServer."""
        self._turned = True
        await super().advance(seconds)

    async def close(self) -> None:
        """Wait for the next gateway; one whose time was turned is of no use to it."""
        usable = self._ready is not None and self._ready.done() and not self._lines.lost and not self._turned
        if usable and not self._home.ending and self._key not in self._home.kept:
            self.given(lambda queue, group: None)
            self._home.kept[self._key] = self
        else:
            await super().close()

    async def end(self) -> None:
        """Kill the process."""
        await super().close()


class Home:
    """The thread on which gateways run, and what they leave to each other."""

    def __init__(self) -> None:
        self.loop = new_event_loop()
        self.loop.set_exception_handler(self._failed)
        self.output = cast(TextIO, _Output())
        self.errors = Errors()
        self.kept: dict[object, _Kept] = {}
        self.ending = False
        # A daemon, so that the interpreter comes to what is registered for its end.
        self._thread = threading.Thread(target=self._run, name="gateway", daemon=True)
        self._thread.start()
        atexit.register(self.close)

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self.loop.run_forever()

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.errors.add(error if isinstance(error, Exception) else GatewayError(str(context.get("message"))))

    def aws(
        self, account_id: str, on_sent: Any, port: int = 0, others: Sequence[str] = (), **options: Any
    ) -> MotoServer:
        """Return the embedded AWS for a gateway: one that another has left, or a new one."""
        told = {name: options.pop(name, None) for name in ("on_call", "on_invoke")}
        key = (account_id, port, tuple(others), *sorted(options.items()))
        kept = self.kept.pop(key, None) or _Kept(self, key, account_id, on_sent, port, others, **options)
        return kept.given(on_sent, **told)

    def close(self) -> None:
        """End what was kept, and the thread."""

        async def end() -> None:
            self.ending = True
            tasks = asyncio.all_tasks() - {cast("asyncio.Task[Any]", asyncio.current_task())}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.gather(*(kept.end() for kept in self.kept.values()))
            await self.loop.shutdown_default_executor()

        asyncio.run_coroutine_threadsafe(end(), self.loop).result(10)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join(10)
        self.loop.close()


@functools.cache
def home() -> Home:
    return Home()
