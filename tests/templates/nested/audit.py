"""What the nested stack's queue says, told to all whom the parent's table knows."""

import os

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE"])
connections = boto3.client("apigatewaymanagementapi", endpoint_url=os.environ["ENDPOINT"])


def handler(event, context):
    for record in event["Records"]:
        for item in table.scan()["Items"]:
            connections.post_to_connection(ConnectionId=item["connection"], Data=f"audited: {record['body']}")
