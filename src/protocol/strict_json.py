"""JSON as JavaScript writes it and as a server can trust it: compact, UTF-8 safe, bounded in depth and digits."""

import json
import math
import re
from collections.abc import Callable
from itertools import accumulate
from typing import Any

from protocol.errors import ProtocolError

MAX_DEPTH = 128
"""Arrays and objects within each other, far below where Python's recursion ends."""

MAX_DIGITS = 309
"""Digits of an integer; one more is infinity in JavaScript."""

# The closing quote may be missing, so that every quote begins a match and the scan stays linear.
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_NO_BRACKET = re.compile(r"[^][{}]+")
_SURROGATE = re.compile("[\ud800-\udfff]")


def is_utf8(text: str) -> bool:
    """Whether `text` can be sent as UTF-8, which has no lone surrogates."""
    return text.isascii() or _SURROGATE.search(text) is None


def dumps(value: Any, default: Callable[[Any], Any] | None = None) -> str:
    """What JSON.stringify writes; `default` gives a substitute for a value that JSON has no type for.

    Lone surrogates are escaped, as JSON.stringify does, so that the text is always valid UTF-8. Keys
    that are numbers, booleans or None become strings, as everywhere in Python. Raises TypeError for
    what JSON has no type for; ValueError for NaN, infinities, cycles and more than MAX_DEPTH levels.
    """
    try:
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False, default=default)
    except RecursionError:
        raise ValueError(_too_deep()) from None
    if _depth_exceeds(text, MAX_DEPTH):
        raise ValueError(_too_deep())
    return _SURROGATE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def loads(text: str) -> Any:
    """The value of `text`; whatever is wrong with it, a ProtocolError.

    Strings may hold lone surrogates, if escapes in the text say so: `dumps` takes them back.
    """
    if _depth_exceeds(text, MAX_DEPTH):
        raise ProtocolError(_too_deep())
    try:
        return _DECODER.decode(text)
    except ValueError as error:
        raise ProtocolError(f"JSON cannot be read: {error}") from error


def _depth_exceeds(text: str, limit: int) -> bool:
    if text.count("[") + text.count("{") <= limit:
        return False
    brackets = _NO_BRACKET.sub("", _STRING.sub("", text))
    depths = accumulate(1 if bracket in "[{" else -1 for bracket in brackets)
    return any(depth > limit for depth in depths)


def _too_deep() -> str:
    return f"data is nested deeper than {MAX_DEPTH} levels"


def _integer(digits: str) -> int:
    if len(digits.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"an integer has more than {MAX_DIGITS} digits")
    return int(digits)


def _number(digits: str) -> float:
    value = float(digits)
    if math.isinf(value):
        raise ValueError("a number is too large")
    return value


def _constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON value")


_DECODER = json.JSONDecoder(parse_int=_integer, parse_float=_number, parse_constant=_constant)
