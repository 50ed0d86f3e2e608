"""What was replaced in moto gives what moto gives, for every kind of value and expression."""

from typing import Any

import pytest

from tests.gateway.aws.conftest import Aws
from tests.gateway.aws.test_metering import EVERY_TYPE, key, stream


def test_every_type_of_attribute_comes_back(aws: Aws) -> None:
    table = aws.table(StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"})
    nested = {"all": {"M": {**EVERY_TYPE, "list": {"L": list(EVERY_TYPE.values())}}}}
    whole = {**key(), **EVERY_TYPE, **nested}
    aws.dynamodb.put_item(TableName=table, Item=whole)
    arguments: dict[str, Any] = {
        "TableName": table,
        "KeyConditionExpression": "pk = :p",
        "ExpressionAttributeValues": {":p": {"S": "p"}},
    }
    assert aws.dynamodb.get_item(TableName=table, Key=key())["Item"] == whole
    assert aws.dynamodb.query(**arguments)["Items"] == [whole]
    assert aws.dynamodb.scan(TableName=table)["Items"] == [whole]
    update = {"TableName": table, "Key": key(), "UpdateExpression": "REMOVE zz", "ReturnValues": "ALL_NEW"}
    assert aws.dynamodb.update_item(**update)["Attributes"] == whole
    assert stream(aws, table)[0]["dynamodb"]["NewImage"] == whole
    assert aws.dynamodb.delete_item(TableName=table, Key=key(), ReturnValues="ALL_OLD")["Attributes"] == whole


def test_one_condition_with_several_values(aws: Aws) -> None:
    table = aws.table()
    aws.dynamodb.put_item(TableName=table, Item={**key(), "n": {"N": "5"}})
    found = []
    for number in (4, 5, 6, 5):
        try:
            aws.dynamodb.put_item(
                TableName=table,
                Item={**key(), "n": {"N": "5"}},
                ConditionExpression="#n = :n AND attribute_exists(pk)",
                ExpressionAttributeNames={"#n": "n"},
                ExpressionAttributeValues={":n": {"N": str(number)}},
            )
            found.append(True)
        except aws.dynamodb.exceptions.ConditionalCheckFailedException:
            found.append(False)
    assert found == [False, True, False, True]
    # And with another name for the same word.
    with pytest.raises(aws.dynamodb.exceptions.ConditionalCheckFailedException):
        aws.dynamodb.put_item(
            TableName=table,
            Item=key(),
            ConditionExpression="#n = :n AND attribute_exists(pk)",
            ExpressionAttributeNames={"#n": "m"},
            ExpressionAttributeValues={":n": {"N": "5"}},
        )


def test_a_name_that_is_not_used_is_still_an_error(aws: Aws) -> None:
    table = aws.table()
    for _ in range(2):
        with pytest.raises(aws.dynamodb.exceptions.ClientError, match="unused in expressions"):
            aws.dynamodb.put_item(
                TableName=table,
                Item=key(),
                ConditionExpression="attribute_not_exists(pk)",
                ExpressionAttributeNames={"#n": "n"},
            )


def test_one_update_with_several_items_and_values(aws: Aws) -> None:
    table = aws.table()
    expression = (
        "SET #n = if_not_exists(#n, :zero) + :n, l = list_append(if_not_exists(l, :none), :l) ADD s :s REMOVE r"
    )
    found = []
    for number, sk in enumerate(("a", "b", "a", "a")):
        answer = aws.dynamodb.update_item(
            TableName=table,
            Key=key(sk),
            UpdateExpression=expression,
            ExpressionAttributeNames={"#n": "n" if number < 3 else "m"},
            ExpressionAttributeValues={
                ":zero": {"N": "0"},
                ":n": {"N": str(number + 1)},
                ":none": {"L": []},
                ":l": {"L": [{"S": str(number)}]},
                ":s": {"SS": [str(number)]},
            },
            ReturnValues="ALL_NEW",
        )
        found.append(answer["Attributes"])
    assert [(item.get("n"), item.get("m")) for item in found] == [
        ({"N": "1"}, None),
        ({"N": "2"}, None),
        ({"N": "4"}, None),
        ({"N": "4"}, {"N": "4"}),
    ]
    assert [[element["S"] for element in item["l"]["L"]] for item in found] == [
        ["0"],
        ["1"],
        ["0", "2"],
        ["0", "2", "3"],
    ]
    assert [sorted(item["s"]["SS"]) for item in found] == [["0"], ["1"], ["0", "2"], ["0", "2", "3"]]


def test_pages_of_a_query_and_of_an_index(aws: Aws) -> None:
    table = aws.table(
        attributes=["g"],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-g",
                "KeySchema": [
                    {"AttributeName": "g", "KeyType": "HASH"},
                    {"AttributeName": "sk", "KeyType": "RANGE"},
                ],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    for number in (3, 1, 4, 0, 2):
        aws.dynamodb.put_item(TableName=table, Item={**key(str(number)), "g": {"S": "g"}})
        aws.dynamodb.put_item(TableName=table, Item={**key(str(number), "other"), "g": {"S": "none"}})
    for arguments in (
        {"KeyConditionExpression": "pk = :v", "ExpressionAttributeValues": {":v": {"S": "p"}}},
        {"KeyConditionExpression": "g = :v", "ExpressionAttributeValues": {":v": {"S": "g"}}, "IndexName": "by-g"},
    ):
        for forward in (True, False):
            pages = aws.dynamodb.get_paginator("query").paginate(
                TableName=table, ScanIndexForward=forward, PaginationConfig={"PageSize": 2}, **arguments
            )
            numbers = [int(item["sk"]["S"]) for page in pages for item in page["Items"]]
            assert numbers == (list(range(5)) if forward else list(range(4, -1, -1)))


def test_binary_attributes_of_messages_come_back(aws: Aws) -> None:
    url = aws.queue()
    attributes = {
        "b": {"DataType": "Binary", "BinaryValue": b"\x00\xff"},
        "s": {"DataType": "String", "StringValue": "é"},
    }
    sent = aws.sqs.send_message(QueueUrl=url, MessageBody="m", MessageAttributes=attributes)
    (message,) = aws.sqs.receive_message(QueueUrl=url, MessageAttributeNames=["All"])["Messages"]
    assert message["MessageAttributes"] == attributes
    assert message["MD5OfMessageAttributes"] == sent["MD5OfMessageAttributes"]


def test_a_dead_letter_queue(aws: Aws) -> None:
    dead = aws.queue()
    arn = aws.sqs.get_queue_attributes(QueueUrl=dead, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    url = aws.queue(RedrivePolicy=f'{{"deadLetterTargetArn": "{arn}", "maxReceiveCount": 2}}')
    aws.sqs.send_message(QueueUrl=url, MessageBody="m")
    for _ in range(2):
        assert aws.receive(url, VisibilityTimeout=5) == ["m"]
        aws.advance(6)
    aws.told()
    aws.sent.clear()
    assert aws.receive(url) == []
    aws.told()
    # Who polls the other queue is told.
    assert aws.sent == [(dead.rpartition("/")[2], "")]
    assert aws.receive(dead) == ["m"]
