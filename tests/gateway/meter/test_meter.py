"""What the meter makes of the journal and of AWS's calls."""

from typing import Any

import pytest

from gateway.aws.calls import AwsCall
from gateway.journal import Connected, Disconnected, Invoked, Journal, Received, Requested, Returned, Sent
from gateway.meter.meter import Meter, Sizing


def call(service: str, operation: str, resource: str = "", key: str = "ASIA", **more: Any) -> AwsCall:
    return AwsCall(key, service, operation, resource, 200, "", 0.0, 0.001, 10, 10, **more)


def quantities(meter: Meter, now: float = 0.0) -> dict[str, float]:
    return {line.price.unit: float(line.quantity) for line in meter.bill(now).lines}


def test_a_connection_and_its_messages() -> None:
    meter, journal = Meter({}), Journal()
    journal.subscribe(meter.read)
    journal.write(Connected(100.0, "c", "r", "Api", "prod", "127.0.0.1", None))
    journal.write(Connected(100.0, "open", "r", "Api", "prod", "127.0.0.1", None))
    journal.write(Received(101.0, "c", "r", "$default", "é" * 16384))
    journal.write(Received(101.0, "c", "r", "$default", "x"))
    journal.write(Sent(101.0, "c", "r", b"x" * 131072))
    journal.write(Disconnected(190.0, "c", "r", 1000, ""))
    assert quantities(meter, 130.0) == {"websocket-message": 1 + 1 + 4, "connection-minute": 1.5 + 0.5}
    bill = meter.bill(130.0)
    assert bill.messages == 3
    assert quantities(meter, 160.0)["connection-minute"] == 2.5


def test_a_connection_that_was_there_before_is_not_guessed() -> None:
    meter = Meter({})
    meter.read(Disconnected(190.0, "c", "r", 1000, ""))
    assert quantities(meter) == {}


def test_requests_of_an_http_api() -> None:
    meter = Meter({})
    meter.read(Requested(0.0, "r", "Api", "GET", "/", 200, 0, 100, 0.1))
    meter.read(Requested(0.0, "r", "Api", "POST", "/", 200, 600 * 1024, 100, 0.1))
    meter.rest_request()
    assert quantities(meter) == {"http-request": 3, "rest-request": 1}


def test_an_invocation_is_billed_with_its_start() -> None:
    meter = Meter({"Chat": Sizing(512, "arm64"), "Old": Sizing(1024)}, schedules={"Sweep"})
    meter.read(Invoked(0.0, "1", "Chat", "r", b"{}", 0.25))
    meter.read(Returned(0.0, "1", "Chat", 0.75, b"null"))
    meter.read(Invoked(0.0, "2", "Old", "Sweep", b"{}", None))
    meter.read(Returned(0.0, "2", "Old", 0.0101, b"null"))
    assert quantities(meter) == {
        "lambda-request": 2,
        "lambda-gb-second-arm64": 0.5,
        "lambda-gb-second-x86_64": 0.011,
        "schedule": 1,
    }


def test_dynamodb_and_streams() -> None:
    meter = Meter({})
    meter.aws_call(call("dynamodb", "PutItem", "t", write_units=3))
    meter.aws_call(call("dynamodb", "GetItem", "t", read_units=0.5))
    meter.aws_call(call("dynamodb", "Query", "t", read_units=2.0))
    meter.aws_call(call("dynamodbstreams", "GetRecords", "t"))
    # What Lambda's event source mappings read is free.
    meter.aws_call(call("dynamodbstreams", "GetRecords", "t", key="local"))
    assert quantities(meter) == {"dynamodb-write-unit": 3, "dynamodb-read-unit": 2.5, "dynamodb-stream-read": 1}


def test_queues() -> None:
    meter = Meter({})
    meter.aws_call(call("sqs", "SendMessage", "q", requests=4))
    meter.aws_call(call("sqs", "SendMessage", "q.fifo"))
    # API Gateway would have sent three.
    meter.aws_call(call("sqs", "SendMessageBatch", "q.fifo", key="local", changed=(("q.fifo", "g"),) * 3))
    meter.aws_call(call("sqs", "ReceiveMessage", "q.fifo", key="local"))
    # CloudFormation makes queues, not the run.
    meter.aws_call(call("sqs", "CreateQueue", "q.fifo", key="local"))
    assert quantities(meter) == {"sqs-request": 4, "sqs-fifo-request": 1 + 3 + 1}


@pytest.mark.parametrize(("counted", "requests"), [(False, {}), (True, {"sqs-request": 1})])
def test_polls_that_find_nothing(counted: bool, requests: dict[str, float]) -> None:
    meter = Meter({}, count_empty_receives=counted)
    meter.aws_call(call("sqs", "ReceiveMessage", "q", key="local", empty=True))
    assert quantities(meter) == requests
    assert any("650,000 requests a month" in note for note in meter.bill(0).notes) is not counted
    # A function's own are billed as any request.
    meter.aws_call(call("sqs", "ReceiveMessage", "q", empty=True))
    assert quantities(meter) == {"sqs-request": requests.get("sqs-request", 0) + 1}


def test_objects() -> None:
    meter = Meter({})
    for method, path in (("PUT", "/b/k"), ("GET", "/b/k"), ("HEAD", "/b/k"), ("GET", "/b"), ("DELETE", "/b/k")):
        meter.aws_call(call("s3", method, path))
    assert quantities(meter) == {"s3-write": 2, "s3-read": 2}


def test_what_has_no_price_is_named() -> None:
    meter = Meter({})
    for _ in range(2):
        meter.aws_call(call("ssm", "GetParameter", "/a"))
    meter.aws_call(call("sts", "GetCallerIdentity"))
    bill = meter.bill(0)
    assert bill.lines == ()
    assert bill.notes[0].startswith("data transfer")
    assert "2 calls of ssm" in bill.notes
    assert len(bill.notes) == 2
