"""What templates of others have in them: everything that SAM and CloudFormation take before anything runs."""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import TemplateError, UsageError
from gateway.settings import Settings
from gateway.template import apis
from gateway.template.parameters import configured, parameter_values
from gateway.template.reader import expand, found, load
from gateway.template.stack import Stack
from gateway.template.stores import stores


@pytest.fixture
def made(tmp_path: Path) -> Any:
    """Return the stack of a template's text, whose code is in folders a, b and c."""
    for name in "abc":
        (tmp_path / name).mkdir()

    def make(text: str, name: str = "template.yaml", **overrides: str) -> Stack:
        path = tmp_path / name
        path.write_text(text)
        template = load(path)
        values = parameter_values(template.get("Parameters", {}), overrides)
        return Stack(expand(template, values, Settings()), values, tmp_path, "http://127.0.0.1:5000", Settings())

    return make


SAM = "Transform: AWS::Serverless-2016-10-31\n"
FUNCTION = "{Type: AWS::Serverless::Function, Properties: {Runtime: python3.13, Handler: x.y, CodeUri: a}}"


def test_sections_and_attributes_that_run_nothing(made: Any) -> None:
    stack = made(
        SAM
        + """
AWSTemplateFormatVersion: 2010-09-09
Description: >
  All of it
Metadata: {AWS::CloudFormation::Interface: {ParameterGroups: []}, cfn-lint: {config: {}}}
Parameters: {Name: {Type: String, Default: blue, NoEcho: true}}
Rules: {Some: {Assertions: [{Assert: !Equals [!Ref Name, blue], AssertDescription: x}]}}
Hooks: {}
Globals:
  Function:
    Runtime: python3.13
    CodeUri: a
    Environment: {Variables: {COMMON: 1}}
    Layers: [!Ref Shared]
    VpcConfig: {SecurityGroupIds: [sg-1], SubnetIds: [subnet-1]}
    Architectures: [arm64]
    EphemeralStorage: {Size: 1024}
    SnapStart: {ApplyOn: PublishedVersions}
    DeadLetterQueue: {Type: SQS, TargetArn: arn:aws:sqs:us-east-1:123456789012:x}
    AutoPublishAlias: live
    DeploymentPreference: {Type: AllAtOnce}
  Api: {Cors: "'*'"}
  HttpApi: {CorsConfiguration: true}
  SimpleTable: {SSESpecification: {SSEEnabled: true}}
  WebSocketApi: {RouteSelectionExpression: $request.body.action, StageVariables: {a: b}}
  LayerVersion: {PublishLambdaVersion: false}
  StateMachine: {PropagateTags: true}
Resources:
  Shared:
    Type: AWS::Serverless::LayerVersion
    Properties: {ContentUri: b, LayerName: shared, RetentionPolicy: Delete}
    Metadata: {BuildMethod: python3.13}
  Fn:
    Type: AWS::Serverless::Function
    DependsOn: [Table]
    DeletionPolicy: Retain
    UpdateReplacePolicy: Retain
    Metadata: {BuildMethod: esbuild, BuildProperties: {Minify: true}}
    Connectors: {ToTable: {Properties: {Destination: {Id: Table}, Permissions: [Read, Write]}}}
    Properties: {Handler: x.y, Tracing: Active, FunctionUrlConfig: {AuthType: NONE}}
  Table:
    Type: AWS::Serverless::SimpleTable
    Properties:
      PrimaryKey: {Name: id, Type: Number}
      ProvisionedThroughput: {ReadCapacityUnits: 1, WriteCapacityUnits: 1}
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties: {Routes: {$default: {FunctionArn: !GetAtt Fn.Arn}}}
Outputs:
  Url: {Value: !Sub "wss://${Api}.execute-api.${AWS::Region}.amazonaws.com/default", Export: {Name: x}}
"""
    )
    (function,) = stack.functions()
    assert (function.environment, function.layers) == ({"COMMON": "1"}, (stack.root / "b",))
    (table,) = stack.tables()
    assert table.arguments["AttributeDefinitions"] == [{"AttributeName": "id", "AttributeType": "N"}]
    (api,) = apis.websocket_apis(stack)
    assert api.stages == {"default": {"a": "b"}}


WEBSOCKET = (
    SAM
    + """
Parameters: {Stage: {Type: String, Default: live}}
Resources:
  Fn: """
    + FUNCTION
    + """
  Api:
    Type: AWS::Serverless::WebSocketApi
    Properties:
      RouteSelectionExpression: $request.body.action
      Routes:
        $connect: {FunctionArn: !GetAtt Fn.Arn%s}
        say:
          FunctionArn: !GetAtt Fn.Arn
          ModelSelectionExpression: $request.body.kind
          OperationName: Say
          RouteResponseSelectionExpression: $default
          IntegrationTimeout: 1500
      %s
"""
)


@pytest.mark.parametrize(
    ("route", "more", "stage"),
    [
        ("", "StageName: prod", "prod"),
        ("", "StageName: !Ref Stage", "live"),
        ("", "StageName: !Sub '${Stage}-1'", "live-1"),
        ("", "Description: no stage", "default"),
        ("", "Auth: {AuthType: NONE}", "default"),
        ("", "Auth: {AuthType: AWS_IAM}", "default"),
        (
            "",
            "Auth: {AuthType: CUSTOM, AuthArn: !GetAtt Fn.Arn, IdentitySource: [route.request.header.Auth]}",
            "default",
        ),
        (
            "",
            "Auth: {AuthType: CUSTOM, AuthArn: !GetAtt Fn.Arn, InvokeRole: arn:aws:iam::1:role/x, Name: a}",
            "default",
        ),
        (", ApiKeyRequired: true", "ApiKeySelectionExpression: $request.header.x-api-key", "default"),
        (
            ", RequestParameters: {route.request.querystring.token: {Required: true}}",
            "IpAddressType: dualstack",
            "default",
        ),
        ("", "RouteSettings: {say: {ThrottlingBurstLimit: 5}}", "default"),
        ("", "DefaultRouteSettings: {DataTraceEnabled: true, LoggingLevel: INFO}", "default"),
        ("", "AccessLogSettings: {DestinationArn: arn:aws:logs:us-east-1:1:log-group:x, Format: x}", "default"),
        ("", "Domain: {DomainName: ws.example.com, CertificateArn: arn:aws:acm:us-east-1:1:certificate/x}", "default"),
        ("", "Tags: {a: b}\n      PropagateTags: true\n      DisableExecuteApiEndpoint: false", "default"),
        ("", "StageVariables: {a: !Ref Stage}\n      DisableSchemaValidation: true", "default"),
    ],
)
def test_forms_of_a_websocket_api(made: Any, route: str, more: str, stage: str) -> None:
    (api,) = apis.websocket_apis(made(WEBSOCKET % (route, more)))
    assert api.routes.keys() == {"$connect", "say"}
    assert api.routes["say"].timeout == 1.5
    assert list(api.stages) == [stage]


def test_a_template_in_json(made: Any) -> None:
    resource = {"Type": "AWS::Serverless::Function", "Properties": {"Runtime": "nodejs22.x", "Handler": "x.y"}}
    text = json.dumps({"Transform": ["AWS::Serverless-2016-10-31"], "Resources": {"Fn": resource}}, indent="\t")
    (function,) = made(text, "template.json").functions()
    assert (function.logical_id, function.runtime) == ("Fn", "nodejs22.x")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        ("a", "a"),
        ("./a/", "a"),
        ("!Ref Folder", "b"),
        ("!Sub 'x/../${Folder}'", "b"),
        ("!FindInMap [Folders, !Ref Folder, code]", "c"),
        ("!If [Blue, a, b]", "b"),
        ("{Bucket: somewhere, Key: code.zip}", None),
        ("s3://somewhere/code.zip", None),
        ("{'Fn::GetAtt': [Other, Arn]}", "Other.Arn is no parameter"),
        ("nowhere.zip", "nowhere.zip"),
    ],
)
def test_code_uris(made: Any, tmp_path: Path, code: str, expected: str | None) -> None:
    text = (
        SAM
        + "Parameters: {Folder: {Type: String, Default: b}}\nMappings: {Folders: {b: {code: c}}}\n"
        + "Conditions: {Blue: !Equals [!Ref Folder, blue]}\n"
        + "Resources:\n  Fn: "
        + FUNCTION.replace("CodeUri: a", f"CodeUri: {code}")
    )
    (tmp_path / "x").mkdir()
    if expected is not None and len(expected) > 1:
        with pytest.raises(TemplateError, match=expected):
            made(text).functions()
        return
    (function,) = made(text).functions()
    if expected is None:
        assert "not a local folder" in function.fault
    else:
        assert function.code == tmp_path / expected


def test_code_of_plain_cloudformation(made: Any, tmp_path: Path) -> None:
    stack = made(
        """
Resources:
  Inline: {Type: AWS::Lambda::Function, Properties: {Runtime: python3.13, Handler: index.x, Code: {ZipFile: "x = 1"}}}
  Folder: {Type: AWS::Lambda::Function, Properties: {Runtime: python3.9, Handler: x.y, Code: a, Layers: [!Ref L, x:y]}}
  Away: {Type: AWS::Lambda::Function, Properties: {Runtime: python3.13, Handler: x.y, Code: {S3Bucket: x, S3Key: y}}}
  L: {Type: AWS::Lambda::LayerVersion, Properties: {Content: b}}
"""
    )
    found = {function.logical_id: function for function in stack.functions()}
    assert found["Inline"].inline == "x = 1"
    assert (found["Folder"].code, found["Folder"].layers) == (tmp_path / "a", (tmp_path / "b",))
    assert "not a local folder" in found["Away"].fault
    assert "layer x:y, which is not in this template" in stack.unsupported["Folder.Layers"]


def test_loops(made: Any, tmp_path: Path) -> None:
    stack = made(
        """
Transform: [AWS::LanguageExtensions, AWS::Serverless-2016-10-31]
Parameters: {Names: {Type: CommaDelimitedList, Default: "a,b"}}
Resources:
  Fn::ForEach::Functions:
    - Name
    - !Ref Names
    - Fn${Name}:
        Type: AWS::Serverless::Function
        Properties:
          Runtime: python3.13
          Handler: !Sub "${Name}.handler"
          CodeUri: ${Name}
          Environment: {Variables: {NAME: !Ref Name}}
  Fn::ForEach::Tables:
    - Key
    - [x-1, "y.2"]
    - Table&{Key}:
        Type: AWS::DynamoDB::Table
        Properties: {TableName: !Sub "${Key}", KeySchema: [], AttributeDefinitions: []}
"""
    )
    found = {function.logical_id: function for function in stack.functions()}
    assert {name: function.handler for name, function in found.items()} == {"Fna": "a.handler", "Fnb": "b.handler"}
    assert found["Fnb"].environment == {"NAME": "b"}
    assert found["Fnb"].code == tmp_path / "b"
    assert {table.logical_id: table.name for table in stack.tables()} == {"Tablex1": "x-1", "Tabley2": "y.2"}


@pytest.mark.parametrize("loop", ["[Name, [a]]", "[Name, a, {x: 1}]", "[Name, !Ref Nothing, {x: 1}]", "x"])
def test_loops_that_are_none(made: Any, loop: str) -> None:
    with pytest.raises(TemplateError, match=r"Fn::ForEach::X needs|Nothing is no parameter"):
        made(f"Resources:\n  Fn::ForEach::X: {loop}\n")


def test_parts_from_other_files(made: Any, tmp_path: Path) -> None:
    (tmp_path / "more.yaml").write_text("Queue:\n  Type: AWS::SQS::Queue\n  Properties: {QueueName: !Ref Name}\n")
    text = """
Parameters: {Name: {Type: String, Default: blue}}
Resources:
  Fn::Transform: {Name: AWS::Include, Parameters: {Location: %s}}
  Other: {Type: AWS::SQS::Queue}
"""
    assert {queue.name for queue in made(text % "./more.yaml").queues()} == {"blue", "local-Other"}
    for location, words in (("s3://x/more.yaml", "s3://x/more.yaml is not a file"), ("no.yaml", "not found")):
        with pytest.raises(TemplateError, match=words):
            made(text % location)


def test_values_from_outside(made: Any) -> None:
    stack = made(
        """
Parameters:
  Image: {Type: "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>", Default: /aws/service/image}
  Zones: {Type: "AWS::SSM::Parameter::Value<List<String>>", Default: "a,b"}
Resources:
  Held: {Type: AWS::SSM::Parameter, Properties: {Name: /held, Type: String, Value: from here}}
  Secret: {Type: AWS::SecretsManager::Secret, Properties: {Name: held, SecretString: '{"password": "open"}'}}
  Queue:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !ImportValue the-queue
      VisibilityTimeout: !Length {Ref: Zones}
  Fn:
    Type: AWS::Lambda::Function
    Properties:
      Runtime: python3.13
      Handler: x.y
      Code: a
      Environment:
        Variables:
          HELD: "{{resolve:ssm:/held:1}}"
          PASSWORD: !Sub "{{resolve:secretsmanager:${Secret}:SecretString:password}}"
          AWAY: "{{resolve:ssm-secure:/away:2}}"
          IMAGE: !Ref Image
"""
    )
    (queue,) = stack.queues()
    assert (queue.name, queue.attributes["VisibilityTimeout"]) == ("the-queue", "2")
    (function,) = stack.functions()
    assert function.environment == {
        "HELD": "from here",
        "PASSWORD": "open",
        "AWAY": "/away",
        "IMAGE": "/aws/service/image",
    }
    stack.name_the_rest()
    assert stack.unsupported.keys() == {"Fn::ImportValue the-queue", "resolve:ssm-secure /away", "Image", "Zones"}


def test_nested_stacks_are_named(made: Any) -> None:
    stack = made(
        SAM
        + """
Resources:
  Inner: {Type: AWS::Serverless::Application, Properties: {Location: ./inner.yaml}}
  Other: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: ./other.yaml}}
"""
    )
    stack.name_the_rest()
    assert set(stack.unsupported) == {"Inner", "Other"}


def test_what_sam_reads_from_files(made: Any, tmp_path: Path) -> None:
    (tmp_path / "steps.asl.json").write_text("{}")
    (tmp_path / "openapi.yaml").write_text(
        """
openapi: 3.0.1
info: {title: x, version: "1"}
paths:
  /pets:
    get:
      x-amazon-apigateway-integration: {type: aws_proxy, payloadFormatVersion: "2.0", uri: !GetAtt Fn.Arn}
"""
    )
    stack = made(
        SAM
        + f"""
Resources:
  Fn: {FUNCTION}
  Boxed: {{Type: AWS::Serverless::Function, Metadata: {{Dockerfile: Dockerfile}}, Properties: {{PackageType: Image}}}}
  Steps: {{Type: AWS::Serverless::StateMachine, Properties: {{DefinitionUri: steps.asl.json}}}}
  Pets: {{Type: AWS::Serverless::HttpApi, Properties: {{DefinitionUri: ./openapi.yaml}}}}
"""
    )
    assert stack.property("Pets", "Body")["paths"].keys() == {"/pets"}
    assert [bool(function.fault) for function in stack.functions()] == [False, True]
    stack.name_the_rest()
    assert stack.unsupported == {"Steps": "AWS::StepFunctions::StateMachine"}


def test_stores(made: Any) -> None:
    stack = made(
        """
Resources:
  Bucket: {Type: AWS::S3::Bucket}
  Named: {Type: AWS::S3::Bucket, Properties: {BucketName: !Sub "${AWS::StackName}-files"}}
  Secret:
    Type: AWS::SecretsManager::Secret
    Properties:
      GenerateSecretString: {SecretStringTemplate: '{"user": "x"}', GenerateStringKey: password, PasswordLength: 9}
  Parameter: {Type: AWS::SSM::Parameter, Properties: {Type: StringList, Value: !Join [",", [!Ref Bucket, b]]}}
"""
    )
    found = {store.logical_id: store for store in stores(stack)}
    assert {name: store.arguments.get("Bucket") for name, store in found.items() if store.service == "s3"} == {
        "Bucket": "local-bucket",
        "Named": "local-files",
    }
    secret = json.loads(found["Secret"].arguments["SecretString"])
    assert (secret["user"], len(secret["password"])) == ("x", 9)
    assert found["Parameter"].arguments["Value"] == "local-bucket,b"
    stack.name_the_rest()
    assert stack.unsupported == {}


# ---- samconfig.toml


@pytest.mark.parametrize(
    "written",
    [
        'Name=blue Size="a b" Unknown=x',
        "ParameterKey=Name,ParameterValue=blue ParameterKey=Size,ParameterValue='a b'",
        ["Name=blue", "Size=a b"],
    ],
)
def test_parameters_beside_the_template(tmp_path: Path, written: Any) -> None:
    declared: dict[str, Any] = {"Name": {}, "Size": {}, "Colour": {}}
    path = tmp_path / "template.yaml"
    assert configured(path, declared) == {}
    (tmp_path / "samconfig.toml").write_text(
        'version = 0.1\n[default.global.parameters]\nparameter_overrides = "Name=red Colour=green"\n'
        f"[default.local_start_api.parameters]\nparameter_overrides = {json.dumps(written)}\n"
        '[default.deploy.parameters]\nparameter_overrides = "Colour=no"\n'
    )
    assert configured(path, declared) == {"Name": "blue", "Size": "a b", "Colour": "green"}


def test_a_samconfig_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "samconfig.toml").write_text("[")
    with pytest.raises(UsageError, match=r"samconfig\.toml"):
        configured(tmp_path / "template.yaml", {})


@pytest.mark.parametrize("name", ["template.yaml", "template.yml", "template.json"])
def test_a_folder_means_its_template(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("")
    assert found(tmp_path) == found(tmp_path / "template.yaml") == tmp_path / name
    assert found(tmp_path / "other.yaml") == tmp_path / "other.yaml"


def test_a_folder_without_one(tmp_path: Path) -> None:
    assert found(tmp_path) == found(tmp_path / "template.yaml") == tmp_path / "template.yaml"


def test_functions_outside_of_the_template_are_named(made: Any) -> None:
    stack = made(
        """
Resources:
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: a, ProtocolType: WEBSOCKET}}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: s}}
  Say: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api, RouteKey: say, Target: integrations/Far}}
  Far:
    Type: AWS::ApiGatewayV2::Integration
    Properties:
      ApiId: !Ref Api
      IntegrationType: AWS_PROXY
      IntegrationUri: !Sub
        - arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Arn}/invocations
        - Arn: !ImportValue FarArn
"""
    )
    (api,) = apis.websocket_apis(stack)
    # The route is there, as on AWS, and what comes to it fails.
    assert set(api.routes) == {"say"}
    assert stack.unsupported["Far"] == "no function of this template: FarArn; what invokes it fails"


def test_what_cdk_synthesizes(made: Any, tmp_path: Path) -> None:
    (tmp_path / "asset.1").mkdir()
    function = {
        "Type": "AWS::Lambda::Function",
        "Properties": {
            "Code": {"S3Bucket": {"Fn::Sub": "cdk-assets-${AWS::AccountId}"}, "S3Key": "1.zip"},
            "Handler": "main.handler",
            "Runtime": "python3.13",
        },
        "Metadata": {"aws:cdk:path": "Stack/Fn", "aws:asset:path": "asset.1", "aws:asset:property": "Code"},
    }
    nested = {
        "Type": "AWS::CloudFormation::Stack",
        "Properties": {"TemplateURL": {"Fn::Sub": "https://${AWS::Region}/2.json"}},
        "Metadata": {"aws:asset:path": "nested.json", "aws:asset:property": "TemplateURL"},
    }
    template = {
        "Parameters": {"BootstrapVersion": {"Type": "AWS::SSM::Parameter::Value<String>", "Default": "/cdk/version"}},
        "Resources": {"Fn": function, "Nested": nested, "CDKMetadata": {"Type": "AWS::CDK::Metadata"}},
    }
    stack = made(json.dumps(template), "Stack.template.json")
    assert stack.functions()[0].code == tmp_path / "asset.1"
    assert stack.property("Nested", "TemplateURL") == "nested.json"
    stack.name_the_rest()
    assert set(stack.unsupported) == {"Nested"}


def test_a_global_table_is_one_of_a_single_region(made: Any) -> None:
    stack = made("""
Resources:
  Table:
    Type: AWS::DynamoDB::GlobalTable
    Properties:
      AttributeDefinitions: [{AttributeName: id, AttributeType: S}]
      KeySchema: [{AttributeName: id, KeyType: HASH}]
      WriteProvisionedThroughputSettings: {WriteCapacityAutoScalingSettings: {MaxCapacity: 10}}
      GlobalSecondaryIndexes:
        - IndexName: by
          KeySchema: [{AttributeName: id, KeyType: HASH}]
          Projection: {ProjectionType: ALL}
          WriteProvisionedThroughputSettings: {WriteCapacityAutoScalingSettings: {MaxCapacity: 10}}
      Replicas: [{Region: us-east-1}, {Region: eu-west-1}]
""")
    (table,) = stack.tables()
    assert table.name == "local-Table"
    assert table.arguments["BillingMode"] == "PAY_PER_REQUEST"
    assert set(table.arguments["GlobalSecondaryIndexes"][0]) == {"IndexName", "KeySchema", "Projection"}
    stack.name_the_rest()
    assert stack.unsupported == {}


def test_what_has_no_address_is_named(made: Any) -> None:
    stack = made("""
Resources:
  Api: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: a, ProtocolType: WEBSOCKET}}
  Route: {Type: AWS::ApiGatewayV2::Route, Properties: {ApiId: !Ref Api, RouteKey: $connect}}
""")
    (api,) = apis.websocket_apis(stack)
    assert api.routes == {}
    assert stack.unsupported == {
        "Api": "WebSocket API without a stage in this template; it has no address",
        "Route": "route without a Target; there is no route $connect",
    }
