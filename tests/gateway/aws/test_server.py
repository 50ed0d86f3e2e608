"""The process of the embedded AWS: what it serves, what it tells, how it ends."""

import asyncio
import os
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gateway.aws.server import MotoServer
from gateway.errors import GatewayError
from tests.gateway.aws.conftest import Aws
from tests.gateway.conftest import alive


@pytest.mark.parametrize(
    ("service", "operation", "resource", "call", "arguments"),
    [
        ("ssm", "PutParameter", "/a/b", "put_parameter", {"Name": "/a/b", "Value": "1", "Type": "String"}),
        ("s3", "PUT", "/bucket", "create_bucket", {"Bucket": "bucket"}),
        ("sns", "CreateTopic", "topic", "create_topic", {"Name": "topic"}),
        ("events", "PutRule", "rule", "put_rule", {"Name": "rule", "ScheduleExpression": "rate(5 minutes)"}),
        ("secretsmanager", "CreateSecret", "word", "create_secret", {"Name": "word", "SecretString": "x"}),
        ("logs", "CreateLogGroup", "group", "create_log_group", {"logGroupName": "group"}),
    ],
)
def test_other_services_are_served(
    aws: Aws, service: str, operation: str, resource: str, call: str, arguments: dict[str, Any]
) -> None:
    getattr(aws.client(service), call)(**arguments)
    told = aws.told()[-1]
    assert (told.service, told.operation, told.resource, told.status) == (service, operation, resource, 200)


def test_objects_keep_their_names_and_metadata(aws: Aws) -> None:
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="objects")
    s3.put_object(Bucket="objects", Key="a/b c/é%2F", Body=b"text", Metadata={"k": "v"})
    answer = s3.get_object(Bucket="objects", Key="a/b c/é%2F")
    assert (answer["Body"].read(), answer["Metadata"]) == (b"text", {"k": "v"})
    assert [found["Key"] for found in s3.list_objects_v2(Bucket="objects")["Contents"]] == ["a/b c/é%2F"]


def test_a_topic_reaches_a_queue_and_its_pollers(aws: Aws) -> None:
    url = aws.queue()
    name = url.rpartition("/")[2]
    sns = aws.client("sns")
    topic = sns.create_topic(Name="to-a-queue")["TopicArn"]
    arn = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    aws.told()
    aws.sent.clear()
    sns.publish(TopicArn=topic, Message="m")
    aws.told()
    assert aws.sent == [(name, "")]


def test_pollers_are_told_once_for_each_group(aws: Aws) -> None:
    url = aws.queue(fifo=True)
    name = url.rpartition("/")[2]
    entries = [{"Id": str(n), "MessageBody": str(n), "MessageGroupId": f"g{n % 2}"} for n in range(4)]
    aws.sqs.send_message_batch(QueueUrl=url, Entries=entries)
    assert aws.told()[-1].changed == ((name, "g0"), (name, "g1")) * 2
    assert aws.sent == [(name, "g0"), (name, "g1")]


def test_what_moto_cannot_do_is_said_once_and_not_tried_again(aws: Aws) -> None:
    with pytest.raises(ClientError, match="The embedded AWS cannot do this") as caught:
        aws.client("dynamodb", attempts=3).list_global_tables()
    assert caught.value.response["Error"]["Code"] == "NotImplemented"
    assert len(aws.told()) == 1


def test_errors_have_their_codes(aws: Aws) -> None:
    with pytest.raises(aws.dynamodb.exceptions.ResourceNotFoundException):
        aws.dynamodb.describe_table(TableName="none")
    with pytest.raises(aws.sqs.exceptions.QueueDoesNotExist):
        aws.sqs.get_queue_url(QueueName="none")
    with pytest.raises(ClientError):
        aws.client("s3").head_object(Bucket="none", Key="none")
    with pytest.raises(ClientError, match="NoSuchBucket"):
        aws.client("s3").list_objects_v2(Bucket="none")
    with pytest.raises(ClientError, match="NotFound"):
        aws.client("sns").get_topic_attributes(TopicArn="arn:aws:sns:us-east-1:123456789012:none")
    assert [(call.resource, call.error) for call in aws.told() if call.operation != "HEAD"] == [
        ("none", "ResourceNotFoundException"),
        ("none", "QueueDoesNotExist"),
        ("/none", "NoSuchBucket"),
        ("none", "NotFound"),
    ]


def test_it_can_be_emptied(aws: Aws) -> None:
    table, url = aws.table(), aws.queue()
    aws.client("ssm").put_parameter(Name="/emptied", Value="1", Type="String")
    aws.run(aws.server.reset())
    assert aws.dynamodb.list_tables()["TableNames"] == []
    with pytest.raises(aws.sqs.exceptions.QueueDoesNotExist):
        aws.receive(url)
    assert aws.client("ssm").describe_parameters()["Parameters"] == []
    # And filled again.
    aws.dynamodb.create_table(
        TableName=table,
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
    )
    aws.dynamodb.put_item(TableName=table, Item={"pk": {"S": "a"}})
    assert aws.dynamodb.scan(TableName=table)["Count"] == 1


def test_it_ends_with_its_control() -> None:
    async def main() -> None:
        server = MotoServer("123456789012", lambda *_: None)
        with pytest.raises(GatewayError, match="does not run"):
            await server.advance(1)
        await server.start()
        process = server._process
        assert process is not None
        # As the kernel does when the gateway's process is gone.
        server._lines.close()
        assert await asyncio.wait_for(process.wait(), 10) == 0
        assert not alive(process.pid)
        with pytest.raises(GatewayError, match="does not run"):
            await server.advance(1)
        await server.close()

    asyncio.run(main())


def test_it_says_so_when_it_cannot_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "uvicorn.py").write_text("raise SystemExit('no server')")
    monkeypatch.setenv("PYTHONSAFEPATH", "1")
    monkeypatch.setattr("gateway.aws.server._package_root", lambda: f"{tmp_path}{os.pathsep}{Path.cwd()}")

    async def main() -> None:
        server = MotoServer("123456789012", lambda *_: None)
        with pytest.raises(GatewayError, match="did not start"):
            await server.start()

    asyncio.run(main())
