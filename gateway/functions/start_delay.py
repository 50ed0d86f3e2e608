"""Cold starts as clients see them: invocations held back, each for another time, so that they overtake each other."""

import asyncio
import random

from gateway.clock import Clock
from gateway.functions.runtime_api import Submit


def delayed(submit: Submit, longest: float, clock: Clock, seed: int | None = None) -> Submit:
    """Return `submit` with each invocation held back for between 0 and `longest` seconds; `submit` itself for 0.

    The times are drawn in the order of the calls, the same ones for the same `seed`. Giving up on the result does not
    stop the function, as it does not on Lambda.
    """
    if not longest:
        return submit
    draw = random.Random(seed)
    loop = asyncio.get_running_loop()

    def held(function: str, payload: bytes, cause: str) -> asyncio.Future[bytes]:
        result: asyncio.Future[bytes] = loop.create_future()
        clock.call_later(draw.uniform(0, longest), _begin, submit, function, payload, cause, result)
        return result

    return held


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
