import asyncio
import io
import json
from typing import Any

import pytest

from gateway.console import Console, Detail
from gateway.journal import (
    Called,
    Connected,
    Disconnected,
    Entry,
    Invoked,
    Logged,
    Managed,
    Received,
    Refused,
    Requested,
    Returned,
    Sent,
)
from gateway.json_lines import JsonConsole


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


# ---- what happens

MESSAGE = b'{"requestContext":{"eventType":"MESSAGE"}}'
RECEIVED = Received(0, "0123456789abcde=", "r1", "$default", "hello")
INVOKED = Invoked(0, "11111111-2222", "Fn", "r1", MESSAGE, None)
RETURNED = Returned(0, "11111111-2222", "Fn", 0.0123, b"{}")


async def told(*entries: Entry, **options: Any) -> list[str]:
    """Return the lines of entries, without their time."""
    err = io.StringIO()
    console = Console(io.StringIO(), err, **options)
    for entry in entries:
        console.show(entry)
    return [line[13:] if " | " not in line else line for line in err.getvalue().splitlines()]


@pytest.mark.anyio
async def test_a_frame_is_a_line_with_its_duration() -> None:
    assert await told(RECEIVED, INVOKED, RETURNED) == ["→ 01234567 $default          5 B    12 ms  hello"]


@pytest.mark.anyio
async def test_what_a_frame_brings_about_is_told_after_it() -> None:
    sent = Sent(0, "0123456789abcde=", "11111111-2222", b"answer")
    assert await told(RECEIVED, INVOKED, Logged(0, "11111111-2222", "Fn", "working"), sent, RETURNED) == [
        "→ 01234567 $default          5 B           hello",
        "Fn 11111111 | working",
        "← 01234567                   6 B           answer",
        "✓ Fn 11111111  12 ms",
    ]


@pytest.mark.anyio
async def test_a_frame_that_nothing_follows_is_told_in_a_moment() -> None:
    err = io.StringIO()
    console = Console(io.StringIO(), err)
    console.show(RECEIVED)
    assert not err.getvalue()
    async with asyncio.timeout(5):
        while "hello" not in err.getvalue():
            await asyncio.sleep(0.01)


def test_without_an_event_loop_a_frame_is_told_at_once() -> None:
    err = io.StringIO()
    Console(io.StringIO(), err).show(RECEIVED)
    assert "hello" in err.getvalue()


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("entry", "line"),
    [
        (Connected(0, "0123456789", "r", "Api", "live", "::1", "agent"), "● 01234567 connected  live  ::1  agent"),
        (Refused(0, "r", "Api", "live", 403), "✕ -------- refused 403  live"),
        (Disconnected(0, "0123456789", "r", 1001, "Going away"), "○ 01234567 closed 1001  Going away"),
        (Received(0, "0123456789", "r", None, "?"), "→ 01234567 no route          1 B           ?"),
        (Requested(0, "r", "Http", "GET", "/a", 200, 0, 2048, 0.005), "⇄ GET /a 200  2.0 KB  5 ms"),
        (Managed(0, "i", "POST", "0123456789", 410, 5), "· 01234567 @connections POST 410"),
        (Sent(0, "0123456789", "", b"\x1b[31m\n"), "← 01234567                   6 B           \\x1b[31m\\n"),
        (Sent(0, "0123456789", "", b"x" * 200), f"← 01234567                 200 B           {'x' * 100}…"),
    ],
)  # fmt: skip
async def test_lines_of_traffic(entry: Entry, line: str) -> None:
    assert await told(entry) == [line]
    assert await told(entry, detail=Detail.QUIET) == []


@pytest.mark.anyio
async def test_runs_of_a_schedule_are_told_and_calls_of_a_request_are_not() -> None:
    run = (
        Invoked(0, "11111111", "Fn", "Tick", b'{"source":"aws.events"}', None),
        Returned(0, "11111111", "Fn", 0.002, b""),
    )
    assert await told(*run) == ["✓ Fn 11111111  2 ms  for Tick"]
    http = (
        Invoked(0, "11111111", "Fn", "r", b'{"requestContext":{}}', None),
        Returned(0, "11111111", "Fn", 0.002, b""),
    )
    assert await told(*http) == []
    failed = (http[0], Returned(0, "11111111", "Fn", 0.002, b"", "ValueError", "no"))
    assert await told(*failed) == ["✗ Fn 11111111  2 ms  ValueError"]


@pytest.mark.anyio
async def test_a_failure_has_its_stack_once() -> None:
    stack = Logged(0, "11111111-2222", "Fn", "[ERROR] ValueError: no\rTraceback (most recent call last):\r  File")
    failed = Returned(0, "11111111-2222", "Fn", 0.001, b"", "ValueError", "no")
    lines = await told(RECEIVED, INVOKED, stack, failed)
    assert lines[1:] == [
        "Fn 11111111 | [ERROR] ValueError: no",
        "Fn 11111111 | Traceback (most recent call last):",
        "Fn 11111111 |   File",
        "✗ Fn 11111111  1 ms  ValueError",
    ]
    assert await told(RECEIVED, INVOKED, stack, failed, detail=Detail.QUIET) == lines[1:4]


@pytest.mark.anyio
async def test_quiet_and_verbose() -> None:
    log, fault = Logged(0, "1", "Fn", "working"), Logged(0, "1", "Fn", "it has ended", fault=True)
    errors = [Logged(0, "1", "Fn", line) for line in ('{"level": "ERROR", "message": "no"}', "t\ti\tERROR\tno")]
    assert len(await told(log, fault, *errors, detail=Detail.QUIET)) == 3
    call = Called(0, "11111111", "dynamodb", "PutItem", "Table", 200, "", 0.003)
    assert await told(call) == []
    assert await told(call, detail=Detail.VERBOSE) == ["· 11111111 dynamodb PutItem Table  200  3 ms"]
    assert len((await told(Sent(0, "c", "", b"x" * 5000), detail=Detail.VERBOSE))[0]) > 5000


@pytest.mark.anyio
async def test_of_much_traffic_the_rest_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr("gateway.console.time.monotonic", lambda: now)
    err = io.StringIO()
    console = Console(io.StringIO(), err, limit=3)
    sent = Sent(0, "c", "", b"x")
    for _ in range(10):
        console.show(sent)
    console.show(Logged(0, "1", "Fn", "what functions write is complete"))
    now = 101.0
    console.show(sent)
    assert [line.partition(" ")[2][:1] if "|" not in line else "|" for line in err.getvalue().splitlines()] == [
        *"←←←", "|", "7", "←"
    ]  # fmt: skip


@pytest.mark.anyio
async def test_nothing_is_made_when_nobody_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    err = io.StringIO()
    console = Console(io.StringIO(), err)
    err.close()
    console.note("the first word finds that out")
    monkeypatch.setattr(console, "_text", pytest.fail)
    console.show(Sent(0, "c", "", b"x"))


@pytest.mark.parametrize(("no_colour", "coloured"), [("", True), ("1", False)])
def test_colours_only_where_they_are_wanted(monkeypatch: pytest.MonkeyPatch, no_colour: str, coloured: bool) -> None:
    monkeypatch.setenv("NO_COLOR", no_colour)
    err = io.StringIO()
    monkeypatch.setattr(err, "isatty", lambda: True)
    Console(io.StringIO(), err).note("look")
    assert ("\x1b[" in err.getvalue()) == coloured


# ---- for machines


def test_every_entry_is_an_object_of_its_own_fields() -> None:
    out = io.StringIO()
    console = JsonConsole(out)
    console.progress("working")
    console.ready("http://localhost:1/", [("ws://localhost:1/live", "Api")])
    console.show(RECEIVED)
    console.show(INVOKED)
    console.show(Sent(0.5, "c", "r", b"a\nb"))
    console.note("mind this")
    console.bill("$ 1", {"total": 1})
    assert [json.loads(line) for line in out.getvalue().splitlines()] == [
        {"type": "progress", "text": "working"},
        {"type": "ready", "url": "http://localhost:1/", "addresses": {"Api": ["ws://localhost:1/live"]}},
        {
            "type": "received", "at": 0, "connection": "0123456789abcde=", "request": "r1", "route": "$default",
            "text": "hello",
        },
        {
            "type": "invoked", "at": 0, "invocation": "11111111-2222", "function": "Fn", "cause": "r1", "init": None,
            "payload": {"requestContext": {"eventType": "MESSAGE"}},
        },
        {"type": "sent", "at": 0.5, "connection": "c", "cause": "r", "data": "a\nb"},
        {"type": "note", "text": "mind this"},
        {"type": "bill", "values": {"total": 1}},
    ]  # fmt: skip
