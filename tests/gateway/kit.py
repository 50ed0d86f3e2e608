"""A small stack for the tests of the kit and of faults: a WebSocket API, directly and by a queue, and a table."""

from pathlib import Path

TEMPLATE = """
Transform: AWS::Serverless-2016-10-31
Parameters:
  Colour: {Type: String, Default: red}
Resources:
  Api:
    Type: AWS::ApiGatewayV2::Api
    Properties: {Name: a, ProtocolType: WEBSOCKET, RouteSelectionExpression: $request.body.action}
  Stage: {Type: AWS::ApiGatewayV2::Stage, Properties: {ApiId: !Ref Api, StageName: prod}}
  Connect:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $connect, Target: integrations/Direct}
  Default:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $default, Target: integrations/Direct}
  Disconnect:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: $disconnect, Target: integrations/Direct}
  Ordered:
    Type: AWS::ApiGatewayV2::Route
    Properties: {ApiId: !Ref Api, RouteKey: ordered, Target: integrations/Queued}
  Direct:
    Type: AWS::ApiGatewayV2::Integration
    Properties: {ApiId: !Ref Api, IntegrationType: AWS_PROXY, IntegrationUri: !GetAtt Fn.Arn}
  Queued:
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
  Queue: {Type: AWS::SQS::Queue, Properties: {FifoQueue: true, VisibilityTimeout: 20}}
  Table:
    Type: AWS::DynamoDB::Table
    Properties:
      BillingMode: PAY_PER_REQUEST
      AttributeDefinitions: [{AttributeName: pk, AttributeType: S}]
      KeySchema: [{AttributeName: pk, KeyType: HASH}]
  Fn:
    Type: AWS::Serverless::Function
    Properties:
      Handler: main.handler
      Runtime: python3.13
      Timeout: 10
      Environment:
        Variables:
          COLOUR: !Ref Colour
          TABLE: !Ref Table
          CONNECTIONS_URL: !Sub "https://${Api}.execute-api.us-east-1.amazonaws.com/prod"
      Events:
        Queue: {Type: SQS, Properties: {Queue: !GetAtt Queue.Arn, BatchSize: 5}}
        Get: {Type: HttpApi}
"""
CODE = """
import json, os, boto3
connections = boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["CONNECTIONS_URL"])
table = boto3.resource("dynamodb").Table(os.environ["TABLE"])

def handler(event, context):
    if "Records" in event:
        for record in event["Records"]:
            answer(record["attributes"]["MessageGroupId"], json.loads(record["body"]))
        return
    context = event["requestContext"]
    kind = context.get("eventType")
    if kind is None:
        return {"statusCode": 200, "body": os.environ["COLOUR"]}
    if kind == "CONNECT":
        return {"statusCode": 401 if (event.get("queryStringParameters") or {}).get("token") == "bad" else 200}
    if kind == "DISCONNECT":
        table.put_item(Item={"pk": "gone", "code": context["disconnectStatusCode"]})
        return
    answer(context["connectionId"], json.loads(event["body"]))
    return {"statusCode": 200}

def answer(connection, body):
    if "print" in body:
        print(body["print"])
    if "fail" in body:
        raise RuntimeError(body["fail"])
    if "key" in body:
        table.put_item(Item={"pk": body["key"]})
    text = json.dumps(body | {"pid": os.getpid(), "colour": os.environ["COLOUR"]})
    for _ in range(body.get("posts", 1)):
        connections.post_to_connection(ConnectionId=connection, Data=text)
"""


def write(folder: Path) -> Path:
    """Write the stack into a folder; returns its template."""
    (folder / "main.py").write_text(CODE)
    template = folder / "template.yaml"
    template.write_text(TEMPLATE)
    return template
