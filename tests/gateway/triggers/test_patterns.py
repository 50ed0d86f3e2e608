"""Event patterns; the cases are those of AWS's own pages."""

import json
from typing import Any

import pytest

from gateway.triggers.patterns import PatternError, matches, message_matches, parse

EVENT = {
    "source": "aws.ec2",
    "account": None,
    "empty": "",
    "detail": {
        "state": "Initializing",
        "count": 5,
        "ratio": 1.5,
        "ok": True,
        "address": "10.0.0.17",
        "file": "images/cat.png",
        "tags": ["red", "green"],
        "parts": [{"name": "a", "size": 1}, {"name": "b", "size": 2}],
        "nothing": [],
    },
}


@pytest.mark.parametrize(
    ("detail", "expected"),
    [
        ({"state": ["Initializing"]}, True),
        ({"state": ["initializing"]}, False),
        ({"state": [{"equals-ignore-case": "INITIALIZING"}]}, True),
        ({"state": [{"prefix": "Init"}]}, True),
        ({"state": [{"prefix": {"equals-ignore-case": "init"}}]}, True),
        ({"file": [{"suffix": ".png"}]}, True),
        ({"file": [{"suffix": {"equals-ignore-case": ".PNG"}}]}, True),
        ({"file": [{"suffix": ".jpg"}]}, False),
        ({"file": [{"wildcard": "images/*.png"}]}, True),
        ({"file": [{"wildcard": "images/?at.png"}]}, False),
        ({"state": [{"anything-but": "Initializing"}]}, False),
        ({"state": [{"anything-but": ["Running", "Stopped"]}]}, True),
        ({"state": [{"anything-but": {"prefix": "Init"}}]}, False),
        ({"state": [{"anything-but": {"suffix": ["x", "y"]}}]}, True),
        ({"state": [{"anything-but": {"equals-ignore-case": "initializing"}}]}, False),
        ({"absent": [{"anything-but": "x"}]}, False),
        ({"count": [5]}, True),
        ({"count": [5.0]}, True),
        ({"count": ["5"]}, False),
        ({"ok": [True]}, True),
        ({"ok": [1]}, False),
        ({"count": [{"numeric": ["=", 5]}]}, True),
        ({"count": [{"numeric": [">", 0, "<=", 5]}]}, True),
        ({"count": [{"numeric": [">", 5]}]}, False),
        ({"state": [{"numeric": [">", 0]}]}, False),
        ({"ok": [{"numeric": [">", 0]}]}, False),
        ({"address": [{"cidr": "10.0.0.0/24"}]}, True),
        ({"address": [{"cidr": "10.0.1.0/24"}]}, False),
        ({"state": [{"cidr": "10.0.1.0/24"}]}, False),
        ({"state": [{"exists": True}]}, True),
        ({"state": [{"exists": False}]}, False),
        ({"absent": [{"exists": False}]}, True),
        ({"absent": {"deeper": [{"exists": False}]}}, True),
        ({"parts": [{"exists": True}]}, False),
        ({"tags": ["green", "blue"]}, True),
        ({"tags": ["blue"]}, False),
        ({"parts": {"name": ["b"]}}, True),
        ({"parts": {"name": ["c"]}}, False),
        ({"nothing": [{"exists": True}]}, False),
        ({"$or": [{"count": [6]}, {"ratio": [1.5]}]}, True),
        ({"$or": [{"count": [6]}, {"ratio": [2]}], "ok": [True]}, False),
        ({"$or": [{"count": [5]}, {"ratio": [2]}], "ok": [False]}, False),
        ({"state": ["x", {"prefix": "Init"}], "count": [5]}, True),
        ({"state": {"deeper": ["x"]}}, False),
    ],
)
def test_fields(detail: dict[str, Any], expected: bool) -> None:
    assert matches(parse(json.dumps({"detail": detail})), EVENT) is expected


def test_null_and_empty() -> None:
    assert matches({"account": [None], "empty": [""]}, EVENT)
    assert not matches({"source": [None]}, EVENT)
    assert not matches({"absent": [None]}, EVENT)


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        "{}",
        '{"a": "b"}',
        '{"a": []}',
        '{"a": [["b"]]}',
        '{"a": {}}',
        '{"a": [{"like": "b"}]}',
        '{"a": [{"prefix": "b", "suffix": "c"}]}',
        '{"a": [{"numeric": [">"]}]}',
        '{"a": [{"numeric": ["!", 1]}]}',
        '{"a": [{"numeric": [">", "1"]}]}',
        '{"$or": [{"a": ["b"]}]}',
    ],
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(PatternError):
        parse(text)


@pytest.mark.parametrize(
    ("pattern", "body", "expected"),
    [
        ({"body": {"a": [1]}}, '{"a": 1}', True),
        ({"body": {"a": [1]}}, '{"a": 2}', False),
        ({"body": {"a": [1]}}, "text", False),
        ({"body": ["text"]}, "text", True),
        ({"body": ["5"]}, "5", True),
        ({"body": ["text"]}, '{"a": 1}', False),
        ({"attributes": {"SenderId": ["me"]}}, '{"a": 1}', True),
        ({"attributes": {"SenderId": ["me"]}}, "text", True),
        ({"attributes": {"SenderId": ["you"]}}, "text", False),
    ],
)
def test_bodies_of_messages(pattern: dict[str, Any], body: str, expected: bool) -> None:
    record = {"body": body, "attributes": {"SenderId": "me"}}
    assert message_matches([{"messageId": ["other"]}, pattern], record) is expected
