"""The gateway's time: the machine's own, which can be turned on, so that hours pass in a moment."""

import asyncio
import contextlib
import heapq
import itertools
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

# So many rounds of the event loop a timer's work gets before the next timer of a turn is due.
_ROUNDS = 10
# Seconds of the machine's time for which a turn waits for work elsewhere, once for each piece of it.
_PATIENCE = 2.0


class Timer:
    """A call to come."""

    __slots__ = ("_callback", "_handle", "due")

    def __init__(self, due: float, callback: Callable[[], object]) -> None:
        self.due = due
        self._callback: Callable[[], object] | None = callback
        self._handle: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop, delay: float) -> None:
        """Let the machine's time bring it, `delay` seconds from now."""
        if self._handle is not None:
            self._handle.cancel()
        self._handle = loop.call_later(delay, self.fire)

    def fire(self) -> None:
        """Make the call now, if it was neither made nor cancelled."""
        callback = self._callback
        self.cancel()
        if callback is not None:
            callback()

    def cancel(self) -> None:
        """Never make the call."""
        self._callback = None
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    @property
    def waits(self) -> bool:
        """Whether the call is still to come."""
        return self._callback is not None


class Clock:
    """Time that runs as the machine's does, and as much faster as it is turned.

    Its timers belong to one event loop. Timers of the time that is turned over come in their order, each at its own
    time; what they start gets a few rounds of the loop before the next one, and what is held (a function at work) some
    of the machine's time to be done: else it would be out of time by the turn alone.
    """

    def __init__(self) -> None:
        self._ahead = 0.0
        self._timers: list[tuple[float, int, Timer]] = []
        self._numbers = itertools.count()
        self._new = 0
        self._held: set[object] = set()
        self._stuck: set[object] = set()
        self._released: asyncio.Event | None = None

    def now(self) -> float:
        """Return seconds since 1970."""
        return time.time() + self._ahead

    def monotonic(self) -> float:
        """Return seconds since some moment; they never go back."""
        return time.monotonic() + self._ahead

    def call_later(self, delay: float, callback: Callable[..., object], *args: Any) -> Timer:
        """Call `callback(*args)` in `delay` seconds."""
        timer = Timer(self.monotonic() + delay, lambda: callback(*args))
        timer.start(asyncio.get_running_loop(), max(0.0, delay))
        self._sweep()
        heapq.heappush(self._timers, (timer.due, next(self._numbers), timer))
        return timer

    async def sleep(self, delay: float) -> None:
        """Return in `delay` seconds."""
        if delay <= 0:
            await asyncio.sleep(0)
            return
        over = asyncio.Event()
        timer = self.call_later(delay, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()

    @contextlib.asynccontextmanager
    async def timeout(self, delay: float) -> AsyncIterator[None]:
        """Raise TimeoutError where the block takes longer than `delay` seconds."""
        async with asyncio.timeout(None) as limit:
            timer = self.call_later(delay, lambda: limit.reschedule(0))
            try:
                yield
            finally:
                timer.cancel()

    def hold(self, work: object) -> None:
        """Somebody else is at `work`, which a turn waits for."""
        self._held.add(work)

    def release(self, work: object) -> None:
        """The work is done."""
        self._held.discard(work)
        self._stuck.discard(work)
        if self._released is not None:
            self._released.set()

    async def turn(self, seconds: float) -> None:
        """Let `seconds` pass at once."""
        end = self.monotonic() + seconds
        while True:
            await self._settle()
            while self._timers and not self._timers[0][2].waits:
                heapq.heappop(self._timers)
            if not self._timers or self._timers[0][0] > end:
                break
            due, _, timer = heapq.heappop(self._timers)
            self._ahead += max(0.0, due - self.monotonic())
            timer.fire()
        self._ahead += max(0.0, end - self.monotonic())
        # The others come sooner than the machine's time says.
        loop = asyncio.get_running_loop()
        for due, _, timer in self._timers:
            if timer.waits:
                timer.start(loop, max(0.0, due - self.monotonic()))

    async def _settle(self) -> None:
        for _ in range(_ROUNDS):
            await asyncio.sleep(0)
        try:
            async with asyncio.timeout(_PATIENCE):
                while self._held - self._stuck:
                    self._released = asyncio.Event()
                    await self._released.wait()
                    # What was waiting for it may begin next.
                    for _ in range(_ROUNDS):
                        await asyncio.sleep(0)
        except TimeoutError:
            self._stuck |= self._held

    def _sweep(self) -> None:
        """Forget timers that are over, once half of them may be."""
        self._new += 1
        if self._new > 1000 and self._new > len(self._timers) // 2:
            self._timers = [entry for entry in self._timers if entry[2].waits]
            heapq.heapify(self._timers)
            self._new = 0
