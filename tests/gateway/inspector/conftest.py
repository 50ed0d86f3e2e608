"""A small stack with its inspector, in a process of its own."""

from collections.abc import Iterator

import pytest

from tests.gateway.conftest import ANSWERED, Started, gateway

TEMPLATE = (
    """
Transform: AWS::Serverless-2016-10-31
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: a, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: test}}
"""
    + ANSWERED
    + """\
  Fn:
    Type: AWS::Serverless::Function
    Properties:
      Handler: main.handler
      Runtime: python3.13
      CodeUri: code
      Timeout: 20
      Environment:
        Variables: {TABLE: !Ref Table, URL: !Sub "https://${Api}.execute-api.${AWS::Region}.amazonaws.com/test"}
      Events: {Get: {Type: HttpApi}}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      TableName: things
      BillingMode: PAY_PER_REQUEST
      KeySchema: [{AttributeName: pk, KeyType: HASH}, {AttributeName: sk, KeyType: RANGE}]
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}, {AttributeName: sk, AttributeType: N}]
  Jobs:
    Type: AWS::SQS::Queue
    Properties: {QueueName: jobs, RedrivePolicy: {deadLetterTargetArn: !GetAtt Dead.Arn, maxReceiveCount: 1}}
  Dead: {Type: AWS::SQS::Queue, Properties: {QueueName: dead}}
Outputs:
  Queue: {Value: !Ref Jobs}
"""
)
CODE = """
import os

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
management = boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["URL"])

def handler(event, context):
    text = event.get("body", "")
    if text.startswith("write"):
        for number in range(int(text.split()[1])):
            table.put_item(Item={"pk": "a" if number % 2 else "b", "sk": number, "set": {"x", "y"}, "data": b"1"})
    if text.startswith("post"):
        management.post_to_connection(ConnectionId=event["requestContext"]["connectionId"], Data=b"posted")
    if text.startswith("fail"):
        print("this fails")
        raise ValueError("failed on purpose")
    return {"statusCode": 200, "body": text or "page"}
"""


@pytest.fixture(scope="module")
def inspected(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Started]:
    folder = tmp_path_factory.mktemp("inspected")
    (folder / "code").mkdir()
    (folder / "code" / "main.py").write_text(CODE)
    (folder / "template.yaml").write_text(TEMPLATE)
    with gateway(folder / "log", str(folder / "template.yaml")) as running:
        yield running
