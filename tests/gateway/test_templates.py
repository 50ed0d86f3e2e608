"""Templates as strangers write them, run as they are."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.gateway.conftest import ROOT, Started, gateway

TEMPLATES = ROOT / "tests" / "templates"


@contextmanager
def running(tmp_path: Path, template: str) -> Iterator[Started]:
    with gateway(tmp_path / "log", str(TEMPLATES / template)) as started:
        yield started


def opened(started: Started, path: str) -> ClientConnection:
    client: ClientConnection = connect(started.url.replace("http", "ws", 1) + path, proxy=None)
    return client


def test_a_sam_chat(tmp_path: Path) -> None:
    with running(tmp_path, "sam-chat/template.yaml") as started:
        with opened(started, "/Prod") as first, opened(started, "/Prod") as second:
            first.send('{"action": "sendmessage", "data": "hello"}')
            assert [first.recv(10), second.recv(10)] == ["welcome: hello"] * 2
            second.send('{"action": "unheard of"}')
            assert json.loads(second.recv(10))["message"] == "Forbidden"
        assert "Not run here" not in started.log.read_text()


def test_raw_cloudformation_that_broadcasts_by_the_events_own_domain(tmp_path: Path) -> None:
    with (
        running(tmp_path, "cloudformation-broadcast/template.yaml") as started,
        opened(started, "/production?room=blue") as first,
        opened(started, "/production?room=blue") as second,
        opened(started, "/production") as elsewhere,
    ):
        first.send('{"action": "broadcast", "text": "hello"}')
        assert [json.loads(client.recv(10)) for client in (first, second)] == [{"said": "hello"}] * 2
        elsewhere.send('{"action": "broadcast", "text": "anybody?"}')
        assert json.loads(elsewhere.recv(10)) == {"said": "anybody?"}


def test_an_authorizer(tmp_path: Path) -> None:
    with running(tmp_path, "authorized/template.yaml") as started:
        for query, status in (("", 401), ("?token=expired", 401), ("?token=guess", 403)):
            with pytest.raises(InvalidStatus) as refused:
                opened(started, f"/dev{query}")
            assert refused.value.response.status_code == status, query
        with opened(started, "/dev?token=open%20sesame&user=blue") as client:
            client.send('{"action": "whoami"}')
            found = json.loads(client.recv(10))
            assert (found["principalId"], found["user"], found["age"]) == ("blue", "blue", "7")
            client.send("anything")
            assert client.recv(10) == "Use the whoami route."


def test_a_queue_between(tmp_path: Path) -> None:
    with (
        running(tmp_path, "queued/template.yaml") as started,
        opened(started, "/dev") as client,
    ):
        for number in range(3):
            client.send(f"{number} & é")
        assert [client.recv(20) for _ in range(3)] == [f"done: {number} & é" for number in range(3)]
        assert "Alarm" not in started.log.read_text()


def test_javascript(tmp_path: Path) -> None:
    with running(tmp_path, "javascript/template.json") as started:
        with opened(started, "/v1") as first:
            with opened(started, "/v1") as second:
                first.send('{"type": "say", "text": "hello"}')
                assert [first.recv(10), second.recv(10)] == ["HELLO!", "HELLO!"]
            first.send('{"type": "say", "text": "alone"}')
            assert first.recv(10) == "ALONE!"
        assert "said to 2" in started.log.read_text()


STORES = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Files: {Type: AWS::S3::Bucket}
  Secret: {Type: AWS::SecretsManager::Secret, Properties: {SecretString: open}}
  Parameter: {Type: AWS::SSM::Parameter, Properties: {Type: String, Value: !Ref Files}}
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      StageName: dev
      Routes: {$default: {FunctionArn: !GetAtt Fn.Arn, RouteResponseSelectionExpression: $default}}
  Response:
    Type: AWS::ApiGatewayV2::RouteResponse
    Properties: {ApiId: !Ref Api, RouteId: !Ref ApiDefaultRoute, RouteResponseKey: $default}
  Fn:
    Type: AWS::Serverless::Function
    Properties:
      Runtime: python3.13
      Handler: index.handler
      Timeout: 20
      Environment: {Variables: {FILES: !Ref Files, SECRET: !Ref Secret, PARAMETER: !Ref Parameter}}
      InlineCode: |
        import boto3, os
        def handler(event, context):
            s3, secrets, ssm = map(boto3.client, ("s3", "secretsmanager", "ssm"))
            s3.put_object(Bucket=os.environ["FILES"], Key="key", Body=event["body"])
            kept = s3.get_object(Bucket=os.environ["FILES"], Key="key")["Body"].read().decode()
            secret = secrets.get_secret_value(SecretId=os.environ["SECRET"])["SecretString"]
            parameter = ssm.get_parameter(Name=os.environ["PARAMETER"])["Parameter"]["Value"]
            return {"statusCode": 200, "body": f"{kept} {secret} {parameter}"}
"""


def test_stores_are_there(tmp_path: Path) -> None:
    (tmp_path / "template.yaml").write_text(STORES)
    with running(tmp_path, str(tmp_path / "template.yaml")) as started, opened(started, "/dev") as client:
        client.send("hello")
        assert client.recv(20) == "hello open local-files"
        assert "Not run here" not in started.log.read_text()
