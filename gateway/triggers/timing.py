"""When a schedule runs: rate, cron and at, as EventBridge and its Scheduler write them.

https://docs.aws.amazon.com/scheduler/latest/UserGuide/schedule-types.html
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from aws_croniter import AwsCroniter  # type: ignore[import-untyped]

_EXPRESSION = re.compile(r"(?P<kind>rate|cron|at)\((?P<rest>.*)\)", re.DOTALL)
_RATE = re.compile(r"(\d+)\s+(minute|hour|day)s?")
_SECONDS = {"minute": 60, "hour": 3600, "day": 86400}


class ExpressionError(Exception):
    """A text that is no schedule expression."""


def runs(expression: str, timezone: str, begin: float) -> Iterator[float]:
    """Return the times of all runs after `begin`, in seconds since 1970. Raises ExpressionError, at once.

    A rate counts from `begin`. What cron and at say is the time of the zone; where its clocks are put forward, runs
    between are left out, and where they are put back each comes once [D].
    """
    found = _EXPRESSION.fullmatch(expression.strip())
    if found is None:
        raise ExpressionError(f"{expression} is no rate(…), cron(…) or at(…)")
    rest = found["rest"].strip()
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError):
        raise ExpressionError(f"there is no time zone {timezone}") from None
    match found["kind"]:
        case "rate":
            return _rate(expression, rest, begin)
        case "at":
            return _at(expression, rest, zone, begin)
    return _cron(expression, rest, zone, begin)


def _rate(expression: str, rest: str, begin: float) -> Iterator[float]:
    found = _RATE.fullmatch(rest)
    if found is None or int(found[1]) < 1:
        raise ExpressionError(f"{expression} is no rate(number unit), of minutes, hours or days")
    period = int(found[1]) * _SECONDS[found[2]]

    def each() -> Iterator[float]:
        number = 1
        while True:
            yield begin + number * period
            number += 1

    return each()


def _at(expression: str, rest: str, zone: ZoneInfo, begin: float) -> Iterator[float]:
    try:
        moment = datetime.strptime(rest, "%Y-%m-%dT%H:%M:%S")
    except ValueError:
        raise ExpressionError(f"{expression} is no at(yyyy-mm-ddThh:mm:ss)") from None
    time = moment.replace(tzinfo=zone).timestamp()
    return iter([time] if time > begin else [])


def _cron(expression: str, rest: str, zone: ZoneInfo, begin: float) -> Iterator[float]:
    try:
        cron = AwsCroniter(" ".join(rest.split()))
    except Exception as error:
        # Its own errors say which field is wrong; some texts get as far as int().
        raise ExpressionError(f"{expression}: {error}") from None

    def each() -> Iterator[float]:
        # It knows UTC alone, so the zone's clock is given to it as if it were that.
        shown = datetime.fromtimestamp(begin, zone).replace(tzinfo=UTC)
        while (following := cron.get_next(shown, 1)[0]) is not None:
            shown = following
            # Of an hour that the clock shows twice this is the first, which may be over.
            time = shown.replace(tzinfo=zone).timestamp()
            there = datetime.fromtimestamp(time, zone).replace(tzinfo=UTC) == shown
            if there and time > begin:
                yield time

    return each()
