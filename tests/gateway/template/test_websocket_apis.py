"""WebSocket APIs of a template: who may connect, what messages have to be, and what routes reach beside functions."""

from pathlib import Path
from typing import Any

import pytest

from gateway.errors import TemplateError
from gateway.settings import Settings
from gateway.template import apis
from gateway.template.parameters import parameter_values
from gateway.template.reader import expand, load
from gateway.template.specs import AuthorizerSpec, StageThrottles, Throttle, WebSocketSpec
from gateway.template.stack import Stack
from gateway.websocket.backends import HttpEndpoint, MappedFunction, MappedTarget, Mock
from gateway.websocket.service_calls import ServiceAction
from gateway.websocket.targets import FunctionTarget, StagedTarget
from tests.gateway.conftest import ROOT

HEAD = """
Resources:
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: a, ProtocolType: WEBSOCKET}}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: live, StageVariables: {host: one}}}
  Other: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: other, StageVariables: {host: two}}}
  Fn:
    Type: AWS::Lambda::Function
    Properties: {Handler: a.b, Runtime: python3.13, Code: ., Role: r, FunctionName: fn}
  Guard:
    Type: AWS::ApiGatewayV2::Authorizer
    Properties:
      ApiId: !Ref Api
      AuthorizerType: REQUEST
      AuthorizerUri: !Sub "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/${Fn.Arn}/invocations"
      IdentitySource: [route.request.header.Auth]
  Model:
    Type: AWS::ApiGatewayV2::Model
    Properties: {ApiId: !Ref Api, Name: M, Schema: {type: object}}
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $connect, Target: !Sub "integrations/${Integration}"}
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: MOCK}
"""


def read(path: Path, text: str) -> tuple[WebSocketSpec, Stack]:
    path.write_text(text)
    template = load(path)
    settings = Settings()
    values = parameter_values(template.get("Parameters", {}), {})
    stack = Stack(expand(template, values, settings), values, path.parent, "http://127.0.0.1:1", settings)
    (spec,) = apis.websocket_apis(stack)
    stack.name_the_rest()
    return spec, stack


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "template.yaml"


def route(extra: str, key: str = "$connect") -> str:
    return HEAD.replace("RouteKey: $connect,", f"RouteKey: {key}, {extra},")


# ---- who may connect


def test_an_authorizer(path: Path) -> None:
    spec, stack = read(path, route("AuthorizationType: CUSTOM, AuthorizerId: !Ref Guard"))
    assert spec.routes["$connect"].authorizer == AuthorizerSpec("Guard", "Fn", ("route.request.header.Auth",))
    assert stack.unsupported == {}


def test_iam_and_a_key(path: Path) -> None:
    spec, stack = read(path, route("AuthorizationType: AWS_IAM, ApiKeyRequired: 'true'"))
    assert (spec.routes["$connect"].iam, spec.routes["$connect"].key_required) == (True, True)
    assert stack.unsupported == {}


@pytest.mark.parametrize(
    ("text", "name", "words"),
    [
        (route("AuthorizationType: AWS_IAM", "chat"), "Route", "the service authorizes $connect alone"),
        (route("AuthorizationType: JWT"), "Route", "JWT authorization of a WebSocket API"),
        (
            route("AuthorizationType: CUSTOM, AuthorizerId: !Ref Guard").replace("Type: REQUEST", "Type: JWT"),
            "Guard",
            "JWT authorizer of a WebSocket API; every connection is refused",
        ),
        (
            route("AuthorizationType: CUSTOM, AuthorizerId: !Ref Guard").replace("${Fn.Arn}", "arn:elsewhere"),
            "Guard",
            "authorizer: no function of this template",
        ),
        (
            route("RequestParameters: {route.request.querystring.a: {Required: true}}"),
            "Route.RequestParameters",
            "required parameters of route $connect",
        ),
    ],
)
def test_what_is_not_asked_for_is_named(path: Path, text: str, name: str, words: str) -> None:
    spec, stack = read(path, text)
    assert words in stack.unsupported[name]
    (made,) = spec.routes.values()
    assert (made.iam, made.key_required) == (False, False)
    # What cannot be asked lets nobody in: the function that it names is none of the template's.
    refused = "every connection is refused" in stack.unsupported[name]
    assert (made.authorizer is not None and made.authorizer.function != "Fn") is refused


@pytest.mark.parametrize(
    "text", [route("AuthorizationType: CUSTOM"), route("AuthorizationType: CUSTOM, AuthorizerId: other")]
)
def test_an_authorizer_that_is_not_there(path: Path, text: str) -> None:
    with pytest.raises(TemplateError, match="no authorizer of this template"):
        read(path, text)


KEYS = """
  Key: {Type: AWS::ApiGateway::ApiKey, Properties: {Enabled: true, Value: secret}}
  Spent: {Type: AWS::ApiGateway::ApiKey, Properties: {Value: off}}
  Unknown: {Type: AWS::ApiGateway::ApiKey, Properties: {Enabled: true}}
  Loose: {Type: AWS::ApiGateway::ApiKey, Properties: {Enabled: true, Value: loose}}
  Plan:
    Type: AWS::ApiGateway::UsagePlan
    Properties: {ApiStages: [{ApiId: !Ref Api, Stage: live}, {ApiId: elsewhere, Stage: other}], Quota: {Limit: 1}}
  One: {Type: AWS::ApiGateway::UsagePlanKey, Properties: {KeyId: !Ref Key, UsagePlanId: !Ref Plan}}
  Two: {Type: AWS::ApiGateway::UsagePlanKey, Properties: {KeyId: !Ref Spent, UsagePlanId: !Ref Plan}}
  Three: {Type: AWS::ApiGateway::UsagePlanKey, Properties: {KeyId: !Ref Unknown, UsagePlanId: !Ref Plan}}
"""


def test_keys_of_usage_plans(path: Path) -> None:
    spec, stack = read(path, HEAD + KEYS)
    assert spec.api_keys == {"live": {"secret": "local-Key"}}
    assert spec.key_selection == "$request.header.x-api-key"
    assert set(stack.unsupported) == {"Unknown", "Plan"}


# ---- messages


def test_models_by_name_or_reference(path: Path) -> None:
    models = "ModelSelectionExpression: $request.body.kind, RequestModels: {a: M, b: !Ref Model}"
    spec, stack = read(path, route(models, "chat"))
    made = spec.routes["chat"]
    assert (made.model_selection, made.models) == (
        "$request.body.kind",
        {"a": {"type": "object"}, "b": {"type": "object"}},
    )
    assert stack.unsupported == {}
    with pytest.raises(TemplateError, match="no model of this template: N"):
        read(path, route(models.replace("a: M", "a: N"), "chat"))


@pytest.mark.parametrize(
    ("schema", "words"),
    [("{$ref: 'https://example.com/x'}", "refers to https://example.com/x"), ("{type: nothing}", "no JSON schema")],
)
def test_a_model_that_cannot_be_used_is_named(path: Path, schema: str, words: str) -> None:
    text = route("ModelSelectionExpression: $default, RequestModels: {$default: M}", "chat")
    spec, stack = read(path, text.replace("{type: object}", schema))
    assert words in stack.unsupported["Model"]
    assert spec.routes["chat"].model_selection == ""


def test_throttling_settings(path: Path) -> None:
    settings = (
        "StageName: live, DefaultRouteSettings: {ThrottlingBurstLimit: 5, ThrottlingRateLimit: 2.5}, "
        "RouteSettings: {chat: {ThrottlingRateLimit: 1}},"
    )
    spec, _ = read(path, HEAD.replace("StageName: live,", settings))
    assert spec.throttles["live"] == StageThrottles(Throttle(5, 2.5), {"chat": Throttle(None, 1.0)})
    assert spec.throttles["other"] == StageThrottles()


# ---- integrations


def integrated(properties: str) -> str:
    return HEAD.replace("IntegrationType: MOCK", properties)


def test_a_mock_and_its_responses(path: Path) -> None:
    response = """
  Response:
    Type: AWS::ApiGatewayV2::IntegrationResponse
    Properties:
      ApiId: !Ref Api
      IntegrationId: !Ref Integration
      IntegrationResponseKey: $default
      ResponseTemplates: {$default: text}
"""
    spec, stack = read(path, HEAD + response)
    target = spec.routes["$connect"].target
    assert isinstance(target, MappedTarget)
    assert target.backend == Mock()
    assert list(target.responses or {}) == ["$default"]
    assert stack.unsupported == {}


def test_http_endpoints(path: Path) -> None:
    parameters = "RequestParameters: {integration.request.header.id: context.connectionId}"
    text = integrated(f"IntegrationType: HTTP_PROXY, IntegrationMethod: put, IntegrationUri: 'http://a/', {parameters}")
    spec, stack = read(path, text)
    target = spec.routes["$connect"].target
    assert isinstance(target, MappedTarget)
    assert target.backend == HttpEndpoint("PUT", "http://a/", {"integration.request.header.id": "context.connectionId"})
    assert target.responses is None
    spec, stack = read(path, text.replace("HTTP_PROXY", "HTTP"))
    target = spec.routes["$connect"].target
    assert isinstance(target, MappedTarget)
    assert target.responses == {}
    assert stack.unsupported == {}
    for change, words in [
        ("integration.request.header", "integration.request.body"),
        ("'http://a/',", "u, ConnectionType: VPC_LINK,"),
    ]:
        spec, stack = read(path, text.replace(change, words))
        assert spec.routes == {}
        assert "there is no route $connect" in stack.unsupported["Route"]


LAMBDA = (
    "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
    "arn:aws:lambda:us-east-1:123456789012:function:%s/invocations"
)


def test_a_function_behind_templates(path: Path) -> None:
    spec, _ = read(path, integrated(f"IntegrationType: AWS, IntegrationUri: '{LAMBDA % 'fn'}'"))
    target = spec.routes["$connect"].target
    assert isinstance(target, MappedTarget)
    assert target.backend == MappedFunction("Fn")


ACTION = (
    "IntegrationType: AWS, IntegrationMethod: POST, CredentialsArn: r, "
    "IntegrationUri: 'arn:aws:apigateway:us-east-1:%s'"
)
TARGET = "RequestParameters: {integration.request.header.X-Amz-Target: \"'%s'\"}"


@pytest.mark.parametrize(
    ("text", "service", "action"),
    [
        (ACTION % "dynamodb:action/PutItem", "dynamodb", "PutItem"),
        (f"{ACTION % 'events:path//'}, {TARGET % 'AWSEvents.PutEvents'}", "events", "PutEvents"),
    ],
)
def test_an_action_of_a_service(path: Path, text: str, service: str, action: str) -> None:
    spec, _ = read(path, integrated(text))
    target = spec.routes["$connect"].target
    assert isinstance(target, MappedTarget)
    assert target.backend == ServiceAction(service, action, "http://127.0.0.1:1", "us-east-1")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (ACTION.replace("POST", "GET") % "events:action/PutEvents", "events by GET"),
        (ACTION.replace(", CredentialsArn: r", "") % "dynamodb:action/PutItem", "dynamodb without CredentialsArn"),
        (ACTION % "dynamodb:path/", "dynamodb at path/"),
        (ACTION % "dynamodb:path/some/where", "dynamodb at path/some/where"),
        (f"{ACTION % 'events:path//'}, {TARGET % 'DynamoDB_20120810.PutItem'}", "events at path//"),
        (
            ACTION % "dynamodb:action/PutItem" + ", RequestParameters: {integration.request.querystring.a: b}",
            "querystring.a",
        ),
        (ACTION % "states:action/StartExecution", "integration with states"),
        (ACTION % "kinesis:action/PutRecord", "integration with kinesis"),
    ],
)
def test_actions_that_are_not_called_are_named(path: Path, text: str, words: str) -> None:
    spec, stack = read(path, integrated(text))
    assert spec.routes == {}
    assert words in stack.unsupported["Route"]


def test_templates_that_nothing_selects(path: Path) -> None:
    templates = "RequestTemplates: {application/json: json, $default: other}"
    for more, expected in (("", "json"), (", TemplateSelectionExpression: any", "other")):
        spec, _ = read(path, integrated(f"IntegrationType: AWS, IntegrationUri: '{LAMBDA % 'fn'}', {templates}{more}"))
        target = spec.routes["$connect"].target
        assert isinstance(target, MappedTarget)
        assert target.requests.render({"requestContext": {}, "body": "x"}) == expected


def test_stage_variables_in_an_address(path: Path) -> None:
    uri = "'http://${stageVariables.host}/${stageVariables.none}'"
    spec, _ = read(path, integrated(f"IntegrationType: HTTP_PROXY, IntegrationUri: {uri}"))
    target = spec.routes["$connect"].target
    assert isinstance(target, StagedTarget)
    urls: dict[str, Any] = {stage: found.backend.url for stage, found in target.stages.items()}  # type: ignore[attr-defined]
    assert urls == {"live": "http://one/", "other": "http://two/"}


def test_the_short_form(path: Path) -> None:
    template = load(ROOT / "tests" / "gateway" / "doors" / "template.yaml")
    settings = Settings()
    root = ROOT / "tests" / "gateway" / "doors"
    stack = Stack(expand(template, {}, settings), {}, root, "http://127.0.0.1:1", settings)
    signed = next(spec for spec in apis.websocket_apis(stack) if spec.logical_id == "Signed")
    connect = signed.routes["$connect"]
    assert (connect.iam, connect.authorizer) == (True, None)
    assert connect.target == FunctionTarget("ReachFunction")
