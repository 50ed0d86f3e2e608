"""Event patterns: which events a filter of an event source lets through.

https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-create-pattern-operators.html
https://docs.aws.amazon.com/lambda/latest/dg/invocation-eventfiltering.html
"""

import ipaddress
import json
import operator
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any

Pattern = Mapping[str, Any]

_ABSENT: Any = object()
_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    "=": operator.eq,
    ">=": operator.ge,
    ">": operator.gt,
}
_MATCHERS = (
    "anything-but",
    "cidr",
    "equals-ignore-case",
    "exists",
    "numeric",
    "prefix",
    "suffix",
    "wildcard",
)


class PatternError(Exception):
    """A text that is no event pattern."""


def parse(text: str) -> Pattern:
    """Return the pattern that a text says. Raises PatternError."""
    try:
        pattern: Any = json.loads(text)
    except ValueError:
        raise PatternError(f"no JSON: {text}") from None
    _check(pattern, "the pattern")
    return dict(pattern)


def matches(pattern: Pattern, event: Mapping[str, Any]) -> bool:
    """Tell whether an event has what every field of the pattern asks for."""
    for name, wanted in pattern.items():
        if name == "$or":
            if not any(matches(alternative, event) for alternative in wanted):
                return False
        elif not _field(wanted, event.get(name, _ABSENT)):
            return False
    return True


def message_matches(patterns: Iterable[Pattern], record: Mapping[str, Any]) -> bool:
    """Tell whether a queue's message passes one of the patterns; its body counts as what its JSON says.

    [D] A body of another kind than the pattern's, text or JSON, is dropped.
    """
    try:
        body = json.loads(record["body"])
    except ValueError:
        body = record["body"]
    # Text that happens to be a number is text.
    event = {**record, "body": body if isinstance(body, dict | list) else record["body"]}
    return any(matches(pattern, event) for pattern in patterns)


def _field(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, Mapping):
        if isinstance(value, list):
            return any(_field(wanted, item) for item in value)
        # What is absent, or no object, may still be what {"exists": false} asks for.
        return matches(wanted, value if isinstance(value, Mapping) else {})
    if isinstance(value, list):
        # An empty list is as good as none.
        return any(_one(matcher, item) for matcher in wanted for item in value or [_ABSENT])
    return any(_one(matcher, value) for matcher in wanted)


def _one(matcher: Any, value: Any) -> bool:
    if not isinstance(matcher, Mapping):
        return _equal(matcher, value)
    ((kind, argument),) = matcher.items()
    # [D] A leaf is what exists; an object is none.
    present = value is not _ABSENT and not isinstance(value, Mapping)
    if kind == "exists":
        return present is bool(argument)
    if not present:
        return False
    match kind:
        case "anything-but":
            if isinstance(argument, Mapping):
                ((inner, texts),) = argument.items()
                return not any(_one({inner: text}, value) for text in _listed(texts))
            return not any(_equal(item, value) for item in _listed(argument))
        case "numeric":
            pairs = zip(argument[::2], argument[1::2], strict=True)
            return _is_number(value) and all(_COMPARISONS[sign](value, limit) for sign, limit in pairs)
    return isinstance(value, str) and _text_matches(kind, argument, value)


def _text_matches(kind: str, argument: Any, text: str) -> bool:
    if kind in ("prefix", "suffix") and isinstance(argument, Mapping):
        argument, text = argument["equals-ignore-case"].lower(), text.lower()
    match kind:
        case "prefix":
            return text.startswith(argument)
        case "suffix":
            return text.endswith(argument)
        case "equals-ignore-case":
            return text.lower() == str(argument).lower()
        case "wildcard":
            return _wildcard(argument).fullmatch(text) is not None
    try:
        return ipaddress.ip_address(text) in ipaddress.ip_network(argument, strict=False)
    except ValueError:
        return False


@lru_cache(maxsize=256)
def _wildcard(text: str) -> re.Pattern[str]:
    # `*` is the only wildcard; the others of a file name's pattern stand for themselves.
    return re.compile(".*".join(re.escape(part) for part in text.split("*")), re.DOTALL)


def _equal(wanted: Any, value: Any) -> bool:
    # JSON's true is no 1.
    return wanted == value and (type(wanted) is type(value) or (_is_number(wanted) and _is_number(value)))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _check(pattern: Any, where: str) -> None:
    if not isinstance(pattern, dict) or not pattern:
        raise PatternError(f"{where} is no object with fields")
    for name, wanted in pattern.items():
        if name == "$or":
            if not isinstance(wanted, list) or len(wanted) < 2:
                raise PatternError("$or takes a list of patterns")
            for alternative in wanted:
                _check(alternative, "$or")
        elif isinstance(wanted, dict):
            _check(wanted, name)
        elif not isinstance(wanted, list) or not wanted:
            raise PatternError(f"{name} must be an object or a list of values")
        else:
            for matcher in wanted:
                _check_matcher(name, matcher)


def _check_matcher(name: str, matcher: Any) -> None:
    if isinstance(matcher, list):
        raise PatternError(f"{name}: a list in a list")
    if not isinstance(matcher, dict):
        return
    if len(matcher) != 1 or next(iter(matcher)) not in _MATCHERS:
        raise PatternError(f"{name}: no comparison {json.dumps(matcher)}")
    argument = matcher.get("numeric")
    if argument is not None:
        signs = argument[::2] if isinstance(argument, list) and len(argument) in (2, 4) else [None]
        if any(sign not in _COMPARISONS for sign in signs) or not all(map(_is_number, argument[1::2])):
            raise PatternError(f"{name}: no comparison {json.dumps(matcher)}")
