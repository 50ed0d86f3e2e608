"""Strikes by rules: draws whether and when, does it, and writes it to the journal."""

import asyncio
import contextlib
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import TypeVar

from gateway.aws.faults import AwsFault
from gateway.chaos.faults import Faults
from gateway.chaos.rules import (
    KINDS,
    AnyRule,
    ColdStart,
    ConnectionsError,
    Crash,
    Delay,
    Disconnect,
    Duplicate,
    Reorder,
    Restart,
    Rule,
    Throttle,
)
from gateway.clock import Clock, Timer
from gateway.functions.failures import FunctionFailed
from gateway.functions.runtime_api import Submit
from gateway.journal import Called, Entry, Injected, Journal, Managed
from gateway.websocket.connections import ManagementError

_ERROR_TYPES = {
    410: "GoneException",
    429: "LimitExceededException",
    500: "InternalServerErrorException",
    503: "ServiceUnavailableException",
    504: "GatewayTimeoutException",
}
# Frames of a connection that keep their order are let go one after another, this far apart.
_STEP = 0.001
_R = TypeVar("_R", bound=Rule)


class _Active:
    """A rule in force, with a generator of its own."""

    def __init__(self, rule: AnyRule, draw: random.Random) -> None:
        self.rule = rule
        self.draw = draw
        self.timer: Timer | None = None
        self._passed = 0
        self._struck = 0

    def strikes(self, rule: Rule) -> bool:
        """Tell whether it strikes at what is of its kind and name. A draw is made each time."""
        drawn = self.draw.random() < rule.rate
        self._passed += 1
        if not drawn or self._passed <= rule.skip or self._struck == rule.times:
            return False
        self._struck += 1
        return True


class _Doomed:
    """An invocation that is to be killed."""

    def __init__(self, function: str, rule: Crash, kill: Callable[[], None]) -> None:
        self.function = function
        self.rule = rule
        self.kill = kill
        self.calls = 0
        self.timer: Timer | None = None


class Injector(Faults):
    """The rules in force. `cut(code, disconnect)` ends every connection of the gateway; `set_aws(faults)` tells the
    embedded AWS which of its calls fail.

    Each rule draws from a generator of its own, seeded by `seed` (None draws one) and the rule's number: the same rules
    draw the same for the same order of events, whatever the other rules do.
    """

    def __init__(self, seed: int | None, clock: Clock, journal: Journal, cut: Callable[[int, bool], None]) -> None:
        self.seed = secrets.randbelow(1_000_000) if seed is None else seed
        self._clock = clock
        self._journal = journal
        self._cut = cut
        self.set_aws: Callable[[list[AwsFault]], Awaitable[None]] | None = None
        self._applied: list[AwsFault] = []
        self._added = 0
        self._active: list[_Active] = []
        self._doomed: dict[str, _Doomed] = {}
        # When the last frame of a connection was let go that keeps its order.
        self._lanes: dict[str, float] = {}
        journal.subscribe(self._read)

    @property
    def rules(self) -> list[AnyRule]:
        """What is in force."""
        return [active.rule for active in self._active]

    def add(self, rules: Iterable[AnyRule]) -> Callable[[], None]:
        """Put rules in force; returns what ends them."""
        added = []
        for rule in rules:
            active = _Active(rule, random.Random(f"{self.seed}/{self._added}"))
            self._added += 1
            if isinstance(rule, AwsFault) and not rule.seed:
                active.rule = replace(rule, seed=active.draw.randrange(1, 1 << 32))
            if isinstance(rule, Restart):
                active.timer = self._clock.call_later(rule.at, self.restart, rule.code, rule.disconnect)
            added.append(active)
        self._active += added
        return lambda: self._remove(added)

    async def apply(self) -> None:
        """Let the embedded AWS have the faults that it makes itself, from their beginning, if they have changed."""
        faults = [rule for rule in self.rules if isinstance(rule, AwsFault)]
        if faults != self._applied and self.set_aws is not None:
            self._applied = faults
            await self.set_aws(faults)

    def clear(self) -> None:
        """End all rules; the next ones draw as the first ones did."""
        self._remove(list(self._active))
        self._added = 0

    def _remove(self, ended: list[_Active]) -> None:
        for active in ended:
            if active.timer is not None:
                active.timer.cancel()
        self._active = [active for active in self._active if active not in ended]

    def restart(self, code: int = 1006, disconnect: bool = False) -> None:
        """Cut all connections, as a Restart does."""
        self._tell("restart", "*", f"cut with {code}")
        self._cut(code, disconnect)

    # ---- drawing

    def _of(self, kind: type[_R]) -> Iterator[tuple[_R, _Active]]:
        return ((active.rule, active) for active in self._active if isinstance(active.rule, kind))

    def _tell(self, kind: str, target: str, what: str) -> None:
        self._journal.write(Injected(self._clock.now(), kind, target, what))

    def _struck(self, rule: AnyRule, target: str, what: str) -> None:
        self._tell(KINDS[type(rule)], target, what)

    # ---- frames

    def frame(self, connection: str, route: str, *, ordered: bool) -> float:
        """See Faults."""
        held = 0.0
        for rule, active in self._of(Reorder):
            if fnmatchcase(route, rule.route) and active.strikes(rule):
                drawn = active.draw.uniform(0, rule.within)
                held = max(held, drawn)
                self._struck(rule, connection, f"a frame for {route} is held back for {drawn:.3f} s")
        if not ordered:
            return held
        now = self._clock.monotonic()
        before = self._lanes.get(connection, 0.0)
        if not held and before <= now:
            self._lanes.pop(connection, None)
            return 0.0
        due = self._lanes[connection] = max(now + held, before + _STEP)
        return due - now

    def disconnecting(self, connection: str) -> float | None:
        """See Faults."""
        for rule, active in self._of(Disconnect):
            if active.strikes(rule):
                late = rule.late
                self._struck(rule, connection, "lost" if late is None else f"{late:g} s late")
                return late
        return 0.0

    # ---- invocations

    def submitting(self, submit: Submit, *, http: bool = False) -> Submit:
        """See Faults. Giving up on the result does not stop the function, as it does not on Lambda."""

        def injected(function: str, payload: bytes, cause: str) -> asyncio.Future[bytes]:
            failure = self._refusal(function)
            held = 0.0 if failure else self._delay(function, http)
            if not failure and not held:
                return submit(function, payload, cause)
            result: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            if failure:
                result.set_exception(failure)
            else:
                self._clock.call_later(held, _begin, submit, function, payload, cause, result)
            return result

        return injected

    def _refusal(self, function: str) -> FunctionFailed | None:
        for throttle, active in self._of(Throttle):
            if fnmatchcase(function, throttle.function) and active.strikes(throttle):
                self._struck(throttle, function, "refused")
                return FunctionFailed("TooManyRequestsException", "Rate Exceeded.")
        for crash, active in self._of(Crash):
            if crash.when == "before" and fnmatchcase(function, crash.function) and active.strikes(crash):
                self._struck(crash, function, "never started")
                return FunctionFailed("ServiceException", "Service encountered an internal error.")
        return None

    def _delay(self, function: str, http: bool) -> float:
        held = 0.0
        for rule, active in self._of(Delay):
            if (rule.http or not http) and fnmatchcase(function, rule.function) and active.strikes(rule):
                drawn = active.draw.uniform(0, rule.within)
                held += drawn
                self._struck(rule, function, f"held back for {drawn:.3f} s")
        return held

    def cold_start(self, function: str) -> float | None:
        """See Faults."""
        for rule, active in self._of(ColdStart):
            if fnmatchcase(function, rule.function) and active.strikes(rule):
                self._struck(rule, function, f"a new process, {rule.extra:g} s late")
                return rule.extra
        return None

    def begun(self, function: str, invocation: str, kill: Callable[[], None]) -> None:
        """See Faults."""
        for rule, active in self._of(Crash):
            if rule.when == "before" or not fnmatchcase(function, rule.function) or not active.strikes(rule):
                continue
            doomed = self._doomed[invocation] = _Doomed(function, rule, kill)
            if rule.within is not None:
                moment = active.draw.uniform(0, rule.within)
                doomed.timer = self._clock.call_later(moment, self._kill, invocation, f"killed after {moment:.3f} s")
            return

    def answered(self, invocation: str) -> bool:
        """See Faults."""
        doomed = self._doomed.get(invocation)
        if doomed is None or doomed.rule.when != "after":
            return False
        self._struck(doomed.rule, doomed.function, "killed, and its answer is lost")
        return True

    def ended(self, invocation: str) -> None:
        """See Faults."""
        doomed = self._doomed.pop(invocation, None)
        if doomed is not None and doomed.timer is not None:
            doomed.timer.cancel()

    def _read(self, entry: Entry) -> None:
        if not self._doomed or not isinstance(entry, Called | Managed):
            return
        doomed = self._doomed.get(entry.invocation)
        if doomed is None or doomed.rule.calls is None:
            return
        doomed.calls += 1
        if doomed.calls == doomed.rule.calls:
            self._kill(entry.invocation, f"killed after {doomed.calls} calls")

    def _kill(self, invocation: str, what: str) -> None:
        doomed = self._doomed.pop(invocation, None)
        if doomed is not None:
            doomed.kill()
            # The journal's other readers come to this entry after the one that is being read.
            asyncio.get_running_loop().call_soon(self._struck, doomed.rule, doomed.function, what)

    # ---- @connections, queues

    def call(self, method: str, connection: str) -> AbstractAsyncContextManager[None]:
        """See Faults."""
        return self._call(method, connection) if self._active else contextlib.nullcontext()

    @contextlib.asynccontextmanager
    async def _call(self, method: str, connection: str) -> AsyncIterator[None]:
        found = next((rule for rule, active in self._calls(method) if active.strikes(rule)), None)
        if found is None:
            yield
            return
        done = "" if found.when == "before" else "done, then "
        hung = f"hangs for {found.hang:g} s" if found.hang else ""
        failed = f"answered with {found.status}" if found.status else ""
        self._struck(found, connection, f"{method}: {done}{', '.join(filter(None, (hung, failed)))}")
        if found.when == "after":
            yield
        await self._clock.sleep(found.hang)
        if found.status is not None:
            raise ManagementError(found.status, _ERROR_TYPES[found.status])
        if found.when == "before":
            yield

    def _calls(self, method: str) -> Iterator[tuple[ConnectionsError, _Active]]:
        return ((rule, active) for rule, active in self._of(ConnectionsError) if rule.method in ("*", method))

    def again(self, mapping: str) -> bool:
        """See Faults."""
        for rule, active in self._of(Duplicate):
            if fnmatchcase(mapping, rule.mapping) and active.strikes(rule):
                self._struck(rule, mapping, "a batch is given again")
                return True
        return False


def _begin(submit: Submit, function: str, payload: bytes, cause: str, result: asyncio.Future[bytes]) -> None:
    def finished(begun: asyncio.Future[bytes]) -> None:
        if begun.cancelled():
            result.cancel()
        elif (error := begun.exception()) is not None:
            if not result.done():
                result.set_exception(error)
        elif not result.done():
            result.set_result(begun.result())

    submit(function, payload, cause).add_done_callback(finished)
