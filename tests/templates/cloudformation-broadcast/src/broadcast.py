import json
import os

import boto3
from boto3.dynamodb.conditions import Key

table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])


def lambda_handler(event, context):
    where = event["requestContext"]
    message = json.loads(event["body"])
    room = table.get_item(Key={"connectionId": where["connectionId"]})["Item"]["room"]
    management = boto3.client("apigatewaymanagementapi", endpoint_url=f"https://{where['domainName']}/{where['stage']}")
    for item in table.query(IndexName="by-room", KeyConditionExpression=Key("room").eq(room))["Items"]:
        try:
            management.post_to_connection(ConnectionId=item["connectionId"], Data=json.dumps({"said": message["text"]}))
        except management.exceptions.GoneException:
            table.delete_item(Key={"connectionId": item["connectionId"]})
    return {"statusCode": 200}
