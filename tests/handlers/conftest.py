"""Handlers in this process: moto behind them, @connections recorded, every AWS call counted."""

import importlib
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse

from tests.aws.conftest import stack as stack

APPLICATION = "tests.handlers.application"
EVENTS = Path(__file__).parents[2] / "events"


def sample(name: str, **request_context: Any) -> dict[str, Any]:
    """Return a sample event, its request context changed where asked."""
    event: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text())
    event.get("requestContext", {}).update(request_context)
    return event


class Context:
    """What Lambda hands a handler beside the event."""

    aws_request_id = "1b8c5c9e-0000-4000-8000-000000000000"
    function_name = "function"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 29_000


class Lambda:
    """The six functions, their AWS calls by name in `calls`, and what was posted in `posts`."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.posts: list[tuple[str, str]] = []
        self.gone: set[str] = set()

    def invoke(self, function: str, event: dict[str, Any]) -> Any:
        return importlib.import_module(f"handlers.{function}").handler(event, Context())

    def counted(self, function: str, event: dict[str, Any]) -> dict[str, int]:
        """Invoke, and return the calls it cost."""
        self.calls.clear()
        self.invoke(function, event)
        return dict(self.calls)

    def frame(self, text: str, connection_id: str = "L0SM9cOFvHcCIhw=") -> str | None:
        event = sample("message-connect", connectionId=connection_id)
        event["body"] = text
        answer = self.invoke("message", event)
        assert answer["statusCode"] == 200
        body: str | None = answer.get("body")
        return body

    def http(self, method: str, path: str, query: str = "", body: str | None = None) -> tuple[int, str]:
        """Make an HTTP request; returns the status and the body."""
        event = sample("http-page")
        event["requestContext"]["http"].update(method=method, path=path)
        event.update(rawPath=path, rawQueryString=query)
        if body is not None:
            event["body"] = body
        answer = self.invoke("http", event)
        return answer["statusCode"], answer["body"]

    def connect(self, connection_id: str = "L0SM9cOFvHcCIhw=") -> str:
        """Open a connection and join namespace `/`; returns the socket id."""
        assert self.invoke("connect", sample("connect", connectionId=connection_id)) == {"statusCode": 200}
        self.deliver()
        self.posts.clear()
        answer = self.frame("40", connection_id)
        assert answer
        sid: str = json.loads(answer[2:])["sid"]
        return sid

    def deliver(self) -> list[Any]:
        """Run the deliver function on what waits in the queue; returns its answers."""
        sqs, url = boto3.client("sqs"), os.environ["QUEUE_URL"]
        answers = []
        while messages := sqs.receive_message(
            QueueUrl=url, MaxNumberOfMessages=10, MessageSystemAttributeNames=["All"]
        ).get("Messages"):
            records = [
                {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": message["Attributes"],
                    "eventSourceARN": f"arn:aws:sqs:us-east-1:123456789012:{url.rpartition('/')[2]}",
                }
                for message in messages
            ]
            answers.append(self.invoke("deliver", {"Records": records}))
            for message in messages:
                sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return answers

    def _count(self, model: Any, **_: Any) -> None:
        self.calls[model.name] += 1

    def _at_connections(self, request: Any, **_: Any) -> AWSResponse | None:
        """Answer for API Gateway."""
        if "/@connections/" not in request.url.replace("%40", "@"):
            return None
        connection_id = request.url.rpartition("/")[2].replace("%3D", "=")
        if connection_id in self.gone:
            return AWSResponse(request.url, 410, {"x-amzn-ErrorType": "GoneException"}, _Raw())  # type: ignore[arg-type]
        if request.method == "POST":
            self.posts.append((connection_id, request.body.decode()))
        return AWSResponse(request.url, 200 if request.method == "POST" else 204, {}, _Raw())  # type: ignore[arg-type]


class Socket:
    """A client by the functions, for a person of the chat: `call` returns the acknowledgement."""

    heard = ()

    def __init__(self, functions: Lambda, connection_id: str = "L0SM9cOFvHcCIhw=") -> None:
        self._functions = functions
        self._id = connection_id
        functions.connect(connection_id)

    def call(self, event: str, data: Any, /) -> Any:
        answer = self._functions.frame(f"420{json.dumps([event, data])}", self._id)
        assert answer
        return json.loads(answer.removeprefix("430"))[0]


class _Raw:
    """An empty body."""

    def stream(self, **_: Any) -> Iterator[bytes]:
        return iter([b""])


@pytest.fixture
def functions(stack: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Lambda]:
    monkeypatch.setenv("APP", "chat.app:sio")
    monkeypatch.setenv("PING_INTERVAL", "120")
    monkeypatch.setenv("PING_TIMEOUT", "60")
    monkeypatch.setenv("WEBSOCKET_URL", "wss://abcd123.execute-api.us-east-1.amazonaws.com/live")
    functions = Lambda()
    session = boto3.DEFAULT_SESSION
    boto3.setup_default_session()
    assert boto3.DEFAULT_SESSION
    events: Any = boto3.DEFAULT_SESSION.events
    events.register("before-call", functions._count)
    events.register_first("before-send.apigatewaymanagementapi", functions._at_connections)
    # Their wiring happens at import: each test has a process of its own, as far as they can tell.
    forget = [name for name in sys.modules if name.partition(".")[0] in ("handlers", "chat") or name == APPLICATION]
    for name in forget:
        del sys.modules[name]
    yield functions
    boto3.DEFAULT_SESSION = session
