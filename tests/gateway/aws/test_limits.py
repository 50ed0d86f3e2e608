"""What the embedded DynamoDB and SQS refuse, as the services do."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws():
        yield


def refused(call: Any, **arguments: Any) -> str:
    with pytest.raises(ClientError) as error:
        call(**arguments)
    return str(error.value.response["Error"]["Code"])


def test_an_item_holds_400_kb(aws: None) -> None:
    dynamodb = boto3.client("dynamodb", region_name="us-east-1")
    dynamodb.create_table(
        TableName="t",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
    )
    for size, taken in ((400_000, True), (410_000, False)):
        item = {"pk": {"S": "a"}, "text": {"S": "x" * size}}
        if taken:
            dynamodb.put_item(TableName="t", Item=item)
        else:
            assert refused(dynamodb.put_item, TableName="t", Item=item) == "ValidationException"


def test_a_receive_takes_ten_messages_and_a_delay_is_of_15_minutes(aws: None) -> None:
    sqs = boto3.client("sqs", region_name="us-east-1")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="x", DelaySeconds=900)
    assert refused(sqs.send_message, QueueUrl=url, MessageBody="x", DelaySeconds=901)
    assert refused(sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=11)
    fifo = sqs.create_queue(QueueName="q.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    sent = {"MessageBody": "x", "MessageGroupId": "g", "MessageDeduplicationId": "d"}
    assert refused(sqs.send_message, QueueUrl=fifo, DelaySeconds=5, **sent) == "InvalidParameterValue"
