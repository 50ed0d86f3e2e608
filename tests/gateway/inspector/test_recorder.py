"""The recorder: what belongs together is together, and memory does not grow."""

import json
from typing import Any

from gateway.inspector.recorder import Recorder
from gateway.journal import (
    Called,
    Connected,
    Disconnected,
    Entry,
    Injected,
    Invoked,
    Logged,
    Managed,
    Received,
    Refused,
    Requested,
    Returned,
    Sent,
)

MESSAGE = json.dumps({"requestContext": {"eventType": "MESSAGE", "connectionId": "c1="}}).encode()


def recorder(*entries: Entry, most: int = 100, size: int = 1_000_000) -> Recorder:
    made = Recorder(most, size)
    for entry in entries:
        made.record(entry)
    return made


def rows(made: Recorder, since: int = 0) -> list[dict[str, Any]]:
    return made.rows(since, 1000)


FRAME = (
    Connected(1, "c1=", "r0", "Api", "live", "127.0.0.1", "agent"),
    Received(2, "c1=", "r1", "$default", "hello"),
    Invoked(2.1, "i1", "Fn", "r1", MESSAGE, 0.5),
    Logged(2.2, "i1", "Fn", "working"),
    Called(2.2, "i1", "dynamodb", "PutItem", "Table", 200, "", 0.01),
    Sent(2.3, "c1=", "i1", b"posted"),
    Managed(2.3, "i1", "POST", "c1=", 200, 6),
    Returned(2.5, "i1", "Fn", 0.4, b'{"statusCode":200}'),
    Sent(2.6, "c1=", "r1", b"answered"),
)


def test_a_frame_and_all_that_it_did() -> None:
    made = recorder(*FRAME)
    assert [row["kind"] for row in rows(made)] == ["connect", "in", "out", "out"]
    _, frame, posted, answered = rows(made)
    assert frame["duration"] == 0.5
    assert frame["functions"] == ["Fn"]
    assert frame["cold"]
    assert not frame["running"]
    assert posted["parent"] == answered["parent"] == frame["number"]
    trace = made.trace(frame["number"])
    assert trace is not None
    (run,) = trace["runs"]
    assert (run["init"], run["duration"], run["answer"]) == (0.5, 0.4, {"statusCode": 200})
    assert run["logs"] == [{"at": 2.2, "fault": False, "lines": [{"text": "working", "level": None}]}]
    assert [call["operation"] for call in run["calls"]] == ["PutItem"]
    assert [post["status"] for post in run["posts"]] == [200]
    assert [frame["text"] for frame in trace["sent"]] == ["posted", "answered"]
    # A frame that went out leads to what it is due to.
    assert made.trace(posted["number"]) == trace
    (client,) = made.clients(0)
    assert (client["received"], client["sent"], client["active"]) == (1, 2, 2.6)


def test_a_connection_begins_with_the_invocation_of_its_upgrade() -> None:
    event = {"requestContext": {"eventType": "CONNECT", "connectionId": "c1=", "routeKey": "$connect"}}
    made = recorder(Invoked(1, "i1", "Fn", "r0", json.dumps(event).encode(), None))
    assert [(row["kind"], row["route"], row["running"]) for row in rows(made)] == [("run", "$connect", True)]
    made.record(Returned(1.2, "i1", "Fn", 0.2, b"{}"))
    made.record(Connected(1.3, "c1=", "r0", "Api", "live", "127.0.0.1", None))
    (row,) = rows(made)
    assert (row["kind"], row["connection"], row["functions"], row["running"]) == ("connect", "c1=", ["Fn"], False)


def test_an_authorizer_and_its_upgrade_are_one() -> None:
    event = b'{"requestContext":{"connectionId":"c1="}}'
    made = recorder(
        Invoked(1, "i1", "Authorizer", "r0", event, None),
        Returned(1.1, "i1", "Authorizer", 0.1, b"{}"),
        Invoked(1.1, "i2", "Connect", "r0", event, None),
        Returned(1.2, "i2", "Connect", 0.1, b"{}"),
        Refused(1.2, "r0", "Api", "live", 403),
    )
    assert [(row["kind"], row["functions"], row["status"]) for row in rows(made)] == [
        ("refused", ["Authorizer", "Connect"], 403)
    ]


def test_an_http_request_takes_its_invocation_over() -> None:
    event = {"version": "2.0", "requestContext": {"http": {"method": "GET", "path": "/a"}}}
    made = recorder(Invoked(1, "i1", "Fn", "r1", json.dumps(event).encode(), None))
    assert (rows(made)[0]["route"], rows(made)[0]["text"]) == ("GET", "/a")
    made.record(Returned(1.1, "i1", "Fn", 0.1, b"{}"))
    made.record(Requested(1.2, "r1", "Http", "GET", "/a", 200, 0, 5, 0.25))
    (row,) = rows(made)
    assert (row["kind"], row["status"], row["at"], row["duration"], row["size"]) == ("http", 200, 0.95, 0.25, 5)


def test_a_batch_that_comes_again_is_news() -> None:
    record = {"eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:r:1:Jobs", "body": "job"}
    event = json.dumps({"Records": [record]}).encode()
    made = recorder(
        Invoked(1, "i1", "Fn", "m1", event, None),
        Returned(2, "i1", "Fn", 1, b"", "ValueError", "no"),
        Invoked(31, "i2", "Fn", "m1", event, None),
    )
    first, second = rows(made)
    assert (first["error"], second["error"]) == ("ValueError", "")
    assert (second["route"], second["text"]) == ("Jobs", "1 × job")
    assert made.totals["errors"] == made.totals["running"] == 1


def test_a_batch_of_a_connections_own_group_is_the_connections() -> None:
    record = {"eventSourceARN": "arn:aws:sqs:r:1:F.fifo", "attributes": {"MessageGroupId": "SOqGjdZioAMCEeg="}}
    made = recorder(Invoked(1, "i1", "Fn", "m1", json.dumps({"Records": [record]}).encode(), None))
    assert rows(made)[0]["connection"] == "SOqGjdZioAMCEeg="


def test_what_is_new_is_what_has_changed() -> None:
    made = recorder(*FRAME[:3])
    since = made.version
    assert rows(made, since) == []
    assert made.clients(since) == []
    made.record(FRAME[7])
    assert [row["request"] for row in rows(made, since)] == ["r1"]
    made.record(Disconnected(9, "c1=", "r9", 1001, "Going away"))
    (client,) = made.clients(since)
    assert (client["ended"], client["code"]) == (9, 1001)
    assert made.open == 0


def test_of_many_changes_the_latest_are_told() -> None:
    made = recorder(*(Received(at, "c1=", f"r{at}", "$default", "x") for at in range(50)))
    assert [row["request"] for row in made.rows(0, 2)] == ["r48", "r49"]


def test_memory_does_not_grow_with_time() -> None:
    made = Recorder(100, 10_000_000)
    for number in range(10_000):
        made.record(Received(number, "c1=", f"r{number}", "$default", "x" * 100))
        made.record(Invoked(number, f"i{number}", "Fn", f"r{number}", MESSAGE, None))
        made.record(Logged(number, f"i{number}", "Fn", "line"))
        made.record(Returned(number, f"i{number}", "Fn", 0.1, b"{}"))
        made.record(Sent(number, "c1=", f"i{number}", b"y"))
    assert len(rows(made)) == 100
    for kept in (made._by_request, made._by_run, made._rows, made._by_age):
        assert len(kept) <= 100
    assert made.oldest == rows(made)[0]["number"]
    assert made.trace(1) is None


def test_what_nobody_looks_at_is_counted_and_the_latest_is_there_to_see() -> None:
    made = recorder(*FRAME, most=10)
    assert len(rows(made)) == 4
    for number in range(1000):
        made.record(Received(10 + number, "c1=", f"f{number}", "$default", "x"))
        made.record(Called(10 + number, "", "sqs", "ReceiveMessage", "Queue", 200, "", 0.01))
    made.record(Disconnected(2000, "c1=", "r9", 1000, ""))
    assert len(made._waiting) <= 4 * 10
    assert [row["request"] for row in rows(made)] == [*(f"f{number}" for number in range(991, 1000)), "r9"]
    assert (made.totals["received"], made.totals["sent"], made.totals["running"]) == (1001, 2, 0)
    (client,) = made.clients(0)
    assert (client["received"], client["sent"], client["code"]) == (1001, 2, 1000)


def test_what_waits_is_bounded_in_size() -> None:
    made = Recorder(1_000_000, 1_000_000)
    for number in range(1000):
        made.record(Sent(number, "c1=", f"r{number}", b"x" * 50_000))
        assert made._waiting_size <= 1_000_000
    assert made.totals["sent"] == 1000
    assert 0 < len(rows(made)) <= 20


def test_memory_does_not_grow_with_size() -> None:
    made = Recorder(1_000_000, 1_000_000)
    for number in range(1000):
        made.record(Invoked(number, f"i{number}", "Fn", "", b"x" * 50_000, None))
        assert made.weight <= 1_000_000
    assert made.totals["running"] == 1000
    # Not with that of one invocation either.
    for number in range(5000):
        made.record(Logged(number, "i999", "Fn", "x" * 1000))
    assert made.weight < 2_000_000


def test_what_is_forgotten_does_not_weigh() -> None:
    made = Recorder(1, 1_000_000)
    made.record(Received(1, "c1=", "r1", "$default", "x" * 1000))
    made.record(Invoked(1, "i1", "Fn", "r1", MESSAGE, None))
    made.record(Received(2, "c1=", "r2", "$default", ""))
    alone = Recorder(1, 1_000_000)
    alone.record(Received(2, "c1=", "r2", "$default", ""))
    # Its end comes when it is no longer there.
    made.record(Returned(3, "i1", "Fn", 2, b"x" * 1000))
    assert made.weight == alone.weight
    assert made.totals["running"] == 0


def test_a_line_that_tells_of_an_error_marks_its_frame() -> None:
    made = recorder(*FRAME[:3], Logged(3, "i1", "Fn", '{"level": "ERROR", "message": "no"}'))
    assert rows(made)[1]["complains"]


def test_a_fault_on_purpose() -> None:
    made = recorder(FRAME[0], Injected(2, "disconnect", "c1=", "cut"))
    assert [(row["kind"], row["connection"], row["text"]) for row in rows(made)][1:] == [("fault", "c1=", "c1=  cut")]


def test_lines_of_no_invocation() -> None:
    made = recorder(Logged(1, "", "Fn", "it does not load", fault=True))
    (row,) = rows(made)
    assert (row["kind"], row["route"], row["text"], row["status"]) == ("log", "Fn", "it does not load", 1)
