import json
import os

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])
management = boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["ENDPOINT"])


def handler(event, context):
    data = json.loads(event["body"])["data"]
    text = f"{event['stageVariables']['greeting']}: {data}"
    for item in table.scan(ConsistentRead=True)["Items"]:
        try:
            management.post_to_connection(ConnectionId=item["connectionId"], Data=text.encode())
        except management.exceptions.GoneException:
            table.delete_item(Key={"connectionId": item["connectionId"]})
    return {"statusCode": 200, "body": "Data sent."}
