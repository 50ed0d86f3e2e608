"""The gateway's time: the machine's own, which can be turned on, so that hours pass in a moment."""

import asyncio
import heapq
import itertools
import math
import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Any

# So many rounds of the event loop a timer's work gets before the next timer of a turn is due.
_ROUNDS = 10
# Seconds of the machine's time for which a turn waits for work elsewhere, once for each piece of it.
_PATIENCE = 2.0


class Timer:
    """A call to come."""

    __slots__ = ("_arguments", "_callback", "due")

    def __init__(self, due: float, callback: Callable[..., object], arguments: tuple[Any, ...]) -> None:
        self.due = due
        self._callback: Callable[..., object] | None = callback
        self._arguments = arguments

    def fire(self) -> None:
        """Make the call now, if it was neither made nor cancelled."""
        callback, arguments = self._callback, self._arguments
        self.cancel()
        if callback is not None:
            callback(*arguments)

    def cancel(self) -> None:
        """Never make the call."""
        self._callback = None
        self._arguments = ()

    @property
    def waits(self) -> bool:
        """Whether the call is still to come."""
        return self._callback is not None


class _Timeout:
    """See Clock.timeout; no generator, since each message passes through it."""

    __slots__ = ("_clock", "_delay", "_limit", "_timer")

    def __init__(self, clock: "Clock", delay: float) -> None:
        self._clock = clock
        self._delay = delay
        self._limit = asyncio.Timeout(None)

    async def __aenter__(self) -> None:
        await self._limit.__aenter__()
        self._timer = self._clock.call_later(self._delay, self._limit.reschedule, 0)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        await self._limit.__aexit__(kind, error, trace)


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
        # The event loop has a timer for the earliest of them only: most are cancelled long before they are due.
        self._bell: asyncio.TimerHandle | None = None
        self._bell_due = math.inf
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
        timer = Timer(self.monotonic() + delay, callback, args)
        self._sweep()
        heapq.heappush(self._timers, (timer.due, next(self._numbers), timer))
        if timer.due < self._bell_due:
            self._set_bell()
        return timer

    def _set_bell(self) -> None:
        """Let the machine's time bring the earliest timer."""
        if self._bell is not None:
            self._bell.cancel()
        self._bell, self._bell_due = None, math.inf
        while self._timers and not self._timers[0][2].waits:
            heapq.heappop(self._timers)
        if self._timers:
            self._bell_due = self._timers[0][0]
            delay = max(0.0, self._bell_due - self.monotonic())
            self._bell = asyncio.get_running_loop().call_later(delay, self._ring)

    def _ring(self) -> None:
        try:
            # One at a time: what it raises is no other one's business.
            if self._timers and self._timers[0][0] <= self.monotonic():
                heapq.heappop(self._timers)[2].fire()
        finally:
            self._set_bell()

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

    def timeout(self, delay: float) -> AbstractAsyncContextManager[None]:
        """Raise TimeoutError where the block takes longer than `delay` seconds."""
        return _Timeout(self, delay)

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
        # The others come sooner than the machine's time said.
        self._set_bell()

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
