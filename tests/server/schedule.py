"""Runs several invocations at once, one step at a time, in an order drawn from a seed.

A step is one call of a port: the places where the world may change under an invocation. Time is virtual: it creeps
with every step, and jumps only when everybody sleeps.
"""

import random
import threading
from collections.abc import Callable
from typing import Any

from server.ports import Ports
from tests.memory import World

STEPS = ("connections", "rooms", "journals", "mailboxes", "packets", "questions", "limits", "agenda", "wire", "queue")
"""The ports whose calls are steps."""


class Schedule:
    """Actors on a world's ports; `run` drives them to their end, and raises what one of them raised."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.random = random.Random(seed)
        self.log: list[str] = []
        self._turns: dict[threading.Thread, threading.Event] = {}
        self._wakes: dict[threading.Thread, int] = {}
        self._parked = threading.Semaphore(0)
        self._failures: list[BaseException] = []
        proxies: dict[str, Any] = {name: _Stepping(getattr(world.ports, name), name, self) for name in STEPS}
        self.ports: Ports = world.ports._replace(sleep=self.sleep, **proxies)

    def run(self, *actors: Callable[[], None]) -> None:
        threads = [threading.Thread(target=self._act, args=(actor,), daemon=True) for actor in actors]
        for thread in threads:
            self._turns[thread] = threading.Event()
            thread.start()
            self._parked.acquire()
        while self._turns:
            self._next().set()
            self._parked.acquire()
            if self._failures:
                raise self._failures[0]

    def _next(self) -> threading.Event:
        self.world.clock += self.random.randrange(1, 8)
        ready = [thread for thread in self._turns if self._wakes.get(thread, 0) <= self.world.clock]
        if not ready:
            self.world.clock = min(self._wakes.values())
            return self._next()
        chosen = self.random.choice(ready)
        self._wakes.pop(chosen, None)
        return self._turns[chosen]

    def _act(self, actor: Callable[[], None]) -> None:
        me = threading.current_thread()
        try:
            self.step()
            actor()
        except BaseException as error:
            self._failures.append(error)
        del self._turns[me]
        self._wakes.pop(me, None)
        self._parked.release()

    def step(self, what: str = "") -> None:
        """Let others go first, perhaps."""
        me = threading.current_thread()
        turn = self._turns.get(me)
        if turn is None:
            return  # not an actor: the test itself
        self._parked.release()
        turn.wait()
        turn.clear()
        self.log.append(what)

    def sleep(self, seconds: float) -> None:
        self._wakes[threading.current_thread()] = self.world.clock + int(seconds * 1000)
        self.step("sleep")

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait, as an actor, for what another one does."""
        while not condition():
            self.sleep(0.005)


class _Stepping:
    """A port whose every call is a step."""

    def __init__(self, port: Any, name: str, schedule: Schedule) -> None:
        self._port, self._name, self._schedule = port, name, schedule

    def __getattr__(self, method: str) -> Any:
        call = getattr(self._port, method)

        def stepping(*args: Any, **kwargs: Any) -> Any:
            self._schedule.step(f"{self._name}.{method}")
            result = call(*args, **kwargs)
            # What comes back may be late as well.
            self._schedule.step()
            return result

        return stepping
