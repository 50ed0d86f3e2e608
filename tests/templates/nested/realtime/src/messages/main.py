"""Keeps who connects in the parent's table, and answers with what the stack was given."""

import os

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
sqs = boto3.client("sqs")


def handler(event, context):
    request = event["requestContext"]
    if request["eventType"] == "CONNECT":
        table.put_item(Item={"connection": request["connectionId"]})
        return {"statusCode": 200}
    if event["body"] == "audit":
        sqs.send_message(QueueUrl=os.environ["QUEUE"], MessageBody=event["body"])
        return {"statusCode": 200}
    given = [os.environ["WORDS"], os.environ["STACK"], context.memory_limit_in_mb, context.function_name]
    return {"statusCode": 200, "body": " ".join(given)}
