"""A whole stack whose functions are invoked by each other, by streams, queues and schedules."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from gateway.aws import resources
from gateway.gateway import Gateway
from gateway.options import Options
from gateway.run import running
from gateway.settings import Settings
from gateway.triggers.timing import runs
from tests.gateway.conftest import SESSION

pytestmark = pytest.mark.anyio
TEMPLATE = Path(__file__).parent / "stack" / "template.yaml"


@dataclass
class Stack:
    """A stack that runs in the test's own event loop, so that its clock can be turned; clients run in threads."""

    gateway: Gateway
    aws: str

    async def call(self, service: str, operation: str, **arguments: Any) -> Any:
        endpoint = self.gateway.url if service == "lambda" else self.aws

        def run() -> Any:
            answer = getattr(SESSION.client(service, endpoint_url=endpoint), operation)(**arguments)
            if "Payload" in answer:
                answer["Payload"] = answer["Payload"].read()
            return answer

        return await asyncio.to_thread(run)

    async def invoke(self, function: str, payload: Any, **arguments: Any) -> Any:
        return await self.call("lambda", "invoke", FunctionName=function, Payload=json.dumps(payload), **arguments)

    async def refused(self, **arguments: Any) -> dict[str, Any]:
        with pytest.raises(ClientError) as error:
            await self.call("lambda", "invoke", **arguments)
        return {"status": error.value.response["ResponseMetadata"]["HTTPStatusCode"], **error.value.response["Error"]}

    async def next(self, queue: str, wanted: Callable[[Any], bool] = lambda body: True) -> Any:
        """Return the body of the next message on a queue that is wanted; others are thrown away."""
        url = f"{self.aws}/123456789012/local-{queue}"
        async with asyncio.timeout(10):
            while True:
                answer = await self.call("sqs", "receive_message", QueueUrl=url)
                for message in answer.get("Messages", []):
                    receipt = message["ReceiptHandle"]
                    await self.call("sqs", "delete_message", QueueUrl=url, ReceiptHandle=receipt)
                    body = json.loads(message["Body"])
                    if wanted(body):
                        return body
                await asyncio.sleep(0.02)


@asynccontextmanager
async def started(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Stack]:
    found: list[str] = []
    clients = resources.clients

    def noted(endpoint: str, settings: Settings) -> Any:
        found.append(endpoint)
        return clients(endpoint, settings)

    monkeypatch.setattr(resources, "clients", noted)
    async with running(Options(TEMPLATE, port=0)) as gateway:
        yield Stack(gateway, found[0])


async def test_functions_invoked_by_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async with started(monkeypatch) as stack:
        await _calls(stack)
        await _refusals(stack)
        await _events(stack)


async def _calls(stack: Stack) -> None:
    name = "local-Called"
    answer = await stack.invoke(name, {"a": 1}, LogType="Tail")
    assert (answer["StatusCode"], json.loads(answer["Payload"])) == (200, {"got": {"a": 1}})
    assert answer["ExecutedVersion"] == "$LATEST"
    assert "called with {'a': 1}" in base64.b64decode(answer["LogResult"]).decode()
    # From inside another function, by its ARN and an alias.
    arn = f"arn:aws:lambda:us-east-1:123456789012:function:{name}:live"
    call = {"call": {"FunctionName": arn}, "payload": {"b": 2}}
    answer = json.loads((await stack.invoke("caller", call))["Payload"])
    assert answer == {"status": 200, "error": None, "payload": {"got": {"b": 2}}}
    answer = await stack.invoke(name, {"fail": "now"})
    assert answer["FunctionError"] == "Unhandled"
    report = json.loads(answer["Payload"])
    assert (report["errorType"], report["errorMessage"]) == ("ValueError", "failed on purpose")
    assert report["requestId"] == answer["ResponseMetadata"]["RequestId"]
    assert report["stackTrace"]
    assert (await stack.invoke(name, {}, InvocationType="DryRun"))["StatusCode"] == 204
    answer = await stack.call("lambda", "invoke", FunctionName=f"123456789012:function:{name}", Qualifier="1")
    assert json.loads(answer["Payload"]) == {"got": {}}


async def _refusals(stack: Stack) -> None:
    found = await stack.refused(FunctionName="nobody")
    assert found["status"] == 404
    assert found["Code"] == "ResourceNotFoundException"
    assert found["Message"] == "Function not found: arn:aws:lambda:us-east-1:123456789012:function:nobody"
    found = await stack.refused(FunctionName="local-Called", Qualifier="dead")
    assert (found["status"], found["Message"].rsplit(":", 1)[1]) == (404, "dead")
    found = await stack.refused(FunctionName="local-Called", Payload=b"{")
    assert (found["status"], found["Code"]) == (400, "InvalidRequestContentException")
    found = await stack.refused(FunctionName="local-Called", Payload=b'"' + b"x" * 6 * 1024 * 1024 + b'"')
    assert (found["status"], found["Code"]) == (413, "RequestTooLargeException")
    large = b'"' + b"x" * 1024 * 1024 + b'"'
    found = await stack.refused(FunctionName="local-Called", InvocationType="Event", Payload=large)
    assert (found["status"], found["Code"]) == (413, "RequestTooLargeException")


async def _events(stack: Stack) -> None:
    answer = await stack.invoke("local-Called", {"fail": "later"}, InvocationType="Event")
    assert (answer["StatusCode"], answer["Payload"]) == (202, b"")
    await stack.next("Seen", lambda body: body["event"] == {"fail": "later"})
    # Once it has failed, its one retry is a minute away.
    await _turned(stack, 60)
    await stack.next("Seen", lambda body: body["event"] == {"fail": "later"})
    record = await stack.next("Failures", lambda body: "requestContext" in body)
    assert record["requestPayload"] == {"fail": "later"}
    assert record["requestContext"]["condition"] == "RetriesExhausted"
    assert record["requestContext"]["approximateInvokeCount"] == 2
    assert record["requestContext"]["requestId"] == answer["ResponseMetadata"]["RequestId"]


async def _turned(stack: Stack, seconds: float) -> None:
    # What a function just did must reach its queue of events before the time passes.
    await asyncio.sleep(0.3)
    await stack.gateway.clock.turn(seconds)


async def test_streams_queues_and_schedules(monkeypatch: pytest.MonkeyPatch) -> None:
    async with started(monkeypatch) as stack:
        await _changes(stack)
        await _messages(stack)
        await _schedules(stack)


async def _changes(stack: Stack) -> None:
    item = {"pk": {"S": "a"}, "n": {"N": "1"}}
    await stack.call("dynamodb", "put_item", TableName="local-Items", Item=item)
    await stack.call("dynamodb", "put_item", TableName="local-Items", Item=item | {"n": {"N": "2"}})
    await stack.call("dynamodb", "delete_item", TableName="local-Items", Key={"pk": {"S": "a"}})
    records: list[dict[str, Any]] = []
    while len(records) < 2:
        body = await stack.next("Seen", lambda body: body["function"] == "local-Changes")
        records += body["event"]["Records"]
    # The change between the two passes no filter.
    assert [record["eventName"] for record in records] == ["INSERT", "REMOVE"]
    inserted, removed = (record["dynamodb"] for record in records)
    assert inserted["Keys"] == removed["Keys"] == {"pk": {"S": "a"}}
    assert inserted["NewImage"] == item
    assert "OldImage" not in inserted
    assert removed["OldImage"]["n"] == {"N": "2"}
    assert int(removed["SequenceNumber"]) > int(inserted["SequenceNumber"])
    # The label in it is known only once the table exists.
    assert records[0]["eventSourceARN"] == body["stream"]
    assert "/stream/20" in body["stream"]


async def _messages(stack: Stack) -> None:
    url = f"{stack.aws}/123456789012/local-Work"
    for text in ('{"kind": "bill"}', "order", '{"kind": "order", "n": 1}'):
        await stack.call("sqs", "send_message", QueueUrl=url, MessageBody=text)
    body = await stack.next("Seen", lambda body: body["function"] == "local-Orders")
    assert [json.loads(record["body"])["n"] for record in body["event"]["Records"]] == [1]


async def _schedules(stack: Stack) -> None:
    clock = stack.gateway.clock
    due = next(runs("cron(0 8 * * ? *)", "Europe/Berlin", clock.now()))
    # No further: the function's own time would be over as well.
    await clock.turn(due - clock.now() + 0.5)
    body = await stack.next("Seen", lambda body: body["function"] == "local-Daily")
    # Eight in the morning in Berlin.
    assert body["event"]["at"][10:] in ("T06:00:00Z", "T07:00:00Z")
    await clock.turn(3600)
    assert await stack.next("Failures") == {"from": "a rule"}
