import os

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE_NAME"])


def connect(event, context):
    room = event.get("queryStringParameters", {}).get("room", "lobby")
    table.put_item(Item={"connectionId": event["requestContext"]["connectionId"], "room": room})
    return {"statusCode": 200}


def disconnect(event, context):
    table.delete_item(Key={"connectionId": event["requestContext"]["connectionId"]})
    return {"statusCode": 200}
