"""Calls of the embedded AWS that fail on purpose."""

import time
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from gateway.aws.faults import AwsFault, Faults
from tests.gateway.aws.conftest import Aws
from tests.gateway.aws.test_metering import key

PUT = {"service": "dynamodb", "operation": "PutItem"}


def hits(fault: AwsFault, count: int) -> list[bool]:
    faults = Faults()
    faults.set([fault])
    return [faults.of_call("dynamodb", "PutItem", "t") is not None for _ in range(count)]


def test_every_nth() -> None:
    assert hits(AwsFault(every=3), 7) == [False, False, True, False, False, True, False]
    assert hits(AwsFault(every=2, times=1), 6) == [False, True, False, False, False, False]


def test_a_rate_is_drawn_alike_at_each_run() -> None:
    first = hits(AwsFault(rate=0.3, seed=7), 1000)
    assert first == hits(AwsFault(rate=0.3, seed=7), 1000)
    assert first != hits(AwsFault(rate=0.3, seed=8), 1000)
    assert 250 < sum(first) < 350


def test_rules_do_not_hang_on_each_other() -> None:
    faults = Faults()
    half = AwsFault(rate=0.5, seed=1, error="B")
    faults.set([AwsFault(every=2, error="A"), half])
    found = [faults.of_call("dynamodb", "PutItem", "t") for _ in range(20)]
    assert [fault.error for fault in found[1::2] if fault] == ["A"] * 10
    assert [fault is not None for fault in found[::2]] == hits(half, 20)[::2]


def test_what_a_rule_is_for() -> None:
    faults = Faults()
    faults.set([AwsFault(service="sqs", operation="SendMessage", resource="q", error="E")])
    assert faults.of_call("sqs", "SendMessage", "q") is not None
    for call in (("dynamodb", "SendMessage", "q"), ("sqs", "ReceiveMessage", "q"), ("sqs", "SendMessage", "other")):
        assert faults.of_call(*call) is None
    assert faults.of_message("q") is None


@pytest.mark.parametrize("wrong", [{"rate": 1.5}, {"every": -1}, {"delay": -1}, {"duplicate": True, "error": "E"}])
def test_a_rule_that_makes_no_sense(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        AwsFault(**wrong)


@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("ProvisionedThroughputExceededException", 400),
        ("InternalServerError", 500),
        ("TransactionConflictException", 400),
        ("RequestLimitExceeded", 400),
    ],
)
@pytest.mark.parametrize("applied", [False, True])
def test_dynamodb_fails_as_botocore_knows_it(aws: Aws, code: str, status: int, applied: bool) -> None:
    table = aws.table()
    aws.faults(AwsFault(**PUT, error=code, applied=applied))  # type: ignore[arg-type]
    aws.told()
    with pytest.raises(getattr(aws.dynamodb.exceptions, code)) as caught:
        aws.dynamodb.put_item(TableName=table, Item=key())
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    (call,) = aws.told()
    assert (call.status, call.error, call.write_units) == (status, code, int(applied))
    assert ("Item" in aws.dynamodb.get_item(TableName=table, Key=key())) is applied


def test_a_transaction_is_cancelled_for_a_conflict(aws: Aws) -> None:
    table = aws.table()
    aws.faults(AwsFault(service="dynamodb", error="TransactionConflict"))
    actions = [{"Put": {"TableName": table, "Item": key(str(number))}} for number in range(2)]
    with pytest.raises(aws.dynamodb.exceptions.TransactionCanceledException) as caught:
        aws.dynamodb.transact_write_items(TransactItems=actions)
    assert [reason["Code"] for reason in caught.value.response["CancellationReasons"]] == [
        "TransactionConflict",
        "None",
    ]
    with pytest.raises(aws.dynamodb.exceptions.TransactionConflictException):
        aws.dynamodb.put_item(TableName=table, Item=key())


@pytest.mark.parametrize("applied", [False, True])
def test_a_connection_is_cut(aws: Aws, applied: bool) -> None:
    table = aws.table()
    aws.faults(AwsFault(**PUT, cut=True, applied=applied))  # type: ignore[arg-type]
    aws.told()
    with pytest.raises(ConnectionClosedError):
        aws.dynamodb.put_item(TableName=table, Item=key())
    (call,) = aws.told()
    assert (call.status, call.error) == (0, "ConnectionCut")
    aws.faults()
    assert ("Item" in aws.dynamodb.get_item(TableName=table, Key=key())) is applied


def test_an_sdk_gets_over_a_short_one(aws: Aws) -> None:
    table = aws.table()
    aws.faults(AwsFault(**PUT, error="ThrottlingException", times=1))  # type: ignore[arg-type]
    aws.told()
    aws.client("dynamodb", attempts=3).put_item(TableName=table, Item=key())
    assert [call.status for call in aws.told()] == [400, 200]


def test_a_call_is_late(aws: Aws) -> None:
    table = aws.table()
    aws.faults(AwsFault(**PUT, delay=0.3))  # type: ignore[arg-type]
    began = time.monotonic()
    aws.dynamodb.put_item(TableName=table, Item=key())
    assert time.monotonic() - began >= 0.3
    assert aws.told()[-1].duration >= 0.3


def test_a_queue_fails(aws: Aws) -> None:
    url = aws.queue()
    aws.faults(AwsFault(service="sqs", error="ServiceUnavailable"))
    with pytest.raises(ClientError) as caught:
        aws.receive(url)
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == ("ServiceUnavailable", 503)


@pytest.mark.parametrize(
    ("service", "call", "arguments"),
    [
        ("sns", "list_topics", {}),
        ("s3", "list_buckets", {}),
        ("ssm", "describe_parameters", {}),
        ("scheduler", "list_schedules", {}),
        ("iam", "list_users", {}),
    ],
)
def test_every_protocol_has_its_own_words(aws: Aws, service: str, call: str, arguments: dict[str, Any]) -> None:
    aws.faults(AwsFault(service=service, error="ThrottlingException", message="slow <down>"))
    with pytest.raises(ClientError) as caught:
        getattr(aws.client(service), call)(**arguments)
    error = caught.value.response["Error"]
    assert (error["Code"], error["Message"]) == ("ThrottlingException", "slow <down>")
    assert aws.told()[-1].error == "ThrottlingException"


@pytest.mark.parametrize("fifo", [False, True])
@pytest.mark.parametrize("deleted", [False, True])
def test_a_message_comes_again(aws: Aws, fifo: bool, deleted: bool) -> None:
    url = aws.queue(fifo=fifo)
    name = url.rpartition("/")[2]
    aws.faults(AwsFault(service="sqs", resource=name, duplicate=True, times=1, delay=5))
    more = {"MessageGroupId": "g"} if fifo else {}
    aws.sqs.send_message(QueueUrl=url, MessageBody="m", **more)
    (first,) = aws.sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])["Messages"]
    if deleted:
        aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=first["ReceiptHandle"])
    assert aws.receive(url) == []
    aws.told()
    aws.sent.clear()
    aws.advance(5)
    # Who polls is told.
    assert aws.sent == [(name, "g" if fifo else "")]
    (again,) = aws.sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["All"])["Messages"]
    assert again["MessageId"] == first["MessageId"]
    assert again["ReceiptHandle"] != first["ReceiptHandle"]
    assert [found["Attributes"]["ApproximateReceiveCount"] for found in (first, again)] == ["1", "2"]
    aws.sqs.delete_message(QueueUrl=url, ReceiptHandle=again["ReceiptHandle"])
    aws.advance(1000)
    assert aws.receive(url) == []
