"""Several APIs in one template: what is read of it, and what is served where."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.ids import api_id
from gateway.options import Options
from gateway.run import running
from gateway.settings import Settings
from gateway.template.http_apis import http_apis
from gateway.template.reader import expand, load
from gateway.template.specs import Cors, HttpAuthorizerSpec, HttpMock, HttpProxy, HttpSpec
from gateway.template.stack import Stack

pytestmark = pytest.mark.anyio
TEMPLATE = Path(__file__).parent / "stack" / "template.yaml"


def stack(path: Path) -> Stack:
    settings = Settings()
    values = {"Endpoint": "http://127.0.0.1:1"}
    return Stack(expand(load(path), values, settings), values, path.parent, "http://aws", settings)


def test_what_a_template_says_of_its_apis() -> None:
    made = stack(TEMPLATE)
    specs = {spec.logical_id: spec for spec in http_apis(made)}
    assert {name: (spec.kind, list(spec.stages)) for name, spec in specs.items()} == {
        "Main": ("HTTP", ["$default"]),
        "Second": ("HTTP", ["v1"]),
        "Passing": ("HTTP", ["$default"]),
        "Rest": ("REST", ["prod"]),
        "ShowUrl": ("URL", ["$default"]),
    }
    main = {route.path: route for route in specs["Main"].routes}
    assert main["/guarded"].authorizer == HttpAuthorizerSpec(
        "Guard", "Guard", "2.0", ("$request.header.Authorization",), simple=True
    )
    assert main["/open"].authorizer is None
    assert specs["Main"].cors == Cors(("https://a.example",), ("GET",))
    assert specs["ShowUrl"].cors == Cors(("*",))
    (second,) = specs["Second"].routes
    assert (second.key, second.format, second.function) == ("ANY /x/{id}", "1.0", "Show")
    assert specs["Second"].stages["v1"] == {"colour": "blue"}
    assert specs["Rest"].binary_types == ("image/png",)
    routes = {route.method: route for route in specs["Rest"].routes}
    assert routes["POST"].format == "1.0"
    mock = routes["OPTIONS"].target
    assert isinstance(mock, HttpMock)
    assert mock.headers["access-control-allow-origin"] == "*"
    assert specs["Passing"].routes[0].target == HttpProxy("ANY", "http://127.0.0.1:1/{rest}")
    made.name_the_rest()
    assert made.unsupported == {}


OPENAPI = """
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties:
      Body:
        paths:
          /jwt: {get: {security: [{J: []}], x-amazon-apigateway-integration: &function
            {type: aws_proxy, uri: !GetAtt Fn.Arn, payloadFormatVersion: "2.0"}}}
          /queue: {post: {x-amazon-apigateway-integration: {type: aws_proxy, integrationSubtype: SQS-SendMessage}}}
          /private: {get: {x-amazon-apigateway-integration: {type: http_proxy, uri: "arn:aws:elb"}}}
          /mapped: {get: {x-amazon-apigateway-integration:
            {type: http_proxy, uri: "http://h/", requestParameters: {overwrite:path: x}}}}
        components:
          securitySchemes: {J: {type: oauth2, x-amazon-apigateway-authorizer: {type: jwt}}}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: v1}}
  Quick:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: q, ProtocolType: HTTP, Target: !GetAtt Fn.Arn, RouteKey: GET /quick}
  Unstaged: {Type: AWS::ApiGatewayV2::Api, Properties: {Name: u, ProtocolType: HTTP}}
  Rest:
    Type: AWS::ApiGateway::RestApi
    Properties:
      Body:
        paths:
          /users: {get: {security: [{Pool: []}], x-amazon-apigateway-integration: *function}}
          /item: {get: {x-amazon-apigateway-integration: {type: aws, uri: "arn:aws:apigateway:r:s3:path/x"}}}
        securityDefinitions: {Pool: {x-amazon-apigateway-authorizer: {type: cognito_user_pools}}}
  RestStage: {Type: AWS::ApiGateway::Stage, Properties: {RestApiId: !Ref Rest, StageName: prod}}
  Url: {Type: AWS::Lambda::Url, Properties: {TargetFunctionArn: !GetAtt Fn.Arn, AuthType: AWS_IAM,
    InvokeMode: RESPONSE_STREAM}}
  Fn: {Type: AWS::Lambda::Function, Properties: {Runtime: python3.13, Handler: a.b, Code: .}}
"""


def test_what_is_not_run_of_an_api_is_named(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(OPENAPI)
    made = stack(path)
    specs: dict[str, HttpSpec] = {spec.logical_id: spec for spec in http_apis(made)}
    assert {name: [route.key for route in spec.routes] for name, spec in specs.items()} == {
        "Api": ["GET /jwt", "GET /mapped"],
        "Quick": ["GET /quick"],
        "Unstaged": [],
        "Rest": ["GET /users"],
        "Url": ["$default"],
    }
    assert list(specs["Quick"].stages) == ["$default"]
    assert made.unsupported == {
        "Api GET /jwt": "authorizer J: its issuer is not said; every request is refused",
        "Api POST /queue": "AWS_PROXY integration; there is no such route",
        "Api GET /private": "HTTP_PROXY integration; there is no such route",
        "Api GET /mapped.requestParameters": "mapping of parameters; requests and answers go as they are",
        "Unstaged": "HTTP API without a stage; it has no address",
        "Rest GET /users": "authorizer Pool: it has 0 user pools; every request is refused",
        "Rest GET /item": "AWS integration; there is no such route",
        "Url.InvokeMode": "RESPONSE_STREAM of a function's URL; answers come whole",
    }


METHODS = """
Resources:
  Api: {Type: AWS::ApiGateway::RestApi, Properties: {Name: a}}
  Stage: {Type: AWS::ApiGateway::Stage, Properties: {RestApiId: !Ref Api, StageName: prod}}
  Rooms: {Type: AWS::ApiGateway::Resource, Properties: {RestApiId: !Ref Api, ParentId: !GetAtt Api.RootResourceId,
    PathPart: rooms}}
  Room: {Type: AWS::ApiGateway::Resource, Properties: {RestApiId: !Ref Api, ParentId: !Ref Rooms, PathPart: "{id}"}}
  Root:
    Type: AWS::ApiGateway::Method
    Properties:
      RestApiId: !Ref Api
      ResourceId: !GetAtt Api.RootResourceId
      HttpMethod: ANY
      AuthorizationType: AWS_IAM
      Integration: {Type: AWS_PROXY, IntegrationHttpMethod: POST, TimeoutInMillis: 5000,
        Uri: !Sub "arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/${Fn.Arn}/invocations"}
  Get:
    Type: AWS::ApiGateway::Method
    Properties:
      RestApiId: !Ref Api
      ResourceId: !Ref Room
      HttpMethod: GET
      AuthorizationType: CUSTOM
      AuthorizerId: !Ref Guard
      Integration: {Type: AWS_PROXY, IntegrationHttpMethod: POST, Uri: !GetAtt Fn.Arn}
  Options:
    Type: AWS::ApiGateway::Method
    Properties:
      RestApiId: !Ref Api
      ResourceId: !Ref Room
      HttpMethod: OPTIONS
      Integration: {Type: MOCK, IntegrationResponses: [{StatusCode: "204",
        ResponseParameters: {method.response.header.Access-Control-Allow-Origin: "'*'"}}]}
  Guard:
    Type: AWS::ApiGateway::Authorizer
    Properties: {RestApiId: !Ref Api, Name: g, Type: REQUEST, AuthorizerUri: !GetAtt Fn.Arn,
      IdentitySource: "method.request.header.A, context.identity.sourceIp", AuthorizerResultTtlInSeconds: 0}
  Fn: {Type: AWS::Lambda::Function, Properties: {Runtime: python3.13, Handler: a.b, Code: .}}
"""


def test_methods_that_are_resources_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "template.yaml"
    path.write_text(METHODS)
    made = stack(path)
    (spec,) = http_apis(made)
    routes = {route.key: route for route in spec.routes}
    assert set(routes) == {"ANY /", "GET /rooms/{id}", "OPTIONS /rooms/{id}"}
    assert routes["ANY /"].timeout == 5
    sources = ("method.request.header.A", "context.identity.sourceIp")
    assert routes["GET /rooms/{id}"].authorizer == HttpAuthorizerSpec("Guard", "Fn", "1.0", sources)
    assert routes["OPTIONS /rooms/{id}"].target == HttpMock(204, {"access-control-allow-origin": "*"})
    made.name_the_rest()
    assert routes["ANY /"].iam
    assert made.unsupported == {}


async def test_every_api_has_an_address() -> None:
    options = Options(TEMPLATE, port=0, parameter_overrides={"Endpoint": "http://127.0.0.1:1"})
    ids = {name: api_id("local", name) for name in ("Main", "Second", "Rest", "Passing", "ShowUrl")}
    async with running(options) as gateway, httpx.AsyncClient(base_url=gateway.url, trust_env=False) as client:
        at = {name: f"{gateway.url}/_apis/{found}" for name, found in ids.items()}
        assert gateway.addresses() == [
            (f"{gateway.url}/", "Main"),
            (f"{at['Second']}/v1/", "Second"),
            (f"{at['Passing']}/", "Passing"),
            (f"{at['Rest']}/prod/", "Rest"),
            (f"{at['ShowUrl']}/", "ShowUrl"),
        ]

        async def get(path: str, method: str = "GET", **options: Any) -> dict[str, Any]:
            response = await client.request(method, path, **options)
            assert response.status_code == 200, response.text
            return dict(response.json())

        shown = await get("/open")
        assert shown["event"]["routeKey"] == "GET /open"
        # What functions are told of other APIs leads here as well.
        assert shown["environment"] == {
            "MAIN": gateway.url,
            "SECOND": f"{at['Second']}/v1",
            "REST": f"{at['Rest']}/prod/",
        }
        shown = await get(f"{shown['environment']['SECOND']}/x/5?a=b")
        assert (shown["event"]["version"], shown["event"]["path"]) == ("1.0", "/v1/x/5")
        assert shown["event"]["stageVariables"] == {"colour": "blue"}
        host = f"{ids['Second']}.execute-api.localhost:3000"
        shown = await get("/v1/x/6", headers={"Host": host})
        assert shown["event"]["pathParameters"] == {"id": "6"}
        assert shown["event"]["requestContext"]["domainName"] == host
        shown = await get("/_apis/Rest/prod/y/7", "POST", content=b"text")
        assert (shown["event"]["resource"], shown["event"]["body"]) == ("/y/{id}", "text")
        assert (await get("/", headers={"Host": f"{ids['ShowUrl']}.lambda-url.localhost"}))["event"]["version"] == "2.0"

        assert (await client.get("/guarded")).status_code == 401
        assert (await client.get("/guarded", headers={"Authorization": "shut"})).status_code == 403
        shown = await get("/guarded", headers={"Authorization": "open"})
        assert shown["event"]["requestContext"]["authorizer"] == {"lambda": {"who": "me"}}
        asked = {"Origin": "https://a.example", "Access-Control-Request-Method": "GET"}
        response = await client.options("/anything", headers=asked)
        assert (response.status_code, response.headers["access-control-allow-methods"]) == (204, "GET")
        response = await client.options("/_apis/Rest/prod/y/7")
        assert (response.status_code, response.headers["access-control-allow-origin"]) == (200, "*")
        assert (await client.get("/_apis/Passing/p/x")).status_code == 500
