"""The embedded AWS by itself, in an event loop of its own, for tests that call it with boto3."""

import asyncio
import itertools
import threading
from collections.abc import Coroutine, Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config

from gateway.aws.calls import AwsCall
from gateway.aws.faults import AwsFault
from gateway.aws.server import MotoServer

ACCESS_KEY = "ASIAABCDEFGHIJKLMNOP"
_numbers = itertools.count()


class Aws:
    """A running AWS. `calls` and `sent` are what it has told."""

    def __init__(self) -> None:
        self.calls: list[AwsCall] = []
        self.sent: list[tuple[str, str]] = []
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever)
        self._thread.start()
        self.server = MotoServer(
            "123456789012", lambda queue, group: self.sent.append((queue, group)), on_call=self.calls.append
        )
        self.run(self.server.start())
        session: Any = boto3.Session(ACCESS_KEY, "secret", region_name="us-east-1")
        self.session = session
        self.dynamodb = self.client("dynamodb")
        self.sqs = self.client("sqs")

    def client(self, service: str, attempts: int = 1) -> Any:
        config = Config(retries={"total_max_attempts": attempts}, read_timeout=10)
        return self.session.client(service, endpoint_url=self.server.endpoint, config=config)

    def run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(30)

    def advance(self, seconds: float) -> None:
        self.run(self.server.advance(seconds))

    def faults(self, *faults: AwsFault) -> None:
        self.run(self.server.set_faults(faults))

    def told(self) -> list[AwsCall]:
        """Return the calls since the last time; one that is answered comes before an answer of the control's."""
        self.advance(0)
        calls, self.calls[:] = list(self.calls), []
        return calls

    def table(self, **more: Any) -> str:
        """Make a table with the keys pk and sk."""
        name = f"table-{next(_numbers)}"
        keys = {"pk": "HASH", "sk": "RANGE"}
        self.dynamodb.create_table(
            TableName=name,
            KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys.items()],
            AttributeDefinitions=[
                {"AttributeName": key, "AttributeType": "S"} for key in (*keys, *more.pop("attributes", ()))
            ],
            BillingMode="PAY_PER_REQUEST",
            **more,
        )
        return name

    def queue(self, *, fifo: bool = False, **attributes: str) -> str:
        """Make a queue and return its address."""
        name = f"queue-{next(_numbers)}"
        if fifo:
            name += ".fifo"
            attributes |= {"FifoQueue": "true", "ContentBasedDeduplication": "true"}
        return str(self.sqs.create_queue(QueueName=name, Attributes=attributes)["QueueUrl"])

    def receive(self, url: str, **more: Any) -> list[str]:
        """Return the bodies of what is received."""
        answer = self.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, **more)
        return [message["Body"] for message in answer.get("Messages", [])]

    def close(self) -> None:
        self.run(self.server.close())
        self.loop.call_soon_threadsafe(self.loop.stop)
        self._thread.join()
        self.loop.close()


@pytest.fixture(scope="module")
def running() -> Iterator[Aws]:
    aws = Aws()
    yield aws
    aws.close()


@pytest.fixture
def aws(running: Aws) -> Aws:
    """One AWS for a module, without faults."""
    running.faults()
    running.told()
    running.sent.clear()
    return running
