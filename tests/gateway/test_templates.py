"""Templates as strangers write them, run as they are."""

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from gateway.journal import Called
from gateway.testing import Gateway, Refused
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


def test_topics_event_buses_and_buckets_that_tell_functions(tmp_path: Path) -> None:
    with running(tmp_path, "notified/template.yaml") as started, opened(started, "/live") as client:
        for said, expected in (
            ("topic", "topic said topic"),
            ("letter", "letter"),
            ("bus", "Said Z"),
            ("bucket", "txt"),
        ):
            client.send(said)
            assert client.recv(10) == expected
        client.send("short")
        assert re.fullmatch("short for [A-Za-z0-9_-]{15}=", str(client.recv(10)))
        log = started.log.read_text()
        assert "Not run here: ByMail (subscription by email of nobody@example.com; nothing is sent there)" in log
        assert log.count("Not run here") == 1


def test_a_user_pool_of_the_templates_own() -> None:
    with Gateway(TEMPLATES / "pool" / "template.yaml") as gateway:
        with gateway.connect("/live") as client:
            client.send("which?")
            ids = json.loads(client.receive())
        cognito = gateway.boto3("cognito-idp")
        person = {"UserPoolId": ids["POOL"], "Username": "ann"}
        cognito.admin_create_user(**person, TemporaryPassword="Secret-1-secret")
        cognito.admin_set_user_password(**person, Password="Secret-2-secret", Permanent=True)
        asked = {"USERNAME": "ann", "PASSWORD": "Secret-2-secret"}
        answer = cognito.admin_initiate_auth(
            UserPoolId=ids["POOL"], ClientId=ids["CLIENT"], AuthFlow="ADMIN_USER_PASSWORD_AUTH", AuthParameters=asked
        )
        token = answer["AuthenticationResult"]["IdToken"]
        for path in ("/me", "/_apis/Rest/prod/me"):
            assert httpx.get(gateway.url + path, trust_env=False).status_code == 401
            response = httpx.get(gateway.url + path, headers={"Authorization": token}, trust_env=False)
            assert (response.status_code, response.text) == (200, "ann")


def test_services_without_a_function_between() -> None:
    with Gateway(TEMPLATES / "direct" / "template.yaml") as gateway:
        with gateway.connect("/live") as client:
            (item,) = gateway.table("Connections").items
            client.send({"action": "who", "table": "local-Connections"})
            assert client.receive() == f"you are {item['id']}"
            client.send({"action": "who", "table": "none-of-this-name"})
            assert client.receive() == "no such table"
            client.send({"action": "say", "text": "late"})
            assert client.receive() == "said: late"
        gateway.journal.wait_for(lambda entry: isinstance(entry, Called) and entry.operation == "DeleteItem")
        assert gateway.table("Connections").items == []


def test_nested_stacks(tmp_path: Path) -> None:
    with running(tmp_path, "nested/template.yaml") as started:
        assert started.lines[-2].endswith("/live  Realtime/Api")
        with opened(started, "/live") as client:
            client.send("what were you given?")
            assert client.recv(10) == "hello+Shared local-Realtime 256 local-Realtime-MessageFunction"
            client.send("audit")
            assert client.recv(10) == "audited: audit"
        log = started.log.read_text()
        named = [line for line in log.splitlines() if line.startswith("Not run here")]
        where = "nested stack whose template is not on this machine"
        assert named == [
            f"Not run here: Published ({where}: arn:aws:serverlessrepo:us-east-1:123456789012:applications/somebodys)",
            f"Not run here: Remote ({where}: https://s3.amazonaws.com/templates/vpc.yaml)",
        ]


def test_two_apis_whose_stages_have_one_name() -> None:
    with Gateway(TEMPLATES / "two" / "template.yaml") as gateway:
        first, second = (api.spec.api_id for api in gateway.running.websocket_apis)
        told = [address for address, _ in gateway.running.addresses()]
        assert [address.partition("127.0.0.1:")[2].partition("/")[2] for address in told] == [
            "prod",
            f"_apis/{second}/prod",
        ]
        for path, own in (("/prod", first), (f"/_apis/{second}/prod", second), ("/_apis/Second/prod/", second)):
            with gateway.connect(path) as client:
                client.send("by the event's domain")
                assert client.receive() == own
                client.send(f"https://{own}.execute-api.us-east-1.amazonaws.com/prod")
                assert client.receive() == own
        with pytest.raises(Refused):
            gateway.connect("/_apis/nobody/prod")
