"""Where faults come in: what the gateway's parts ask at each moment at which something may go wrong."""

import contextlib
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from gateway.functions.runtime_api import Submit


class Faults:
    """Nothing goes wrong."""

    def submitting(self, submit: Submit, *, http: bool = False) -> Submit:
        """Return what invokes functions in place of `submit`, for an HTTP API if `http`."""
        return submit

    def frame(self, connection: str, route: str, *, ordered: bool) -> float:
        """Return for how many seconds a frame is held back; `ordered` ones of a connection keep their order."""
        return 0.0

    def cold_start(self, function: str) -> float | None:
        """Return by how many seconds the start takes longer of the new process that an invocation gets, if it does."""
        return None

    def begun(self, function: str, invocation: str, kill: Callable[[], None]) -> None:
        """An invocation runs in a process; `kill()` ends that."""

    def answered(self, invocation: str) -> bool:
        """Tell whether the answer that an invocation has just given is lost with its process."""
        return False

    def ended(self, invocation: str) -> None:
        """An invocation is over, one way or the other."""

    def call(self, method: str, connection: str) -> AbstractAsyncContextManager[None]:
        """Return what a call of `@connections` is made in. It raises ManagementError."""
        return contextlib.nullcontext()

    def disconnecting(self, connection: str) -> float | None:
        """Return by how many seconds the `$disconnect` of a connection is late, None for one that never comes."""
        return 0.0

    def again(self, mapping: str) -> bool:
        """Tell whether the batch that a mapping's function has just handled is given to it again."""
        return False


NO_FAULTS = Faults()
