"""Token buckets: what an account, a stage and a route may take a second.

https://docs.aws.amazon.com/apigateway/latest/developerguide/websocket-api-protect.html
"""

import math
from collections.abc import Callable

from gateway.settings import Settings
from gateway.template.specs import StageThrottles, Throttle


class Bucket:
    """A token bucket, full at first. `clock()` gives seconds that never go back."""

    def __init__(self, burst: float, rate: float, clock: Callable[[], float]) -> None:
        self._burst = burst
        self._rate = rate
        self._clock = clock
        self._tokens = burst
        self._filled = clock()

    def take(self) -> bool:
        """Take a token; tells whether there was one."""
        now = self._clock()
        self._tokens = min(self._burst, self._tokens + (now - self._filled) * self._rate)
        self._filled = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Account:
    """What all WebSocket APIs of an account share: requests, `@connections` included, and new connections."""

    def __init__(self, settings: Settings, clock: Callable[[], float]) -> None:
        self.requests = Bucket(settings.account_burst, settings.account_rate, clock)
        self.connections = Bucket(settings.connection_burst, settings.connection_rate, clock)


class StageThrottle:
    """The buckets of one stage. Each route has its own: the settings of all routes are not shared between them."""

    def __init__(self, throttles: StageThrottles, clock: Callable[[], float]) -> None:
        self._throttles = throttles
        self._clock = clock
        self._buckets: dict[str, Bucket | None] = {}

    def take(self, route: str) -> bool:
        """Take a token for a request of the route with this key; tells whether there was one."""
        if route not in self._buckets:
            self._buckets[route] = self._bucket(route)
        bucket = self._buckets[route]
        return bucket is None or bucket.take()

    def _bucket(self, route: str) -> Bucket | None:
        default, own = self._throttles.default, self._throttles.routes.get(route, Throttle())
        burst = default.burst if own.burst is None else own.burst
        rate = default.rate if own.rate is None else own.rate
        if burst is None and rate is None:
            return None
        # What is not set is the account's alone to limit; a bucket without a size holds what a second brings.
        return Bucket(
            (math.inf if rate is None else rate) if burst is None else burst,
            math.inf if rate is None else rate,
            self._clock,
        )
