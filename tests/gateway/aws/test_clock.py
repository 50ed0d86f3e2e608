"""The embedded AWS's time, turned on."""

import threading
import time
from typing import Any

import pytest

from tests.gateway.aws.conftest import Aws
from tests.gateway.aws.test_metering import item, key, stream


def test_a_visibility_timeout_passes(aws: Aws) -> None:
    url = aws.queue()
    aws.sqs.send_message(QueueUrl=url, MessageBody="m")
    assert aws.receive(url, VisibilityTimeout=100) == ["m"]
    aws.advance(99)
    assert aws.receive(url) == []
    aws.advance(1.1)
    assert aws.receive(url) == ["m"]


def test_a_delay_passes(aws: Aws) -> None:
    url = aws.queue()
    aws.sqs.send_message(QueueUrl=url, MessageBody="m", DelaySeconds=900)
    aws.advance(890)
    assert aws.receive(url) == []
    aws.advance(10)
    assert aws.receive(url) == ["m"]


def test_deduplication_lasts_five_minutes(aws: Aws) -> None:
    url = aws.queue(fifo=True)
    for advance in (0, 290, 20):
        aws.advance(advance)
        aws.sqs.send_message(QueueUrl=url, MessageBody="m", MessageGroupId="g")
    assert aws.receive(url) == ["m", "m"]


def test_what_is_kept_too_long_is_gone_and_in_nobody_s_way(aws: Aws) -> None:
    url = aws.queue(MessageRetentionPeriod="3600")
    aws.sqs.send_message(QueueUrl=url, MessageBody="old")
    aws.advance(3590)
    aws.sqs.send_message(QueueUrl=url, MessageBody="new")
    aws.advance(11)
    assert aws.receive(url) == ["new"]
    attributes = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "1"
    assert attributes["ApproximateNumberOfMessages"] == "0"


def test_time_stamps_are_of_that_time(aws: Aws) -> None:
    aws.advance(86400)
    url = aws.queue()
    aws.sqs.send_message(QueueUrl=url, MessageBody="m")
    answer = aws.sqs.receive_message(QueueUrl=url, MessageSystemAttributeNames=["SentTimestamp"])
    sent = int(answer["Messages"][0]["Attributes"]["SentTimestamp"]) / 1000
    created = aws.dynamodb.describe_table(TableName=aws.table())["Table"]["CreationDateTime"].timestamp()
    told = aws.told()[-1].at
    assert sent > time.time() + 86400 - 60
    assert abs(created - sent) < 60
    assert abs(told - sent) < 60


def expiring(aws: Aws, **more: Any) -> str:
    table = aws.table(**more)
    aws.dynamodb.update_time_to_live(
        TableName=table, TimeToLiveSpecification={"Enabled": True, "AttributeName": "until"}
    )
    return table


def now(aws: Aws) -> float:
    """Return the AWS's time."""
    aws.told()
    aws.sqs.list_queues()
    return aws.told()[0].at


def put(aws: Aws, table: str, sk: str, until: dict[str, Any]) -> None:
    aws.dynamodb.put_item(TableName=table, Item={**key(sk), "until": until})


def test_items_expire(aws: Aws) -> None:
    table = expiring(aws, StreamSpecification={"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"})
    at = int(now(aws))
    put(aws, table, "soon", {"N": str(at + 50)})
    put(aws, table, "later", {"N": str(at + 500)})
    # Neither text nor what expired five years ago.
    put(aws, table, "text", {"S": str(at + 50)})
    put(aws, table, "ancient", {"N": str(at - 6 * 365 * 86400)})
    aws.dynamodb.put_item(TableName=table, Item=item(30, "without"))
    aws.told()
    aws.advance(100)
    assert {found["sk"]["S"] for found in aws.dynamodb.scan(TableName=table)["Items"]} == {
        "later",
        "text",
        "ancient",
        "without",
    }
    record = stream(aws, table)[-1]
    assert (record["eventName"], record["dynamodb"]["Keys"]["sk"]) == ("REMOVE", {"S": "soon"})
    assert record["userIdentity"] == {"Type": "Service", "PrincipalId": "dynamodb.amazonaws.com"}
    # Somebody's own delete has no such mark.
    aws.dynamodb.delete_item(TableName=table, Key=key("later"))
    assert "userIdentity" not in stream(aws, table)[-1]


def test_expiry_costs_nothing(aws: Aws) -> None:
    table = expiring(aws)
    put(aws, table, "soon", {"N": str(int(now(aws)) + 50)})
    aws.told()
    aws.advance(100)
    assert aws.dynamodb.scan(TableName=table)["Count"] == 0
    assert [call.write_units for call in aws.told()] == [0]


@pytest.mark.parametrize("by", ["send", "timeout"])
def test_a_receive_waits_and_holds_up_nobody(aws: Aws, by: str) -> None:
    """moto would block its whole process for as long."""
    url = aws.queue()
    if by == "timeout":
        aws.sqs.send_message(QueueUrl=url, MessageBody="m")
        assert aws.receive(url, VisibilityTimeout=10) == ["m"]
    found: list[str] = []
    waiting = threading.Thread(target=lambda: found.extend(aws.receive(url, WaitTimeSeconds=20)))
    waiting.start()
    began = time.monotonic()
    while not found:
        # Others are served meanwhile; whichever comes first, the receive or what it waits for, it finds it.
        if by == "send" and time.monotonic() - began < 0.5:
            aws.dynamodb.list_tables()
        elif by == "send":
            aws.sqs.send_message(QueueUrl=url, MessageBody="m")
            break
        else:
            aws.advance(10.1)
            break
    waiting.join(10)
    assert found == ["m"]
    assert time.monotonic() - began < 10


def test_a_receive_does_not_wait_for_ever(aws: Aws) -> None:
    url = aws.queue()
    began = time.monotonic()
    assert aws.receive(url, WaitTimeSeconds=1) == []
    assert 0.9 < time.monotonic() - began < 5
