"""AWS in this process: moto, with the table exactly as template.yaml has it, and queues."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto import mock_aws

from aws import clients
from gateway.template.reader import load

TEMPLATE = Path(__file__).parents[2] / "template.yaml"
CONNECTIONS_URL = "https://api.execute-api.us-east-1.amazonaws.com/live"


@pytest.fixture
def stack(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Make the stack's table and queue, and point the environment at them."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    for client in (clients.dynamodb, clients.sqs, clients.connections):
        client.cache_clear()
    with mock_aws():
        properties = dict(load(TEMPLATE)["Resources"]["Table"]["Properties"])
        del properties["TimeToLiveSpecification"]
        boto3.client("dynamodb").create_table(TableName="table", **properties)
        queue = boto3.client("sqs").create_queue(QueueName="queue.fifo", Attributes={"FifoQueue": "true"})
        timers = boto3.client("sqs").create_queue(QueueName="timers")
        environment = {
            "TABLE": "table",
            "QUEUE_URL": queue["QueueUrl"],
            "TIMERS_URL": timers["QueueUrl"],
            "CONNECTIONS_URL": CONNECTIONS_URL,
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        yield environment
    for client in (clients.dynamodb, clients.sqs, clients.connections):
        client.cache_clear()


def items() -> list[dict[str, Any]]:
    """Return everything in the table."""
    return boto3.client("dynamodb").scan(TableName="table")["Items"]
