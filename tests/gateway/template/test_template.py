"""From a template's text to what is to be run."""

from pathlib import Path
from typing import Any

import pytest

from gateway.errors import TemplateError, UsageError
from gateway.settings import Settings
from gateway.template import apis, sources
from gateway.template.http_apis import http_apis
from gateway.template.intrinsics import NO_VALUE, Resolver, pseudo_parameters
from gateway.template.parameters import parameter_values
from gateway.template.reader import expand, load
from gateway.template.specs import MakeSpec
from gateway.template.stack import Stack
from gateway.websocket.targets import FunctionTarget, QueueTarget
from tests.gateway.conftest import ROOT, STACK


def resolver(**template: Any) -> Resolver:
    def attribute(logical_id: str, name: str) -> str:
        return f"{logical_id}.{name}!"

    values = {**pseudo_parameters(Settings()), "Name": "blue", "List": ["a", "b"]}
    return Resolver(template, values, lambda logical_id: f"{logical_id}!", attribute, lambda *names: "/".join(names))


def stack(path: Path, **overrides: str) -> Stack:
    template = load(path)
    values = parameter_values(template.get("Parameters", {}), overrides)
    return Stack(expand(template, values, Settings()), values, path.parent, "http://127.0.0.1:5000", Settings())


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ({"Ref": "Name"}, "blue"),
        ({"Ref": "Table"}, "Table!"),
        ({"Ref": "AWS::Region"}, "us-east-1"),
        ({"Fn::GetAtt": ["Table", "Arn"]}, "Table.Arn!"),
        ({"Fn::GetAtt": "Table.Arn"}, "Table.Arn!"),
        ({"Fn::Sub": "${Name} ${Table.Arn} ${!Literal} ${AWS::Partition}"}, "blue Table.Arn! ${Literal} aws"),
        ({"Fn::Sub": ["${x}-${Name}", {"x": {"Ref": "Table"}}]}, "Table!-blue"),
        ({"Fn::Join": ["-", ["a", {"Ref": "Name"}]]}, "a-blue"),
        ({"Fn::Join": ["-", {"Ref": "List"}]}, "a-b"),
        ({"Fn::Split": [",", "a,b"]}, ["a", "b"]),
        ({"Fn::Select": [1, {"Fn::Split": [",", "a,b"]}]}, "b"),
        ({"Fn::Select": ["0", {"Ref": "List"}]}, "a"),
        ({"Fn::If": ["Yes", "a", "b"]}, "a"),
        ({"Fn::If": ["No", "a", {"Ref": "Name"}]}, "blue"),
        ({"a": {"Fn::If": ["No", 1, {"Ref": "AWS::NoValue"}]}, "b": 2}, {"b": 2}),
        ([1, {"Ref": "AWS::NoValue"}, 2], [1, 2]),
        ({"Fn::FindInMap": ["Sizes", {"Ref": "Name"}, "large"]}, 9),
        ({"Fn::FindInMap": ["Sizes", "x", "y", {"DefaultValue": 1}]}, 1),
        ({"Fn::Base64": "x"}, "eA=="),
        ({"Fn::GetAZs": ""}, ["us-east-1a", "us-east-1b", "us-east-1c"]),
        ({"Fn::Select": [0, {"Fn::GetAZs": {"Ref": "AWS::Region"}}]}, "us-east-1a"),
        ({"Fn::Cidr": ["10.0.0.0/24", 3, 5]}, ["10.0.0.0/27", "10.0.0.32/27", "10.0.0.64/27"]),
        ({"Fn::Cidr": ["10.0.0.0/24", 2]}, ["10.0.0.0/25", "10.0.0.128/25"]),
        ({"Fn::Length": {"Ref": "List"}}, 2),
        ({"Fn::ToJsonString": {"a": {"Ref": "Name"}}}, '{"a": "blue"}'),
        ({"Fn::ImportValue": {"Fn::Sub": "${Name}-vpc"}}, "export/blue-vpc"),
        ("x {{resolve:ssm:/a/b:1}} y", "x ssm//a/b:1 y"),
        ({"Fn::Sub": "{{resolve:secretsmanager:${Name}:SecretString:key}}"}, "secretsmanager/blue:SecretString:key"),
        ({"Condition": {"StringEquals": {}}}, {"Condition": {"StringEquals": {}}}),
    ],
)
def test_intrinsic_functions(value: Any, expected: Any) -> None:
    conditions = {
        "Yes": {"Fn::Equals": [{"Ref": "Name"}, "blue"]},
        "No": {"Fn::Not": [{"Condition": "Yes"}]},
    }
    assert resolver(Conditions=conditions, Mappings={"Sizes": {"blue": {"large": 9}}}).resolve(value) == expected


def test_conditions() -> None:
    conditions = {
        "True": {"Fn::Equals": ["a", "a"]},
        "Both": {"Fn::And": [{"Condition": "True"}, {"Fn::Not": [{"Condition": "True"}]}]},
        "Either": {"Fn::Or": [{"Condition": "Both"}, {"Condition": "True"}]},
    }
    made = resolver(Conditions=conditions)
    assert [made.condition(name) for name in conditions] == [True, False, True]
    with pytest.raises(TemplateError):
        made.condition("Other")


@pytest.mark.parametrize(
    "value",
    [
        {"Fn::Unheard": "x"},
        {"Fn::Transform": {"Name": "Macro"}},
        {"Fn::Length": 5},
        {"Fn::Cidr": ["nowhere", 1]},
        {"Fn::Select": [5, ["a"]]},
        {"Fn::FindInMap": ["a", "b", "c"]},
        {"Fn::If": ["Missing", 1, 2]},
        {"Fn::Join": "x"},
    ],
)
def test_what_cannot_be_resolved(value: Any) -> None:
    with pytest.raises(TemplateError):
        resolver().resolve(value)


def test_no_value_is_no_value_of_a_template() -> None:
    assert resolver().resolve({"Ref": "AWS::NoValue"}) is NO_VALUE


# ---- parameters

RULES: dict[str, Any] = {
    "Plain": {"Type": "String", "Default": "x"},
    "Number": {"Type": "Number", "Default": 5, "MinValue": 1, "MaxValue": 9},
    "Pattern": {"Type": "String", "Default": "a", "AllowedPattern": "[a-z]+", "MaxLength": 3},
    "Choice": {"Type": "Number", "Default": 1, "AllowedValues": [1, 2]},
    "Several": {"Type": "CommaDelimitedList", "Default": "a, b"},
}


def test_parameters() -> None:
    values = parameter_values(RULES, {"Number": "7", "Plain": "a=b"})
    assert values == {"Plain": "a=b", "Number": "7", "Pattern": "a", "Choice": "1", "Several": ["a", "b"]}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Number", "0"),
        ("Number", "10"),
        ("Number", "five"),
        ("Number", "nan"),
        ("Pattern", "A"),
        ("Pattern", "abcd"),
        ("Choice", "3"),
        ("Unknown", "x"),
    ],
)
def test_refused_parameters(name: str, value: str) -> None:
    with pytest.raises(UsageError, match=name):
        parameter_values(RULES, {name: value})


def test_a_parameter_without_a_default_is_needed() -> None:
    with pytest.raises(UsageError, match="Needed"):
        parameter_values({"Needed": {"Type": "String"}}, {})


# ---- stacks


def test_the_test_stack() -> None:
    made = stack(STACK, Size="3")
    api, queued = apis.websocket_apis(made)
    assert api.selection == "$request.body.action"
    assert api.stages == {"test": {"flavour": "mild"}}
    assert api.routes["$default"].target == FunctionTarget("EchoFunction")
    assert [api.routes[key].responds for key in ("$default", "silent", "half")] == [True, False, False]
    assert api.routes["slow"].timeout == 1
    (pages,) = http_apis(made)
    assert {route.key for route in pages.routes} == {"GET /rooms/{room}", "ANY /files/{path+}", "$default"}
    functions = {function.logical_id: function for function in made.functions()}
    echo = functions["EchoFunction"]
    assert (echo.handler, echo.code, echo.timeout) == ("functions.echo", STACK.parent / "code", 2)
    assert echo.environment["SIZE"] == "3"
    assert echo.environment["CONNECTIONS_URL"] == f"https://{api.api_id}.execute-api.us-east-1.amazonaws.com/test"
    assert functions["FailFunction"].log_format == "JSON"
    assert queued.routes.keys() == {"$connect", "$default", "$disconnect", "refused"}
    frames = queued.routes["$default"].target
    assert isinstance(frames, QueueTarget)
    assert (frames.queue, frames.requests.selection, frames.requests.mapped_only) == (
        "local-Frames.fifo",
        "\\$default",
        True,
    )
    refused = queued.routes["refused"].target
    assert isinstance(refused, QueueTarget)
    assert (refused.queue, refused.action, refused.requests.mapped_only) == ("", "SendMessage", False)
    mapping = next(mapping for mapping in sources.mappings(made)[0] if mapping.queue == "Queue")
    assert (mapping.queue, mapping.function, mapping.batch_size, mapping.partial) == ("Queue", "WorkFunction", 10, True)
    assert {(schedule.logical_id, schedule.expression, schedule.scheduler) for schedule in sources.schedules(made)} == {
        ("TickFunctionMinute", "rate(1 minute)", True),
        ("TickFunctionRule", "rate(1 minute)", False),
    }
    assert [table.logical_id for table in made.tables()] == ["Table"]
    queues = {queue.logical_id: queue for queue in made.queues()}
    assert queues["Queue"].name == "local-Queue.fifo"
    assert queues["Queue"].redrive is not None
    assert "local-DeadLetters.fifo" in queues["Queue"].redrive
    made.name_the_rest()
    assert made.unsupported == {"Alarm": "AWS::CloudWatch::Alarm"}


def test_the_projects_own_template() -> None:
    made = stack(ROOT / "template.yaml")
    assert [api.selection for api in apis.websocket_apis(made)] == ["\\$default"]
    assert len(made.functions()) >= 6
    assert http_apis(made)[0].routes[-1].key == "$default"
    assert sources.mappings(made)[0]
    assert sources.schedules(made)
    assert made.tables()
    assert made.queues()
    made.name_the_rest()
    assert made.unsupported == {}


def run_all(path: Path) -> None:
    made = stack(path)
    made.functions()
    made.queues()


MINIMAL = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Fn:
    Type: AWS::Serverless::Function
    Properties: {Handler: a.b, Runtime: %s%s}
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [", "line"),
        ("a: 1", "Resources"),
        ("Resources: []", "Resources"),
        (MINIMAL % ("python3.13", ", CodeUri: nowhere"), "nowhere"),
        (MINIMAL.replace("Handler", "Handle") % ("python3.13", ""), "Fn"),
        ("Resources: {Q: {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref Nothing}}}", "Nothing"),
        ("Resources: {Q: {Type: AWS::SQS::Queue, Properties: {QueueName: !GetAtt Nothing.Arn}}}", "Nothing"),
        ("Resources: {Q: {Type: AWS::SQS::Queue, Condition: Nothing}}", "Nothing"),
        ("Resources: {Q: {Properties: {}}}", "Q"),
    ],
)
def test_faults_of_a_template_are_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(text)
    with pytest.raises(TemplateError) as error:
        run_all(path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_what_cannot_be_run_is_named(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(
        MINIMAL % ("nodejs22.x", "")
        + """
  Table: {Type: AWS::RDS::DBInstance}
  Logs: {Type: AWS::Logs::LogGroup}
  Boxed: {Type: AWS::Serverless::Function, Properties: {PackageType: Image, ImageUri: x}}
"""
    )
    made = stack(path)
    faults = {function.logical_id: function.fault for function in made.functions()}
    assert faults == {"Fn": "", "Boxed": "function from a container image; --lambda-endpoint can run it"}
    assert sources.schedules(made) == []
    made.name_the_rest()
    assert made.unsupported == {"Table": "AWS::RDS::DBInstance"}


SERVICE = """
Resources:
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: a, ProtocolType: WEBSOCKET}}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: live}}
  Route:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $default, Target: !Sub "integrations/${Integration}"}
  Integration:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS
      IntegrationMethod: POST
      IntegrationUri: !Sub "arn:aws:apigateway:us-east-1:sqs:path/${AWS::AccountId}/${Queue.QueueName}"
      CredentialsArn: !GetAtt Role.Arn
      RequestParameters: {integration.request.header.Content-Type: "'application/x-www-form-urlencoded'"}
      RequestTemplates: {$default: Action=SendMessage&MessageBody=$input.body}
  Role: {Type: AWS::IAM::Role}
  Queue: {Type: AWS::SQS::Queue}
"""


@pytest.mark.parametrize(
    ("written", "instead", "words"),
    [
        ("IntegrationMethod: POST", "IntegrationMethod: GET", "integration with SQS by GET"),
        ("CredentialsArn: !GetAtt Role.Arn", "TimeoutInMillis: 1000", "integration with SQS without CredentialsArn"),
        ("x-www-form-urlencoded", "json", "Content-Type"),
        ("{integration", "{integration.request.querystring.x: y, integration", "request parameter integration.request"),
        (":sqs:path", ":sns:path", "integration with sns"),
        ("${Queue.QueueName}", "other", "queue other outside this template"),
        (":sqs:path/${AWS::AccountId}/${Queue.QueueName}", ":sqs:action/DeleteQueue", "SQS's DeleteQueue"),
        ("$input.body", "x#if(true)y", "a mapping template: line 1"),
        ("$input.body", "$util.trim('x')", "$util.trim in a mapping template"),
        ("Type: AWS\n", "Type: AWS_PROXY\n      IntegrationSubtype: SQS-SendMessage\n", "AWS_PROXY integration"),
    ],
)
def test_service_integrations_that_are_not_run_are_named(
    tmp_path: Path, written: str, instead: str, words: str
) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(SERVICE)
    made = stack(path)
    assert apis.websocket_apis(made)[0].routes.keys() == {"$default"}
    assert made.unsupported == {}
    path.write_text(SERVICE.replace(written, instead))
    made = stack(path)
    assert apis.websocket_apis(made)[0].routes == {}
    assert words in made.unsupported["Route"]
    assert made.unsupported["Route"].endswith("; there is no route $default")


def test_the_response_of_an_integration_is_named(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(
        SERVICE + "  Response: {Type: AWS::ApiGatewayV2::IntegrationResponse, Properties: "
        "{ApiId: !Ref Api, IntegrationId: !Ref Integration, IntegrationResponseKey: $default}}\n"
    )
    made = stack(path)
    apis.websocket_apis(made)
    made.name_the_rest()
    assert "reaches no client" in made.unsupported["Response"]


def test_code_is_found_beside_the_template(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(MINIMAL % ("python3.13", ""))
    (function,) = stack(path).functions()
    assert function.code == tmp_path.resolve()


MADE = """
Transform: AWS::Serverless-2016-10-31
Resources:
  Tools:
    Type: AWS::Serverless::LayerVersion
    Metadata: {BuildMethod: makefile}
    Properties: {ContentUri: layer}
  Fn:
    Type: AWS::Serverless::Function
    Metadata: {BuildMethod: makefile, ProjectRootDirectory: ., ContextPath: make, WorkingDirectory: code/inner}
    Properties: {Runtime: provided.al2023, Handler: any, CodeUri: code, Layers: [!Ref Tools]}
"""


def test_what_a_makefile_makes(tmp_path: Path) -> None:
    for folder in ("layer", "code"):
        (tmp_path / folder).mkdir()
    (tmp_path / "template.yaml").write_text(MADE)
    (spec,) = stack(tmp_path / "template.yaml").functions()
    assert spec.make == MakeSpec("Fn", tmp_path, tmp_path / "make" / "Makefile", tmp_path / "code" / "inner")
    # Its target has the name that the template gives the layer, without what SAM adds.
    layer = tmp_path / "layer"
    assert spec.layer_makes == {layer: MakeSpec("Tools", layer, layer / "Makefile")}
