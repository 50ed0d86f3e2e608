"""How AWS rounds: sizes to billable units. Sizes in bytes, times in seconds."""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

KIB = 1024
WEBSOCKET_MESSAGE = 32 * KIB
HTTP_REQUEST = 512 * KIB
SQS_REQUEST = 64 * KIB
_WRITE_UNIT = KIB
_READ_UNIT = 4 * KIB
_LIST_OR_MAP = 3


def chunks(size: int, chunk: int) -> int:
    """Return how many chunks a payload is metered as; an empty one is one."""
    return max(1, -(-size // chunk))


def milliseconds(duration: float) -> int:
    """Return an invocation's duration as it is metered: rounded up to a millisecond.

    https://aws.amazon.com/lambda/pricing/
    """
    # A duration is a float: its last digits must not make a millisecond of nothing.
    return math.ceil(round(duration * 1000, 6))


def gigabyte_seconds(memory_mb: int, milliseconds: int) -> Fraction:
    """Return what invocations of a function are metered as."""
    return Fraction(memory_mb * milliseconds, KIB * 1000)


# ---------------------------------------------------------------- DynamoDB
# https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html


def write_units(size: int) -> int:
    """Return the units of one write of an item of `size` bytes."""
    return chunks(size, _WRITE_UNIT)


def read_units(size: int, *, consistent: bool) -> float:
    """Return the units of reading `size` bytes: an item, or all that a query went through. Half where eventual."""
    return chunks(size, _READ_UNIT) * (1.0 if consistent else 0.5)


def _pair(value: Any) -> tuple[str, Any]:
    return next(iter(value.items()))  # type: ignore[no-any-return]


def item_size(item: Mapping[str, Any], pair: Callable[[Any], tuple[str, Any]] = _pair) -> int:
    """Return the size of an item: names as UTF-8, and values.

    Values are as boto3 gives them, `{"S": "text"}`, binaries as bytes; of other ones `pair` tells type and content.
    """
    size = 0
    for name, value in item.items():
        kind, content = pair(value)
        # Most are text.
        size += _length(name) + (_length(content) if kind == "S" else _size(kind, content, pair))
    return size


def _size(kind: str, content: Any, pair: Callable[[Any], tuple[str, Any]]) -> int:
    if kind in ("S", "B"):
        return _length(content)
    if kind == "N":
        return _number(content)
    if kind in ("BOOL", "NULL"):
        return 1
    if kind == "M":
        # Each element takes a byte more.
        return _LIST_OR_MAP + len(content) + item_size(content, pair)
    if kind == "L":
        return _LIST_OR_MAP + len(content) + sum(_size(*pair(element), pair) for element in content)
    measure = _number if kind == "NS" else _length
    return sum(measure(element) for element in content)


def _length(text: str | bytes) -> int:
    if isinstance(text, bytes):
        return len(text)
    return len(text) if text.isascii() else len(text.encode())


def _number(text: str) -> int:
    """Return a number's size: a byte for two significant digits, and one more.

    The documentation says "approximately". [R] A minus takes a byte, and zero is one byte in all.
    """
    mantissa = text.lower().partition("e")[0]
    digits = mantissa.lstrip("+-").replace(".", "").strip("0")
    if not digits:
        return 1
    return (len(digits) + 1) // 2 + 1 + mantissa.startswith("-")
