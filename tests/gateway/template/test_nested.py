"""Nested stacks: one template of several, in which everything still means what it meant."""

from pathlib import Path
from textwrap import dedent

import pytest

from gateway.errors import TemplateError
from gateway.settings import Settings
from gateway.template import apis
from gateway.template.nested import flattened
from gateway.template.parameters import parameter_values
from gateway.template.reader import expand, load
from gateway.template.specs import MakeSpec
from gateway.template.stack import Stack

SAM = "Transform: AWS::Serverless-2016-10-31\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("child", "child/code", "child/deep", "child/layer"):
        (tmp_path / name).mkdir()
    return tmp_path


def write(path: Path, text: str) -> None:
    path.write_text(dedent(text))


def stack(folder: Path, text: str, **overrides: str) -> Stack:
    path = folder / "template.yaml"
    write(path, text)
    template, settings = load(path), Settings()
    values = parameter_values(template.get("Parameters", {}), overrides)
    whole, _ = flattened(expand(template, values, settings), values, path, settings, expand)
    return Stack(whole, values, folder, "http://127.0.0.1:5000", settings)


CHILD = """
    Parameters:
      Name: {Type: String, Default: nobody}
      Size: {Type: Number, Default: 128}
      Words: {Type: CommaDelimitedList, Default: "a,b"}
    Conditions:
      Named: !Not [!Equals [!Ref Name, nobody]]
    Mappings:
      Times: {short: {"128": 5, "256": 9}}
    Resources:
      Layer:
        Type: AWS::Serverless::LayerVersion
        Metadata: {BuildMethod: makefile}
        Properties: {ContentUri: layer}
      Fn:
        Type: AWS::Serverless::Function
        Properties:
          CodeUri: code
          Handler: main.handler
          Runtime: python3.13
          Timeout: !FindInMap [Times, short, !Ref Size]
          Layers: [!Ref Layer]
          Environment:
            Variables:
              NAME: !Ref Name
              WORDS: !Sub ["${Count} ${Words} ${!Name} ${AWS::StackName} ${Fn2.Arn}", {Count: !Select [1, !Ref Words]}]
              STACK: !Ref AWS::StackId
      Fn2:
        Type: AWS::Lambda::Function
        Properties: {Code: code, Handler: main.handler, Runtime: python3.13}
      OnlyNamed:
        Type: AWS::SQS::Queue
        Condition: Named
    Outputs:
      Fn: {Value: !GetAtt Fn.Arn}
      Name: {Value: !Ref Name}
"""
PARENT = """
    Resources:
      One:
        Type: AWS::Serverless::Application
        Properties:
          Location: child/template.yaml
          Parameters: {Name: !GetAtt Table.Arn, Size: 256, Words: !Join [",", [x, !Ref Table]]}
      Other:
        Type: AWS::CloudFormation::Stack
        Properties:
          TemplateURL: child
          Parameters: {Name: !Ref AWS::NoValue, Words: "y, z"}
      Table: {Type: AWS::DynamoDB::Table}
      Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: !Ref One}}
      Third: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub "${Other.Outputs.Name}-${Table}"}}
"""


def test_a_template_twice(folder: Path) -> None:
    write(folder / "child/template.yaml", SAM + dedent(CHILD))
    found = stack(folder, SAM + dedent(PARENT))
    functions = {spec.logical_id: spec for spec in found.functions()}
    assert set(functions) == {"One/Fn", "One/Fn2", "Other/Fn", "Other/Fn2"}
    one, other = functions["One/Fn"], functions["Other/Fn"]
    assert (one.name, one.timeout, other.name, other.timeout) == ("local-One-Fn", 9, "local-Other-Fn", 5)
    arn = found.attribute("Table", "Arn")
    second = found.attribute("One/Fn2", "Arn")
    assert one.environment["NAME"] == arn
    assert one.environment["WORDS"] == f"local-Table x,local-Table ${{Name}} local-One {second}"
    assert ":stack/local-One/" in one.environment["STACK"]
    assert other.environment["NAME"] == "nobody"
    assert other.environment["WORDS"].startswith("z y,z")
    # Relative to the template that says it.
    assert {spec.code for spec in functions.values()} == {folder / "child/code"}
    layer = folder / "child/layer"
    assert one.layer_makes == {layer: MakeSpec("Layer", layer, layer / "Makefile")}
    queues = {spec.logical_id: spec.name for spec in found.queues()}
    assert queues["One/OnlyNamed"] == "local-One-OnlyNamed"
    assert "Other/OnlyNamed" not in queues
    assert ":stack/local-One/" in queues["Queue"]
    assert queues["Third"] == "nobody-local-Table"
    found.name_the_rest()
    assert found.unsupported == {}


def test_stacks_in_stacks_and_conditions(folder: Path) -> None:
    write(
        folder / "child/template.yaml",
        """
        Parameters: {Flag: {Type: String}, Queue: {Type: String}}
        Conditions: {IsOn: !Equals [!Ref Flag, "on"]}
        Resources:
          Deep:
            Type: AWS::CloudFormation::Stack
            Condition: IsOn
            Properties: {TemplateURL: deep/template.json, Parameters: {Name: !Ref Queue}}
        Outputs: {Name: {Value: !GetAtt Deep.Outputs.Name}}
        """,
    )
    write(
        folder / "child/deep/template.json",
        """
        {"Parameters": {"Name": {"Type": "String"}},
         "Conditions": {"Dead": {"Fn::Equals": [{"Ref": "Name"}, "local-First"]}},
         "Resources": {"Letters": {"Type": "AWS::SQS::Queue", "Condition": "Dead"},
                       "Always": {"Type": "AWS::SQS::Queue"}},
         "Outputs": {"Name": {"Value": {"Fn::GetAtt": ["Always", "QueueName"]}}}}
        """,
    )
    text = """
        Parameters: {Flag: {Type: String, Default: "on"}, Where: {Type: String, Default: child}}
        Conditions: {Nested: !Not [!Equals [!Ref Flag, never]]}
        Resources:
          Child:
            Type: AWS::CloudFormation::Stack
            Condition: Nested
            Properties:
              TemplateURL: !Sub "./${Where}/template.yaml"
              Parameters: {Flag: !Ref Flag, Queue: !GetAtt First.QueueName}
          First: {Type: AWS::SQS::Queue}
          Second: {Type: AWS::SQS::Queue, Properties: {QueueName: !If [Nested, !GetAtt Child.Outputs.Name, none]}}
        """
    names = {spec.logical_id: spec.name for spec in stack(folder, text).queues()}
    assert names == {
        "First": "local-First",
        "Second": "local-Child-Deep-Always",
        "Child/Deep/Letters": "local-Child-Deep-Letters",
        "Child/Deep/Always": "local-Child-Deep-Always",
    }
    assert {spec.logical_id for spec in stack(folder, text, Flag="never").queues()} == {"First", "Second"}
    write(folder / "child/template.yaml", "nothing")
    # Nobody looks for a template that is not wanted.
    assert {spec.logical_id for spec in stack(folder, text, Flag="never").queues()} == {"First", "Second"}


def test_an_api_in_one_stack_and_its_function_in_another(folder: Path) -> None:
    write(folder / "child/template.yaml", SAM + dedent(CHILD))
    write(
        folder / "api.yaml",
        """
        Parameters: {Fn: {Type: String}}
        Resources:
          Api:
            Type: AWS::ApiGatewayV2::Api
            Properties: {Name: a, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
          Default:
            Type: AWS::ApiGatewayV2::Route
            Properties: {ApiId: !Ref Api, RouteKey: $default, Target: !Sub "integrations/${To}"}
          To:
            Type: AWS::ApiGatewayV2::Integration
            Properties:
              ApiId: !Ref Api
              IntegrationType: AWS_PROXY
              IntegrationUri: !Sub "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/${Fn}/invocations"
        """,
    )
    found = stack(
        folder,
        """
        Resources:
          Functions: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: child/template.yaml}}
          Sockets:
            Type: AWS::CloudFormation::Stack
            Properties: {TemplateURL: api.yaml, Parameters: {Fn: !GetAtt Functions.Outputs.Fn}}
        """,
    )
    (api,) = apis.websocket_apis(found)
    assert (api.logical_id, str(api.routes["$default"].target)) == (
        "Sockets/Api",
        "FunctionTarget(function='Functions/Fn')",
    )


def test_what_one_exports_another_imports(folder: Path) -> None:
    for name, text in (
        (
            "out",
            "{Queue: {Type: AWS::SQS::Queue}},"
            " Outputs: {Q: {Value: !GetAtt Queue.Arn, Export: {Name: !Sub '${Of}-q'}}}",
        ),
        ("in", "{Other: {Type: AWS::SQS::Queue, Properties: {QueueName: !ImportValue {'Fn::Sub': '${Of}-q'}}}}"),
    ):
        write(folder / f"{name}.yaml", f"{{Parameters: {{Of: {{Type: String}}}}, Resources: {text}}}")
    found = stack(
        folder,
        """
        Resources:
          In:
            Type: AWS::CloudFormation::Stack
            Properties: {TemplateURL: in.yaml, Parameters: {Of: !Ref AWS::StackName}}
          Out: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: out.yaml, Parameters: {Of: local}}}
        """,
    )
    names = {spec.logical_id: spec.name for spec in found.queues()}
    assert names["In/Other"] == found.attribute("Out/Queue", "Arn")
    assert found.unsupported == {}


@pytest.mark.parametrize(
    ("child", "parent", "words"),
    [
        (
            "{Parameters: {A: {Type: String}}, Resources: {}}",
            "{}",
            r"Child: parameter A of .*template.yaml has no default",
        ),
        ("{Resources: {}}", "{Parameters: {B: b}}", r"Child: .*template.yaml has no parameter B"),
        (
            "{Parameters: {A: {Type: Number}}, Resources: {}}",
            "{Parameters: {A: many}}",
            r"Child: parameter A=many: not a number",
        ),
        ("{Resources: {T: {Type: AWS::SNS::Topic}}}", "{}", r"Child: .*template.yaml has no output Name"),
        ("nothing", "{}", r"Child: .*template.yaml: not a template"),
        (
            "{Resources: {Again: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: template.yaml}}},"
            " Outputs: {Name: {Value: x}}}",
            "{}",
            r"Child/Again: .*child/template.yaml is nested in itself",
        ),
        (
            "{Transform: AWS::Serverless-2016-10-31, Resources: {Fn: {Type: AWS::Serverless::Function}}}",
            "{}",
            r"Child: .*Fn",
        ),
        (
            "{Resources: {Odd: 1, T: {Type: AWS::SNS::Topic}}, Outputs: {Name: {Value: x}}}",
            "{}",
            r"Child: .*must be Objects",
        ),
        ("", "{}", r"Child: template not found: .*child/template.yaml"),
    ],
)
def test_what_is_wrong_with_one_is_named(folder: Path, child: str, parent: str, words: str) -> None:
    if child:
        write(folder / "child/template.yaml", child)
    with pytest.raises(TemplateError, match=words):
        stack(
            folder,
            f"""
            Resources:
              Child:
                Type: AWS::CloudFormation::Stack
                Properties: {{TemplateURL: child/template.yaml, {parent[1:-1] or "Tags: []"}}}
              Queue: {{Type: AWS::SQS::Queue, Properties: {{QueueName: !GetAtt Child.Outputs.Name}}}}
            """,
        )


def test_those_that_are_not_here(folder: Path) -> None:
    found = stack(
        folder,
        SAM
        + dedent("""
        Resources:
          Table: {Type: AWS::DynamoDB::Table}
          Bucket: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: s3://templates/vpc.yaml}}
          Later: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: !Sub "https://${Table}/x.yaml"}}
          Published:
            Type: AWS::Serverless::Application
            Properties: {Location: {ApplicationId: somebodys, SemanticVersion: 1.0.0}}
          Queue: {Type: AWS::SQS::Queue, Properties: {QueueName: !GetAtt Published.Outputs.Name}}
        """),
    )
    found.name_the_rest()
    where = "nested stack whose template is not on this machine: "
    assert found.unsupported == {
        "Bucket": f"{where}s3://templates/vpc.yaml",
        "Later": f"{where}https://local-Table/x.yaml",
        "Published": f"{where}somebodys",
    }
