"""What the embedded AWS meters of real calls."""

from typing import Any

import pytest
from botocore.exceptions import ClientError

from gateway.meter import units
from tests.gateway.aws.conftest import ACCESS_KEY, Aws

EVERY_TYPE: dict[str, Any] = {
    "s": {"S": "text €"},
    "n": {"N": "-12.345"},
    "b": {"B": b"\x00\xff" * 10},
    "bool": {"BOOL": True},
    "null": {"NULL": True},
    "ss": {"SS": ["a", "bc"]},
    "ns": {"NS": ["1", "2000"]},
    "bs": {"BS": [b"ab", b"c"]},
    "l": {"L": [{"S": "x"}, {"N": "10"}, {"L": []}, {"B": b"raw"}]},
    "m": {"M": {"inner": {"M": {"deep": {"S": "é"}}}, "flag": {"BOOL": False}}},
}


def key(sk: str = "0", pk: str = "p") -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"S": sk}}


def item(size: int, sk: str = "0", **more: Any) -> dict[str, Any]:
    """Return an item of exactly `size` bytes."""
    whole = {**key(sk), **more, "x": {"S": ""}}
    return whole | {"x": {"S": "x" * (size - units.item_size(whole))}}


def written(aws: Aws) -> int:
    return sum(call.write_units for call in aws.told())


def read(aws: Aws) -> float:
    return sum(call.read_units for call in aws.told())


def test_a_call_is_told_in_full(aws: Aws) -> None:
    table = aws.table()
    aws.told()
    aws.dynamodb.put_item(TableName=table, Item=item(1500))
    (call,) = aws.told()
    assert (call.access_key, call.service, call.operation, call.resource) == (
        ACCESS_KEY,
        "dynamodb",
        "PutItem",
        table,
    )
    assert (call.status, call.error, call.write_units, call.read_units) == (200, "", 2, 0)
    assert call.received > 1500
    assert call.sent == 2
    assert 0 < call.duration < 5


@pytest.mark.parametrize("name", EVERY_TYPE)
def test_every_type_of_attribute_has_the_size_that_it_has(aws: Aws, name: str) -> None:
    """A filler brings the item to the edge of a unit: a byte more or less would show."""
    table = aws.table()
    attribute = {name: EVERY_TYPE[name]}
    aws.told()
    for size, expected in ((2048, 2), (2049, 3)):
        aws.dynamodb.put_item(TableName=table, Item=item(size, **attribute))
        assert written(aws) == expected
    for size, expected in ((4096, 1), (4097, 2)):
        aws.dynamodb.put_item(TableName=table, Item=item(size, **attribute))
        aws.told()
        aws.dynamodb.get_item(TableName=table, Key=key(), ConsistentRead=True)
        assert read(aws) == expected


def test_the_larger_of_before_and_after_counts(aws: Aws) -> None:
    table = aws.table()
    aws.dynamodb.put_item(TableName=table, Item=item(5000))
    aws.told()
    aws.dynamodb.put_item(TableName=table, Item=item(100))
    assert written(aws) == 5
    aws.dynamodb.update_item(
        TableName=table,
        Key=key(),
        UpdateExpression="SET x = :x",
        ExpressionAttributeValues={":x": {"S": "x" * 3000}},
    )
    assert written(aws) == 3
    aws.dynamodb.update_item(TableName=table, Key=key(), UpdateExpression="REMOVE x")
    assert written(aws) == 3
    aws.dynamodb.put_item(TableName=table, Item=item(4000))
    aws.told()
    aws.dynamodb.delete_item(TableName=table, Key=key())
    assert written(aws) == 4
    # What is not there costs one.
    aws.dynamodb.delete_item(TableName=table, Key=key())
    assert written(aws) == 1


def test_an_update_may_make_the_item(aws: Aws) -> None:
    table = aws.table()
    aws.told()
    aws.dynamodb.update_item(
        TableName=table, Key=key(), UpdateExpression="SET x = :x", ExpressionAttributeValues={":x": {"S": "x" * 2000}}
    )
    assert written(aws) == 2


@pytest.mark.parametrize("operation", ["put_item", "update_item", "delete_item"])
def test_a_condition_that_fails_costs_what_is_there(aws: Aws, operation: str) -> None:
    table = aws.table()
    aws.dynamodb.put_item(TableName=table, Item=item(3000))
    aws.told()
    arguments: dict[str, Any] = {"Item": item(100)} if operation == "put_item" else {"Key": key()}
    if operation == "update_item":
        arguments["UpdateExpression"] = "REMOVE x"
    with pytest.raises(aws.dynamodb.exceptions.ConditionalCheckFailedException):
        getattr(aws.dynamodb, operation)(TableName=table, ConditionExpression="attribute_exists(zz)", **arguments)
    (call,) = aws.told()
    assert (call.status, call.error, call.write_units) == (400, "ConditionalCheckFailedException", 3)


def test_what_is_refused_costs_nothing(aws: Aws) -> None:
    table = aws.table()
    aws.told()
    with pytest.raises(ClientError, match="ValidationException"):
        aws.dynamodb.put_item(TableName=table, Item={"pk": {"S": "a"}})
    (call,) = aws.told()
    assert (call.error, call.write_units) == ("ValidationException", 0)


def test_reads(aws: Aws) -> None:
    table = aws.table()
    aws.dynamodb.put_item(TableName=table, Item=item(5000))
    aws.told()
    aws.dynamodb.get_item(TableName=table, Key=key())
    assert read(aws) == 1
    aws.dynamodb.get_item(TableName=table, Key=key(), ConsistentRead=True, ProjectionExpression="pk")
    assert read(aws) == 2
    aws.dynamodb.get_item(TableName=table, Key=key("none"))
    assert read(aws) == 0.5
    aws.dynamodb.batch_get_item(
        RequestItems={table: {"Keys": [key(), key("none")], "ConsistentRead": True}},
    )
    (call,) = aws.told()
    # Each by itself.
    assert (call.resource, call.read_units) == (table, 2 + 1)
    aws.dynamodb.transact_get_items(TransactItems=[{"Get": {"TableName": table, "Key": key()}}])
    assert read(aws) == 4


def test_a_query_costs_what_it_goes_through(aws: Aws) -> None:
    table = aws.table()
    for number in range(5):
        aws.dynamodb.put_item(TableName=table, Item=item(1000, str(number)))
    aws.dynamodb.put_item(TableName=table, Item={**item(9000), "pk": {"S": "other"}})
    aws.told()
    values = {":p": {"S": "p"}, ":s": {"S": "3"}}
    whole = {"TableName": table, "KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": values[":p"]}}
    # 5,000 bytes together, not each rounded up.
    aws.dynamodb.query(**whole, ConsistentRead=True)
    assert read(aws) == 2
    aws.dynamodb.query(**whole)
    assert read(aws) == 1
    # A filter comes after the reading, a key condition and a limit before.
    aws.dynamodb.query(**whole, FilterExpression="attribute_exists(zz)", Select="COUNT")
    assert read(aws) == 1
    aws.dynamodb.query(TableName=table, KeyConditionExpression="pk = :p AND sk > :s", ExpressionAttributeValues=values)
    assert read(aws) == 0.5
    aws.dynamodb.query(**whole, Limit=4, ConsistentRead=True)
    assert read(aws) == 1
    # Nothing found is the least.
    none = {":p": {"S": "none"}}
    aws.dynamodb.query(TableName=table, KeyConditionExpression="pk = :p", ExpressionAttributeValues=none)
    assert read(aws) == 0.5
    aws.dynamodb.scan(TableName=table, ConsistentRead=True, ProjectionExpression="pk")
    # 14,005 bytes, the other's key being longer.
    assert read(aws) == 4


def index(name: str, hash_key: str, projection: dict[str, Any]) -> dict[str, Any]:
    return {
        "IndexName": name,
        "KeySchema": [{"AttributeName": hash_key, "KeyType": "HASH"}],
        "Projection": projection,
    }


def test_each_index_that_changes_is_a_write(aws: Aws) -> None:
    table = aws.table(
        attributes=["g"],
        GlobalSecondaryIndexes=[
            index("all", "g", {"ProjectionType": "ALL"}),
            index("keys", "g", {"ProjectionType": "KEYS_ONLY"}),
        ],
    )
    aws.told()
    # Without the index's key there is no entry.
    aws.dynamodb.put_item(TableName=table, Item=item(3000))
    assert written(aws) == 3
    # The item, an entry of 3,000 bytes, and one with keys alone.
    aws.dynamodb.put_item(TableName=table, Item=item(3000, g={"S": "1"}))
    assert written(aws) == 3 + 3 + 1
    # Keys stay as they are: that index has nothing to do.
    aws.dynamodb.update_item(
        TableName=table, Key=key(), UpdateExpression="SET y = :y", ExpressionAttributeValues={":y": {"S": "1"}}
    )
    assert written(aws) == 3 + 3
    # Another key: the old entry is deleted, a new one put.
    aws.dynamodb.update_item(
        TableName=table, Key=key(), UpdateExpression="SET g = :g", ExpressionAttributeValues={":g": {"S": "2"}}
    )
    assert written(aws) == 3 + 2 * 3 + 2 * 1
    # The same once more changes no index.
    aws.dynamodb.update_item(
        TableName=table, Key=key(), UpdateExpression="SET g = :g", ExpressionAttributeValues={":g": {"S": "2"}}
    )
    assert written(aws) == 3
    aws.dynamodb.delete_item(TableName=table, Key=key())
    assert written(aws) == 3 + 3 + 1


def test_an_index_is_read_as_it_is_projected(aws: Aws) -> None:
    table = aws.table(attributes=["g"], GlobalSecondaryIndexes=[index("keys", "g", {"ProjectionType": "KEYS_ONLY"})])
    aws.dynamodb.put_item(TableName=table, Item=item(9000, g={"S": "1"}))
    aws.told()
    answer = aws.dynamodb.query(
        TableName=table,
        IndexName="keys",
        KeyConditionExpression="g = :g",
        ExpressionAttributeValues={":g": {"S": "1"}},
    )
    assert [set(found) for found in answer["Items"]] == [{"pk", "sk", "g"}]
    assert read(aws) == 0.5


def test_a_batch_writes_each_by_itself(aws: Aws) -> None:
    table = aws.table()
    aws.dynamodb.put_item(TableName=table, Item=item(2000, "old"))
    aws.told()
    requests = [
        {"PutRequest": {"Item": item(1500, "1")}},
        {"PutRequest": {"Item": item(10, "2") | {"x": {"S": ""}}}},
        {"DeleteRequest": {"Key": key("old")}},
    ]
    aws.dynamodb.batch_write_item(RequestItems={table: requests})
    (call,) = aws.told()
    assert (call.resource, call.write_units) == (table, 2 + 1 + 2)


def test_a_transaction_writes_twice(aws: Aws) -> None:
    table = aws.table()
    aws.dynamodb.put_item(TableName=table, Item=item(3000, "there"))
    aws.told()
    check = {"TableName": table, "Key": key("there"), "ConditionExpression": "attribute_exists(pk)"}
    actions: list[Any] = [{"Put": {"TableName": table, "Item": item(1500, "1")}}, {"ConditionCheck": check}]
    aws.dynamodb.transact_write_items(TransactItems=actions)
    assert written(aws) == 2 * (2 + 3)


def test_a_cancelled_transaction_leaves_nothing_behind(aws: Aws) -> None:
    table = aws.table(StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    aws.dynamodb.put_item(TableName=table, Item=item(3000, "there"))
    aws.told()
    remove = {"TableName": table, "Key": key("there")}
    check = {"TableName": table, "Key": key("none"), "ConditionExpression": "attribute_exists(pk)"}
    actions: list[Any] = [
        {"Put": {"TableName": table, "Item": item(1500, "1")}},
        {"Delete": remove},
        {"ConditionCheck": check},
    ]
    with pytest.raises(aws.dynamodb.exceptions.TransactionCanceledException) as caught:
        aws.dynamodb.transact_write_items(TransactItems=actions)
    assert [reason["Code"] for reason in caught.value.response["CancellationReasons"]] == [
        "None",
        "None",
        "ConditionalCheckFailed",
    ]
    call = aws.told()[-1]
    assert call.error == "TransactionCanceledException"
    assert [found["sk"]["S"] for found in aws.dynamodb.scan(TableName=table)["Items"]] == ["there"]
    # The stream has the first put alone, and goes on.
    aws.dynamodb.put_item(TableName=table, Item=item(10 + 20, "after"))
    assert [record["eventName"] for record in stream(aws, table)] == ["INSERT", "INSERT"]


def stream(aws: Aws, table: str) -> list[dict[str, Any]]:
    streams = aws.client("dynamodbstreams")
    arn = aws.dynamodb.describe_table(TableName=table)["Table"]["LatestStreamArn"]
    (shard,) = streams.describe_stream(StreamArn=arn)["StreamDescription"]["Shards"]
    iterator = streams.get_shard_iterator(StreamArn=arn, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON")
    records: list[dict[str, Any]] = streams.get_records(ShardIterator=iterator["ShardIterator"])["Records"]
    return records


def test_reads_of_a_stream_are_told(aws: Aws) -> None:
    table = aws.table(StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})
    stream(aws, table)
    call = aws.told()[-1]
    assert (call.service, call.operation, call.resource) == ("dynamodbstreams", "GetRecords", table)


def test_statements(aws: Aws) -> None:
    table = aws.table()
    aws.told()
    value = "x" * 2000
    aws.dynamodb.execute_statement(Statement=f"INSERT INTO \"{table}\" VALUE {{'pk': 'p', 'sk': '0', 'x': '{value}'}}")
    assert written(aws) == 2
    aws.dynamodb.execute_statement(Statement=f"SELECT * FROM \"{table}\" WHERE pk = 'p'")
    assert read(aws) == 0.5


def test_queues_are_metered_in_chunks(aws: Aws) -> None:
    url = aws.queue()
    aws.told()
    aws.sqs.send_message(QueueUrl=url, MessageBody="x" * 65536)
    aws.sqs.send_message(QueueUrl=url, MessageBody="x" * 65537)
    aws.receive(url)
    aws.receive(url)
    calls = aws.told()
    # The first fits, whatever is around it in JSON.
    assert [(call.operation, call.requests, call.empty) for call in calls] == [
        ("SendMessage", 1, False),
        ("SendMessage", 2, False),
        ("ReceiveMessage", 3, False),
        ("ReceiveMessage", 1, True),
    ]
    assert {call.resource for call in calls} == {url.rpartition("/")[2]}
