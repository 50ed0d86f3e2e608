import io
import json

import pytest

from gateway.console import Console
from gateway.journal import Logged


def shown(line: str) -> list[str]:
    err = io.StringIO()
    Console(io.StringIO(), err).show(Logged(0, "0123456789ab", "Fn", line))
    return [part.removeprefix("Fn 01234567 | ") for part in err.getvalue().splitlines()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("plain", ["plain"]),
        ("[ERROR] E: m\rTraceback (most recent call last):\r\u00a0\u00a0File", None),
        ('{"not": "a log line"}', ['{"not": "a log line"}']),
        ("{broken", ["{broken"]),
        (json.dumps({"timestamp": "t", "level": "INFO", "message": "m", "requestId": "r"}), ["INFO m"]),
        (json.dumps({"level": "WARN", "message": "m", "room": 5}), ['WARN m {"room": 5}']),
    ],
)
def test_lines(line: str, expected: list[str] | None) -> None:
    assert shown(line) == (expected or ["[ERROR] E: m", "Traceback (most recent call last):", "  File"])


def test_a_stack_is_spread_over_lines() -> None:
    record = {
        "timestamp": "t",
        "level": "ERROR",
        "errorMessage": "no",
        "errorType": "ValueError",
        "requestId": "r",
        "stackTrace": ['  File "a.py", line 1, in f\n    raise ValueError("no")\n'],
    }
    assert shown(json.dumps(record)) == [
        "ERROR ValueError: no",
        '  File "a.py", line 1, in f',
        '    raise ValueError("no")',
    ]


def test_a_logged_exception_keeps_its_message_and_its_stack() -> None:
    record = {
        "level": "ERROR",
        "message": "while delivering",
        "errorMessage": "no",
        "errorType": "ValueError",
        "stackTrace": ["  File x"],
    }
    assert shown(json.dumps(record)) == ["ERROR while delivering", "ValueError: no", "  File x"]


def test_a_closed_terminal_stops_nothing() -> None:
    err = io.StringIO()
    console = Console(io.StringIO(), err)
    err.close()
    console.note("nobody reads this")
