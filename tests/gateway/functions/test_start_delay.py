"""Invocations that are held back."""

import asyncio
from pathlib import Path

import pytest
from websockets.sync.client import connect

from gateway.clock import Clock
from gateway.functions.runtime_api import Submit
from gateway.functions.start_delay import delayed
from tests.gateway.conftest import gateway

pytestmark = pytest.mark.anyio


def recording(order: list[str]) -> Submit:
    def submit(function: str, payload: bytes, cause: str) -> asyncio.Future[bytes]:
        order.append(payload.decode())
        result: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        if payload == b"fail":
            result.set_exception(RuntimeError("failed"))
        else:
            result.set_result(function.encode() + payload)
        return result

    return submit


async def run(seed: int | None) -> list[str]:
    order: list[str] = []
    clock = Clock()
    submit = delayed(recording(order), 60, clock, seed)
    results = [submit("Fn", str(number).encode(), "test") for number in range(20)]
    await clock.turn(60)
    answers = await asyncio.gather(*results)
    assert answers == [f"Fn{number}".encode() for number in range(20)]
    return order


async def test_no_delay_costs_nothing() -> None:
    submit = recording([])
    assert delayed(submit, 0, Clock()) is submit


async def test_invocations_overtake_each_other_in_the_same_way_for_the_same_seed() -> None:
    first, again, other = await run(1), await run(1), await run(2)
    assert first == again
    assert first != other
    assert first != sorted(first, key=int)


async def test_failures_are_passed_on() -> None:
    with pytest.raises(RuntimeError, match="failed"):
        await delayed(recording([]), 0.01, Clock())("Fn", b"fail", "test")


async def test_giving_up_does_not_stop_the_function() -> None:
    order: list[str] = []
    submit = delayed(recording(order), 0.01, Clock())
    for payload in (b"x", b"fail"):
        submit("Fn", payload, "test").cancel()
    async with asyncio.timeout(1):
        while len(order) < 2:
            await asyncio.sleep(0.001)
    assert sorted(order) == ["fail", "x"]


TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: a, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.way}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: live}}
  Direct:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: direct, Target: integrations/Function}
  Ordered:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: ordered, Target: integrations/Service}
  Function:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Echo.Arn}
  Service:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS
      IntegrationMethod: POST
      IntegrationUri: !Sub "arn:aws:apigateway:us-east-1:sqs:path/${AWS::AccountId}/${Queue.QueueName}"
      CredentialsArn: !GetAtt Role.Arn
      RequestParameters: {integration.request.header.Content-Type: "'application/x-www-form-urlencoded'"}
      RequestTemplates:
        $default: "Action=SendMessage&MessageGroupId=$context.connectionId&MessageDeduplicationId=$context.messageId\\
          &MessageBody=$util.urlEncode($input.body)"
  Role: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {}}}
  Queue: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true}}
  Echo:
    Type: AWS::Serverless::Function
    Properties:
      Handler: main.handler
      Runtime: python3.13
      Timeout: 10
      Environment:
        Variables: {CONNECTIONS_URL: !Sub "https://${Api}.execute-api.us-east-1.amazonaws.com/live"}
      Events:
        Queue: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn, BatchSize: 2}}
"""
CODE = """
import boto3, os
client = boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["CONNECTIONS_URL"])

def handler(event, context):
    for record in event.get("Records", [event]):
        connection = record.get("attributes", {}).get("MessageGroupId") or event["requestContext"]["connectionId"]
        client.post_to_connection(ConnectionId=connection, Data=record["body"])
"""


def test_frames_overtake_each_other_but_not_in_a_message_group(tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(CODE)
    path = tmp_path / "template.yaml"
    path.write_text(TEMPLATE)
    with (
        gateway(tmp_path / "log", str(path), "--start-delay", "0.4", "--seed", "1") as running,
        connect(running.url.replace("http", "ws", 1) + "/live", proxy=None) as client,
    ):
        came = {}
        for way in ("direct", "ordered"):
            sent = [f'{{"way": "{way}", "number": {number}}}' for number in range(8)]
            for text in sent:
                client.send(text)
            came[way] = [str(client.recv(20)) for _ in sent]
            assert sorted(came[way]) == sent
    assert came["direct"] != sorted(came["direct"])
    assert came["ordered"] == sorted(came["ordered"])
